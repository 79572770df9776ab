//! PCAN, the parallelly contextual attention network (Zhao et al., 2021): blocks that read rows and columns side by side, and
//! attention over all their outputs.

use super::objective::Objective;
use super::recipe::{Recipe, Rule::Gain};
use super::textzoom::{
    GruBlock, Head, RULES, SpatialTransformer, Tail, TrunkConfig, Warp, expect_low,
};
use super::word::{Build, WordNetwork};
use crate::Result;
use crate::nn::{Conv, ConvNorm, Excitation, Scope};
use crate::ops::{
    Act, Along, Epilogue, Filter, activate, add, concat_last, conv2d, max_pool, mul, resize, spread,
};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// How much narrower the hidden layers of channel attention are, and the attention over all blocks.
const REDUCTION: usize = 16;
const NARROWING: usize = 4;
/// Dilations of the directed convolutions.
const DILATIONS: [usize; 3] = [1, 2, 3];

/// How it is built.
pub(crate) const BUILD: Build =
    |s, state, warps| Ok(Box::new(Network::build(s, &TrunkConfig::of(state, 4)?, warps)));

/// Squared differences and edges.
pub(crate) const OBJECTIVE: Objective = Objective { edge: 1e-4, ..Objective::SQUARED };

pub(crate) const RECIPE: Recipe = Recipe {
    key: "pcan",
    rules: &[&[("block*.conv_reduce.weight", Gain(1.0))], RULES],
    suffixes: &[],
};

/// The parallelly contextual attention block.
struct Block {
    path: String,
    reduce: Conv,
    first: ConvNorm,
    along_rows: (ConvNorm, GruBlock),
    along_columns: (ConvNorm, GruBlock),
    select: Excitation,
    last: ConvNorm,
}

impl Block {
    /// Loads a block that sees `inputs` maps before it.
    fn load(s: &Scope, channels: usize, inputs: usize) -> Self {
        let c = channels;
        let conv = |conv: &str, norm: &str, input: usize| {
            ConvNorm::load(&s.at(conv), &s.at(norm), input, c, Window::same(3), true)
        };
        Block {
            path: s.path().into(),
            reduce: Conv::load(&s.at("conv_reduce"), inputs * c, c, Window::same(1), true),
            first: conv("conv1", "bn1", c),
            along_rows: (
                conv("conv2_w", "bn2_w", c),
                GruBlock::load(&s.at("gru1"), c, c, Along::Rows),
            ),
            along_columns: (
                conv("conv2_h", "bn2_h", c),
                GruBlock::load(&s.at("gru2"), c, c, Along::Columns),
            ),
            select: Excitation::load_linear(&s.at("fs.fc"), 2 * c, 2 * c / REDUCTION),
            last: conv("conv3", "bn3", 2 * c),
        }
    }

    fn forward(&self, cx: &Cx, before: &[&Tensor]) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let c = self.reduce.forward(cx, &concat_last(cx, before)?)?;
        let r = activate(cx, &self.first.forward(cx, &c)?, Act::Mish)?;
        cx.tap(&self.path, "prelu", &r, Axes::Image);
        let read = |(conv, gru): &(ConvNorm, GruBlock)| {
            gru.forward(cx, &add(cx, &c, &conv.forward(cx, &r)?)?)
        };
        let (rows, columns) = (read(&self.along_rows)?, read(&self.along_columns)?);
        let both = concat_last(cx, &[&columns, &rows])?;
        let f = self.select.scale(cx, &both, &format!("{}.fs.avg_pool", self.path))?;
        cx.tap(&self.path, "fs", &f, Axes::Image);
        let y = activate(cx, &self.last.forward(cx, &f)?, Act::Mish)?;
        for name in ["prelu3", ""] {
            cx.tap(&self.path, name, &y, Axes::Image);
        }
        Ok(y)
    }
}

/// A convolution of three taps, down or across, that is used with several dilations.
struct Directed {
    weight: Tensor,
    bias: Tensor,
    down: bool,
}

impl Directed {
    fn load(s: &Scope, channels: usize, down: bool) -> Self {
        let (name, kernel) = if down { ("vertical", [3, 1]) } else { ("horizontal", [1, 3]) };
        let shape = [channels, channels, kernel[0], kernel[1]];
        Directed {
            weight: s.conv_weight(&format!("{name}_conv_weight"), shape),
            bias: s.param(&format!("{name}_conv_bias"), &[channels]),
            down,
        }
    }

    /// Every second pixel of both axes.
    fn forward(&self, cx: &Cx, x: &Tensor, dilation: usize) -> Result<Tensor> {
        let along = |n: usize, other: usize| if self.down { (n, other) } else { (other, n) };
        let weight = spread(cx, &self.weight, along(dilation, 1))?;
        let window =
            Window { kernel: along(2 * dilation + 1, 1), stride: (2, 2), pad: along(dilation, 0) };
        conv2d(cx, x, &weight, window, &Epilogue::bias(&self.bias))
    }
}

/// Higher-order attention over the outputs of all blocks, `spatial_attention`.
struct Attention {
    path: String,
    narrow: Conv,
    directed: [Directed; 2],
    select: Excitation,
    reduce: Conv,
    around: [Conv; 3],
    skip: Conv,
    widen: Conv,
}

impl Attention {
    fn load(s: &Scope, channels: usize) -> Self {
        let f = channels / NARROWING;
        let all = 2 * DILATIONS.len() * f;
        let conv = |name: &str, input: usize, output: usize, k: usize| {
            Conv::load(&s.at(name), input, output, Window::same(k), true)
        };
        Attention {
            path: s.path().into(),
            narrow: conv("conv1", channels, f, 1),
            directed: [true, false].map(|down| Directed::load(s, f, down)),
            select: Excitation::load_linear(&s.at("se.fc"), all, all / REDUCTION),
            reduce: conv("conv_reduce", all, f, 3),
            around: ["conv_max", "conv3", "conv3_"].map(|name| conv(name, f, f, 3)),
            skip: conv("conv_f", f, f, 1),
            widen: conv("conv4", f, channels, 1),
        }
    }

    fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let [_, h, w, _] = x.shape().nhwc(&self.path)?;
        let a = self.narrow.forward(cx, x)?;
        let mut seen = Vec::new();
        for directed in &self.directed {
            for dilation in DILATIONS {
                seen.push(directed.forward(cx, &a, dilation)?);
            }
        }
        let seen = concat_last(cx, &seen.iter().collect::<Vec<_>>())?;
        let seen = self.select.scale(cx, &seen, &format!("{}.se.avg_pool", self.path))?;
        cx.tap(&self.path, "se", &seen, Axes::Image);
        let mut u = self.reduce.forward(cx, &seen)?;
        u = max_pool(cx, &u, Window::pool(8, 8).strided(4, 4))?;
        let [first, second, third] = &self.around;
        for conv in [first, second] {
            u = activate(cx, &conv.forward(cx, &u)?, Act::Relu)?;
            cx.tap(&self.path, "relu", &u, Axes::Image);
        }
        let u = resize(cx, &third.forward(cx, &u)?, (h, w), Filter::Bilinear, false)?;
        let m = self.widen.forward(cx, &add(cx, &self.skip.forward(cx, &a)?, &u)?)?;
        let m = activate(cx, &m, Act::Sigmoid)?;
        cx.tap(&self.path, "sigmoid", &m, Axes::Image);
        let y = mul(cx, x, &m)?;
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }
}

/// PCAN on a device.
pub struct Network {
    planes: usize,
    warp: Option<SpatialTransformer>,
    head: Head,
    blocks: Vec<Block>,
    attention: Attention,
    tail: Tail,
}

impl Network {
    /// Loads a whole state dict; the spatial transformer if this use of it `warps`.
    pub fn build(s: &Scope, config: &TrunkConfig, warps: bool) -> Self {
        let (c, all) = (config.channels(), config.srb_nums * config.channels());
        let blocks = config.blocks(s).into_iter().enumerate();
        Network {
            planes: config.planes,
            warp: SpatialTransformer::if_wanted(
                s,
                config.planes,
                Warp::Enlarged,
                warps && config.stn,
            ),
            head: Head::load(s, config.planes, c),
            blocks: blocks.map(|(i, s)| Block::load(&s, c, i + 1)).collect(),
            attention: Attention::load(&s.at("spatial_attention"), all),
            tail: Tail::load(s, config, all),
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
        expect_low("pcan", image, self.planes)?;
        let first = self.head.forward(cx, image)?;
        let mut maps = vec![first.clone()];
        for block in &self.blocks {
            let y = block.forward(cx, &maps.iter().collect::<Vec<_>>())?;
            maps.push(y);
        }
        let all = concat_last(cx, &maps[1..].iter().collect::<Vec<_>>())?;
        let x = self.attention.forward(cx, &all)?;
        self.tail.forward(cx, &first, &x)
    }
}
