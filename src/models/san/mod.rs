//! SAN (Dai et al., 2019), twofold, as it is trained on words: groups of residual blocks with second-order channel attention,
//! and non-local attention before and behind them.

mod non_local;
mod second_order;

use super::natural::{Ends, GroupsConfig, PLANES, TwoConvs, conv};
use super::recipe::{Recipe, Rule::Gain};
use super::textzoom::expect_low;
use super::word::{Build, WordNetwork};
use crate::Result;
use crate::data::checkpoint::StateDict;
use crate::models::abinet::{DEEPEST, Shapes, WIDEST, within};
use crate::nn::{Conv, Scope};
use crate::ops::{add, mul};
use crate::tensor::{Axes, Cx, Tensor};
use non_local::NonLocal;
use second_order::SecondOrder;

/// How it is built.
pub(crate) const BUILD: Build = |s, state, _| Ok(Box::new(Network::build(s, &config(state)?)));

pub(crate) const RECIPE: Recipe = Recipe {
    key: "san",
    rules: &[&[
        ("RG.*.rcab.*.conv_first.2.weight", Gain(0.3)),
        ("RG.*.conv_last.weight", Gain(0.5)),
        ("conv_last.weight", Gain(0.5)),
        ("tail.1.weight", Gain(0.05)),
    ]],
    suffixes: &[],
};

/// The sizes that `state` tells, or the official ones.
fn config(state: Option<&StateDict>) -> Result<GroupsConfig> {
    let Some(state) = state else {
        return Ok(GroupsConfig { channels: 64, groups: 20, blocks: 10, hidden: 4 });
    };
    let shape = Shapes { state, prefix: "" };
    let config = GroupsConfig {
        channels: shape.of("head.0.weight", 0)?,
        groups: shape.count("RG", "conv_last.weight"),
        blocks: shape.count("RG.0.rcab", "conv_first.0.weight"),
        hidden: shape.of("RG.0.soca.conv_du.0.weight", 0)?,
    };
    within([("channels", config.channels), ("hidden", config.hidden)], 1, WIDEST)?;
    within([("groups", config.groups), ("blocks", config.blocks)], 1, DEEPEST)?;
    Ok(config)
}

/// x + conv(ReLU(conv(x))).
struct Block {
    path: String,
    convs: TwoConvs,
}

impl Block {
    fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let y = add(cx, x, &self.convs.forward(cx, x)?)?;
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }
}

/// x + conv(attention(blocks(x))).
struct Group {
    path: String,
    blocks: Vec<Block>,
    attention: SecondOrder,
    last: Conv,
}

impl Group {
    fn load(s: &Scope, config: &GroupsConfig) -> Self {
        // A factor of the group's own stands in every file and takes no part.
        s.leave("gamma");
        let c = config.channels;
        let block = |b: usize| {
            let s = s.at(format!("rcab.{b}"));
            Block { path: s.path().into(), convs: TwoConvs::load(&s.at("conv_first"), c) }
        };
        Group {
            path: s.path().into(),
            blocks: (0..config.blocks).map(block).collect(),
            attention: SecondOrder::load(&s.at("soca"), c, config.hidden),
            last: conv(&s.at("conv_last"), c, c),
        }
    }

    fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let mut h = x.clone();
        for block in &self.blocks {
            h = block.forward(cx, &h)?;
        }
        let h = self.last.forward(cx, &self.attention.forward(cx, &h)?)?;
        let y = add(cx, &h, x)?;
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }
}

/// SAN on a device.
pub struct Network {
    ends: Ends,
    non_local: NonLocal,
    groups: Vec<Group>,
    /// Factor of the source that every group shares.
    share: Tensor,
}

impl Network {
    /// Loads a whole state dict.
    pub fn build(s: &Scope, config: &GroupsConfig) -> Self {
        // The original's shifts of the mean color and other parts that take none here.
        for name in ["sub_mean.", "add_mean.", "conv_last.", "non_local.soca."] {
            s.leave(name);
        }
        let c = config.channels;
        Network {
            ends: Ends::load(s, c),
            non_local: NonLocal::load(&s.at("non_local"), c),
            groups: (0..config.groups)
                .map(|g| Group::load(&s.at(format!("RG.{g}")), config))
                .collect(),
            share: s.param("gamma", &[1]),
        }
    }
}

impl WordNetwork for Network {
    fn planes(&self) -> usize {
        PLANES
    }

    fn enlarge(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        expect_low("san", image, PLANES)?;
        let first = self.ends.enter(cx, image)?;
        let source = self.non_local.forward(cx, &first)?;
        let shared = mul(cx, &source, &self.share)?;
        let mut x = source;
        for group in &self.groups {
            x = add(cx, &group.forward(cx, &x)?, &shared)?;
        }
        let x = add(cx, &self.non_local.forward(cx, &x)?, &first)?;
        let y = self.ends.leave(cx, &x)?;
        cx.value("", "sr", &y, Axes::Image);
        Ok(y)
    }
}
