//! C3-STISR (Zhao et al., 2022), as far as it was released: TSRN's blocks, guided by clues that recognizers give.
//!
//! The released network computes a recognition clue and a linguistic one and fuses them, and then guides its blocks by the plain
//! projection of what was read. [`Guide`] tells which of the two does it here.

mod attention;
mod fusion;
mod loss;
mod projection;

use super::abinet::{AbinetConfig, LanguageModel};
use super::crnn;
use super::recipe::{
    Recipe,
    Rule::{Affine, Gain},
};
use super::text_prior::{BESIDE, Reading, STEPS, TextPrior, load_beside};
use super::textzoom::{
    Head, LOW, RULES, SequentialBlock, SpatialTransformer, Tail, TrunkConfig, Warp, expect_low,
    straighten,
};
use super::word::{Build, WordNetwork};
use crate::Result;
use crate::data::checkpoint::StateDict;
use crate::gpu::Gpu;
use crate::nn::{Parameters, Scope, Source, Weights};
use crate::ops::{Filter, resize, softmax};
use crate::shape::to_u32;
use crate::tensor::{Axes, Cx, Tensor};
use attention::ClueAttention;
use fusion::Fusion;
use projection::Projection;

pub use loss::{Loss, Words};

/// Channels of a clue.
const CHANNELS: usize = 32;

/// How the released network is built.
pub(crate) const BUILD: Build = |s, state, warps| {
    Ok(Box::new(Network::build(s, &TrunkConfig::of(state, 4)?, Guide::Reading, warps)))
};

/// How the network of the paper is built.
pub(crate) const FUSED: Build = |s, state, warps| {
    Ok(Box::new(Network::build(s, &TrunkConfig::of(state, 4)?, Guide::Fused, warps)))
};

pub(crate) const RECIPE: Recipe = Recipe {
    key: "c3",
    rules: &[
        &[
            ("*.weight_g", Affine(1.0, 0.3)),
            ("infoGen*.tconv1.weight", Gain(16.0)),
            ("lm.proj.weight", Gain(12.0)),
            ("lm.model.*in_proj_weight", Gain(2.5)),
            ("lm.model.*out_proj.weight", Gain(0.3)),
            ("lm.model.*linear2.weight", Gain(0.3)),
            ("lm.cls.weight", Gain(4.0)),
        ],
        RULES,
    ],
    suffixes: &[],
};

/// What guides the blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guide {
    /// The projected reading, as released.
    Reading,
    /// Both clues, fused, as in the paper.
    Fused,
}

/// C3-STISR on a device.
pub struct Network {
    planes: usize,
    guide: Guide,
    prior: TextPrior,
    warp: Option<SpatialTransformer>,
    head: Head,
    reading: Projection,
    recognition: ClueAttention,
    language: LanguageModel,
    corrected: Projection,
    linguistic: ClueAttention,
    fusion: Fusion,
    blocks: Vec<SequentialBlock>,
    tail: Tail,
}

impl Network {
    /// Loads a whole state dict; the spatial transformer if this use of it `warps`.
    pub fn build(s: &Scope, config: &TrunkConfig, guide: Guide, warps: bool) -> Self {
        // The visual clue, and a second language model, stand in every file and take no part.
        for name in ["dsta_vis.", "infoGen_visual.", "vis_rec_fuser.", "correction_model.", BESIDE]
        {
            s.leave(name);
        }
        let c = config.channels();
        let warps = warps && config.stn;
        Network {
            planes: config.planes,
            guide,
            prior: TextPrior::default(),
            warp: SpatialTransformer::if_wanted(s, config.planes, Warp::Itself, warps),
            head: Head::load(s, config.planes, c),
            reading: Projection::load(&s.at("infoGen"), CHANNELS),
            recognition: ClueAttention::load(&s.at("dsta_rec"), CHANNELS),
            language: LanguageModel::load(&s.at("lm"), &AbinetConfig::default()),
            corrected: Projection::load(&s.at("infoGen_ling"), CHANNELS),
            linguistic: ClueAttention::load(&s.at("dsta_ling"), CHANNELS),
            fusion: Fusion::load(s, c, CHANNELS),
            blocks: SequentialBlock::load_all(s, config, CHANNELS),
            tail: Tail::load(s, config, c),
        }
    }

    /// Loads the released network for training, of the sizes that a state dict tells or the official ones: also returns the
    /// parameters, of which those that are not `frozen` are leaves of a tape.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) listing tensors that are missing, misshapen or left over.
    pub fn to_train(
        gpu: &Gpu,
        source: &dyn Source,
        sizes: Option<&StateDict>,
        frozen: &dyn Fn(&str) -> bool,
    ) -> Result<(Self, Parameters)> {
        Weights::load(gpu, source, Some(frozen), "c3", |s| {
            Ok(Self::build(s, &TrunkConfig::of(sizes, 4)?, Guide::Reading, true))
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
        frozen: &dyn Fn(&str) -> bool,
    ) -> Result<(Self, Parameters)> {
        load_beside(gpu, source, frozen, "c3", |s| {
            Ok(Self::build(s, &TrunkConfig::of(sizes, 4)?, Guide::Reading, true))
        })
    }

    fn guided(&self, cx: &Cx, image: &Tensor, read: &Reading) -> Result<Tensor> {
        expect_low("c3", image, self.planes)?;
        let first = self.head.forward(cx, image)?;
        let reading = self.project(cx, &self.reading, &read.probabilities)?;
        cx.value("", "guidance", &reading, Axes::Image);
        // As released, nobody reads the clues unless they are named, and no loss does.
        let fused = match self.guide == Guide::Fused || !cx.tracks(&[&first]) {
            true => Some(self.clues(cx, &first, &reading, read)?),
            false => None,
        };
        let guidance = fused.filter(|_| self.guide == Guide::Fused).unwrap_or(reading);
        let mut x = first.clone();
        for block in &self.blocks {
            x = block.forward(cx, &x, Some(&guidance))?;
        }
        self.tail.forward(cx, &first, &x)
    }

    /// Both clues, fused by how they go with the feature.
    fn clues(&self, cx: &Cx, feature: &Tensor, reading: &Tensor, read: &Reading) -> Result<Tensor> {
        let n = feature.dims()[0];
        let recognition = self.recognition.forward(cx, reading)?;
        cx.value("", "clue_rec", &recognition, Axes::Image);
        let corrected = match &read.logits {
            Some(logits) => {
                let lengths = Tensor::upload_u32(cx.gpu(), [n], &vec![to_u32(STEPS); n]);
                let logits = self.language.forward(cx, logits, &lengths)?.logits;
                cx.value("", "lm_logits", &logits, Axes::Same);
                softmax(cx, &logits, 2)?
            }
            None => read.probabilities.clone(),
        };
        let corrected = self.project(cx, &self.corrected, &corrected)?;
        let linguistic = self.linguistic.forward(cx, &corrected)?;
        cx.value("", "clue_ling", &linguistic, Axes::Image);
        let fused = self.fusion.forward(cx, feature, [&recognition, &linguistic])?;
        cx.value("", "fused", &fused, Axes::Image);
        Ok(fused)
    }

    /// Probabilities `[N, 26, 37]` as a map `[N, 16, 64, 32]`.
    fn project(&self, cx: &Cx, by: &Projection, probabilities: &Tensor) -> Result<Tensor> {
        let [n, steps, classes] = probabilities.shape().nlc("c3")?;
        let map = by.forward(cx, &probabilities.reshape([n, 1, steps, classes])?)?;
        resize(cx, &map, LOW, Filter::Bilinear, true)
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
        self.guided(cx, image, &self.prior.read(cx, image)?)
    }

    /// The recognizer reads the image as it was before it is straightened.
    fn super_resolve(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        let read = self.prior.read(cx, image)?;
        self.guided(cx, &straighten(cx, self.warp(), image)?, &read)
    }
}
