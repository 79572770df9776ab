//! MORAN, a text recognizer: one network shifts the pixels of a word up and down until it is straight, another one reads it
//! ("MORAN: a multi-object rectified attention network for scene text recognition").

mod reader;
mod rectifier;

use super::prepare::{NARROW, gray};
use super::reading::{Reading, each, expect_numbers, until_end};
use super::recipe::{
    Recipe,
    Rule::{self, Affine, Bump, Gain},
};
use super::recognizer::{Head, WordRecognizer, expect_classes};
use crate::gpu::Gpu;
use crate::nn::{Scope, Source, Weights};
use crate::ops::{Filter, resize};
use crate::tensor::{Axes, Cx, Host, Tensor};
use crate::{Error, ErrorKind, Result};
use reader::Reader;
pub use reader::Spelled;
use rectifier::Rectifier;

/// Characters of classes 0, 1, …; behind them the end.
const ALPHABET: &str = "0123456789abcdefghijklmnopqrstuvwxyz";
const CLASSES: usize = ALPHABET.len() + 1;
const PLACE: &str = "MORAN";

const RULES: &[(&str, Rule)] = &[
    ("ASRN.cnn.block*.conv2.1.weight", Affine(0.4, 0.1)),
    ("ASRN.rnn.*.weight_ih*", Gain(3.0)),
    ("ASRN.rnn.*.embedding.weight", Gain(3.0)),
    ("ASRN.attention*.i2h.weight", Gain(3.0)),
    ("ASRN.attention*.h2h.weight", Gain(4.0)),
    ("ASRN.attention*.score.weight", Gain(6.0)),
    ("ASRN.attention*.char_embeddings", Affine(0.0, 1.0)),
    ("ASRN.attention*.attention_cell.rnn.weight_ih", Gain(2.0)),
    ("ASRN.attention*.generator.weight", Gain(8.0)),
    ("ASRN.attention*.generator.bias", Bump(CLASSES - 1, 8.0, 0.1)),
];

pub(crate) const RECIPE: Recipe = Recipe {
    key: "moran",
    rules: &[RULES],
    suffixes: &[("ASRN.attentionL2R.generator.weight", "#108")],
};

/// MORAN on a device.
pub struct Network {
    rectifier: Rectifier,
    reader: Reader,
}

impl Network {
    /// Loads a whole state dict.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] listing tensors that are missing, misshapen or left over; [`ErrorKind::Format`] for another alphabet.
    pub fn load(gpu: &Gpu, source: &dyn Source) -> Result<Self> {
        let tensor = "ASRN.attentionL2R.generator.weight";
        expect_classes(source, PLACE, tensor, [CLASSES, 256], "0-9, a-z, the end")?;
        Ok(Weights::load(gpu, source, None, PLACE, |s| Ok(Self::build(s)))?.0)
    }

    fn build(s: &Scope) -> Self {
        Network {
            rectifier: Rectifier::load(&s.at("MORN.cnn")),
            reader: Reader::load(&s.at("ASRN")),
        }
    }

    /// What the network takes of `image [N, H, W, 3]`, RGB in [0, 1]: `[N, 32, 100, 1]`, resized without regard to its shape and
    /// then gray.
    ///
    /// # Errors
    /// An image that is no RGB.
    pub fn prepare(cx: &Cx, image: &Tensor) -> Result<Tensor> {
        gray(cx, &resize(cx, image, NARROW, Filter::Bicubic, false)?)
    }

    /// What is read of `gray [N, 32, 100, 1]`: from the left to the right, and from the right to the left, which the released
    /// evaluation leaves aside.
    ///
    /// # Errors
    /// Another shape.
    pub fn forward(&self, cx: &Cx, gray: &Tensor) -> Result<[Spelled; 2]> {
        if !matches!(gray.dims(), [_, 32, 100, 1]) {
            return Err(Error::new(ErrorKind::Shape, PLACE, "image of the recognizer")
                .expected("[N, 32, 100, 1]")
                .got(gray.shape()));
        }
        let straight = self.rectifier.forward(cx, gray)?;
        cx.value("moran", "rectified", &straight, Axes::Image);
        self.reader.forward(cx, &straight)
    }
}

impl WordRecognizer for Network {
    fn record(&self, cx: &Cx, images: &Tensor, _: Head) -> Result<Vec<Tensor>> {
        let [Spelled { logits, places }, _] = self.forward(cx, &Self::prepare(cx, images)?)?;
        Ok(vec![logits, places])
    }

    fn decode(&self, outputs: &[Host]) -> Result<Vec<Reading>> {
        let [logits, places] = [&outputs[0], &outputs[1]];
        expect_numbers(logits)?;
        let alphabet: Vec<char> = ALPHABET.chars().collect();
        Ok(each(logits, places, |logits, places| {
            let symbol = |class: usize| alphabet.get(class).copied();
            until_end(logits, CLASSES, places.iter().copied(), symbol)
        }))
    }
}
