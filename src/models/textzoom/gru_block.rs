//! `GruBlock`: a 1×1 convolution in front of a bidirectional GRU.

use crate::Result;
use crate::nn::{BiGru, Conv, Scope};
use crate::ops::Along;
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// A 1×1 convolution, then a bidirectional GRU along the rows or columns of the image.
pub struct GruBlock {
    path: String,
    conv: Conv,
    gru: BiGru,
    along: Along,
}

impl GruBlock {
    /// Loads `conv1` from `input` channels to `channels`, and `gru` with half as many units in each direction.
    pub fn load(s: &Scope, input: usize, channels: usize, along: Along) -> Self {
        GruBlock {
            path: s.path().into(),
            conv: Conv::load(&s.at("conv1"), input, channels, Window::same(1), true),
            gru: BiGru::load(&s.at("gru"), channels, channels / 2),
            along,
        }
    }

    /// `x [N, H, W, input]` to `[N, H, W, C]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let (image, sequences) = match self.along {
            Along::Columns => (Axes::Turned, Axes::Columns),
            Along::Rows => (Axes::Image, Axes::Rows),
        };
        let y = self.gru.forward(cx, &self.conv.forward_as(cx, x, image)?, self.along)?;
        cx.tap(self.gru.path(), "", &y, sequences);
        cx.tap(&self.path, "", &y, image);
        Ok(y)
    }
}
