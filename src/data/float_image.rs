//! RGB pictures in f32, in units of bytes: what light and lenses are computed on.

use image::RgbImage;

/// Values `[height, width, 3]`, nominally 0..=255.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FloatImage {
    pub width: usize,
    pub height: usize,
    pub values: Vec<f32>,
}

/// How pixels are weighed when the size changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    /// The pixel below the center.
    Nearest,
    /// Two neighbors, however much smaller the result: aliases.
    Linear,
    /// The mean of what is covered.
    Area,
    /// Cubic with a = -0.5, widened when scaling down.
    Cubic,
    /// Lanczos of three lobes, widened when scaling down.
    Lanczos,
}

impl FloatImage {
    pub fn new(width: usize, height: usize, color: [f32; 3]) -> Self {
        FloatImage { width, height, values: color.repeat(width * height) }
    }

    pub fn from_image(image: &RgbImage) -> Self {
        let values = image.as_raw().iter().map(|&b| f32::from(b)).collect();
        FloatImage { width: image.width() as usize, height: image.height() as usize, values }
    }

    /// Rounded and clamped to bytes.
    pub fn to_image(&self) -> RgbImage {
        let bytes = self.values.iter().map(|v| v.round() as u8).collect();
        RgbImage::from_raw(self.width as u32, self.height as u32, bytes).expect("three a pixel")
    }

    /// Pixels with their place.
    pub fn pixels_mut(&mut self) -> impl Iterator<Item = ((usize, usize), &mut [f32; 3])> {
        let width = self.width;
        let (pixels, _) = self.values.as_chunks_mut::<3>();
        pixels.iter_mut().enumerate().map(move |(i, p)| ((i % width, i / width), p))
    }

    pub fn resize(&self, width: usize, height: usize, filter: Filter) -> FloatImage {
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let columns = taps(self.width, width, filter);
        let mut wide = Vec::with_capacity(width * self.height * 3);
        for row in self.values.chunks_exact(self.width * 3) {
            for (first, weights) in &columns {
                let mut sum = [0.0; 3];
                for (w, p) in weights.iter().zip(row[first * 3..].chunks_exact(3)) {
                    (0..3).for_each(|c| sum[c] += w * p[c]);
                }
                wide.extend(sum);
            }
        }
        let mut values = vec![0.0; width * height * 3];
        for ((first, weights), out) in
            taps(self.height, height, filter).iter().zip(values.chunks_exact_mut(width * 3))
        {
            for (w, row) in weights.iter().zip(wide[first * width * 3..].chunks_exact(width * 3)) {
                out.iter_mut().zip(row).for_each(|(o, v)| *o += w * v);
            }
        }
        FloatImage { width, height, values }
    }

    /// Correlates with sparse weights at (dx, dy); the border is mirrored (OpenCV's reflect-101).
    pub fn correlate(&self, kernel: &[(i32, i32, f32)]) -> FloatImage {
        let mut out = vec![0.0; self.values.len()];
        let stride = self.width * 3;
        for &(dx, dy, weight) in kernel {
            let inner = mirrored_range(dx, self.width);
            for y in 0..self.height {
                let from = &self.values[mirrored(y as i32 + dy, self.height) * stride..][..stride];
                let to = &mut out[y * stride..][..stride];
                if !inner.is_empty() {
                    let shifted = (inner.start as i32 + dx) as usize * 3;
                    let middle = &mut to[inner.start * 3..inner.end * 3];
                    middle.iter_mut().zip(&from[shifted..]).for_each(|(o, v)| *o += weight * v);
                }
                for x in (0..inner.start).chain(inner.end..self.width) {
                    let source = mirrored(x as i32 + dx, self.width) * 3;
                    (0..3).for_each(|c| to[x * 3 + c] += weight * from[source + c]);
                }
            }
        }
        FloatImage { values: out, ..*self }
    }

    /// Gaussian blur with `size` taps (odd) each way, as OpenCV's on floats.
    pub fn gaussian(&self, size: usize, sigma: f64) -> FloatImage {
        let weights = gaussian_kernel(size, sigma);
        let half = (size / 2) as i32;
        let offsets = || (-half..=half).zip(weights.iter().map(|&w| w as f32));
        let across: Vec<_> = offsets().map(|(d, w)| (d, 0, w)).collect();
        let down: Vec<_> = offsets().map(|(d, w)| (0, d, w)).collect();
        self.correlate(&across).correlate(&down)
    }
}

/// Gaussian weights that sum to 1.
pub(super) fn gaussian_kernel(size: usize, sigma: f64) -> Vec<f64> {
    let center = (size as f64 - 1.0) / 2.0;
    let weight = |i| (-(i as f64 - center).powi(2) / (2.0 * sigma * sigma)).exp();
    let sum: f64 = (0..size).map(weight).sum();
    (0..size).map(|i| weight(i) / sum).collect()
}

/// `i` brought into 0..n by mirrors that stand on the outermost pixels.
pub(super) fn mirrored(i: i32, n: usize) -> usize {
    if n == 1 {
        return 0;
    }
    let period = 2 * (n as i32 - 1);
    let i = i.rem_euclid(period);
    i.min(period - i) as usize
}

/// The places of 0..n whose shift by `d` stays inside.
fn mirrored_range(d: i32, n: usize) -> std::ops::Range<usize> {
    let start = (-d).clamp(0, n as i32) as usize;
    let end = (n as i32 - d).clamp(start as i32, n as i32) as usize;
    start..end
}

fn taps(from: usize, to: usize, filter: Filter) -> Vec<(usize, Vec<f32>)> {
    let scale = from as f64 / to as f64;
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { x.sin() / x };
    let (support, widening) = match filter {
        Filter::Nearest => (0.0, 1.0),
        Filter::Linear => (1.0, 1.0),
        Filter::Area => (0.5, scale.max(1.0)),
        Filter::Cubic => (2.0, scale.max(1.0)),
        Filter::Lanczos => (3.0, scale.max(1.0)),
    };
    let weight = |x: f64| match filter {
        Filter::Nearest => 1.0,
        Filter::Linear => (1.0 - x.abs()).max(0.0),
        // The part of the source pixel that lies under the output pixel.
        Filter::Area => {
            let half = 0.5 / widening;
            ((x + half).min(0.5) - (x - half).max(-0.5)).max(0.0)
        }
        Filter::Cubic => match x.abs() {
            x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            x if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            _ => 0.0,
        },
        Filter::Lanczos if x.abs() < 3.0 => {
            sinc(std::f64::consts::PI * x) * sinc(std::f64::consts::PI * x / 3.0)
        }
        Filter::Lanczos => 0.0,
    };
    let tap = |o: usize| {
        let center = (o as f64 + 0.5) * scale;
        if filter == Filter::Nearest {
            return (((o as f64 + 0.5) * scale) as usize, vec![1.0]);
        }
        let reach = support * widening + 0.5;
        let first = (center - reach).floor().max(0.0) as usize;
        let end = ((center + reach).ceil() as usize).min(from);
        let weights: Vec<f64> =
            (first..end).map(|i| weight((i as f64 + 0.5 - center) / widening)).collect();
        let sum: f64 = weights.iter().sum();
        (first, weights.iter().map(|w| (w / sum) as f32).collect())
    };
    (0..to).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_keeps_a_constant_and_a_mean() {
        let flat = FloatImage::new(13, 7, [10.0, 128.0, 250.0]);
        let mut ramp = flat.clone();
        ramp.pixels_mut().for_each(|((x, _), p)| *p = [x as f32; 3]);
        for filter in
            [Filter::Nearest, Filter::Linear, Filter::Area, Filter::Cubic, Filter::Lanczos]
        {
            for (w, h) in [(1, 1), (5, 3), (13, 7), (40, 20)] {
                let out = flat.resize(w, h, filter);
                let near = |p: &[f32]| (p[0] - 10.0).abs() < 1e-3 && (p[2] - 250.0).abs() < 1e-3;
                assert!(out.values.chunks(3).all(near), "{filter:?} {w}×{h}");
                let out = ramp.resize(w, h, filter);
                let mean = out.values.iter().sum::<f32>() / out.values.len() as f32;
                assert!((mean - 6.0).abs() < 0.6, "{filter:?} {w}×{h}: {mean}");
            }
        }
    }

    #[test]
    fn area_is_the_mean_of_the_pixels_covered() {
        let mut ramp = FloatImage::new(4, 1, [0.0; 3]);
        ramp.pixels_mut().for_each(|((x, _), p)| *p = [x as f32; 3]);
        assert_eq!(ramp.resize(2, 1, Filter::Area).values, [0.5, 0.5, 0.5, 2.5, 2.5, 2.5]);
        let third = ramp.resize(3, 1, Filter::Area).values[0];
        assert!((third - 0.25).abs() < 1e-6, "one and a third pixels: {third}");
    }

    #[test]
    fn mirrors_stand_on_the_outermost_pixels() {
        let all: Vec<usize> = (-4..8).map(|i| mirrored(i, 4)).collect();
        assert_eq!(all, [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]);
        assert_eq!(mirrored(-9, 1), 0);
        let one = FloatImage::new(1, 1, [7.0; 3]);
        assert!((one.gaussian(5, 2.0).values[0] - 7.0).abs() < 1e-5);
        let shifted = |dx| {
            let mut ramp = FloatImage::new(3, 1, [0.0; 3]);
            ramp.pixels_mut().for_each(|((x, _), p)| *p = [x as f32; 3]);
            ramp.correlate(&[(dx, 0, 1.0)]).values.iter().step_by(3).copied().collect::<Vec<_>>()
        };
        assert_eq!(shifted(1), [1.0, 2.0, 1.0]);
        assert_eq!(shifted(-5), [1.0, 0.0, 1.0]);
    }
}
