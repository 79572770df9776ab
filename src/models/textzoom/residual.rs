//! The sequential residual block of TSRN and of what guides it by text.

use super::{GruBlock, TrunkConfig};
use crate::Result;
use crate::nn::{ConvNorm, Scope};
use crate::ops::{Act, Along, activate, add, concat_last};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// Two convolutions, a GRU along the columns, the sum with the block's input, a GRU along the rows.
pub struct SequentialBlock {
    path: String,
    first: ConvNorm,
    second: ConvNorm,
    vertical: GruBlock,
    horizontal: GruBlock,
}

impl SequentialBlock {
    /// Loads `block{number}`, which takes `guidance` channels besides the feature.
    pub fn load(s: &Scope, config: &TrunkConfig, guidance: usize) -> Self {
        let c = config.channels();
        let conv = |conv: &str, norm: &str| {
            ConvNorm::load(&s.at(conv), &s.at(norm), c, c, Window::same(3), true)
        };
        SequentialBlock {
            path: s.path().into(),
            first: conv("conv1", "bn1"),
            second: conv("conv2", "bn2"),
            vertical: GruBlock::load(&s.at("gru1"), c + guidance, c, Along::Columns),
            horizontal: GruBlock::load(&s.at("gru2"), c, c, Along::Rows),
        }
    }

    /// All blocks of a trunk.
    pub fn load_all(s: &Scope, config: &TrunkConfig, guidance: usize) -> Vec<Self> {
        config.blocks(s).iter().map(|s| SequentialBlock::load(s, config, guidance)).collect()
    }

    /// `z [N, 16, 64, C]`, with `guidance [N, 16, 64, G]` where there is one, to `[N, 16, 64, C]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, z: &Tensor, guidance: Option<&Tensor>) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let s = activate(cx, &self.first.forward(cx, z)?, Act::Mish)?;
        cx.tap(&self.path, "prelu", &s, Axes::Image);
        let s = self.second.forward(cx, &s)?;
        let s = match guidance {
            Some(guidance) => concat_last(cx, &[&s, guidance])?,
            None => s,
        };
        let s = self.vertical.forward(cx, &s)?;
        let y = self.horizontal.forward(cx, &add(cx, z, &s)?)?;
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }
}
