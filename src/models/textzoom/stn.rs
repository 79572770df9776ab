//! The spatial transformer that straightens words in training: a small convolutional head places the control points of a
//! thin-plate spline.

use super::LOW;
use crate::Result;
use crate::nn::{BatchNorm, ConvNorm, Linear, Scope};
use crate::ops::{
    Act, Filter, Spline, activate, grid_sample, max_pool, permute, resize, scale, tps_grid,
};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};
use serde::{Deserialize, Serialize};

/// Channels of the six stages.
const WIDTHS: [usize; 6] = [32, 64, 128, 256, 256, 256];
const FEATURES: usize = 512;
const CONTROLS: usize = 20;
/// Factor on the features before the last layer.
const CALM: f32 = 0.1;
/// Height and width of the enlarged image.
const ENLARGED: (usize, usize) = (32, 64);

/// What the spatial transformer sees and samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Warp {
    /// The image of 16×64 itself.
    Itself,
    /// The image enlarged to 32×64, bilinear.
    Enlarged,
}

/// The transformer's layers.
pub struct SpatialTransformer {
    path: String,
    warp: Warp,
    stages: Vec<ConvNorm>,
    inner: Linear,
    norm: BatchNorm,
    outer: Linear,
    spline: Tensor,
}

impl SpatialTransformer {
    /// Loads `stn_convnet`, `stn_fc1` and `stn_fc2` for images of `planes` channels.
    pub fn load(s: &Scope, planes: usize, warp: Warp) -> Self {
        let inputs = std::iter::once(planes).chain(WIDTHS);
        let stage = |(i, (input, output))| {
            let s = s.at(format!("stn_convnet.{}", 2 * i));
            ConvNorm::load(&s.at(0), &s.at(1), input, output, Window::same(3), true)
        };
        let matrix = Spline::new(LOW.0, LOW.1, CONTROLS).matrix();
        let matrix: Vec<f32> = matrix.iter().map(|v| *v as f32).collect();
        SpatialTransformer {
            path: s.path().into(),
            warp,
            stages: inputs.zip(WIDTHS).enumerate().map(stage).collect(),
            inner: Linear::load(&s.at("stn_fc1.0"), FEATURES, FEATURES, true),
            norm: BatchNorm::load(&s.at("stn_fc1.1"), FEATURES),
            outer: Linear::load(&s.at("stn_fc2"), FEATURES, 2 * CONTROLS, true),
            spline: Tensor::upload(s.gpu(), [LOW.0 * LOW.1, CONTROLS], &matrix),
        }
    }

    /// The transformer of a network if this use of it `warps`; if not, its tensors are left.
    pub fn if_wanted(s: &Scope, planes: usize, warp: Warp, warps: bool) -> Option<Self> {
        // The spline's tables are computed.
        s.leave("tps.");
        if !warps {
            s.leave("stn_head.");
        }
        warps.then(|| SpatialTransformer::load(&s.at("stn_head"), planes, warp))
    }

    /// `image [N, 16, 64, planes]`, warped.
    ///
    /// # Errors
    /// Another shape.
    pub fn forward(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let n = image.dims()[0];
        let (image, last_pool) = match self.warp {
            Warp::Itself => (image.clone(), Window::pool(1, 2)),
            Warp::Enlarged => {
                (resize(cx, image, ENLARGED, Filter::Bilinear, true)?, Window::pool(2, 2))
            }
        };
        let mut x = image.clone();
        for (i, stage) in self.stages.iter().enumerate() {
            x = activate(cx, &stage.forward(cx, &x)?, Act::Relu)?;
            x = match i {
                0..4 => max_pool(cx, &x, Window::pool(2, 2))?,
                4 => max_pool(cx, &x, last_pool)?,
                _ => x,
            };
        }
        let flat = permute(cx, &x, &[0, 3, 1, 2])?.reshape([n, FEATURES])?;
        let f = self.norm.forward(cx, &self.inner.forward(cx, &flat, Axes::Same)?)?;
        let f = scale(cx, &activate(cx, &f, Act::Relu)?, CALM)?;
        let control = self.outer.forward(cx, &f, Axes::Same)?.reshape([n, CONTROLS, 2])?;
        cx.value("stn", "ctrl", &control, Axes::Same);
        let grid = tps_grid(cx, &control, &self.spline, LOW)?;
        let warped = grid_sample(cx, &image, &grid).map_err(|e| e.within(&self.path))?;
        cx.value("stn", "out", &warped, Axes::Image);
        Ok(warped)
    }
}

/// `image`, straightened in training, as it is in evaluation and without a transformer.
///
/// # Errors
/// As [`SpatialTransformer::forward`].
pub fn straighten(cx: &Cx, warp: Option<&SpatialTransformer>, image: &Tensor) -> Result<Tensor> {
    match warp {
        Some(warp) if cx.mode().batch_statistics => warp.forward(cx, image),
        _ => Ok(image.clone()),
    }
}
