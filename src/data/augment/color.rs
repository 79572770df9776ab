//! torchvision's `ColorJitter(0.5, 0.5, 0.5, 0.1)` on 8-bit images: Pillow's `ImageEnhance` and a shift
//! of the hue of its 8-bit HSV, in random order, to bytes after each.

use super::shuffled;
use crate::data::picture::luma;
use crate::data::random::Random;
use image::RgbImage;

/// An adjustment and its factor; of the hue, in turns of the color circle.
#[derive(Clone, Copy)]
enum Adjust {
    Brightness(f32),
    Contrast(f32),
    Saturation(f32),
    Hue(f32),
}
use Adjust::{Brightness, Contrast, Hue, Saturation};

pub(super) fn jitter(image: &mut RgbImage, random: &mut Random) {
    let [b, c, s] = [0; 3].map(|_| random.between(0.5, 1.5));
    let steps = [Brightness(b), Contrast(c), Saturation(s), Hue(random.between(-0.1, 0.1))];
    shuffled(steps, random).into_iter().for_each(|step| step.apply(image));
}

impl Adjust {
    fn apply(self, image: &mut RgbImage) {
        let gray = match self {
            Contrast(_) | Saturation(_) => luma(image),
            _ => Vec::new(),
        };
        let sum: u64 = gray.iter().map(|&v| u64::from(v)).sum();
        let mean = (sum as f64 / gray.len().max(1) as f64 + 0.5) as u8;
        for (i, p) in image.pixels_mut().enumerate() {
            p.0 = match self {
                Brightness(factor) => p.0.map(|v| blend(0, v, factor)),
                Contrast(factor) => p.0.map(|v| blend(mean, v, factor)),
                Saturation(factor) => p.0.map(|v| blend(gray[i], v, factor)),
                Hue(turns) => {
                    let [h, s, v] = to_hsv(p.0);
                    to_rgb([h.wrapping_add((turns * 255.0) as i32 as u8), s, v])
                }
            };
        }
    }
}

/// Pillow's `Image.blend`: `zero` at 0, `value` at 1 and on beyond it, truncated.
fn blend(zero: u8, value: u8, factor: f32) -> u8 {
    let (zero, value) = (f32::from(zero), f32::from(value));
    (zero + factor * (value - zero)) as u8
}

/// Pillow's HSV: 255 steps of the color circle.
fn to_hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    let range = f32::from(most - least).max(1.0);
    let [rc, gc, bc] = [r, g, b].map(|v| f32::from(most - v) / range);
    let sixths = match most {
        m if m == r => bc - gc,
        m if m == g => 2.0 + rc - bc,
        _ => 4.0 + gc - rc,
    };
    let saturation = f32::from(most - least) / f32::from(most).max(1.0);
    [((sixths / 6.0 + 1.0).fract() * 255.0) as u8, (saturation * 255.0) as u8, most]
}

fn to_rgb([h, s, v]: [u8; 3]) -> [u8; 3] {
    let (sixths, s, v) = (f32::from(h) * 6.0 / 255.0, f32::from(s) / 255.0, f32::from(v));
    [5.0, 3.0, 1.0].map(|channel| {
        let k = (channel + sixths) % 6.0;
        (v - v * s * k.min(4.0 - k).clamp(0.0, 1.0)).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn each_adjustment_does_what_its_name_says() {
        let adjusted = |step: Adjust, colors: &[[u8; 3]]| {
            let of = |x, _| Rgb(colors[x as usize]);
            let mut image = RgbImage::from_fn(colors.len() as u32, 1, of);
            step.apply(&mut image);
            image.pixels().map(|p| p.0).collect::<Vec<_>>()
        };
        let pair = [[200, 100, 40], [60, 61, 62]];
        assert_eq!(adjusted(Brightness(0.5), &pair), [[100, 50, 20], [30, 30, 31]]);
        assert_eq!(adjusted(Brightness(1.5), &[[200, 100, 3]]), [[255, 150, 4]]);
        // Grays 0 and 101: their mean is 50.5, in bytes 51.
        assert_eq!(adjusted(Contrast(0.5), &[[0; 3], [101; 3]]), [[25; 3], [76; 3]]);
        assert_eq!(adjusted(Saturation(0.0), &pair[..1]), [[123; 3]]);
        for same in [Brightness(1.0), Contrast(1.0), Saturation(1.0)] {
            assert_eq!(adjusted(same, &pair), pair);
        }
        // A third of a turn: red to green, green to blue, and gray to gray.
        let turned = adjusted(Hue(1.0 / 3.0), &[[255, 0, 0], [0, 255, 0], [9; 3]]);
        assert_eq!(turned, [[0, 255, 0], [0, 0, 255], [9; 3]]);
        let [r, g, b] = adjusted(Hue(-0.1), &[[255, 0, 0]])[0];
        assert!(r == 255 && g == 0 && (140..165).contains(&b), "{r} {g} {b}");
        // Hue and saturation lose a fraction of a step on the way.
        assert_eq!(adjusted(Hue(0.0), &pair[..1]), [[200, 96, 40]]);
    }
}
