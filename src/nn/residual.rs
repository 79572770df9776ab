//! The blocks of residual networks.

use super::ConvNorm;
use crate::Result;
use crate::ops::{Act, activate, add};
use crate::tensor::{Axes, Cx, Tensor};

/// Two convolutions with their norms beside a shortcut: ReLU(n₂(f(n₁(x))) + s(x)), f a ReLU or nothing, s a convolution with its
/// norm or nothing.
pub struct ResidualBlock {
    path: String,
    first: ConvNorm,
    second: ConvNorm,
    shortcut: Option<ConvNorm>,
    bent: bool,
}

impl ResidualBlock {
    /// The block at `path`, with a ReLU between its convolutions.
    pub fn new(path: &str, first: ConvNorm, second: ConvNorm, shortcut: Option<ConvNorm>) -> Self {
        ResidualBlock { path: path.into(), first, second, shortcut, bent: true }
    }

    /// The same with nothing between its convolutions.
    pub fn straight(self) -> Self {
        ResidualBlock { bent: false, ..self }
    }

    /// Images `[N, H, W, C]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let mut h = self.first.forward(cx, x)?;
        if self.bent {
            h = activate(cx, &h, Act::Relu)?;
            cx.tap(&self.path, "relu", &h, Axes::Image);
        }
        let h = self.second.forward(cx, &h)?;
        let r = match &self.shortcut {
            Some(shortcut) => {
                let r = shortcut.forward(cx, x)?;
                cx.tap(&self.path, "downsample", &r, Axes::Image);
                r
            }
            None => x.clone(),
        };
        let y = activate(cx, &add(cx, &h, &r)?, Act::Relu)?;
        for name in ["relu", ""] {
            cx.tap(&self.path, name, &y, Axes::Image);
        }
        Ok(y)
    }
}
