//! `CVDeterioration` of ABINet: noise, motion and fewer pixels, as much as a run has drawn of each.

use super::{little, shuffled};
use crate::data::float_image::{Filter, FloatImage};
use crate::data::random::Random;
use image::RgbImage;

/// A step of the deterioration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Deterioration {
    /// Gaussian noise of each byte, variance 1 to 19; the reference truncates, not rounds.
    Noise { variance: u8 },
    /// A line of 1 to 5 pixels in any direction.
    Motion { length: u8, degrees: f32 },
    /// To 512×128 pixels, halved 0 to 4 times, and back.
    Rescale { halvings: u8 },
}

/// Columns and rows at the bottom of the pyramid.
const BASE: (usize, usize) = (512, 128);

/// A step of the pyramid (OpenCV's `pyrDown`).
const BINOMIAL: [f32; 5] = [1.0 / 16.0, 4.0 / 16.0, 6.0 / 16.0, 4.0 / 16.0, 1.0 / 16.0];

impl Deterioration {
    /// The steps of a run, in its order.
    pub fn draw(random: &mut Random) -> [Deterioration; 3] {
        let mut least_one = |most| (little(most, random) as u8).max(1);
        let (variance, length) = (least_one(20.0), least_one(6.0));
        let steps = [
            Deterioration::Noise { variance },
            Deterioration::Motion { length, degrees: random.between(-90.0, 90.0) },
            Deterioration::Rescale { halvings: random.between(0.0, 4.0).round() as u8 },
        ];
        shuffled(steps, random)
    }

    pub fn apply(self, image: &RgbImage, random: &mut Random) -> RgbImage {
        match self {
            Deterioration::Noise { variance } => {
                let deviation = f32::from(variance).sqrt();
                let mut plane = FloatImage::from_image(image);
                plane
                    .values
                    .iter_mut()
                    .for_each(|v| *v = (*v + deviation * random.normal()).floor());
                plane.to_image()
            }
            Deterioration::Motion { length, degrees } => {
                FloatImage::from_image(image).correlate(&line(length.into(), degrees)).to_image()
            }
            Deterioration::Rescale { halvings: 0 } => image.clone(),
            Deterioration::Rescale { halvings } => {
                let (w, h) = (image.width() as usize, image.height() as usize);
                let mut filter = || {
                    *random.pick(&[Filter::Nearest, Filter::Linear, Filter::Cubic, Filter::Area])
                };
                let mut plane = FloatImage::from_image(image).resize(BASE.0, BASE.1, filter());
                (0..halvings).for_each(|_| plane = halved(&plane));
                plane.resize(w, h, filter()).to_image()
            }
        }
    }
}

/// A row of pixels turned about the middle of a square, bilinear; what leaves the square is lost, so
/// the sum is only nearly 1, as in the reference.
fn line(length: i32, degrees: f32) -> Vec<(i32, i32, f32)> {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let middle = length / 2;
    let hat = |x: f32| (1.0 - x.abs()).max(0.0);
    let offsets = || -middle..length - middle;
    let weight = |dx: i32, dy: i32| {
        let (dx, dy) = (dx as f32, dy as f32);
        let along = dx * cos - dy * sin;
        let on_row: f32 = offsets().map(|x| hat(along - x as f32)).sum();
        on_row * hat(dx * sin + dy * cos) / length as f32
    };
    let square = offsets().flat_map(|dy| offsets().map(move |dx| (dx, dy)));
    square.map(|(dx, dy)| (dx, dy, weight(dx, dy))).filter(|k| k.2 > 0.0).collect()
}

/// Half the columns and rows.
fn halved(image: &FloatImage) -> FloatImage {
    let taps = |tap: fn(i32, f32) -> (i32, i32, f32)| -> Vec<_> {
        (-2..).zip(BINOMIAL).map(|(d, w)| tap(d, w)).collect()
    };
    let soft = image.correlate(&taps(|d, w| (d, 0, w))).correlate(&taps(|d, w| (0, d, w)));
    let (width, height) = (image.width.div_ceil(2), image.height.div_ceil(2));
    let (pixels, _) = soft.values.as_chunks::<3>();
    let rows = pixels.chunks_exact(image.width).step_by(2);
    FloatImage {
        width,
        height,
        values: rows.flat_map(|r| r.iter().step_by(2)).flatten().copied().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn noise_has_its_variance() {
        let out = Deterioration::Noise { variance: 16 }
            .apply(&RgbImage::from_pixel(120, 40, Rgb([128; 3])), &mut Random::new(&[1]));
        let values: Vec<f64> = out.as_raw().iter().map(|&v| f64::from(v)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!((mean - 127.5).abs() < 0.2 && (variance - 16.0).abs() < 1.0, "{mean} {variance}");
    }

    #[test]
    fn motion_spreads_a_point_along_its_direction() {
        let mut point = RgbImage::new(21, 21);
        point.put_pixel(10, 10, Rgb([250; 3]));
        let blur = |length, degrees| {
            let out =
                Deterioration::Motion { length, degrees }.apply(&point, &mut Random::new(&[1]));
            let lit = out.enumerate_pixels().filter(|(_, _, p)| p[0] > 0);
            lit.map(|(x, y, _)| (x, y)).collect::<Vec<_>>()
        };
        assert_eq!(blur(5, 0.0), (8..13).map(|x| (x, 10)).collect::<Vec<_>>());
        assert_eq!(blur(5, 90.0), (8..13).map(|y| (10, y)).collect::<Vec<_>>());
        assert_eq!(blur(1, 30.0), [(10, 10)]);
        // A positive angle is anticlockwise in OpenCV, and a correlation mirrors the point's image.
        let (up, down) = (blur(5, 45.0), blur(5, -45.0));
        assert!(up.contains(&(11, 9)) && !up.contains(&(11, 11)) && down.contains(&(11, 11)));
    }

    #[test]
    fn a_pyramid_forgets_what_is_fine_and_keeps_what_is_not() {
        let contrast = |stripe: u32, halvings| {
            let stripes = RgbImage::from_fn(128, 32, |x, _| Rgb([(x / stripe % 2 * 200) as u8; 3]));
            let out = Deterioration::Rescale { halvings }.apply(&stripes, &mut Random::new(&[2]));
            assert_eq!(out.dimensions(), (128, 32));
            let middle = (32..96).map(|x| out.get_pixel(x, 16)[0]);
            middle.clone().max().unwrap() - middle.min().unwrap()
        };
        assert_eq!(contrast(1, 0), 200);
        assert!(contrast(1, 4) < 20 && contrast(32, 4) > 180);
        assert_eq!(halved(&FloatImage::new(7, 1, [3.0; 3])), FloatImage::new(4, 1, [3.0; 3]));
    }
}
