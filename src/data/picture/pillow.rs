//! Pillow's arithmetic for 8-bit RGB: bicubic resizing and conversion to gray, equal to the bit.
//!
//! The network was trained on images that Pillow resized, and its mask channel compares integers:
//! one rounding done elsewhere flips mask pixels.

use image::RgbImage;

/// Fraction bits of a coefficient: a product of 8 bits and the sum's 2 bits of head-room fit in 32.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// Half-width of the bicubic kernel.
const SUPPORT: f64 = 2.0;

/// Resizes to `width`×`height` as `Image.resize(…, BICUBIC)` does: a = -0.5, the kernel widened by
/// the factor when scaling down, horizontally first, rounded to 8 bits after each direction.
///
/// # Panics
/// When the image is empty or a size is 0.
pub fn bicubic(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (w, h) = image.dimensions();
    assert!(w > 0 && h > 0 && width > 0 && height > 0, "resizing from or to an empty image");
    let wide = if width == w { image.clone() } else { horizontal(image, &Taps::new(w, width)) };
    if height == h { wide } else { vertical(&wide, &Taps::new(h, height)) }
}

/// Luma of every pixel in raster order, as `Image.convert("L")`.
pub fn luma(image: &RgbImage) -> Vec<u8> {
    let gray = |[r, g, b]: [u8; 3]| {
        ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
    };
    image.pixels().map(|p| gray(p.0)).collect()
}

/// For each output position the first source position and the fixed-point weights from there on.
struct Taps(Vec<(usize, Vec<i32>)>);

impl Taps {
    fn new(from: u32, to: u32) -> Self {
        let scale = f64::from(from) / f64::from(to);
        let widening = scale.max(1.0);
        let support = SUPPORT * widening;
        let taps = (0..to).map(|o| {
            let center = (f64::from(o) + 0.5) * scale;
            // Pillow truncates towards zero, and so does `as`.
            let first = ((center - support + 0.5) as i64).max(0);
            let end = ((center + support + 0.5) as i64).min(i64::from(from));
            let mut weights: Vec<f64> = (first..end)
                .map(|i| kernel((i as f64 - center + 0.5) * (1.0 / widening)))
                .collect();
            let sum: f64 = weights.iter().sum();
            if sum != 0.0 {
                weights.iter_mut().for_each(|w| *w /= sum);
            }
            (first as usize, weights.into_iter().map(fixed).collect())
        });
        Taps(taps.collect())
    }
}

fn kernel(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn fixed(weight: f64) -> i32 {
    let scaled = weight * f64::from(1u32 << PRECISION_BITS);
    (if weight < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}

/// One output byte: weights times every `step`-th byte of `bytes`.
fn dot(weights: &[i32], bytes: &[u8], step: usize) -> u8 {
    let half = 1i32 << (PRECISION_BITS - 1);
    let sum = weights
        .iter()
        .zip(bytes.iter().step_by(step))
        .fold(half, |sum, (&w, &b)| sum.wrapping_add(w.wrapping_mul(i32::from(b))));
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

fn horizontal(image: &RgbImage, taps: &Taps) -> RgbImage {
    let row_bytes = image.width() as usize * 3;
    let mut out = Vec::with_capacity(taps.0.len() * image.height() as usize * 3);
    for row in image.as_raw().chunks_exact(row_bytes) {
        for (first, weights) in &taps.0 {
            out.extend((0..3).map(|c| dot(weights, &row[first * 3 + c..], 3)));
        }
    }
    RgbImage::from_raw(taps.0.len() as u32, image.height(), out).expect("one byte per channel")
}

fn vertical(image: &RgbImage, taps: &Taps) -> RgbImage {
    let row_bytes = image.width() as usize * 3;
    let mut out = Vec::with_capacity(taps.0.len() * row_bytes);
    for (first, weights) in &taps.0 {
        let rows = &image.as_raw()[first * row_bytes..];
        out.extend((0..row_bytes).map(|i| dot(weights, &rows[i..], row_bytes)));
    }
    RgbImage::from_raw(image.width(), taps.0.len() as u32, out).expect("one byte per channel")
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn a_constant_image_stays_constant_at_any_size() {
        let image = RgbImage::from_pixel(7, 5, Rgb([0, 128, 255]));
        for (w, h) in [(1, 1), (64, 16), (3, 50), (700, 2)] {
            let out = bicubic(&image, w, h);
            assert_eq!(out.dimensions(), (w, h));
            assert!(out.pixels().all(|p| p.0 == [0, 128, 255]));
        }
    }

    #[test]
    fn weights_sum_to_one_within_their_rounding() {
        for (from, to) in [(1, 64), (71, 64), (23, 16), (10_000, 64), (16, 32)] {
            for (_, weights) in Taps::new(from, to).0 {
                let sum: i64 = weights.iter().map(|&w| i64::from(w)).sum();
                assert!(
                    (sum - (1 << PRECISION_BITS)).abs() <= weights.len() as i64,
                    "{from} to {to}"
                );
            }
        }
    }

    #[test]
    fn luma_of_the_primaries() {
        let image = RgbImage::from_fn(4, 1, |x, _| {
            Rgb([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]][x as usize])
        });
        assert_eq!(luma(&image), [76, 150, 29, 255]);
    }
}
