//! TSRN, the network of TextZoom (Wang et al., 2020): residual blocks that read the image along its columns and its rows.
//! Text Gestalt (Chen et al., 2022) is the same network for three channels, trained on strokes.

use super::objective::Objective;
use super::recipe::Recipe;
use super::text_focus::Spelling;
use super::textzoom::{
    Head, RULES, SequentialBlock, SpatialTransformer, Tail, TrunkConfig, Warp, expect_low,
};
use super::word::{Build, WordNetwork};
use crate::Result;
use crate::nn::Scope;
use crate::tensor::{Cx, Tensor};

/// How it is built.
pub(crate) const BUILD: Build = |s, state, warps| {
    Ok(Box::new(Network::build(s, &TrunkConfig::of(state, 4)?, Warp::Enlarged, warps)))
};

/// How Text Gestalt is built.
pub(crate) const TEXT_GESTALT: Build = |s, state, warps| {
    Ok(Box::new(Network::build(s, &TrunkConfig::of(state, 3)?, Warp::Itself, warps)))
};

/// Squared differences and the gradient prior.
pub(crate) const OBJECTIVE: Objective = Objective { gradient_prior: 1e-4, ..Objective::SQUARED };

/// Squared differences, and where a recognizer of strokes looks.
pub(crate) const TEXT_GESTALT_OBJECTIVE: Objective =
    Objective { attention: 50.0, spelling: Spelling::Strokes, ..Objective::SQUARED };

pub(crate) const RECIPE: Recipe = Recipe { key: "tsrn", rules: &[RULES], suffixes: &[] };
pub(crate) const TEXT_GESTALT_RECIPE: Recipe = Recipe { key: "tg", ..RECIPE };

/// TSRN on a device.
pub struct Network {
    planes: usize,
    warp: Option<SpatialTransformer>,
    head: Head,
    blocks: Vec<SequentialBlock>,
    tail: Tail,
}

impl Network {
    /// Loads a whole state dict; the spatial transformer, which sees what `warp` says, if this use of it `warps`.
    pub fn build(s: &Scope, config: &TrunkConfig, warp: Warp, warps: bool) -> Self {
        Network {
            planes: config.planes,
            warp: SpatialTransformer::if_wanted(s, config.planes, warp, warps && config.stn),
            head: Head::load(s, config.planes, config.channels()),
            blocks: SequentialBlock::load_all(s, config, 0),
            tail: Tail::load(s, config, config.channels()),
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
        expect_low("tsrn", image, self.planes)?;
        let first = self.head.forward(cx, image)?;
        let mut x = first.clone();
        for block in &self.blocks {
            x = block.forward(cx, &x, None)?;
        }
        self.tail.forward(cx, &first, &x)
    }
}
