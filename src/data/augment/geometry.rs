//! `CVGeometry` of ABINet: where the corners go, and the pixels between. The canvas is the smallest
//! upright one that holds the image; beyond its border the image repeats it.

use super::{about_zero, little};
use crate::data::random::Random;
use image::{Rgb, RgbImage};

type Point = (f64, f64);

/// One of three transforms; each image gets its own amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Geometry {
    /// By up to ±45°.
    Rotation,
    /// Rotation, shear by up to ±15° across and ±45° along, and a scale of 1/2 to 2.
    Affine,
    /// Each corner goes in by up to a quarter of width and height.
    Perspective,
}

impl Geometry {
    pub fn draw(random: &mut Random) -> Self {
        *random.pick(&[Geometry::Rotation, Geometry::Affine, Geometry::Perspective])
    }

    /// An image of one pixel a side stays as it is.
    pub fn apply(self, image: &RgbImage, random: &mut Random) -> RgbImage {
        if image.width() < 2 || image.height() < 2 {
            return image.clone();
        }
        let (w, h) = (f64::from(image.width() - 1), f64::from(image.height() - 1));
        let corners = [(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)];
        let quad = match self {
            Geometry::Perspective => corners.map(|(x, y)| {
                let (dx, dy) = (little(w / 4.0, random), little(h / 4.0, random));
                (if x == 0.0 { dx } else { x - dx }, if y == 0.0 { dy } else { y - dy })
            }),
            turned => {
                let mut angle = |most| about_zero(most, random).to_radians();
                let (sin, cos) = angle(45.0).sin_cos();
                let (mut along, mut across, mut scale) = (0.0, 0.0, 1.0);
                if turned == Geometry::Affine {
                    (along, across) = (angle(45.0).tan(), angle(15.0).tan());
                    scale = f64::from(random.between(0.5, 2.0));
                }
                corners.map(|(x, y)| {
                    let (x, y) = (x * cos + y * sin, y * cos - x * sin);
                    let y = y + across * x;
                    // The reference, too, divides by its scale.
                    ((x + along * y) / scale, y / scale)
                })
            }
        };
        warp(image, quad, *random.pick(&SAMPLINGS))
    }
}

/// Weights of the neighbors at -1, 0, 1, 2 of a place in 0..1 between the middle two.
type Sampling = fn(f32) -> [f32; 4];

/// OpenCV's interpolations as its warps have them: nearest, linear, cubic; "area" there is linear.
const SAMPLINGS: [Sampling; 4] = [nearest, linear, cubic, linear];

fn nearest(f: f32) -> [f32; 4] {
    linear(f.round())
}

fn linear(f: f32) -> [f32; 4] {
    [0.0, 1.0 - f, f, 0.0]
}

/// Keys' with a = -0.75.
fn cubic(f: f32) -> [f32; 4] {
    let near = |x: f32| (1.25 * x - 2.25) * x * x + 1.0;
    let far = |x: f32| ((3.75 - 0.75 * x) * x - 6.0) * x + 3.0;
    [far(1.0 + f), near(f), near(1.0 - f), far(2.0 - f)]
}

/// The image with its corners, from the upper left clockwise, at `quad`, on a canvas that holds them.
fn warp(image: &RgbImage, quad: [Point; 4], sampling: Sampling) -> RgbImage {
    let end = |pick: fn(f64, f64) -> f64| {
        quad.into_iter().reduce(|m, p| (pick(m.0, p.0), pick(m.1, p.1))).expect("four")
    };
    let (low, high) = (end(f64::min), end(f64::max));
    let back = to_unit_square(quad.map(|(x, y)| (x - low.0, y - low.1)));
    let side = |low: f64, high: f64| (high - low).round() as u32 + 1;
    let (w, h) = (image.width() as i32, image.height() as i32);
    RgbImage::from_fn(side(low.0, high.0), side(low.1, high.1), |x, y| {
        let (x, y) = (f64::from(x), f64::from(y));
        let [u, v, depth] = back.map(|[a, b, c]| a * x + b * y + c);
        let place = |part: f64, n: i32| {
            let at = (part / depth * f64::from(n - 1)).clamp(0.0, f64::from(n - 1));
            (at.floor() as i32, sampling(at.fract() as f32))
        };
        let ((x, across), (y, down)) = (place(u, w), place(v, h));
        let mut sum = [0.0; 3];
        for (dy, wy) in (-1..).zip(down).filter(|(_, weight)| *weight != 0.0) {
            for (dx, wx) in (-1..).zip(across) {
                let (x, y) = ((x + dx).clamp(0, w - 1), (y + dy).clamp(0, h - 1));
                let pixel = image.get_pixel(x as u32, y as u32).0;
                (0..3).for_each(|c| sum[c] += wy * wx * f32::from(pixel[c]));
            }
        }
        Rgb(sum.map(|v| v.round() as u8))
    })
}

/// The projective map of a quadrilateral, from the upper left clockwise, to the unit square: the
/// adjugate of Heckbert's map the other way, since a factor does not matter.
fn to_unit_square([(x0, y0), (x1, y1), (x2, y2), (x3, y3)]: [Point; 4]) -> [[f64; 3]; 3] {
    let (dx1, dx2, sx) = (x1 - x2, x3 - x2, x0 - x1 + x2 - x3);
    let (dy1, dy2, sy) = (y1 - y2, y3 - y2, y0 - y1 + y2 - y3);
    let area = dx1 * dy2 - dx2 * dy1;
    let (g, h) = ((sx * dy2 - dx2 * sy) / area, (dx1 * sy - sx * dy1) / area);
    let (a, b, c) = (x1 - x0 + g * x1, x3 - x0 + h * x3, x0);
    let (d, e, f) = (y1 - y0 + g * y1, y3 - y0 + h * y3, y0);
    [
        [e - f * h, c * h - b, b * f - c * e],
        [f * g - d, a - c * g, c * d - a * f],
        [d * h - e * g, b * g - a * h, a * e - b * d],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_go_where_they_are_told() {
        let image = RgbImage::from_fn(100, 30, |x, y| Rgb([(x * 2) as u8, (y * 8) as u8, 7]));
        let quad = [(0.0, 3.0), (91.0, 0.0), (80.0, 28.0), (12.0, 22.0)];
        let still = [(0.0, 0.0), (99.0, 0.0), (99.0, 29.0), (0.0, 29.0)];
        for sampling in SAMPLINGS {
            let out = warp(&image, quad, sampling);
            assert_eq!(out.dimensions(), (92, 29));
            for ((x, y), (u, v)) in quad.into_iter().zip(still) {
                let at = |i: &RgbImage, x: f64, y: f64| *i.get_pixel(x as u32, y as u32);
                assert_eq!(at(&out, x, y), at(&image, u, v));
            }
            assert!(warp(&image, still, sampling) == image);
            assert!((sampling(0.3).iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn each_kind_keeps_what_its_name_says() {
        // A ring of dark pixels about the middle of a light image.
        let image = RgbImage::from_fn(101, 101, |x, y| {
            let radius = (x as f32 - 50.0).hypot(y as f32 - 50.0);
            Rgb([if (20.0..28.0).contains(&radius) { 0 } else { 240 }; 3])
        });
        let dark = |i: &RgbImage| i.pixels().filter(|p| p[0] < 120).count() as f64;
        let (mut random, area) = (Random::new(&[4]), dark(&image));
        for _ in 0..20 {
            let turned = Geometry::Rotation.apply(&image, &mut random);
            assert!((101..=143).contains(&turned.width()), "{:?}", turned.dimensions());
            assert!((dark(&turned) / area - 1.0).abs() < 0.03, "a rotation keeps areas");
            let (w, h) = turned.dimensions();
            let same = |p: Rgb<u8>, x, y| p[0].abs_diff(image.get_pixel(x, y)[0]) < 9;
            assert!(same(*turned.get_pixel(w / 2, h / 2), 50, 50), "and the middle");
            let scaled = dark(&Geometry::Affine.apply(&image, &mut random)) / area;
            assert!((0.24..4.1).contains(&scaled), "scale 1/2 to 2: {scaled}");
            let seen = Geometry::Perspective.apply(&image, &mut random);
            assert!((51..=101).contains(&seen.width()) && (51..=101).contains(&seen.height()));
            assert!(dark(&seen) < area, "corners go in");
        }
    }
}
