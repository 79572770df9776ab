//! SRResNet (Ledig et al., 2017) as TextZoom has it: residual blocks of two convolutions.

use super::recipe::{Recipe, Rule::Gain};
use super::textzoom::{
    Head, STRAIGHTENING, SpatialTransformer, Tail, TrunkConfig, Warp, expect_low,
};
use super::word::{Build, WordNetwork};
use crate::Result;
use crate::nn::{ConvNorm, Scope};
use crate::ops::{Act, activate, add};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// x + norm(conv(PReLU(norm(conv(x))))).
struct Block {
    path: String,
    first: ConvNorm,
    slope: Tensor,
    second: ConvNorm,
}

impl Block {
    fn load(s: &Scope, channels: usize) -> Self {
        let conv = |conv: &str, norm: &str| {
            let same = Window::same(3);
            ConvNorm::load(&s.at(conv), &s.at(norm), channels, channels, same, true)
        };
        Block {
            path: s.path().into(),
            first: conv("conv1", "bn1"),
            slope: s.at("prelu").param("weight", &[1]),
            second: conv("conv2", "bn2"),
        }
    }

    fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let h = activate(cx, &self.first.forward(cx, x)?, Act::Prelu(&self.slope))?;
        cx.tap(&self.path, "prelu", &h, Axes::Image);
        let y = add(cx, x, &self.second.forward(cx, &h)?)?;
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }
}

/// How it is built.
pub(crate) const BUILD: Build =
    |s, state, warps| Ok(Box::new(Network::build(s, &TrunkConfig::of(state, 4)?, warps)));

pub(crate) const RECIPE: Recipe = Recipe {
    key: "srres",
    rules: &[&[("block*.conv2.weight", Gain(0.5)), ("block8.1.weight", Gain(0.5))], STRAIGHTENING],
    suffixes: &[],
};

/// SRResNet on a device.
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
            tail: Tail::load_prelu(s, config, c),
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
        expect_low("srresnet", image, self.planes)?;
        let first = self.head.forward(cx, image)?;
        let mut x = first.clone();
        for block in &self.blocks {
            x = block.forward(cx, &x)?;
        }
        self.tail.forward(cx, &first, &x)
    }
}
