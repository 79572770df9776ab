//! From a stored sample to what the models take, and the rules it must pass.

use super::fault::{Fault, Reason};
use super::label::{Encoded, encoded_places};
use super::sample::Sample;
use crate::data::augment::Augment;
use crate::data::degrade::Degradation;
use crate::data::letters::{Kept, kept};
use crate::data::picture::{LR_SIZE, RgbImage, SCALE, bicubic, lr_input};
use crate::data::random::Random;

/// Which samples are taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Fewest pixels of a side.
    pub min_side: u32,
    /// Most times one side may go into the other.
    pub max_aspect: f32,
    /// Most letters and digits of a label.
    pub max_characters: usize,
    /// Whether labels without a letter or digit are taken.
    pub empty_labels: bool,
    /// Whether punctuation keeps its place in [`Encoded::ids`], as an end; otherwise it is dropped.
    pub punctuation: bool,
}

impl Rules {
    /// LEMMA's: every pair that can be decoded.
    pub const LEMMA: Rules = Rules {
        min_side: 1,
        max_aspect: f32::INFINITY,
        max_characters: usize::MAX,
        empty_labels: true,
        punctuation: true,
    };

    /// ABINet's: sides above 6 pixels, labels of 1 to 25 letters and digits, the rest of a label
    /// dropped; and no side 50 times the other.
    pub const ABINET: Rules = Rules {
        min_side: 7,
        max_aspect: 50.0,
        max_characters: 25,
        empty_labels: false,
        punctuation: false,
    };
}

/// A sample as the models take it.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// `[16, 64, 4]`: R, G, B in 0..=1 and the mask.
    pub lr: Vec<f32>,
    /// `[32, 128, 4]`, with a mask of its own.
    pub hr: Vec<f32>,
    /// The label.
    pub label: Encoded,
    /// Left and right end of each character that [`Encoded::ids`] has, in parts of the width; empty where nobody knows.
    pub characters: Vec<(f32, f32)>,
}

/// Resizes both images as Pillow does and adds their masks. A sample without a coarse image gets one
/// from the sharp one.
///
/// Where `augment` changes the sharp image, the coarse one is made from what came of it, and where it
/// bends it, nobody knows any more where the characters stand.
///
/// # Errors
/// The rule that the sample breaks.
pub fn prepare(
    mut sample: Sample,
    rules: &Rules,
    degradation: Degradation,
    augment: Option<&Augment>,
    random: &mut Random,
) -> Result<Prepared, Fault> {
    if kept(&sample.label) == Kept::OtherScript {
        // The few letters that are left would be taught as what the image shows.
        return Err(Fault::new(Reason::OtherScript, format!("{:?}", sample.label)));
    }
    let mut places = encoded_places(&sample.label, &sample.characters, rules.punctuation);
    let label = if rules.punctuation {
        Encoded::new(&sample.label)
    } else {
        Encoded::new(&Encoded::new(&sample.label).word)
    };
    let characters = label.word.len();
    if characters == 0 && !rules.empty_labels {
        return Err(Fault::new(Reason::EmptyLabel, format!("{:?}", sample.label)));
    }
    if characters > rules.max_characters {
        let shown: String = sample.label.chars().take(60).collect();
        return Err(Fault::new(Reason::LongLabel, format!("{characters}: {shown:?}")));
    }
    for image in std::iter::once(&sample.hr).chain(&sample.lr) {
        check_size(image, rules)?;
    }
    if let Some(changed) = augment.and_then(|a| a.apply(&sample.hr, random)) {
        sample.hr = changed.image;
        sample.lr = None;
        if changed.moved {
            places.clear();
        }
    }
    let lr = sample.lr.unwrap_or_else(|| degradation.apply(&sample.hr, random));
    let lr = bicubic(&lr, LR_SIZE.0, LR_SIZE.1);
    let hr = bicubic(&sample.hr, LR_SIZE.0 * SCALE, LR_SIZE.1 * SCALE);
    Ok(Prepared { lr: lr_input(&lr), hr: lr_input(&hr), label, characters: places })
}

fn check_size(image: &RgbImage, rules: &Rules) -> Result<(), Fault> {
    let (w, h) = image.dimensions();
    let (short, long) = (w.min(h), w.max(h));
    if short < rules.min_side.max(1) {
        return Err(Fault::new(Reason::Tiny, format!("{w}×{h} pixels")));
    }
    if long as f32 > rules.max_aspect * short as f32 {
        return Err(Fault::new(Reason::ExtremeAspect, format!("{w}×{h} pixels")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::picture::mask;
    use image::Rgb;

    fn sample(w: u32, h: u32, label: &str) -> Sample {
        let hr = RgbImage::from_fn(w, h, |x, y| Rgb([(x * 31) as u8, (y * 17) as u8, 90]));
        Sample { lr: None, hr, label: label.into(), characters: Vec::new(), flaw: None }
    }

    fn with(rules: &Rules, sample: Sample) -> Result<Prepared, Fault> {
        prepare(sample, rules, Degradation::Camera, None, &mut Random::new(&[1]))
    }

    #[test]
    fn abinet_leaves_out_what_it_cannot_learn_from_and_lemma_takes_all() {
        let long = "x".repeat(26);
        let cases = [
            (sample(1, 1, "a"), Some(Reason::Tiny)),
            (sample(10_000, 20, "a"), Some(Reason::ExtremeAspect)),
            (sample(20, 10_000, "a"), Some(Reason::ExtremeAspect)),
            (sample(40, 20, ""), Some(Reason::EmptyLabel)),
            (sample(40, 20, " ?!"), Some(Reason::EmptyLabel)),
            (sample(40, 20, &long), Some(Reason::LongLabel)),
            (sample(40, 20, &long[1..]), None),
            (sample(40, 20, "a"), None),
        ];
        for (sample, reason) in cases {
            let strict = with(&Rules::ABINET, sample.clone());
            assert_eq!(strict.as_ref().err().map(|f| f.reason), reason);
            let taken = with(&Rules::LEMMA, sample).unwrap();
            assert_eq!((taken.lr.len(), taken.hr.len()), (16 * 64 * 4, 32 * 128 * 4));
            assert!(taken.lr.iter().chain(&taken.hr).all(|v| (0.0..=1.0).contains(v)));
        }
    }

    #[test]
    fn each_image_has_its_own_mask_and_the_stored_coarse_image_is_kept() {
        let mut pair = sample(128, 32, "It's");
        let lr = RgbImage::from_fn(64, 16, |x, _| Rgb([if x < 20 { 0 } else { 200 }; 3]));
        pair.lr = Some(lr.clone());
        let masks = |values: &[f32]| values.iter().skip(3).step_by(4).map(|&v| v as u8).collect();
        let taken = with(&Rules::LEMMA, pair.clone()).unwrap();
        let (low, high): (Vec<u8>, Vec<u8>) = (masks(&taken.lr), masks(&taken.hr));
        assert_eq!((low, high), (mask(&lr), mask(&pair.hr)));
        assert_eq!(taken.label.ids[..5], [9, 20, 0, 19, 0]);
        let dropped = with(&Rules::ABINET, pair).unwrap();
        assert_eq!(dropped.label.ids[..4], [9, 20, 19, 0]);
    }
}
