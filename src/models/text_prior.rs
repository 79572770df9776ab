//! What a recognizer reads in the poor image, as TATT and C3-STISR are guided by it.

use super::crnn;
use crate::Result;
use crate::ops::{slice_last, softmax};
use crate::tensor::{Axes, Cx, Tensor};

/// Steps of a reading.
pub(crate) const STEPS: usize = 26;
/// Classes of each step.
pub(crate) const CLASSES: usize = 37;

/// The recognizer whose reading guides a network: a CRNN that was trained with it.
#[derive(Default)]
pub(crate) struct TextPrior {
    reader: Option<crnn::Network>,
}

/// What it says of a batch.
pub(crate) struct Reading {
    /// Class scores `[N, 26, 37]`; none without a recognizer.
    pub(crate) logits: Option<Tensor>,
    /// Probabilities `[N, 26, 37]`; all zero without a recognizer.
    pub(crate) probabilities: Tensor,
}

impl TextPrior {
    pub(crate) fn guide(&mut self, reader: crnn::Network) {
        self.reader = Some(reader);
    }

    /// Reads `image [N, 16, 64, 3 or more]`, as in evaluation and without a gradient.
    pub(crate) fn read(&self, cx: &Cx, image: &Tensor) -> Result<Reading> {
        let n = image.dims()[0];
        let Some(reader) = &self.reader else {
            let nothing = vec![0.0; n * STEPS * CLASSES];
            let probabilities = Tensor::upload(cx.gpu(), [n, STEPS, CLASSES], &nothing);
            return Ok(Reading { logits: None, probabilities });
        };
        let rgb = slice_last(cx, &image.detached(), 0..3)?;
        let logits = cx.evaluating(|cx| reader.forward(cx, &crnn::Network::prepare(cx, &rgb)?))?;
        let logits = logits.detached();
        let probabilities = softmax(cx, &logits, 2)?;
        cx.value("", "prior", &probabilities.reshape([n, 1, STEPS, CLASSES])?, Axes::Image);
        Ok(Reading { logits: Some(logits), probabilities })
    }
}
