//! Networks beside LEMMA in training: what they see of a batch, and what their authors trained them by.

use super::config::Stage;
use super::inputs::Inputs;
use super::losses::Losses;
use crate::Result;
use crate::data::checkpoint::StateDict;
use crate::gpu::Gpu;
use crate::models::lemma::PLANES;
use crate::models::word::{Boxed, Loading};
use crate::models::{ModelKind, Objective};
use crate::nn::{Parameters, Source};
use crate::ops::{concat_last, scale, slice_last};
use crate::tensor::{Cx, Tensor};

/// A network that super-resolves words, and its objective.
pub(super) struct Word {
    network: Boxed,
    objective: Objective,
}

impl Word {
    /// Loads `kind` for training, in the sizes of `weights` where there are some.
    ///
    /// # Errors
    /// Weights that do not fit.
    pub(super) fn load(
        gpu: &Gpu,
        (kind, stage): (ModelKind, Stage),
        source: &dyn Source,
        weights: Option<&StateDict>,
        frozen: &dyn Fn(&str) -> bool,
    ) -> Result<(Self, Parameters)> {
        let warps = stage.straightens();
        let loading = Loading { source, sizes: weights, warps, frozen: Some(frozen) };
        let (network, parameters) =
            kind.load(gpu, loading).expect("a stage of a network that super-resolves")?;
        let objective = kind.objective().expect("a stage of a network with an objective");
        Ok((Word { network, objective }, parameters))
    }

    /// Factor on the loss before it is differentiated.
    pub(super) fn scale(&self) -> f32 {
        self.objective.scale
    }

    /// The loss, and then its parts.
    ///
    /// # Errors
    /// Errors of the operations.
    pub(super) fn losses(&self, cx: &Cx, x: &Inputs) -> Result<Losses> {
        let sr = self.network.super_resolve(cx, &self.seen(cx, &x.lr)?)?;
        let loss = self.objective.loss(cx, &sr, &self.seen(cx, &x.hr)?, None)?;
        let mut parts = vec![("loss", loss.total)];
        parts.extend(loss.parts);
        Ok(Losses(parts))
    }

    /// What it makes of `lr [N, 16, 64, 4]` in evaluation: `[N, 32, 128, 4]` towards [0, 1], with a mask of zeros where three
    /// channels are all that it makes.
    ///
    /// # Errors
    /// Errors of the operations.
    pub(super) fn enlarge(&self, cx: &Cx, lr: &Tensor) -> Result<Tensor> {
        let made = self.network.enlarge(cx, &self.seen(cx, lr)?)?;
        let made = match self.network.white() {
            1.0 => made,
            white => scale(cx, &made, 1.0 / white)?,
        };
        if self.network.planes() == PLANES {
            return Ok(made);
        }
        let mask = made.shape().with_last(1);
        concat_last(cx, &[&made, &Tensor::upload(cx.gpu(), mask, &vec![0.0; mask.len()])])
    }

    /// What it takes of images `[N, H, W, 4]` in [0, 1] with their masks.
    fn seen(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        let image = match self.network.planes() {
            PLANES => image.clone(),
            planes => slice_last(cx, image, 0..planes)?,
        };
        match self.network.white() {
            1.0 => Ok(image),
            white => scale(cx, &image, white),
        }
    }
}
