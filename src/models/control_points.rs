//! The small convolutional network that places the control points of a thin-plate spline, in ASTER and in the spatial
//! transformers of super-resolvers.

use crate::Result;
use crate::nn::{BatchNorm, ConvNorm, Linear, Scope};
use crate::ops::{Act, activate, max_pool, permute, scale};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// Control points.
pub(crate) const CONTROLS: usize = 20;
/// Channels of the six stages.
const WIDTHS: [usize; 6] = [32, 64, 128, 256, 256, 256];
const FEATURES: usize = 512;
/// Factor on the features before the last layer.
const CALM: f32 = 0.1;

/// The network's layers.
pub(crate) struct ControlPoints {
    path: String,
    stages: Vec<ConvNorm>,
    /// The pooling before the last stage; those before halve both sides.
    last_pool: Window,
    inner: Linear,
    norm: BatchNorm,
    outer: Linear,
}

impl ControlPoints {
    /// Loads `stn_convnet`, `stn_fc1` and `stn_fc2` for images of `planes` channels, which all poolings together take to 1×2.
    pub(crate) fn load(s: &Scope, planes: usize, last_pool: Window) -> Self {
        let inputs = std::iter::once(planes).chain(WIDTHS);
        let stage = |(i, (input, output))| {
            let s = s.at(format!("stn_convnet.{}", 2 * i));
            ConvNorm::load(&s.at(0), &s.at(1), input, output, Window::same(3), true)
        };
        ControlPoints {
            path: s.path().into(),
            stages: inputs.zip(WIDTHS).enumerate().map(stage).collect(),
            last_pool,
            inner: Linear::load(&s.at("stn_fc1.0"), FEATURES, FEATURES, true),
            norm: BatchNorm::load(&s.at("stn_fc1.1"), FEATURES),
            outer: Linear::load(&s.at("stn_fc2"), FEATURES, 2 * CONTROLS, true),
        }
    }

    /// Points (x, y) `[N, 20, 2]` for `image [N, H, W, planes]`.
    pub(crate) fn forward(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let n = image.dims()[0];
        let mut x = image.clone();
        for (i, stage) in self.stages.iter().enumerate() {
            x = activate(cx, &stage.forward(cx, &x)?, Act::Relu)?;
            x = match i {
                0..4 => max_pool(cx, &x, Window::pool(2, 2))?,
                4 => max_pool(cx, &x, self.last_pool)?,
                _ => x,
            };
        }
        let flat = permute(cx, &x, &[0, 3, 1, 2])?.reshape([n, FEATURES])?;
        let f = self.norm.forward(cx, &self.inner.forward(cx, &flat, Axes::Same)?)?;
        let f = scale(cx, &activate(cx, &f, Act::Relu)?, CALM)?;
        self.outer.forward(cx, &f, Axes::Same)?.reshape([n, CONTROLS, 2])
    }
}
