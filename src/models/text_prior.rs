//! What a recognizer reads in the poor image, as TATT and C3-STISR are guided by it.

use super::crnn;
use super::word::WordNetwork;
use crate::data::checkpoint::StateDict;
use crate::gpu::Gpu;
use crate::nn::{Parameters, Scope, Source, Weights};
use crate::ops::{add, ln, mean_absolute, mean_to, mul, scale, slice_last, softmax};
use crate::tensor::{Axes, Cx, Tensor};
use crate::{Error, ErrorKind, Result};

/// Steps of a reading.
pub(crate) const STEPS: usize = 26;
/// Classes of each step.
pub(crate) const CLASSES: usize = 37;

/// What stands before the names of the recognizer's tensors where they lie in one file with those of the network that it guides:
/// in checkpoints of training.
pub(crate) const BESIDE: &str = "recognizer.";

/// The recognizer that lies in one file with the network that it guides, if one does.
pub(crate) fn beside(state: &StateDict) -> Option<StateDict> {
    let own = |(name, tensor): (&String, &_)| {
        Some((name.strip_prefix(BESIDE)?.to_string(), Clone::clone(tensor)))
    };
    let tensors: std::collections::BTreeMap<_, _> = state.tensors.iter().filter_map(own).collect();
    (!tensors.is_empty()).then(|| StateDict { tensors, ..StateDict::default() })
}

/// Loads the network that `build` makes for training, with the recognizer that guides it and learns beside it, whose tensors have
/// [`BESIDE`] before their names.
pub(crate) fn load_beside<N: WordNetwork>(
    gpu: &Gpu,
    source: &dyn Source,
    frozen: &dyn Fn(&str) -> bool,
    place: &str,
    build: impl Fn(&Scope) -> Result<N>,
) -> Result<(N, Parameters)> {
    Weights::load(gpu, source, Some(frozen), place, |s| {
        let mut network = build(s)?;
        network.guide(crnn::Network::build(&s.at(BESIDE.trim_end_matches('.'))));
        Ok(network)
    })
}

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

    /// The recognizer, which training cannot do without.
    pub(crate) fn reader(&self) -> Result<&crnn::Network> {
        self.reader.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Argument, "loss", "recognizer that guides the network")
                .got("none")
        })
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

/// How a recognizer that learns differs from one that sees the truth.
pub(crate) struct Distillation {
    /// The mean absolute difference of their probabilities, and the mean of the terms of their divergence.
    pub(crate) loss: Tensor,
    /// Probabilities `[N, 26, 37]` of the one that learns.
    pub(crate) student: Tensor,
    /// Its class scores.
    pub(crate) logits: Tensor,
}

/// Added to probabilities, so that their logarithms are finite.
const TINY: f32 = 1e-20;

/// `student` on `lr` beside `teacher`, which is fixed, on `hr`.
pub(crate) fn distill(
    cx: &Cx,
    [student, teacher]: [&crnn::Network; 2],
    lr: &Tensor,
    hr: &Tensor,
) -> Result<Distillation> {
    let read = |reader: &crnn::Network, image: &Tensor| {
        let rgb = slice_last(cx, &image.detached(), 0..3)?;
        reader.forward(cx, &crnn::Network::prepare(cx, &rgb)?)
    };
    let logits = read(student, lr)?;
    let truth = cx.evaluating(|_| read(teacher, hr))?.detached();
    let (own, right) = (softmax(cx, &logits, 2)?, softmax(cx, &truth, 2)?);
    let apart = mean_absolute(cx, &own, &right)?;
    let tiny = Tensor::upload(cx.gpu(), [1], &[TINY]);
    let (p, q) = (add(cx, &own, &tiny)?, add(cx, &right, &tiny)?);
    let gap = add(cx, &scale(cx, &ln(cx, &p)?, -1.0)?, &ln(cx, &q)?)?;
    let divergence = mean_to(cx, &mul(cx, &gap, &q)?, [1])?;
    Ok(Distillation { loss: add(cx, &apart, &divergence)?, student: own, logits })
}
