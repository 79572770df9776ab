//! Sizes of a network that is a trunk of blocks between a first and a last layer.

use crate::Result;
use crate::data::checkpoint::StateDict;
use crate::models::abinet::{DEEPEST, Shapes, within};
use crate::nn::Scope;
use serde::{Deserialize, Serialize};

/// Most hidden units that the recurrent kernels take.
const MOST_UNITS: usize = 256;

/// Sizes of TSRN and its kin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrunkConfig {
    /// Channels of input and output: 3, or 4 with the mask of dark pixels.
    pub planes: usize,
    /// Hidden units of each GRU direction; the network has twice as many channels.
    pub hidden_units: usize,
    /// Blocks.
    pub srb_nums: usize,
    /// Whether there is a spatial transformer, which only training runs.
    pub stn: bool,
}

impl TrunkConfig {
    /// The official sizes for images of `planes` channels.
    pub fn official(planes: usize) -> Self {
        TrunkConfig { planes, hidden_units: 32, srb_nums: 5, stn: true }
    }

    /// The sizes that `state` tells, or the official ones for images of `planes` channels.
    pub(crate) fn of(state: Option<&StateDict>, planes: usize) -> Result<Self> {
        state.map_or_else(|| Ok(TrunkConfig::official(planes)), TrunkConfig::from_shapes)
    }

    /// Channels of the trunk.
    pub fn channels(&self) -> usize {
        2 * self.hidden_units
    }

    /// The paths of the blocks, `block2` and on.
    pub(crate) fn blocks<'a>(&self, s: &Scope<'a>) -> Vec<Scope<'a>> {
        (2..self.srb_nums + 2).map(|k| s.at(format!("block{k}"))).collect()
    }

    /// Checks that the sizes make a network: they may come from a file.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Format`] naming the size that does not.
    pub fn check(&self) -> Result<()> {
        within([("planes", self.planes)], 3, 4)?;
        within([("hidden_units", self.hidden_units)], 1, MOST_UNITS)?;
        within([("srb_nums", self.srb_nums)], 1, DEEPEST)
    }

    /// Reads the sizes off the tensors of a state dict.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Format`] when a tensor that tells a size is absent, or for sizes that make no network.
    pub fn from_shapes(state: &StateDict) -> Result<Self> {
        let has = |name: &str| state.tensors.contains_key(name);
        let shape = Shapes { state, prefix: "" };
        let config = TrunkConfig {
            planes: shape.of("block1.0.weight", 1)?,
            hidden_units: shape.of("block1.0.weight", 0)? / 2,
            srb_nums: (2..).take_while(|k| has(&format!("block{k}.conv1.weight"))).count(),
            stn: has("stn_head.stn_fc2.weight"),
        };
        config.check()?;
        Ok(config)
    }
}
