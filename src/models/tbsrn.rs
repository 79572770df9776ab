//! TBSRN, the network of Scene Text Telescope (Chen et al., 2021): residual blocks whose pixels attend to each other.

use super::objective::Objective;
use super::recipe::{Recipe, Rule::Gain};
use super::textzoom::{Head, LOW, RULES, SpatialTransformer, Tail, TrunkConfig, Warp, expect_low};
use super::word::{Build, WordNetwork};
use crate::Result;
use crate::nn::{ConvNorm, LayerNorm, Linear, LinearHeads, PositionwiseFeedForward, Scope};
use crate::ops::{Act, Mask, activate, add, concat_last, repeat};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

const HEADS: usize = 4;
const PIXELS: usize = LOW.0 * LOW.1;

/// How it is built.
pub(crate) const BUILD: Build =
    |s, state, warps| Ok(Box::new(Network::build(s, &TrunkConfig::of(state, 3)?, warps)));

/// Squared differences, where a recognizer looks, and what it reads.
pub(crate) const OBJECTIVE: Objective =
    Objective { attention: 10.0, recognition: 0.0005, ..Objective::SQUARED };

pub(crate) const RECIPE: Recipe = Recipe {
    key: "tbsrn",
    rules: &[
        &[("*.multihead.linears.0.weight", Gain(2.0)), ("*.multihead.linears.1.weight", Gain(2.0))],
        RULES,
    ],
    suffixes: &[],
};

/// Where a pixel lies, `[1, 1024, channels]`: sines and cosines of its column in the first half of the channels, of its row in
/// the second. In f32 throughout, as the official code.
fn positions(channels: usize) -> Vec<f32> {
    let half = channels / 2;
    let step = -(10_000f64.ln() / half as f64) as f32;
    let wave = |place: usize, i: usize| {
        let angle = place as f32 * ((i - i % 2) as f32 * step).exp();
        if i.is_multiple_of(2) { angle.sin() } else { angle.cos() }
    };
    let at = |row: usize, column: usize, c: usize| match c < half {
        true => wave(column, c),
        false => wave(row, c - half),
    };
    let cells = (0..LOW.0).flat_map(|row| (0..LOW.1).map(move |column| (row, column)));
    cells.flat_map(|(row, column)| (0..channels).map(move |c| at(row, column, c))).collect()
}

/// Self attention of all pixels and a feed-forward part, on the feature with the pixels' positions beside it.
struct FeatureEnhancer {
    path: String,
    positions: Tensor,
    attention: LinearHeads,
    norms: [LayerNorm; 2],
    feed_forward: PositionwiseFeedForward,
    last: Linear,
}

impl FeatureEnhancer {
    fn load(s: &Scope, channels: usize) -> Self {
        let width = 2 * channels;
        FeatureEnhancer {
            path: s.path().into(),
            positions: Tensor::upload(s.gpu(), [1, PIXELS, channels], &positions(channels)),
            attention: LinearHeads::load(&s.at("multihead"), width, HEADS),
            norms: ["mul_layernorm1", "mul_layernorm3"]
                .map(|name| LayerNorm::load_unbiased(&s.at(name), width)),
            feed_forward: PositionwiseFeedForward::load(&s.at("pff"), width, width),
            last: Linear::load(&s.at("linear"), width, channels, true),
        }
    }

    fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let [n, _, _, c] = x.shape().nhwc(&self.path)?;
        let positions = repeat(cx, &self.positions, n)?;
        let t = concat_last(cx, &[&x.reshape([n, PIXELS, c])?, &positions])?;
        let (a, _) = self.attention.forward(cx, &t, &t, Mask::None)?;
        let o = self.norms[0].forward(cx, &a, &t, Axes::Same)?;
        let f = self.feed_forward.forward(cx, &o)?;
        let u = self.norms[1].forward(cx, &f, &o, Axes::Same)?;
        let y = self.last.forward(cx, &u, Axes::Same)?;
        cx.tap(&self.path, "", &y, Axes::Transposed);
        y.reshape(x.shape())
    }
}

/// Two convolutions and the enhancer, plus the block's input.
struct Block {
    path: String,
    first: ConvNorm,
    second: ConvNorm,
    enhancer: FeatureEnhancer,
}

impl Block {
    fn load(s: &Scope, channels: usize) -> Self {
        // TSRN's recurrent parts stand in every file and take no part.
        s.leave("gru1.");
        s.leave("gru2.");
        let conv = |conv: &str, norm: &str| {
            let same = Window::same(3);
            ConvNorm::load(&s.at(conv), &s.at(norm), channels, channels, same, true)
        };
        Block {
            path: s.path().into(),
            first: conv("conv1", "bn1"),
            second: conv("conv2", "bn2"),
            enhancer: FeatureEnhancer::load(&s.at("feature_enhancer"), channels),
        }
    }

    fn forward(&self, cx: &Cx, z: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let s = activate(cx, &self.first.forward(cx, z)?, Act::Mish)?;
        cx.tap(&self.path, "prelu", &s, Axes::Image);
        let enhanced = self.enhancer.forward(cx, &self.second.forward(cx, &s)?)?;
        let y = add(cx, z, &enhanced)?;
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }
}

/// TBSRN on a device.
pub struct Network {
    planes: usize,
    warp: Option<SpatialTransformer>,
    head: Head,
    blocks: Vec<Block>,
    tail: Tail,
}

impl Network {
    /// Loads a whole state dict; the spatial transformer if this use of it `warps`.
    pub fn build(s: &Scope, config: &TrunkConfig, warps: bool) -> Self {
        // A convolution and a norm of the image stand in every file and take no part.
        s.leave("conv.");
        s.leave("bn.");
        let c = config.channels();
        Network {
            planes: config.planes,
            warp: SpatialTransformer::if_wanted(
                s,
                config.planes,
                Warp::Itself,
                warps && config.stn,
            ),
            head: Head::load(s, config.planes, c),
            blocks: config.blocks(s).iter().map(|s| Block::load(s, c)).collect(),
            tail: Tail::load(s, config, c),
        }
    }
}

impl WordNetwork for Network {
    fn planes(&self) -> usize {
        self.planes
    }

    fn warp(&self) -> Option<&SpatialTransformer> {
        self.warp.as_ref()
    }

    fn enlarge(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        expect_low("tbsrn", image, self.planes)?;
        let first = self.head.forward(cx, image)?;
        let mut x = first.clone();
        for block in &self.blocks {
            x = block.forward(cx, &x)?;
        }
        self.tail.forward(cx, &first, &x)
    }
}
