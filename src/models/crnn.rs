//! CRNN, a text recognizer: a convolutional network whose columns are read by two recurrent layers, and a class for each column
//! ("An end-to-end trainable neural network for image-based sequence recognition").

use super::prepare::{NARROW, gray};
use super::reading::{Reading, best_path, each, expect_numbers};
use super::recipe::{
    Recipe,
    Rule::{self, Gain},
};
use super::recognizer::{Head, WordRecognizer, expect_classes};
use crate::gpu::Gpu;
use crate::nn::{BatchNorm, Conv, LstmLinear, Parameters, Scope, Source, Weights};
use crate::ops::{Act, Filter, activate, max_pool, resize};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Host, Tensor};
use crate::{Error, ErrorKind, Result};

/// Characters of classes 1, 2, …; class 0 is the blank.
pub(crate) const ALPHABET: &str = "0123456789abcdefghijklmnopqrstuvwxyz";
pub(crate) const CLASSES: usize = ALPHABET.len() + 1;
const UNITS: usize = 256;
const PLACE: &str = "CRNN";

const RULES: &[(&str, Rule)] =
    &[("rnn.*.rnn.weight_ih*", Gain(3.0)), ("rnn.*.embedding.weight", Gain(4.0))];

pub(crate) const RECIPE: Recipe = Recipe { key: "crnn", rules: &[RULES], suffixes: &[] };

/// Convolution `i`, its norm if it has one, ReLU, and the pooling behind it by its number and window.
struct Stage {
    i: usize,
    conv: Conv,
    norm: Option<BatchNorm>,
    pool: Option<(usize, Window)>,
}

impl Stage {
    fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let mut y = self.conv.forward(cx, x)?;
        if let Some(norm) = &self.norm {
            y = norm.forward(cx, &y)?;
        }
        y = activate(cx, &y, Act::Relu)?;
        cx.tap("cnn", &format!("relu{}", self.i), &y, Axes::Image);
        if let Some((number, window)) = self.pool {
            y = max_pool(cx, &y, window)?;
            cx.tap("cnn", &format!("pooling{number}"), &y, Axes::Image);
        }
        Ok(y)
    }
}

/// CRNN on a device.
pub struct Network {
    cnn: Vec<Stage>,
    rnn: [LstmLinear; 2],
}

impl Network {
    /// Loads a whole state dict.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] listing tensors that are missing, misshapen or left over; [`ErrorKind::Format`] for another alphabet.
    pub fn load(gpu: &Gpu, source: &dyn Source) -> Result<Self> {
        let shape = [CLASSES, 2 * UNITS];
        expect_classes(source, PLACE, "rnn.1.embedding.weight", shape, "the blank, 0-9, a-z")?;
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

    /// The same of a recognizer that is trained beside a network with `others` parameters.
    ///
    /// # Errors
    /// As [`Network::load`].
    pub fn to_train_behind(
        gpu: &Gpu,
        source: &dyn Source,
        frozen: &dyn Fn(&str) -> bool,
        others: usize,
    ) -> Result<(Self, Parameters)> {
        Weights::load_behind(gpu, source, Some(frozen), PLACE, others, |s| Ok(Self::build(s)))
    }

    pub(crate) fn build(s: &Scope) -> Self {
        let cnn = s.at("cnn");
        let stage = |i: usize, input, output, window, norm: bool, pool| Stage {
            i,
            conv: Conv::load(&cnn.at(format!("conv{i}")), input, output, window, true),
            norm: norm.then(|| BatchNorm::load(&cnn.at(format!("batchnorm{i}")), output)),
            pool,
        };
        let (same, square) = (Window::same(3), Window::pool(2, 2));
        // Halves the rows and keeps the columns, to the last of which it adds one.
        let rows = Window { stride: (2, 1), pad: (0, 1), ..square };
        Network {
            cnn: vec![
                stage(0, 1, 64, same, false, Some((0, square))),
                stage(1, 64, 128, same, false, Some((1, square))),
                stage(2, 128, 256, same, true, None),
                stage(3, 256, 256, same, false, Some((2, rows))),
                stage(4, 256, 512, same, true, None),
                stage(5, 512, 512, same, false, Some((3, rows))),
                stage(6, 512, 512, square.strided(1, 1), true, None),
            ],
            rnn: [
                LstmLinear::load(&s.at("rnn.0"), 512, UNITS, UNITS),
                LstmLinear::load(&s.at("rnn.1"), UNITS, UNITS, CLASSES),
            ],
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

    /// Class scores `[N, 26, 37]` of `gray [N, 32, 100, 1]`.
    ///
    /// # Errors
    /// Another shape.
    pub fn forward(&self, cx: &Cx, gray: &Tensor) -> Result<Tensor> {
        if !matches!(gray.dims(), [_, 32, 100, 1]) {
            return Err(Error::new(ErrorKind::Shape, PLACE, "image of the recognizer")
                .expected("[N, 32, 100, 1]")
                .got(gray.shape()));
        }
        let mut x = gray.clone();
        for stage in &self.cnn {
            x = stage.forward(cx, &x)?;
        }
        cx.tap("cnn", "", &x, Axes::Image);
        let [n, _, columns, channels] = x.shape().nhwc(PLACE)?;
        let mut x = x.reshape([n, columns, channels])?;
        for layer in &self.rnn {
            x = layer.forward(cx, &x)?;
        }
        cx.tap("rnn", "", &x, Axes::Sequence);
        Ok(x)
    }
}

impl WordRecognizer for Network {
    fn record(&self, cx: &Cx, images: &Tensor, _: Head) -> Result<Vec<Tensor>> {
        Ok(vec![self.forward(cx, &Self::prepare(cx, images)?)?])
    }

    fn decode(&self, outputs: &[Host]) -> Result<Vec<Reading>> {
        let logits = &outputs[0];
        expect_numbers(logits)?;
        let alphabet: Vec<char> = ALPHABET.chars().collect();
        Ok(each(logits, logits, |logits, _| best_path(logits, &alphabet)))
    }
}
