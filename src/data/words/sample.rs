//! A sample, and what has samples.

use super::fault::{Fault, Reason};
use super::places;
use crate::data::picture::{RgbImage, decode};

/// A labeled image, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The coarse image; without one it is made from the sharp one.
    pub lr: Option<RgbImage>,
    /// The sharp image.
    pub hr: RgbImage,
    /// The label as stored.
    pub label: String,
    /// Left and right end of each character in parts of the width; empty where nobody knows.
    pub characters: Vec<(f32, f32)>,
    /// What is wrong with a part of it that it can do without, and that is left away.
    pub flaw: Option<Fault>,
}

/// Samples with numbers.
pub trait Source: Send + Sync {
    /// Number of samples, broken ones included.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sample of a number below [`Source::len`].
    ///
    /// # Errors
    /// What is wrong with it.
    fn get(&self, index: usize) -> Result<Sample, Fault>;

    /// The file that a sample lies in, as the set names it; none where samples have numbers alone.
    fn file(&self, _index: usize) -> Option<&str> {
        None
    }
}

/// A sample with places from their text, where there is one.
pub(super) fn placed(sample: Sample, text: Option<Result<String, Fault>>) -> Sample {
    let found = text.map(|text| text.and_then(|text| places::read(&text, &sample.label)));
    match found {
        None => sample,
        Some(Ok(characters)) => Sample { characters, ..sample },
        Some(Err(flaw)) => Sample { flaw: Some(flaw), ..sample },
    }
}

pub(super) fn image(bytes: &[u8], place: &str) -> Result<RgbImage, Fault> {
    match decode(bytes, place) {
        Ok(decoded) => Ok(decoded.image),
        Err(e) => Err(Fault::new(Reason::Unreadable, e)),
    }
}
