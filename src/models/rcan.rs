//! RCAN (Zhang et al., 2018), twofold: residual blocks with channel attention, in groups.

use super::natural::{Ends, GroupsConfig, PLANES, TwoConvs, conv};
use super::objective::Objective;
use super::recipe::{
    Recipe,
    Rule::{self, Fixed, Gain, Identity},
};
use super::textzoom::expect_low;
use super::word::{Build, WordNetwork};
use crate::Result;
use crate::data::checkpoint::StateDict;
use crate::models::abinet::{DEEPEST, Shapes, WIDEST, within};
use crate::nn::{Conv, Excitation, Scope};
use crate::ops::add;
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// White as the original has it.
const WHITE: f32 = 255.0;
/// 255 times the mean color of the photographs that it was trained on, and its negative.
pub(super) const MEAN: [f64; PLANES] = [255.0 * 0.4488, 255.0 * 0.4371, 255.0 * 0.4040];
pub(super) const LESS_MEAN: [f64; PLANES] = [-MEAN[0], -MEAN[1], -MEAN[2]];

/// How the original is built.
pub(crate) const BUILD: Build =
    |s, state, _| Ok(Box::new(Network::build(s, &config(state)?, Values::Bytes)));

/// How the one is built that takes values in [0, 1].
pub(crate) const UNIT: Build =
    |s, state, _| Ok(Box::new(Network::build(s, &config(state)?, Values::Unit)));

/// Absolute differences of values up to 255.
pub(crate) const OBJECTIVE: Objective = Objective { scale: 1.0, ..Objective::ABSOLUTE };

const RULES: &[(&str, Rule)] = &[
    ("*_mean.weight", Identity),
    ("sub_mean.bias", Fixed(&LESS_MEAN)),
    ("add_mean.bias", Fixed(&MEAN)),
    ("body.*.body.*.body.2.weight", Gain(0.4)),
    ("body.*.conv_du.*.weight", Gain(0.1)),
    ("body.*.body.20.weight", Gain(0.5)),
    ("body.10.weight", Gain(0.5)),
    ("tail.1.weight", Gain(0.4)),
];

pub(crate) const RECIPE: Recipe = Recipe { key: "rcan", rules: &[RULES], suffixes: &[] };

/// The sizes that `state` tells, or the official ones.
fn config(state: Option<&StateDict>) -> Result<GroupsConfig> {
    let Some(state) = state else {
        return Ok(GroupsConfig { channels: 64, groups: 10, blocks: 20, hidden: 4 });
    };
    let shape = Shapes { state, prefix: "" };
    let config = GroupsConfig {
        channels: shape.of("head.0.weight", 0)?,
        groups: shape.count("body", "body.0.body.0.weight"),
        blocks: shape.count("body.0.body", "body.0.weight"),
        hidden: shape.of("body.0.body.0.body.3.conv_du.0.weight", 0)?,
    };
    within([("channels", config.channels), ("hidden", config.hidden)], 1, WIDEST)?;
    within([("groups", config.groups), ("blocks", config.blocks)], 1, DEEPEST)?;
    Ok(config)
}

/// What values an image has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// 0 to 255, less the mean color: as published.
    Bytes,
    /// 0 to 1, as it is trained on words.
    Unit,
}

/// x + attention(conv(ReLU(conv(x)))).
struct Block {
    path: String,
    convs: TwoConvs,
    attention: Excitation,
}

impl Block {
    fn load(s: &Scope, config: &GroupsConfig) -> Self {
        let (c, body) = (config.channels, s.at("body"));
        Block {
            path: s.path().into(),
            convs: TwoConvs::load(&body, c),
            attention: Excitation::load(&body.at("3.conv_du"), c, config.hidden, c),
        }
    }

    fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let mean = format!("{}.body.3.avg_pool", self.path);
        let h = self.attention.scale(cx, &self.convs.forward(cx, x)?, &mean)?;
        let y = add(cx, x, &h)?;
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }
}

/// x + conv(blocks(x)).
struct Group {
    path: String,
    blocks: Vec<Block>,
    last: Conv,
}

impl Group {
    fn load(s: &Scope, config: &GroupsConfig) -> Self {
        let body = s.at("body");
        Group {
            path: s.path().into(),
            blocks: (0..config.blocks).map(|b| Block::load(&body.at(b), config)).collect(),
            last: conv(&body.at(config.blocks), config.channels, config.channels),
        }
    }

    fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let mut h = x.clone();
        for block in &self.blocks {
            h = block.forward(cx, &h)?;
        }
        let h = self.last.forward(cx, &h)?;
        cx.tap(&self.path, "body", &h, Axes::Image);
        let y = add(cx, x, &h)?;
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }
}

/// RCAN on a device.
pub struct Network {
    /// The shifts of the mean color, which a trained network may have moved.
    means: Option<[Conv; 2]>,
    ends: Ends,
    groups: Vec<Group>,
    last: Conv,
}

impl Network {
    /// Loads a whole state dict for images of such `values`.
    pub fn build(s: &Scope, config: &GroupsConfig, values: Values) -> Self {
        let shift = |name: &str| Conv::load(&s.at(name), PLANES, PLANES, Window::same(1), true);
        if values == Values::Unit {
            s.leave("sub_mean.");
            s.leave("add_mean.");
        }
        let (c, body) = (config.channels, s.at("body"));
        Network {
            means: (values == Values::Bytes).then(|| ["sub_mean", "add_mean"].map(shift)),
            ends: Ends::load(s, c),
            groups: (0..config.groups).map(|g| Group::load(&body.at(g), config)).collect(),
            last: conv(&body.at(config.groups), c, c),
        }
    }
}

impl WordNetwork for Network {
    fn planes(&self) -> usize {
        PLANES
    }

    fn white(&self) -> f32 {
        if self.means.is_some() { WHITE } else { 1.0 }
    }

    fn enlarge(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        expect_low("rcan", image, PLANES)?;
        let image = match &self.means {
            Some([less, _]) => less.forward(cx, image)?,
            None => image.clone(),
        };
        let first = self.ends.enter(cx, &image)?;
        let mut x = first.clone();
        for group in &self.groups {
            x = group.forward(cx, &x)?;
        }
        let x = self.last.forward(cx, &x)?;
        cx.tap("body", "", &x, Axes::Image);
        let y = self.ends.leave(cx, &add(cx, &x, &first)?)?;
        cx.in_full(|cx| {
            let y = match &self.means {
                Some([_, more]) => more.forward(cx, &y)?,
                None => y,
            };
            cx.value("", "sr", &y, Axes::Image);
            Ok(y)
        })
    }
}
