//! What a recognizer in training sees instead of the image: ABINet's own augmentation (`transforms.py`
//! of its code), bent with probability 0.5, worn with 0.25, in other colors with 0.25, in this order.
//!
//! Two kinds of choices: a run's, which follow from its seed alone ([`Augment::new`]), and an image's,
//! which come from the generator given, so a key gives an image. Knows no samples and no files.
//!
//! Distributions, transforms and colors are the reference's. Not to the bit: the canvas of a bent
//! image has no margin beyond its corners, and the pyramid is resized with the project's own filters.

mod color;
mod deterioration;
mod geometry;

use super::picture::bicubic;
use super::random::Random;
use deterioration::Deterioration;
use geometry::Geometry;
use image::RgbImage;

/// ABINet's augmentation with the choices of a run: one of three geometric transforms, and the steps
/// of the deterioration with their order and strengths.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Augment {
    geometry: Geometry,
    wear: [Deterioration; 3],
}

/// An image that was changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmented {
    /// The image, in a size of its own.
    pub image: RgbImage,
    /// Whether characters stand elsewhere than before, in parts of the width.
    pub moved: bool,
}

/// Longer sides are reduced to this, four times what a recognizer sees: bounds time and memory.
const LONGEST: u32 = 512;

/// Use of the seed.
const RUN: u64 = 5;

impl Augment {
    /// The choices of the run with this seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(&[seed, RUN]);
        Augment { geometry: Geometry::draw(&mut random), wear: Deterioration::draw(&mut random) }
    }

    /// Changes an image that is not empty; none where it stays as it is, for 28 in 100.
    pub fn apply(&self, image: &RgbImage, random: &mut Random) -> Option<Augmented> {
        let [moved, worn, colored] = parts(random);
        if !(moved || worn || colored) {
            return None;
        }
        let (w, h) = image.dimensions();
        let part = (f64::from(LONGEST) / f64::from(w.max(h))).min(1.0);
        let side = |s: u32| ((f64::from(s) * part).round() as u32).max(1);
        let mut image = bicubic(image, side(w), side(h));
        if moved {
            image = self.geometry.apply(&image, random);
        }
        if worn {
            image = self.wear.iter().fold(image, |image, step| step.apply(&image, random));
        }
        if colored {
            color::jitter(&mut image, random);
        }
        Some(Augmented { image, moved })
    }
}

/// Whether an image is bent, worn, in other colors.
fn parts(random: &mut Random) -> [bool; 3] {
    [0.5, 0.25, 0.25].map(|p| random.chance(p))
}

/// Beta(k, n + 1 − k) for whole numbers: the `k`-th smallest of `N` uniform numbers.
fn beta<const N: usize>(k: usize, random: &mut Random) -> f64 {
    let mut drawn = [0; N].map(|_| f64::from(random.unit()));
    drawn.sort_unstable_by(f64::total_cmp);
    drawn[k - 1]
}

/// Beta(1, 4) stretched to 0..`most`: mostly little.
fn little(most: f64, random: &mut Random) -> f64 {
    most * beta::<4>(1, random)
}

/// Beta(4, 4) stretched to ±`most`: mostly near 0.
fn about_zero(most: f64, random: &mut Random) -> f64 {
    most * (2.0 * beta::<7>(4, random) - 1.0)
}

fn shuffled<T, const N: usize>(mut items: [T; N], random: &mut Random) -> [T; N] {
    (1..N).rev().for_each(|i| items.swap(i, random.below(i + 1)));
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn picture(w: u32, h: u32) -> RgbImage {
        RgbImage::from_fn(w, h, |x, y| Rgb([(x * 31) as u8, (y * 17) as u8, (x * y) as u8]))
    }

    fn make(seed: u64, key: u64, image: &RgbImage) -> Option<Augmented> {
        Augment::new(seed).apply(image, &mut Random::new(&[key]))
    }

    #[test]
    fn a_key_gives_an_image_and_a_seed_the_choices_of_a_run() {
        let image = picture(100, 31);
        assert!((0..40).all(|key| make(1, key, &image) == make(1, key, &image)));
        let differ = (0..40).filter(|&key| make(1, key, &image) != make(1, key + 1, &image));
        assert!(differ.count() > 30);
        for kind in [Geometry::Rotation, Geometry::Affine, Geometry::Perspective] {
            // 100 expected, within five standard deviations.
            let count = (0..300).filter(|&seed| Augment::new(seed).geometry == kind).count();
            assert!((60..=140).contains(&count), "{kind:?}: {count} of 300");
        }
    }

    #[test]
    fn parts_come_as_often_as_they_should_and_on_their_own() {
        let n = 2000;
        // Within five standard deviations of a binomial.
        let near = |p: f64, what: &str, count: usize| {
            let bound = 5.0 * (p * (1.0 - p) * n as f64).sqrt();
            assert!((count as f64 - p * n as f64).abs() < bound, "{what}: {count} of {n}");
        };
        let drawn: Vec<_> = (0..n).map(|key| parts(&mut Random::new(&[key]))).collect();
        let count = |f: fn(&[bool; 3]) -> bool| drawn.iter().filter(|d| f(d)).count();
        near(0.5, "bent", count(|d| d[0]));
        near(0.25, "worn", count(|d| d[1]));
        near(0.25, "colored", count(|d| d[2]));
        near(0.125, "bent and worn", count(|d| d[0] && d[1]));
        near(0.0625, "worn and colored", count(|d| d[1] && d[2]));
        let image = picture(9, 8);
        let made: Vec<_> = (0..n).filter_map(|key| make(2, key, &image)).collect();
        near(0.71875, "changed", made.len());
        near(0.5, "moved", made.iter().filter(|a| a.moved).count());
    }

    #[test]
    fn amounts_have_the_moments_of_their_distributions() {
        type Draw = fn(f64, &mut Random) -> f64;
        // Beta(1, 4); Beta(4, 4) stretched to ±1.
        let cases = [(little as Draw, 0.2, 4.0 / 150.0), (about_zero, 0.0, 1.0 / 9.0)];
        let (mut random, n) = (Random::new(&[3]), 20_000.0);
        for (draw, mean, variance) in cases {
            let drawn: Vec<f64> = (0..n as usize).map(|_| draw(1.0, &mut random)).collect();
            let m = drawn.iter().sum::<f64>() / n;
            let v = drawn.iter().map(|x| (x - m).powi(2)).sum::<f64>() / n;
            assert!((m - mean).abs() < 0.012 && (v / variance - 1.0).abs() < 0.06, "{m} {v}");
        }
    }

    #[test]
    fn any_size_goes_in_and_none_explodes() {
        for (w, h) in [(1, 1), (7, 3), (2, 2), (1, 60), (2000, 10), (10, 2000)] {
            let image = picture(w, h);
            for seed in 0..8 {
                for made in (0..4).filter_map(|key| make(seed, key, &image)) {
                    let (w, h) = made.image.dimensions();
                    assert!((1..3000).contains(&w) && (1..3000).contains(&h), "{w}×{h}");
                }
            }
        }
    }
}
