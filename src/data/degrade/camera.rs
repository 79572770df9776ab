//! A worse camera further away.

use crate::data::float_image::{Filter, FloatImage};
use crate::data::picture::{self, LR_SIZE, SCALE};
use crate::data::random::Random;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder, RgbImage};

const LR_WIDTH: usize = LR_SIZE.0 as usize;
const LR_HEIGHT: usize = LR_SIZE.1 as usize;

pub(super) fn degrade(image: &RgbImage, random: &mut Random) -> RgbImage {
    let sharp = picture::bicubic(image, LR_SIZE.0 * SCALE, LR_SIZE.1 * SCALE);
    let mut seen = blur(FloatImage::from_image(&sharp), random);
    if random.chance(0.5) {
        seen = shifted(&seen, random.between(-1.0, 1.0), random.between(-0.7, 0.7));
    }
    let mut small = fewer_pixels(&seen, random);
    expose(&mut small, random);
    if random.chance(0.7) {
        let most = random.between(0.0, 9.0);
        add_noise(&mut small, most, random);
    }
    let mut small = small.to_image();
    if random.chance(0.5) {
        small = jpeg(&small, 30 + random.below(66) as u8);
    }
    picture::bicubic(&small, LR_SIZE.0, LR_SIZE.1)
}

/// Lens out of focus, hand in motion, or neither.
fn blur(image: FloatImage, random: &mut Random) -> FloatImage {
    match random.below(8) {
        0 => image,
        1..=3 => image.gaussian(9, f64::from(random.between(0.5, 2.2))),
        4 | 5 => image.correlate(&oval(random)),
        6 => image.correlate(&motion(random)),
        _ => image.correlate(&disc(random.between(0.8, 2.4))),
    }
}

/// A Gaussian that is longer one way.
fn oval(random: &mut Random) -> Vec<(i32, i32, f32)> {
    let (long, short) = (random.between(0.8, 2.2), random.between(0.3, 1.0));
    let (sin, cos) = random.between(0.0, std::f32::consts::PI).sin_cos();
    weighed(3, |x, y| {
        let (along, beside) = (x * cos + y * sin, y * cos - x * sin);
        (-0.5 * ((along / long).powi(2) + (beside / short).powi(2))).exp()
    })
}

fn motion(random: &mut Random) -> Vec<(i32, i32, f32)> {
    let half = random.between(0.8, 3.0);
    let (sin, cos) = random.between(0.0, std::f32::consts::PI).sin_cos();
    weighed(4, |x, y| {
        let (along, beside) = ((x * cos + y * sin).abs(), (y * cos - x * sin).abs());
        (half + 0.5 - along).clamp(0.0, 1.0) * (1.0 - beside).max(0.0)
    })
}

fn disc(radius: f32) -> Vec<(i32, i32, f32)> {
    weighed(3, |x, y| (radius + 0.5 - x.hypot(y)).clamp(0.0, 1.0))
}

/// The weights of a square that are not 0, with sum 1.
fn weighed(radius: i32, weight: impl Fn(f32, f32) -> f32) -> Vec<(i32, i32, f32)> {
    let mut kernel: Vec<_> = (-radius..=radius)
        .flat_map(|dy| (-radius..=radius).map(move |dx| (dx, dy)))
        .map(|(dx, dy)| (dx, dy, weight(dx as f32, dy as f32)))
        .filter(|k| k.2 > 0.004)
        .collect();
    let sum: f32 = kernel.iter().map(|k| k.2).sum();
    kernel.iter_mut().for_each(|k| k.2 /= sum);
    kernel
}

/// Moved by parts of a pixel: two photographs of a word never lie exactly on each other.
fn shifted(image: &FloatImage, dx: f32, dy: f32) -> FloatImage {
    let (left, top) = (dx.floor(), dy.floor());
    let (fx, fy) = (dx - left, dy - top);
    let corner = |x: i32, y: i32, w: f32| (left as i32 + x, top as i32 + y, w);
    image.correlate(&[
        corner(0, 0, (1.0 - fx) * (1.0 - fy)),
        corner(1, 0, fx * (1.0 - fy)),
        corner(0, 1, (1.0 - fx) * fy),
        corner(1, 1, fx * fy),
    ])
}

/// To 64×16 or fewer pixels.
fn fewer_pixels(image: &FloatImage, random: &mut Random) -> FloatImage {
    use Filter::{Area, Cubic, Lanczos, Linear, Nearest};
    let filter = *random.pick(&[Area, Area, Cubic, Cubic, Lanczos, Linear, Nearest]);
    let part = if random.chance(0.45) { random.between(0.55, 1.0) } else { 1.0 };
    let size = |full: usize| ((full as f32 * part).round() as usize).max(4);
    image.resize(size(LR_WIDTH), size(LR_HEIGHT), filter)
}

fn expose(image: &mut FloatImage, random: &mut Random) {
    if random.chance(0.4) {
        return;
    }
    let gamma = random.between(-0.25, 0.25).exp();
    let gain = random.between(0.8, 1.15);
    let lift = random.between(-12.0, 16.0);
    let tint = [0; 3].map(|_| random.between(0.96, 1.04));
    for ((_, _), pixel) in image.pixels_mut() {
        for (v, tint) in pixel.iter_mut().zip(tint) {
            *v = (v.clamp(0.0, 255.0) / 255.0).powf(gamma) * 255.0 * gain * tint + lift;
        }
    }
}

/// Noise of a sensor: a constant part and one that grows with the light; `strength` in bytes.
pub(in crate::data) fn add_noise(image: &mut FloatImage, strength: f32, random: &mut Random) {
    let colored = random.unit();
    for ((_, _), pixel) in image.pixels_mut() {
        let shared = random.noise() * (1.0 - colored);
        for v in pixel.iter_mut() {
            let light = 0.5 + v.clamp(0.0, 255.0) / 255.0;
            *v += (shared + random.noise() * colored) * strength * light;
        }
    }
}

/// As if the image had been a JPEG file of this quality.
pub(in crate::data) fn jpeg(image: &RgbImage, quality: u8) -> RgbImage {
    let mut bytes = Vec::new();
    let (w, h) = image.dimensions();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .write_image(image, w, h, ExtendedColorType::Rgb8)
        .expect("an image of a few pixels fits a JPEG");
    image::load_from_memory_with_format(&bytes, image::ImageFormat::Jpeg)
        .expect("what was just encoded")
        .into_rgb8()
}
