//! The text onto its surface.

use super::layout::Layout;
use super::scene::{against, luma, mean, noise};
use crate::data::float_image::FloatImage;
use crate::data::random::Random;

/// Least and most difference of luma between a text and its surface.
const CONTRAST: (f32, f32) = (45.0, 170.0);

/// Paints the text: plain, outlined, hollow, with a shadow or in relief, in one color or shaded.
pub(super) fn write(plane: &mut FloatImage, layout: &Layout, random: &mut Random) {
    let ground = mean(plane);
    let ink_mask = layout.ink(0.0, 0.0);
    // Hairlines cover pixels in part only: they need more of it to be seen as much.
    let body = ink_mask.iter().copied().max().map_or(1.0, |m| f32::from(m) / 255.0);
    let least = CONTRAST.0 / body.clamp(0.3, 1.0);
    let contrast = random.between(least, CONTRAST.1);
    let ink = against(ground, contrast, random);
    let pixel = (layout.size / 20.0).clamp(0.5, 2.0);
    match random.below(20) {
        0..3 => shadow(plane, layout, random, pixel),
        3..5 => relief(plane, layout, ink, random, pixel),
        5..8 => {
            // A line around the text: it may be what makes the text stand out.
            let line = against(ink, contrast.min(90.0), random);
            let mask = layout.outline(random.between(1.2, 3.4) * pixel);
            cover(plane, &mask, random.between(0.7, 1.0), |_| line);
        }
        8 if layout.size > 18.0 => {
            let mask = layout.outline(random.between(1.2, 2.2) * pixel);
            cover(plane, &mask, 1.0, |_| ink);
            return;
        }
        _ => {}
    }
    let opacity = random.between(0.85, 1.0);
    let (width, height) = (plane.width, plane.height);
    match random.below(6) {
        0 => {
            let step = [0; 3].map(|_| random.between(-50.0, 50.0));
            let shade = |i: usize| {
                let t = (i / width) as f32 / height as f32 - 0.5;
                [0, 1, 2].map(|c| ink[c] + step[c] * t)
            };
            cover(plane, &ink_mask, opacity, shade);
        }
        1 => {
            let rough = noise(width, height, 8 + random.below(40), random);
            let depth = random.between(4.0, 22.0);
            cover(plane, &ink_mask, opacity, |i| ink.map(|v| v + depth * rough[i]));
        }
        2 => {
            // Worn: the surface shows through here and there.
            let worn = noise(width, height, 16 + random.below(40), random);
            let mask: Vec<u8> = ink_mask
                .iter()
                .zip(&worn)
                .map(|(&m, w)| (f32::from(m) * (1.6 - 0.5 * w).clamp(0.35, 1.0)) as u8)
                .collect();
            cover(plane, &mask, opacity, |_| ink);
        }
        _ => cover(plane, &ink_mask, opacity, |_| ink),
    }
}

/// Mixes a color in where the mask is.
fn cover(plane: &mut FloatImage, mask: &[u8], opacity: f32, color: impl Fn(usize) -> [f32; 3]) {
    let (pixels, _) = plane.values.as_chunks_mut::<3>();
    for (i, (p, &m)) in pixels.iter_mut().zip(mask).enumerate().filter(|(_, (_, m))| **m > 0) {
        let (color, part) = (color(i), f32::from(m) / 255.0 * opacity);
        (0..3).for_each(|c| p[c] += (color[c] - p[c]) * part);
    }
}

fn shadow(plane: &mut FloatImage, layout: &Layout, random: &mut Random, pixel: f32) {
    let away = |random: &mut Random| {
        random.between(0.8, 2.6) * pixel * if random.chance(0.5) { 1.0 } else { -1.0 }
    };
    let (dx, dy) = (away(random), away(random));
    let strength = random.between(0.35, 0.8);
    let mask = layout.ink(dx, dy);
    let mut soft = FloatImage::new(plane.width, plane.height, [0.0; 3]);
    soft.pixels_mut().zip(&mask).for_each(|((_, p), &m)| *p = [f32::from(m); 3]);
    let soft = soft.gaussian(5, f64::from(random.between(0.4, 1.6)));
    let mask: Vec<u8> = soft.values.iter().step_by(3).map(|v| *v as u8).collect();
    cover(plane, &mask, strength, |_| [0.0; 3]);
}

/// Letters with thickness: their side, drawn below them.
fn relief(plane: &mut FloatImage, layout: &Layout, ink: [f32; 3], random: &mut Random, pixel: f32) {
    let side = if luma(ink) > 110.0 { ink.map(|v| v * 0.45) } else { ink.map(|v| v + 70.0) };
    let (dx, dy) = (random.between(-1.2, 1.2) * pixel, random.between(0.5, 1.6) * pixel);
    for step in [1.0, 0.5] {
        let mask = layout.ink(dx * step, dy * step);
        cover(plane, &mask, 1.0, |_| side);
    }
}
