//! What the networks that read words have in common.

use super::reading::Reading;
use crate::nn::Source;
use crate::tensor::{Cx, Host, Tensor};
use crate::{Error, ErrorKind, Result};

/// Which part of a recognizer gives the reading, where it has a language model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Head {
    /// What the image shows.
    Vision,
    /// What the language model makes of it.
    Language,
    /// The network's result: of both, where it has both.
    #[default]
    Fusion,
}

/// A network that reads the word in an image.
pub trait WordRecognizer: Send + Sync {
    /// The parts that can give the reading.
    fn heads(&self) -> &'static [Head] {
        &[Head::Fusion]
    }

    /// Whether it takes images of any size, and not of 32×128 and 16×64 alone.
    fn takes_any_size(&self) -> bool {
        false
    }

    /// Its sizes and rules, where it has any choice.
    fn configuration(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// Records the reading of `images [N, H, W, 3]`, RGB towards [0, 1] and not clamped, of 16×64 or 32×128: the network's own
    /// preparation, and all of its steps. Returns what [`WordRecognizer::decode`] is to be given of it.
    ///
    /// # Errors
    /// Images of another shape.
    fn record(&self, cx: &Cx, images: &Tensor, head: Head) -> Result<Vec<Tensor>>;

    /// The readings of a batch, of what was recorded and read back.
    ///
    /// # Errors
    /// [`ErrorKind::Result`] for scores that are not numbers.
    fn decode(&self, outputs: &[Host]) -> Result<Vec<Reading>>;
}

/// Checks that the last layer's weight `tensor` has as many classes as the alphabet of `place`, which is the released one.
///
/// # Errors
/// [`ErrorKind::Format`] for weights of another alphabet.
pub(crate) fn expect_classes(
    source: &dyn Source,
    place: &str,
    tensor: &str,
    shape: [usize; 2],
    alphabet: &str,
) -> Result<()> {
    match source.shape_of(tensor, &shape) {
        Some([classes, width]) if *width == shape[1] && *classes != shape[0] => {
            Err(Error::new(ErrorKind::Format, place, "classes of the recognizer")
                .expected(format!("{}: {alphabet}", shape[0]))
                .got(format!("{classes}, in {tensor}")))
        }
        _ => Ok(()),
    }
}
