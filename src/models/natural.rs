//! What RCAN and SAN share, networks for photographs of anything: a first and a last layer around groups of residual blocks.

use crate::Result;
use crate::models::textzoom::{HIGH, LOW};
use crate::nn::{Conv, Scope};
use crate::ops::{Act, activate, pixel_shuffle};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// Red, green and blue.
pub const PLANES: usize = 3;
/// How much the last layer enlarges.
const FACTOR: usize = HIGH.0 / LOW.0;

/// Sizes of a network of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupsConfig {
    /// Channels.
    pub channels: usize,
    /// Groups.
    pub groups: usize,
    /// Residual blocks of a group.
    pub blocks: usize,
    /// Hidden channels of channel attention.
    pub hidden: usize,
}

/// A 3×3 convolution with bias.
pub(crate) fn conv(s: &Scope, input: usize, output: usize) -> Conv {
    Conv::load(s, input, output, Window::same(3), true)
}

/// `head` and `tail`.
pub struct Ends {
    first: Conv,
    rise: Conv,
    last: Conv,
}

impl Ends {
    /// Loads `head.0`, `tail.0.0` and `tail.1`.
    pub fn load(s: &Scope, channels: usize) -> Self {
        Ends {
            first: conv(&s.at("head.0"), PLANES, channels),
            rise: conv(&s.at("tail.0.0"), channels, FACTOR * FACTOR * channels),
            last: conv(&s.at("tail.1"), channels, PLANES),
        }
    }

    /// `image [N, H, W, 3]` to `[N, H, W, C]`.
    ///
    /// # Errors
    /// Another shape.
    pub fn enter(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        let y = self.first.forward(cx, image)?;
        cx.tap("head", "", &y, Axes::Image);
        Ok(y)
    }

    /// `x [N, H, W, C]` to `[N, 2·H, 2·W, 3]`.
    ///
    /// # Errors
    /// Another shape.
    pub fn leave(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let u = pixel_shuffle(cx, &self.rise.forward(cx, x)?, FACTOR, Act::None)?;
        for name in ["tail.0.1", "tail.0"] {
            cx.tap(name, "", &u, Axes::Image);
        }
        cx.in_full(|cx| {
            let y = self.last.forward(cx, &u)?;
            cx.tap("tail", "", &y, Axes::Image);
            Ok(y)
        })
    }
}

/// conv(ReLU(conv(x))).
pub struct TwoConvs {
    first: Conv,
    second: Conv,
}

impl TwoConvs {
    /// Loads `0` and `2`.
    pub fn load(s: &Scope, channels: usize) -> Self {
        TwoConvs {
            first: conv(&s.at(0), channels, channels),
            second: conv(&s.at(2), channels, channels),
        }
    }

    /// `x [N, H, W, C]` to the same shape.
    ///
    /// # Errors
    /// Another shape.
    pub fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        self.second.forward(cx, &activate(cx, &self.first.forward(cx, x)?, Act::Relu)?)
    }
}
