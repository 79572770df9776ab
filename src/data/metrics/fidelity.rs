//! PSNR and SSIM as the reference computes them: on values that are not clamped, SSIM with zeros around the image.

use serde::{Deserialize, Serialize};
use std::array::from_fn;

/// Width of the Gaussian window.
const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;

/// An image's values, channels-last, of which the first three channels count.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// `[height, width, channels]`, towards [0, 1].
    pub data: &'a [f32],
    /// Channels of a pixel, at least 3.
    pub channels: usize,
}

impl Values<'_> {
    /// Channel `c` as a plane `[height, width]`.
    fn plane(&self, c: usize) -> Vec<f64> {
        self.data.chunks_exact(self.channels).map(|p| f64::from(p[c])).collect()
    }
}

/// How near one image is to another of its size. Of a batch both figures are the means over its images, and the batch's
/// PSNR is [`psnr`] of the mean error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Fidelity {
    /// Mean of (255·a − 255·b)² over pixels and the three channels.
    pub error: f64,
    /// Structural similarity: 11×11 Gaussian window of σ 1.5, zero padding, mean over the map and the three channels.
    pub ssim: f64,
}

impl Fidelity {
    /// Compares two images `[height, width, …]` of `width`. Of images without pixels nothing is a number.
    ///
    /// # Panics
    /// When the images differ in size or have less than three channels.
    pub fn of(a: Values, b: Values, width: usize) -> Self {
        assert!(a.channels >= 3 && b.channels >= 3, "images of three channels");
        assert_eq!(a.data.len() / a.channels, b.data.len() / b.channels, "images of one size");
        let (mut error, mut ssim) = (0.0, 0.0);
        for c in 0..3 {
            let (a, b) = (a.plane(c), b.plane(c));
            let square = |(a, b): (&f64, &f64)| (255.0 * a - 255.0 * b).powi(2);
            error += a.iter().zip(&b).map(square).sum::<f64>() / a.len() as f64;
            ssim += similarity(&a, &b, width);
        }
        Fidelity { error: error / 3.0, ssim: ssim / 3.0 }
    }

    /// The mean of several.
    pub fn mean(all: &[Fidelity]) -> Self {
        let n = all.len() as f64;
        Fidelity {
            error: all.iter().map(|f| f.error).sum::<f64>() / n,
            ssim: all.iter().map(|f| f.ssim).sum::<f64>() / n,
        }
    }

    /// Peak signal-to-noise ratio in dB.
    pub fn psnr(&self) -> f64 {
        psnr(self.error)
    }
}

/// 20·log₁₀(255/√error) dB of a mean squared error of bytes; infinite when it is 0.
pub fn psnr(error: f64) -> f64 {
    20.0 * (255.0 / error.sqrt()).log10()
}

/// Mean over the map of (2μaμb + C₁)(2σab + C₂) / ((μa² + μb² + C₁)(σa² + σb² + C₂)).
fn similarity(a: &[f64], b: &[f64], width: usize) -> f64 {
    let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).collect::<Vec<_>>();
    let weights = window();
    let [ma, mb, aa, bb, ab] =
        [a.to_vec(), b.to_vec(), product(a, a), product(b, b), product(a, b)]
            .map(|plane| blurred(&plane, width, &weights));
    let at = |i: usize| {
        let (m, n) = (ma[i], mb[i]);
        let (va, vb, cov) = (aa[i] - m * m, bb[i] - n * n, ab[i] - m * n);
        (2.0 * m * n + C1) * (2.0 * cov + C2) / ((m * m + n * n + C1) * (va + vb + C2))
    };
    (0..a.len()).map(at).sum::<f64>() / a.len() as f64
}

/// One axis of the Gaussian window, made and normalized in f32; the window is the product of two. The rounding matters:
/// bright flat areas have variances of 0, and the window's sum, which is not 1, shows in them.
fn window() -> [f64; WINDOW] {
    let middle = (WINDOW / 2) as f64;
    let weight = |i: usize| (-(i as f64 - middle).powi(2) / (2.0 * SIGMA * SIGMA)).exp() as f32;
    let weights: [f32; WINDOW] = from_fn(weight);
    let sum = weights.iter().map(|w| f64::from(*w)).sum::<f64>() as f32;
    weights.map(|w| f64::from(w / sum))
}

/// The plane under the window at every place, zeros around it.
fn blurred(plane: &[f64], width: usize, weights: &[f64; WINDOW]) -> Vec<f64> {
    let height = plane.len() / width.max(1);
    let along = |from: &[f64], place: usize, most: usize, step: usize, start: usize| -> f64 {
        let half = WINDOW / 2;
        let (first, end) = (place.saturating_sub(half), (place + half + 1).min(most));
        (first..end).map(|i| weights[i + half - place] * from[start + i * step]).sum()
    };
    let rows: Vec<f64> =
        (0..plane.len()).map(|i| along(plane, i % width, width, 1, i / width * width)).collect();
    (0..plane.len()).map(|i| along(&rows, i / width, height, width, i % width)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 2-D window without separation, as the definition reads.
    fn by_definition(a: &[f64], b: &[f64], width: usize) -> f64 {
        let w = window();
        let height = a.len() / width;
        let mut sum = 0.0;
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let mut m = [0.0; 5];
            for (i, j) in (0..WINDOW).flat_map(|i| (0..WINDOW).map(move |j| (i, j))) {
                let (v, u) = ((y + i).wrapping_sub(5), (x + j).wrapping_sub(5));
                if v < height && u < width {
                    let (p, q) = (a[v * width + u], b[v * width + u]);
                    let terms = [p, q, p * p, q * q, p * q];
                    m.iter_mut().zip(terms).for_each(|(m, t)| *m += w[i] * w[j] * t);
                }
            }
            let (va, vb, ab) = (m[2] - m[0] * m[0], m[3] - m[1] * m[1], m[4] - m[0] * m[1]);
            sum += (2.0 * m[0] * m[1] + C1) * (2.0 * ab + C2)
                / ((m[0] * m[0] + m[1] * m[1] + C1) * (va + vb + C2));
        }
        sum / a.len() as f64
    }

    #[test]
    fn similarity_is_its_definition() {
        let (w, h) = (17, 9);
        let a: Vec<f64> = (0..w * h).map(|i| (i * 7 % 23) as f64 / 22.0).collect();
        let b: Vec<f64> = (0..w * h).map(|i| (i * 5 % 19) as f64 / 15.0 - 0.1).collect();
        assert!((similarity(&a, &b, w) - by_definition(&a, &b, w)).abs() < 1e-12);
        assert!((similarity(&a, &a, w) - 1.0).abs() < 1e-12);
        // One pixel is all window center.
        let weight = window()[5] * window()[5];
        let (m, v) = (weight * 0.5, weight * 0.25 - (weight * 0.5).powi(2));
        let want = C1 * (v * 0.0 + C2) / ((m * m + C1) * (v + C2));
        assert!((similarity(&[0.5], &[0.0], 1) - want).abs() < 1e-12);
    }

    #[test]
    fn an_error_of_one_step_is_48_decibels() {
        let a = vec![0.5f32; 2 * 3 * 4];
        let b: Vec<f32> = a.iter().map(|v| v + 1.0 / 255.0).collect();
        let values = |data| Values { data, channels: 4 };
        let one = Fidelity::of(values(&a), values(&b), 3);
        assert!((one.error - 1.0).abs() < 1e-4);
        assert!((one.psnr() - 48.1308).abs() < 1e-3);
        let same = Fidelity::of(values(&a), values(&a), 3);
        assert_eq!(same.psnr(), f64::INFINITY);
        let mean = Fidelity::mean(&[one, same]);
        assert!((mean.error - 0.5).abs() < 1e-4);
    }
}
