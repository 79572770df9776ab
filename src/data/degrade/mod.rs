//! Makes a low-resolution image of a high-resolution one: what a worse camera would have seen. Every
//! choice comes from the generator given, so a key gives an image.

mod camera;
mod opencv;

use super::float_image::FloatImage;
use super::random::Random;
use image::RgbImage;

pub(super) use camera::{add_noise, jpeg};

/// How an image is made worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Degradation {
    /// Blur of lens or motion, fewer pixels by one of several filters, exposure, noise, JPEG: 64×16
    /// pixels.
    #[default]
    Camera,
    /// The paper's, of its supplement: Gaussian blur, noise, a second blur or a bilateral filter,
    /// sharpening. The size stays; an image of less than 4 pixels a side stays as it is.
    Paper,
}

impl Degradation {
    /// Applies it to an image that is not empty.
    pub fn apply(self, image: &RgbImage, random: &mut Random) -> RgbImage {
        match self {
            Degradation::Camera => camera::degrade(image, random),
            Degradation::Paper => paper(image, random),
        }
    }
}

fn paper(image: &RgbImage, random: &mut Random) -> RgbImage {
    if image.width() < 4 || image.height() < 4 {
        return image.clone();
    }
    let size = |random: &mut Random| *random.pick(&[3usize, 5]);
    let sigma = |random: &mut Random, low, high| f64::from(random.between(low, high));

    let first = size(random);
    let mut blurred = FloatImage::from_image(image).gaussian(first, sigma(random, 5.0, 6.0));
    let (signal, read) = (random.between(0.0, 0.005), random.between(0.0, 0.015));
    let mean = blurred.values.iter().sum::<f32>() / blurred.values.len() as f32;
    if random.chance(0.8) && mean <= 252.0 {
        for v in &mut blurred.values {
            *v = (*v + random.normal() * (signal * v.max(0.0) + read).sqrt()).clamp(0.0, 255.0);
        }
    }
    let noisy = blurred.to_image();
    let soft = if random.chance(0.7) {
        let size = size(random);
        opencv::gaussian(&noisy, size, sigma(random, 2.0, 3.0))
    } else {
        let (color, space) = (sigma(random, 70.0, 80.0), sigma(random, 70.0, 80.0));
        opencv::bilateral(&noisy, 7, color, space)
    };
    let last = size(random);
    let sigma = sigma(random, 2.0, 3.0);
    let sharp = unsharp(&FloatImage::from_image(&soft), last, sigma, random.between(3.0, 4.0));
    let bytes = sharp.values.iter().map(|&v| v as u8).collect();
    RgbImage::from_raw(image.width(), image.height(), bytes).expect("as many bytes")
}

/// v + gain·(v − blur(v)), clamped to 0..=255.
fn unsharp(image: &FloatImage, size: usize, sigma: f64, gain: f32) -> FloatImage {
    let blurred = image.gaussian(size, sigma);
    let sharp = |(v, b): (&f32, &f32)| (v + gain * (v - b)).clamp(0.0, 255.0);
    FloatImage { values: image.values.iter().zip(&blurred.values).map(sharp).collect(), ..*image }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn stripes(w: u32, h: u32) -> RgbImage {
        RgbImage::from_fn(w, h, |x, _| Rgb([if x / 6 % 2 == 0 { 40 } else { 210 }; 3]))
    }

    #[test]
    fn a_key_gives_an_image_and_another_key_another() {
        let image = stripes(128, 32);
        for kind in [Degradation::Camera, Degradation::Paper] {
            let make = |key| kind.apply(&image, &mut Random::new(&[key]));
            assert!(make(1) == make(1));
            assert!((2..6).any(|key| make(key) != make(1)), "{kind:?}");
        }
    }

    #[test]
    fn what_comes_out_still_shows_what_went_in() {
        let image = stripes(128, 32);
        let small = crate::data::picture::bicubic(&image, 64, 16);
        for kind in [Degradation::Camera, Degradation::Paper] {
            for key in 0..200 {
                let out = kind.apply(&image, &mut Random::new(&[key]));
                let out = crate::data::picture::bicubic(&out, 64, 16);
                let likeness = correlation(&small, &out);
                assert!(likeness > 0.3, "{kind:?} {key}: {likeness}");
            }
        }
    }

    fn correlation(a: &RgbImage, b: &RgbImage) -> f64 {
        let centered = |image: &RgbImage| {
            let values: Vec<f64> = image.as_raw().iter().map(|&v| f64::from(v)).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            values.into_iter().map(|v| v - mean).collect::<Vec<_>>()
        };
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (a, b) = (centered(a), centered(b));
        dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt().max(1e-9)
    }

    #[test]
    fn any_size_goes_in() {
        for (w, h) in [(1, 1), (3, 200), (5, 4), (10_000, 20)] {
            let image = stripes(w, h);
            let out = Degradation::Camera.apply(&image, &mut Random::new(&[1]));
            assert_eq!(out.dimensions(), (64, 16));
            let out = Degradation::Paper.apply(&image, &mut Random::new(&[1]));
            assert_eq!(out.dimensions(), (w, h));
        }
    }
}
