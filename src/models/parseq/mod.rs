//! PARSeq, a text recognizer: a vision transformer looks at the word, and one decoder layer reads it, first symbol by symbol, then
//! once more with all symbols at hand ("Scene text recognition with permuted autoregressive sequence models"; the small size).

mod decoder;
mod encoder;
mod loss;
mod orders;

use super::prepare::{Scaled, high};
use super::reading::{Reading, center, each, expect_numbers, until_end};
use super::recipe::{
    Recipe,
    Rule::{self, Affine, Bump, Gain, Row0},
};
use super::recognizer::{Head, WordRecognizer, expect_classes};
use crate::gpu::Gpu;
use crate::nn::{Parameters, Scope, Source, Weights};
use crate::tensor::{Axes, Cx, Host, Tensor};
use crate::{Error, ErrorKind, Result};
use decoder::Decoder;
pub use decoder::START;
use encoder::{Encoder, PATCHES};
pub use loss::{Orders, loss};
pub use orders::{blocked, orders};

/// Characters of classes 1, 2, …; class 0 is the end.
const ALPHABET: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
const CLASSES: usize = ALPHABET.len() + 1;
/// Channels of everything.
const WIDTH: usize = 384;
/// Symbols of a reading, the end included.
pub const STEPS: usize = 26;
const PLACE: &str = "PARSeq";

const RULES: &[(&str, Rule)] = &[
    ("pos_queries", Affine(0.0, 1.0)),
    ("encoder.pos_embed", Affine(0.0, 1.0)),
    ("encoder.blocks.*.attn.qkv.weight", Gain(2.0)),
    ("decoder.layers.*.in_proj_weight", Gain(2.0)),
    ("head.weight", Row0(4.0, 0.1)),
    ("head.bias", Bump(0, 8.3, 0.1)),
];

pub(crate) const RECIPE: Recipe =
    Recipe { key: "parseq", rules: &[RULES], suffixes: &[("head.weight", "#847")] };

/// PARSeq on a device.
pub struct Network {
    scaled: Scaled,
    encoder: Encoder,
    decoder: Decoder,
}

/// What PARSeq says of a batch.
pub struct Spelled {
    /// Class scores `[N, 26, 95]` of the symbol-by-symbol pass, and its classes u32 `[N, 26]`.
    pub greedy: (Tensor, Tensor),
    /// Class scores `[N, 26, 95]` of the refinement: the result.
    pub logits: Tensor,
    /// Its classes, u32 `[N, 26]`.
    pub ids: Tensor,
    /// Where each of its steps looked, `[N, 1, 26, 128]`: of all heads together.
    pub looks: Tensor,
}

impl Network {
    /// Loads a whole state dict.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] listing tensors that are missing, misshapen or left over; [`ErrorKind::Format`] for another alphabet.
    pub fn load(gpu: &Gpu, source: &dyn Source) -> Result<Self> {
        let alphabet = "the end and 94 characters";
        expect_classes(source, PLACE, "head.weight", [CLASSES, WIDTH], alphabet)?;
        Ok(Weights::load(gpu, source, None, PLACE, |s| Ok(Self::build(s)))?.0)
    }

    /// Loads for training: also returns the parameters, of which those that are not `frozen` are leaves of a tape.
    ///
    /// # Errors
    /// As [`Network::load`].
    pub fn to_train(
        gpu: &Gpu,
        source: &dyn Source,
        frozen: &dyn Fn(&str) -> bool,
    ) -> Result<(Self, Parameters)> {
        Weights::load(gpu, source, Some(frozen), PLACE, |s| Ok(Self::build(s)))
    }

    fn build(s: &Scope) -> Self {
        Network {
            scaled: Scaled::new(s.gpu(), [0.5; 3], [0.5; 3]),
            encoder: Encoder::load(&s.at("encoder")),
            decoder: Decoder::load(s),
        }
    }

    /// What the network takes of `image [N, H, W, 3]`, RGB in [0, 1]: `[N, 32, 128, 3]` from −1 to 1.
    ///
    /// # Errors
    /// An image that is no RGB.
    pub fn prepare(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        high(cx, &self.scaled.forward(cx, image)?)
    }

    /// Reads `image [N, 32, 128, 3]` as [`Network::prepare`] gives it.
    ///
    /// # Errors
    /// Another shape.
    pub fn forward(&self, cx: &Cx, image: &Tensor) -> Result<Spelled> {
        if !matches!(image.dims(), [_, 32, 128, 3]) {
            return Err(Error::new(ErrorKind::Shape, PLACE, "image of the recognizer")
                .expected("[N, 32, 128, 3]")
                .got(image.shape()));
        }
        let memory = self.encoder.forward(cx, image)?;
        cx.value("parseq", "memory", &memory, Axes::Same);
        self.decoder.forward(cx, &memory)
    }
}

impl Network {
    /// Class scores `[N, L, 95]` of each order in which the words' symbols may come to be known: what is trained. `image` as
    /// [`Network::prepare`] gives it.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn along(&self, cx: &Cx, image: &Tensor, orders: &Orders) -> Result<Vec<Tensor>> {
        let memory = self.encoder.forward(cx, image)?;
        self.decoder.along(cx, &memory, &orders.input, &orders.hidden)
    }
}

impl WordRecognizer for Network {
    fn record(&self, cx: &Cx, images: &Tensor, _: Head) -> Result<Vec<Tensor>> {
        let Spelled { logits, looks, .. } = self.forward(cx, &self.prepare(cx, images)?)?;
        Ok(vec![logits, looks])
    }

    fn decode(&self, outputs: &[Host]) -> Result<Vec<Reading>> {
        let [logits, looks] = [&outputs[0], &outputs[1]];
        expect_numbers(logits)?;
        let alphabet: Vec<char> = ALPHABET.chars().collect();
        let symbol = |class: usize| class.checked_sub(1).map(|i| alphabet[i]);
        Ok(each(logits, looks, |logits, looks| {
            let maps = looks.chunks_exact(PATCHES.0 * PATCHES.1);
            until_end(logits, CLASSES, maps.map(|map| center(map, PATCHES.1)), symbol)
        }))
    }
}
