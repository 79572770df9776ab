//! Channel attention: squeeze and excitation (Hu et al., 2018).

use super::{Conv, Scope};
use crate::Result;
use crate::ops::{Act, activate, mean_to, mul};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// σ(W₂·ReLU(W₁·v)): a gate for each channel of what summarizes an image.
pub struct Excitation {
    path: String,
    squeeze: Conv,
    expand: Conv,
}

impl Excitation {
    /// Loads the 1×1 convolutions `0` from `channels` to `hidden` and `2` to `gates`, with biases.
    pub fn load(s: &Scope, channels: usize, hidden: usize, gates: usize) -> Self {
        Excitation {
            path: s.path().into(),
            squeeze: Conv::load(&s.at(0), channels, hidden, Window::same(1), true),
            expand: Conv::load(&s.at(2), hidden, gates, Window::same(1), true),
        }
    }

    /// Loads the linear layers `0` from `channels` to `hidden` and `2` back, without biases.
    pub fn load_linear(s: &Scope, channels: usize, hidden: usize) -> Self {
        Excitation {
            path: s.path().into(),
            squeeze: Conv::load_linear(&s.at(0), channels, hidden),
            expand: Conv::load_linear(&s.at(2), hidden, channels),
        }
    }

    /// The gates `[N, 1, 1, gates]` of `summary [N, 1, 1, C]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, summary: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let h = activate(cx, &self.squeeze.forward(cx, summary)?, Act::Relu)?;
        cx.tap(&self.path, "1", &h, Axes::Image);
        let gates = activate(cx, &self.expand.forward(cx, &h)?, Act::Sigmoid)?;
        for name in ["3", ""] {
            cx.tap(&self.path, name, &gates, Axes::Image);
        }
        Ok(gates)
    }

    /// `x [N, H, W, C]`, each channel times its gate, whose summary is the mean of each channel, named `mean`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn scale(&self, cx: &Cx, x: &Tensor, mean: &str) -> Result<Tensor> {
        let [n, _, _, c] = x.shape().nhwc(&self.path)?;
        let summary = mean_to(cx, x, [n, 1, 1, c])?;
        cx.tap(mean, "", &summary, Axes::Image);
        mul(cx, x, &self.forward(cx, &summary)?)
    }
}
