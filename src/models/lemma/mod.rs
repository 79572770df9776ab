//! LEMMA, super-resolution of word images with explicit location enhancement.
//!
//! A word image of 16×64 pixels becomes one of 32×128. See [`Network::forward`] for the route.

mod config;
mod fusion;
mod guidance;
mod loss;
mod prior;
mod recipe;

pub use config::{Alignment, Fusion, GuidanceConfig, LemmaConfig, PriorKind};
pub use guidance::{Evidence, Guidance};
pub use loss::{Focus, LOSS_SCALE, Loss, LossWeights, Words, loss, recognition};
pub(crate) use recipe::RECIPE;

use crate::Result;
use crate::data::checkpoint::StateDict;
use crate::gpu::Gpu;
use crate::models::abinet::configuration;
use crate::models::textzoom::{Head, SpatialTransformer, Tail, Warp, expect_low, straighten};
use crate::models::word::WordNetwork;
use crate::nn::{BatchNorm, BiGru, ConvNorm, Parameters, Scope, Source, Weights};
use crate::ops::{Act, Along, activate, add};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};
use fusion::FusionModel;
use guidance::GuidanceModel;
use prior::PriorModel;

pub use crate::models::textzoom::{HIGH, LOW};

/// Channels of input and output: red, green, blue and the mask of dark pixels.
pub const PLANES: usize = 4;

/// What the recognizer inside says of a batch. CRNN has one reading, which stands for both models of ABINet.
pub struct Prior {
    /// Attention maps `[N, T, 16, 64]`, bicubically enlarged.
    pub maps: Tensor,
    /// Class scores `[N, T, classes]` of the vision model.
    pub image_logits: Tensor,
    /// Class scores `[N, T, classes]` of the language model.
    pub text_logits: Tensor,
    /// Lengths `[N]` of the vision model's reading, within 2 and T.
    pub vision_lengths: Tensor,
    /// Lengths `[N]` of the language model's reading, within 2 and T.
    pub text_lengths: Tensor,
    /// Whether its class scores are those of the labels' classes, and learn from them.
    pub learns: bool,
}

/// The result of a pass.
pub struct Output {
    /// The super-resolved images `[N, 32, 128, 4]`, in (−1, 1), trained towards [0, 1].
    pub image: Tensor,
    /// What the recognizer said.
    pub prior: Prior,
    /// What guided the blocks.
    pub guidance: Guidance,
}

/// Recurrent residual block: two convolutions, fusion with the guidance, a vertical and a horizontal GRU.
struct Block {
    path: String,
    first: ConvNorm,
    second: ConvNorm,
    fusion: FusionModel,
    vertical: BiGru,
    norm: BatchNorm,
    horizontal: BiGru,
}

impl Block {
    fn load(s: &Scope, config: &LemmaConfig) -> Self {
        let c = config.channels();
        let conv = |conv: &str, norm: &str| {
            ConvNorm::load(&s.at(conv), &s.at(norm), c, c, Window::same(3), true)
        };
        Block {
            path: s.path().into(),
            first: conv("conv1", "bn1"),
            second: conv("conv2", "bn2"),
            fusion: FusionModel::load(&s.at("affine"), config, LOW),
            vertical: BiGru::load(&s.at("gru1.gru"), c, config.hidden_units),
            norm: BatchNorm::load(&s.at("BN"), c),
            horizontal: BiGru::load(&s.at("gru2.gru"), c, config.hidden_units),
        }
    }

    fn forward(&self, cx: &Cx, z: &Tensor, guidance: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let s = activate(cx, &self.first.forward(cx, z)?, Act::Mish)?;
        cx.tap(&self.path, "prelu", &s, Axes::Image);
        let s = self.second.forward(cx, &s)?;
        let s = self.fusion.forward(cx, &s, guidance)?;
        let s = self.vertical.forward(cx, &s, Along::Columns)?;
        cx.tap(&self.path, "gru1.gru", &s, Axes::Columns);
        cx.tap(&self.path, "gru1", &s, Axes::Turned);
        let r = self.norm.forward(cx, &add(cx, z, &s)?)?;
        let y = self.horizontal.forward(cx, &r, Along::Rows)?;
        cx.tap(&self.path, "gru2.gru", &y, Axes::Rows);
        for name in ["gru2", ""] {
            cx.tap(&self.path, name, &y, Axes::Image);
        }
        Ok(y)
    }
}

/// LEMMA on a device.
pub struct Network {
    config: LemmaConfig,
    warp: Option<SpatialTransformer>,
    prior: PriorModel,
    head: Head,
    guidance: GuidanceModel,
    blocks: Vec<Block>,
    tail: Tail,
}

impl Network {
    /// Loads a whole state dict. The configuration stands in the metadata key `config`, or is read off the shapes.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) listing tensors that are missing, misshapen or left over; [`ErrorKind::Format`](crate::ErrorKind::Format) for a
    /// configuration that cannot be understood.
    pub fn load(gpu: &Gpu, state: &StateDict) -> Result<Self> {
        Self::with_config(gpu, state, Self::config_of(state)?)
    }

    /// The configuration in the metadata of `state`, or read off its shapes where these tell it.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) for one that cannot be understood, and for shapes that leave a size open.
    pub fn config_of(state: &StateDict) -> Result<LemmaConfig> {
        configuration(state, || LemmaConfig::from_shapes(state)?.known())
    }

    /// Loads with a configuration of the caller's.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) listing tensors that are missing, misshapen or left over; [`ErrorKind::Format`](crate::ErrorKind::Format) for sizes that make
    /// no network.
    pub fn with_config(gpu: &Gpu, source: &dyn Source, config: LemmaConfig) -> Result<Self> {
        config.check()?;
        // Evaluation never warps, so it does without the spatial transformer.
        let build = |s: &Scope| Ok(Self::build(s, config.clone(), false));
        Ok(Weights::load(gpu, source, None, "lemma", build)?.0)
    }

    /// Loads for training: also returns the parameters, of which those that are not `frozen` are leaves of a tape.
    ///
    /// # Errors
    /// As [`Network::with_config`].
    pub fn to_train(
        gpu: &Gpu,
        source: &dyn Source,
        config: LemmaConfig,
        frozen: &dyn Fn(&str) -> bool,
    ) -> Result<(Self, Parameters)> {
        config.check()?;
        let build = |s: &Scope| Ok(Self::build(s, config.clone(), config.stn));
        Weights::load(gpu, source, Some(frozen), "lemma", build)
    }

    fn build(s: &Scope, config: LemmaConfig, warps: bool) -> Self {
        let trunk = config.trunk();
        Network {
            warp: SpatialTransformer::if_wanted(s, PLANES, Warp::Itself, warps),
            prior: PriorModel::load(&s.at("position_prior"), &config),
            head: Head::load(s, PLANES, config.channels()),
            guidance: GuidanceModel::load(&s.at("guidanceGen"), &config),
            blocks: trunk.blocks(s).iter().map(|s| Block::load(s, &config)).collect(),
            tail: Tail::load(s, &trunk, config.channels()),
            config,
        }
    }

    /// Sizes and switches.
    pub fn config(&self) -> &LemmaConfig {
        &self.config
    }

    /// Super-resolves `image [N, 16, 64, 4]`: RGB in [0, 1] and the mask of dark pixels.
    ///
    /// In training the image is straightened first. Then:
    /// recognizer on the bicubically enlarged RGB → first convolution → guidance → recurrent residual blocks → enlargement.
    ///
    /// # Errors
    /// Another shape.
    pub fn forward(&self, cx: &Cx, image: &Tensor) -> Result<Output> {
        self.guided(cx, &straighten(cx, self.warp.as_ref(), image)?)
    }

    /// The same of an image that has been straightened.
    fn guided(&self, cx: &Cx, image: &Tensor) -> Result<Output> {
        let n = expect_low("lemma", image, PLANES)?;
        let prior = self.prior.read(cx, &image.detached(), &self.config)?;
        let b1 = self.head.forward(cx, image)?;
        let maps = prior.maps.reshape([n, prior.maps.dims()[1], LOW.0 * LOW.1])?;
        let evidence =
            Evidence { maps: &maps, text: &prior.text_logits, lengths: &prior.text_lengths };
        let guidance = self.guidance.forward(cx, &evidence, &b1)?;
        let mut b = b1.clone();
        for block in &self.blocks {
            b = block.forward(cx, &b, &guidance.map)?;
        }
        let image = self.tail.forward(cx, &b1, &b)?;
        Ok(Output { image, prior, guidance })
    }
}

impl WordNetwork for Network {
    fn planes(&self) -> usize {
        PLANES
    }

    fn warp(&self) -> Option<&SpatialTransformer> {
        self.warp.as_ref()
    }

    fn enlarge(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        Ok(self.guided(cx, image)?.image)
    }
}
