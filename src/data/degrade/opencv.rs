//! OpenCV's filters on 8-bit images, as the paper's degradation uses them.

use crate::data::float_image::{gaussian_kernel, mirrored};
use image::{Rgb, RgbImage};

/// `GaussianBlur` on bytes: weights of 8 fraction bits, exact sums, one rounding at the end.
pub(super) fn gaussian(image: &RgbImage, size: usize, sigma: f64) -> RgbImage {
    let weights = fixed_kernel(size, sigma);
    let (w, h) = (image.width() as usize, image.height() as usize);
    let half = (size / 2) as i32;
    let source = image.as_raw();
    let sum = |get: &dyn Fn(i32) -> u32| -> u32 {
        weights.iter().enumerate().map(|(i, k)| k * get(i as i32 - half)).sum()
    };
    let mut across = Vec::with_capacity(source.len());
    for row in source.chunks_exact(w * 3) {
        for i in 0..w * 3 {
            let (x, c) = ((i / 3) as i32, i % 3);
            across.push(sum(&|d| u32::from(row[mirrored(x + d, w) * 3 + c])));
        }
    }
    let down = |i: usize| {
        let (y, rest) = ((i / (w * 3)) as i32, i % (w * 3));
        ((sum(&|d| across[mirrored(y + d, h) * w * 3 + rest]) + 0x8000) >> 16) as u8
    };
    let bytes = (0..source.len()).map(down).collect();
    RgbImage::from_raw(image.width(), image.height(), bytes).expect("as many bytes")
}

/// Weights in 256ths; each rounding error is passed to the next, and the middle takes the rest.
fn fixed_kernel(size: usize, sigma: f64) -> Vec<u32> {
    let exact = gaussian_kernel(size, sigma);
    let mut fixed = vec![0; size];
    let (mut error, mut sum) = (0.0, 0);
    for i in 0..size / 2 {
        let wanted = exact[i] * 256.0 + error;
        let rounded = wanted.round_ties_even();
        error = wanted - rounded;
        fixed[i] = rounded as u32;
        fixed[size - 1 - i] = fixed[i];
        sum += 2 * fixed[i];
    }
    fixed[size / 2] = 256 - sum;
    fixed
}

/// `bilateralFilter` on bytes: neighbors in a disc, weighed by distance and by the sum of the
/// channels' differences.
pub(super) fn bilateral(image: &RgbImage, diameter: i32, color: f64, space: f64) -> RgbImage {
    let radius = diameter / 2;
    let falloff = |squared: f64, sigma: f64| (-0.5 * squared / (sigma * sigma)).exp() as f32;
    let by_color: Vec<f32> = (0..=765).map(|d| falloff(f64::from(d * d), color)).collect();
    let disc: Vec<(i32, i32, f32)> = (-radius..=radius)
        .flat_map(|dy| (-radius..=radius).map(move |dx| (dx, dy)))
        .filter(|(dx, dy)| dx * dx + dy * dy <= radius * radius)
        .map(|(dx, dy)| (dx, dy, falloff(f64::from(dx * dx + dy * dy), space)))
        .collect();
    let (w, h) = (image.width() as usize, image.height() as usize);
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let center = image.get_pixel(x, y).0.map(i32::from);
        let (mut sums, mut total) = ([0f32; 3], 0f32);
        for &(dx, dy, near) in &disc {
            let (x, y) = (mirrored(x as i32 + dx, w), mirrored(y as i32 + dy, h));
            let pixel = image.get_pixel(x as u32, y as u32).0;
            let difference: i32 = (0..3).map(|c| (i32::from(pixel[c]) - center[c]).abs()).sum();
            let weight = near * by_color[difference as usize];
            (0..3).for_each(|c| sums[c] += weight * f32::from(pixel[c]));
            total += weight;
        }
        Rgb(sums.map(|s| (s / total).round_ties_even() as u8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::float_image::FloatImage;
    use safetensors::SafeTensors;

    const STORED: &[u8] = include_bytes!("../../../tests/golden/image.safetensors");

    fn image(name: &str) -> RgbImage {
        let file = SafeTensors::deserialize(STORED).unwrap();
        RgbImage::from_raw(71, 23, file.tensor(name).unwrap().data().to_vec()).unwrap()
    }

    fn floats(name: &str) -> Vec<f32> {
        let file = SafeTensors::deserialize(STORED).unwrap();
        let data = file.tensor(name).unwrap().data();
        data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }

    fn assert_near(got: &[f32], name: &str) {
        let wanted = floats(name);
        assert_eq!(got.len(), wanted.len());
        for (i, (g, w)) in got.iter().zip(&wanted).enumerate() {
            assert!((g - w).abs() < 1e-3, "{name}: {g}, not {w}, at {i}");
        }
    }

    #[test]
    fn filters_on_bytes_equal_opencv_to_the_bit() {
        let input = image("image.in.hwc");
        assert!(gaussian(&input, 3, 2.5) == image("image.out.cv_gauss_u8_k3_s2.5"));
        assert!(bilateral(&input, 7, 75.0, 75.0) == image("image.out.cv_bilateral_u8_d7_75_75"));
    }

    #[test]
    fn filters_on_floats_equal_opencv() {
        let input = FloatImage::from_image(&image("image.in.hwc"));
        assert_near(&input.gaussian(5, 5.5).values, "image.out.cv_gauss_f32_k5_s5.5");
        let sharp = super::super::unsharp(&input, 5, 2.5, 3.5);
        assert_near(&sharp.values, "image.out.unsharp_k5_s2.5_g3.5");
    }

    #[test]
    fn fixed_weights_sum_to_one() {
        for (size, sigma) in [(3, 2.0), (3, 2.5), (5, 2.2), (5, 3.0)] {
            assert_eq!(fixed_kernel(size, sigma).iter().sum::<u32>(), 256);
        }
    }
}
