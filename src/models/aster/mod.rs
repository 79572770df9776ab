//! ASTER, a text recognizer: a thin-plate spline straightens the word, a residual network and two recurrent layers make columns of
//! it, and a decoder reads them by a beam search ("ASTER: an attentional scene text recognizer with flexible rectification").

mod decoder;
mod encoder;
mod search;

use super::control_points::{CONTROLS, ControlPoints};
use super::prepare::Scaled;
use super::reading::{Character, Reading, expect_numbers};
use super::recipe::{
    Recipe,
    Rule::{self, Affine, Bump, Control, Gain},
};
use super::recognizer::{Head, WordRecognizer, expect_classes};
use crate::gpu::Gpu;
use crate::nn::{Scope, Source, Weights};
use crate::ops::{Filter, Spline, grid_sample, resize, tps_grid};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Host, Tensor};
use crate::{Error, ErrorKind, Result};
use decoder::Decoder;
use encoder::Encoder;
pub use search::{Emitted, best};

/// Characters of classes 0, 1, …; behind them the end, the padding and an unknown character.
const ALPHABET: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
const CLASSES: usize = ALPHABET.len() + 3;
/// Class of the end.
const END: usize = ALPHABET.len();
/// Height and width of what the control points are placed by, and of what is read.
const SEEN: (usize, usize) = (32, 64);
const STRAIGHT: (usize, usize) = (32, 100);
const PLACE: &str = "ASTER";

const RULES: &[(&str, Rule)] = &[
    ("stn_head.stn_fc2.weight", Gain(0.5)),
    ("stn_head.stn_fc2.bias", Control(0.02)),
    ("encoder.layer*.bn1.weight", Affine(1.5, 0.2)),
    ("encoder.layer*.bn2.weight", Affine(0.4, 0.1)),
    ("encoder.layer*.downsample.0.weight", Gain(1.0)),
    ("encoder.rnn.weight_ih*", Gain(3.0)),
    ("decoder.decoder.attention_unit.sEmbed.weight", Gain(4.0)),
    ("decoder.decoder.attention_unit.xEmbed.weight", Gain(4.0)),
    ("decoder.decoder.attention_unit.wEmbed.weight", Gain(8.0)),
    ("decoder.decoder.tgt_embedding.weight", Affine(0.0, 1.0)),
    ("decoder.decoder.gru.weight_ih*", Gain(2.0)),
    ("decoder.decoder.fc.weight", Gain(8.0)),
    ("decoder.decoder.fc.bias", Bump(END, 5.0, 0.1)),
];

pub(crate) const RECIPE: Recipe =
    Recipe { key: "aster", rules: &[RULES], suffixes: &[("decoder.decoder.fc.weight", "#143")] };

/// ASTER on a device.
pub struct Network {
    scaled: Scaled,
    points: ControlPoints,
    spline: Tensor,
    encoder: Encoder,
    decoder: Decoder,
}

impl Network {
    /// Loads a whole state dict.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] listing tensors that are missing, misshapen or left over; [`ErrorKind::Format`] for another alphabet.
    pub fn load(gpu: &Gpu, source: &dyn Source) -> Result<Self> {
        let alphabet = "94 characters, the end, the padding and an unknown one";
        expect_classes(source, PLACE, "decoder.decoder.fc.weight", [CLASSES, 512], alphabet)?;
        Ok(Weights::load(gpu, source, None, PLACE, |s| Ok(Self::build(s)))?.0)
    }

    fn build(s: &Scope) -> Self {
        // The spline's tables are computed.
        s.leave("tps.");
        let matrix = Spline::new(STRAIGHT.0, STRAIGHT.1, CONTROLS).matrix();
        let matrix: Vec<f32> = matrix.iter().map(|v| *v as f32).collect();
        Network {
            scaled: Scaled::new(s.gpu(), [0.5; 3], [0.5; 3]),
            points: ControlPoints::load(&s.at("stn_head"), 3, Window::pool(2, 2)),
            spline: Tensor::upload(s.gpu(), [STRAIGHT.0 * STRAIGHT.1, CONTROLS], &matrix),
            encoder: Encoder::load(&s.at("encoder")),
            decoder: Decoder::load(&s.at("decoder.decoder")),
        }
    }

    /// Columns `[N, 25, 512]` of `image [N, H, W, 3]`, RGB in [0, 1], of any size.
    ///
    /// # Errors
    /// An image that is no RGB.
    pub fn columns(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        if !matches!(image.dims(), [_, h, w, 3] if h * w > 0) {
            return Err(Error::new(ErrorKind::Shape, PLACE, "image of the recognizer")
                .expected("[N, H, W, 3]")
                .got(image.shape()));
        }
        let image = self.scaled.forward(cx, image)?;
        let seen = resize(cx, &image, SEEN, Filter::Bilinear, true)?;
        cx.value("aster", "stn_input", &seen, Axes::Image);
        let control = self.points.forward(cx, &seen)?;
        cx.value("aster", "ctrl", &control, Axes::Same);
        let grid = tps_grid(cx, &control, &self.spline, STRAIGHT)?;
        let straight = grid_sample(cx, &image, &grid)?;
        cx.value("aster", "rectified", &straight, Axes::Image);
        let columns = self.encoder.forward(cx, &straight)?;
        cx.value("aster", "encoder", &columns, Axes::Same);
        Ok(columns)
    }

    /// The trail `[T, N, W, 4]` of a beam search over `columns`: see [`beam_step`](crate::ops::beam_step).
    ///
    /// # Errors
    /// Columns of another shape.
    pub fn search(&self, cx: &Cx, columns: &Tensor) -> Result<Tensor> {
        self.decoder.search(cx, columns)
    }

    /// Class scores `[N, T, 97]` where the symbol before each step is given: the start, then `symbols`.
    ///
    /// # Errors
    /// Columns of another shape.
    pub fn along(&self, cx: &Cx, columns: &Tensor, symbols: &[u32]) -> Result<Tensor> {
        self.decoder.along(cx, columns, symbols)
    }
}

impl WordRecognizer for Network {
    fn takes_any_size(&self) -> bool {
        true
    }

    fn record(&self, cx: &Cx, images: &Tensor, _: Head) -> Result<Vec<Tensor>> {
        Ok(vec![self.search(cx, &self.columns(cx, images)?)?])
    }

    /// Letters and digits alone count, letters without case, as in the released evaluation.
    fn decode(&self, outputs: &[Host]) -> Result<Vec<Reading>> {
        expect_numbers(&outputs[0])?;
        let alphabet: Vec<char> = ALPHABET.chars().collect();
        let character = |e: Emitted| {
            let symbol = alphabet.get(e.symbol)?.to_ascii_lowercase();
            let character = Character { symbol, confidence: e.confidence, center: e.center };
            symbol.is_ascii_alphanumeric().then_some(character)
        };
        let reading = |sequence: Vec<Emitted>| {
            let word = sequence.into_iter().take_while(|e| e.symbol != END);
            Reading::of(word.filter_map(character).collect())
        };
        Ok(best(&outputs[0]).into_iter().map(reading).collect())
    }
}
