//! What surrounds a word: surfaces, light, colors.

use crate::data::float_image::{Filter, FloatImage};
use crate::data::random::Random;

/// A random color, in bytes.
fn color(random: &mut Random) -> [f32; 3] {
    if random.chance(0.35) {
        let gray = random.between(5.0, 250.0);
        return [0; 3].map(|_| (gray + random.between(-8.0, 8.0)).clamp(0.0, 255.0));
    }
    // Hue, saturation and value: signs are seldom pale and dark at once.
    let (hue, saturation) = (random.between(0.0, 6.0), random.between(0.1, 0.9));
    let value = random.between(40.0, 250.0);
    [5.0, 3.0, 1.0].map(|n: f32| {
        let k = (n + hue) % 6.0;
        value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
    })
}

pub(super) fn luma(c: [f32; 3]) -> f32 {
    0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2]
}

/// A color that can be told from `other`, by at least `contrast` of luma where that can be.
pub(super) fn against(other: [f32; 3], contrast: f32, random: &mut Random) -> [f32; 3] {
    for _ in 0..12 {
        let c = color(random);
        if (luma(c) - luma(other)).abs() >= contrast {
            return c;
        }
    }
    if luma(other) > 127.0 { [12.0; 3] } else { [243.0; 3] }
}

/// Smooth noise about 0, mostly within ±1, with `cells` bumps along the width.
pub(super) fn noise(width: usize, height: usize, cells: usize, random: &mut Random) -> Vec<f32> {
    let rows = (cells * height / width).max(2);
    let mut grid = FloatImage::new(cells.max(2), rows, [0.0; 3]);
    grid.pixels_mut().for_each(|(_, p)| *p = [random.noise(); 3]);
    grid.resize(width, height, Filter::Cubic).values.iter().step_by(3).copied().collect()
}

/// A surface to write on: plain, shaded, rough, striped, tiled, or a part of a photograph.
pub(super) fn surface(
    width: usize,
    height: usize,
    photographs: &[FloatImage],
    random: &mut Random,
) -> FloatImage {
    if !photographs.is_empty() && random.chance(0.6) {
        return part(random.pick(photographs), width, height, random);
    }
    let base = color(random);
    let mut plane = FloatImage::new(width, height, base);
    let kind = random.below(8);
    if kind >= 1 {
        gradient(&mut plane, random);
    }
    match kind {
        2 | 3 => rough(&mut plane, random),
        4 => stripes(&mut plane, random),
        5 => tiles(&mut plane, random),
        6 => clutter(&mut plane, random),
        _ => {}
    }
    plane
}

/// The mean color inside the text's rows: what the text must stand out from.
pub(super) fn mean(plane: &FloatImage) -> [f32; 3] {
    let mut sum = [0.0; 3];
    for p in plane.values.chunks_exact(3) {
        (0..3).for_each(|c| sum[c] += p[c]);
    }
    sum.map(|s| s / (plane.width * plane.height) as f32)
}

/// A part of a photograph, at a random scale, with less contrast so that words can stand on it.
fn part(photograph: &FloatImage, width: usize, height: usize, random: &mut Random) -> FloatImage {
    let aspect = width as f32 / height as f32;
    let most = (photograph.width as f32).min(photograph.height as f32 * aspect);
    let w = most * random.between(0.3, 1.0);
    let (w, h) = ((w as usize).max(1), ((w / aspect) as usize).max(1));
    let x = random.below(photograph.width.saturating_sub(w) + 1);
    let y = random.below(photograph.height.saturating_sub(h) + 1);
    let rows = photograph.values.chunks_exact(photograph.width * 3).skip(y).take(h);
    let values = rows.flat_map(|row| row[x * 3..(x + w) * 3].iter().copied()).collect();
    let mut plane = FloatImage { width: w, height: h, values }.resize(width, height, Filter::Area);
    let (middle, keep) = (mean(&plane), random.between(0.35, 0.9));
    plane.pixels_mut().for_each(|(_, p)| {
        (0..3).for_each(|c| p[c] = middle[c] + (p[c] - middle[c]) * keep);
    });
    plane
}

/// Values from -0.5 to 0.5 across the picture in a random direction.
fn slope(width: usize, height: usize, random: &mut Random) -> impl Fn(usize, usize) -> f32 + use<> {
    let (sin, cos) = random.between(0.0, std::f32::consts::TAU).sin_cos();
    let (w, h) = (width as f32, height as f32);
    let span = w * cos.abs() + h * sin.abs();
    move |x, y| ((x as f32 - w / 2.0) * cos + (y as f32 - h / 2.0) * sin) / span
}

fn gradient(plane: &mut FloatImage, random: &mut Random) {
    let step = [0; 3].map(|_| random.between(-45.0, 45.0));
    let slope = slope(plane.width, plane.height, random);
    plane.pixels_mut().for_each(|((x, y), p)| {
        let t = slope(x, y);
        (0..3).for_each(|c| p[c] += step[c] * t);
    });
}

fn rough(plane: &mut FloatImage, random: &mut Random) {
    let (w, h) = (plane.width, plane.height);
    let coarse = noise(w, h, 4 + random.below(12), random);
    let fine = noise(w, h, 24 + random.below(40), random);
    let (a, b) = (random.between(0.0, 18.0), random.between(0.0, 14.0));
    let tint = [0; 3].map(|_| random.between(0.7, 1.3));
    for (((_, _), p), (coarse, fine)) in plane.pixels_mut().zip(coarse.iter().zip(&fine)) {
        (0..3).for_each(|c| p[c] += (a * coarse + b * fine) * tint[c]);
    }
}

fn stripes(plane: &mut FloatImage, random: &mut Random) {
    let slope = slope(plane.width, plane.height, random);
    let (count, phase) = (random.between(3.0, 20.0), random.unit());
    let depth = random.between(-30.0, 30.0);
    let soft = random.between(1.0, 8.0);
    plane.pixels_mut().for_each(|((x, y), p)| {
        let wave = (std::f32::consts::TAU * (slope(x, y) * count + phase)).sin();
        p.iter_mut().for_each(|v| *v += depth * (wave * soft).clamp(-1.0, 1.0));
    });
}

fn tiles(plane: &mut FloatImage, random: &mut Random) {
    let (w, h) = (random.between(10.0, 60.0), random.between(6.0, 22.0));
    let (dx, dy) = (random.between(0.0, w), random.between(0.0, h));
    let joint = random.between(-60.0, 60.0);
    let uneven = random.between(0.0, 14.0);
    let shades: Vec<f32> = (0..64).map(|_| random.noise() * uneven).collect();
    plane.pixels_mut().for_each(|((x, y), p)| {
        let row = ((y as f32 + dy) / h).floor();
        let across = (x as f32 + dx) / w + if row as i32 % 2 == 0 { 0.0 } else { 0.5 };
        let tile = (row as usize * 7 + across as usize) % shades.len();
        let edge = ((across.fract() * w).min((y as f32 + dy) - row * h) - 1.0).clamp(0.0, 1.0);
        p.iter_mut().for_each(|v| *v += shades[tile] + joint * (1.0 - edge));
    });
}

/// Edges of other things: bars and patches of other colors.
fn clutter(plane: &mut FloatImage, random: &mut Random) {
    let (w, h) = (plane.width as f32, plane.height as f32);
    for _ in 0..1 + random.below(3) {
        let ink = color(random);
        let opacity = random.between(0.2, 0.8);
        let (x, y) = (random.between(-0.2 * w, w), random.between(-0.3 * h, h));
        let size = [random.between(0.05, 0.6) * w, random.between(0.1, 0.8) * h];
        let lean = random.between(-0.5, 0.5);
        plane.pixels_mut().for_each(|((px, py), p)| {
            let (u, v) = (px as f32 - x - lean * py as f32, py as f32 - y);
            let inside = |t: f32, size: f32| (t.min(size - t) + 0.5).clamp(0.0, 1.0);
            let cover = inside(u, size[0]) * inside(v, size[1]) * opacity;
            (0..3).for_each(|c| p[c] += (ink[c] - p[c]) * cover);
        });
    }
}

/// Uneven light: a slope, now and then a spot or the edge of a shadow.
pub(super) fn light(plane: &mut FloatImage, random: &mut Random) {
    let depth = random.between(0.0, 0.45);
    let slope = slope(plane.width, plane.height, random);
    let spot = random.chance(0.15).then(|| {
        let at = [random.unit() * plane.width as f32, random.unit() * plane.height as f32];
        (at, random.between(6.0, 30.0), random.between(0.15, 0.6))
    });
    let edge = random
        .chance(0.12)
        .then(|| (random.between(-0.3, 0.3), random.between(0.45, 0.8), random.between(2.0, 30.0)));
    plane.pixels_mut().for_each(|((x, y), p)| {
        let t = slope(x, y);
        let mut light = 1.0 + depth * t;
        if let Some((at, reach, strength)) = spot {
            let far = (x as f32 - at[0]).hypot(y as f32 - at[1]) / reach;
            light += strength * (-far * far).exp();
        }
        if let Some((at, dark, sharp)) = edge {
            light *= 1.0 - (1.0 - dark) * ((t - at) * sharp + 0.5).clamp(0.0, 1.0);
        }
        p.iter_mut().for_each(|v| *v *= light);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_for_text_stand_out() {
        let mut random = Random::new(&[2]);
        for _ in 0..500 {
            let ground = color(&mut random);
            let ink = against(ground, 60.0, &mut random);
            assert!((luma(ground) - luma(ink)).abs() >= 60.0, "{ground:?} {ink:?}");
            assert!(ink.iter().all(|v| (0.0..=255.0).contains(v)), "{ink:?}");
        }
    }

    #[test]
    fn surfaces_are_finite_whatever_they_are_cut_from() {
        for key in 0..200 {
            let mut random = Random::new(&[key]);
            let photographs =
                [FloatImage::new(1, 1, [9.0; 3]), FloatImage::new(300, 2, [200.0; 3])];
            let mut plane = surface(128, 32, &photographs, &mut random);
            light(&mut plane, &mut random);
            assert_eq!(plane.values.len(), 128 * 32 * 3);
            assert!(plane.values.iter().all(|v| v.is_finite()));
        }
    }
}
