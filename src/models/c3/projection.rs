//! The projection of what was read into a map (`infoGen`): four transposed convolutions.

use crate::Result;
use crate::models::text_prior::CLASSES;
use crate::nn::{BatchNorm, Scope};
use crate::ops::{Act, activate, conv_transpose2d};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// A transposed convolution and the norm behind it.
struct Layer {
    path: String,
    weight: Tensor,
    window: Window,
    norm: BatchNorm,
}

/// `infoGen`.
pub(super) struct Projection {
    path: String,
    layers: [Layer; 4],
}

impl Projection {
    pub(super) fn load(s: &Scope, channels: usize) -> Self {
        let wide = Window { pad: (0, 0), ..Window::same(3).strided(2, 2) };
        let same = Window::same(3);
        let layer = |i: usize, input: usize, output: usize, window: Window| {
            let conv = s.at(format!("tconv{i}"));
            Layer {
                path: conv.path().into(),
                weight: conv.conv_weight("weight", [input, output, 3, 3]),
                window,
                norm: BatchNorm::load(&s.at(format!("bn{i}")), output),
            }
        };
        Projection {
            path: s.path().into(),
            layers: [
                layer(1, CLASSES, 512, wide),
                layer(2, 512, 128, wide),
                layer(3, 128, 64, same.strided(2, 2)),
                layer(4, 64, channels, same.strided(2, 1)),
            ],
        }
    }

    /// `x [N, 1, 26, 37]` to `[N, 25, 213, C]`.
    pub(super) fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let mut x = x.clone();
        for layer in &self.layers {
            let y = conv_transpose2d(cx, &x, &layer.weight, layer.window)
                .map_err(|e| e.within(&layer.path))?;
            cx.tap(&layer.path, "", &y, Axes::Image);
            x = activate(cx, &layer.norm.forward(cx, &y)?, Act::Relu)?;
        }
        cx.tap(&self.path, "", &x, Axes::Image);
        Ok(x)
    }
}
