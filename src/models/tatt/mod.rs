//! TATT (Ma et al., 2022): TSRN's blocks, guided by what a recognizer reads in the poor image, which a transformer spreads over
//! the pixels.

mod interpreter;
mod loss;
mod queries;

use super::crnn;
use super::recipe::{
    Recipe,
    Rule::{Affine, Gain},
};
use super::text_prior::{BESIDE, TextPrior, load_beside};
use super::textzoom::{
    Head, RULES, SequentialBlock, SpatialTransformer, Tail, TrunkConfig, Warp, expect_low,
    straighten,
};
use super::word::{Build, WordNetwork};
use crate::Result;
use crate::data::checkpoint::StateDict;
use crate::gpu::Gpu;
use crate::nn::{Parameters, Scope, Source, Weights};
use crate::tensor::{Cx, Tensor};
use interpreter::Interpreter;
pub use loss::{Loss, Turn, Turns, triple_similarity};
pub use queries::Neighbors;

/// How it is built where each image is as if alone.
pub(crate) const BUILD: Build = |s, state, warps| {
    Ok(Box::new(Network::build(s, &TrunkConfig::of(state, 4)?, Neighbors::Unseen, warps)))
};

/// How it is built as released, where an image's place in its batch counts.
pub(crate) const IN_BATCH: Build = |s, state, warps| {
    Ok(Box::new(Network::build(s, &TrunkConfig::of(state, 4)?, Neighbors::Counted, warps)))
};

pub(crate) const RECIPE: Recipe = Recipe {
    key: "tatt",
    rules: &[
        &[
            ("infoGen.fc_in.weight", Gain(4.0)),
            ("infoGen.init_factor.weight", Affine(0.0, 1.0)),
            ("infoGen.*in_proj_weight", Gain(2.5)),
        ],
        RULES,
    ],
    suffixes: &[],
};

/// TATT on a device.
pub struct Network {
    planes: usize,
    prior: TextPrior,
    warp: Option<SpatialTransformer>,
    head: Head,
    interpreter: Interpreter,
    blocks: Vec<SequentialBlock>,
    tail: Tail,
}

impl Network {
    /// Loads a whole state dict; the spatial transformer if this use of it `warps`.
    pub fn build(s: &Scope, config: &TrunkConfig, neighbors: Neighbors, warps: bool) -> Self {
        s.leave(BESIDE);
        let c = config.channels();
        Network {
            planes: config.planes,
            prior: TextPrior::default(),
            warp: SpatialTransformer::if_wanted(
                s,
                config.planes,
                Warp::Itself,
                warps && config.stn,
            ),
            head: Head::load(s, config.planes, c),
            interpreter: Interpreter::load(&s.at("infoGen"), c, neighbors),
            blocks: SequentialBlock::load_all(s, config, c),
            tail: Tail::load(s, config, c),
        }
    }

    /// Loads for training, of the sizes that a state dict tells or the official ones: also returns the parameters, of which those
    /// that are not `frozen` are leaves of a tape.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) listing tensors that are missing, misshapen or left over.
    pub fn to_train(
        gpu: &Gpu,
        source: &dyn Source,
        sizes: Option<&StateDict>,
        neighbors: Neighbors,
        frozen: &dyn Fn(&str) -> bool,
    ) -> Result<(Self, Parameters)> {
        Weights::load(gpu, source, Some(frozen), "tatt", |s| {
            Ok(Self::build(s, &TrunkConfig::of(sizes, 4)?, neighbors, true))
        })
    }

    /// The same with the recognizer that guides it, which learns beside it; its tensors have `recognizer.` before their names.
    ///
    /// # Errors
    /// As [`Network::to_train`].
    pub fn to_train_guided(
        gpu: &Gpu,
        source: &dyn Source,
        sizes: Option<&StateDict>,
        neighbors: Neighbors,
        frozen: &dyn Fn(&str) -> bool,
    ) -> Result<(Self, Parameters)> {
        load_beside(gpu, source, frozen, "tatt", |s| {
            Ok(Self::build(s, &TrunkConfig::of(sizes, 4)?, neighbors, true))
        })
    }

    /// Super-resolves `image [N, 16, 64, planes]`, guided by the probabilities `prior [N, 26, 37]`.
    fn guided(&self, cx: &Cx, image: &Tensor, prior: &Tensor) -> Result<Tensor> {
        expect_low("tatt", image, self.planes)?;
        let first = self.head.forward(cx, image)?;
        let guidance = self.interpreter.forward(cx, &first, prior)?;
        let mut x = first.clone();
        for block in &self.blocks {
            x = block.forward(cx, &x, Some(&guidance))?;
        }
        self.tail.forward(cx, &first, &x)
    }
}

impl WordNetwork for Network {
    fn planes(&self) -> usize {
        self.planes
    }

    fn warp(&self) -> Option<&SpatialTransformer> {
        self.warp.as_ref()
    }

    fn guide(&mut self, reader: crnn::Network) {
        self.prior.guide(reader);
    }

    fn enlarge(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        self.guided(cx, image, &self.prior.read(cx, image)?.probabilities)
    }

    /// The recognizer reads the image as it was before it is straightened.
    fn super_resolve(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        let prior = self.prior.read(cx, image)?.probabilities;
        self.guided(cx, &straighten(cx, self.warp(), image)?, &prior)
    }
}
