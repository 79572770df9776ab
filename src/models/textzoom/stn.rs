//! The spatial transformer that straightens words in training: a small convolutional head places the control points of a
//! thin-plate spline.

use super::LOW;
use crate::Result;
use crate::models::control_points::{CONTROLS, ControlPoints};
use crate::nn::Scope;
use crate::ops::{Filter, Spline, grid_sample, resize, tps_grid};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};
use serde::{Deserialize, Serialize};

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
    points: ControlPoints,
    spline: Tensor,
}

impl SpatialTransformer {
    /// Loads `stn_convnet`, `stn_fc1` and `stn_fc2` for images of `planes` channels.
    pub fn load(s: &Scope, planes: usize, warp: Warp) -> Self {
        let last_pool = match warp {
            Warp::Itself => Window::pool(1, 2),
            Warp::Enlarged => Window::pool(2, 2),
        };
        let matrix = Spline::new(LOW.0, LOW.1, CONTROLS).matrix();
        let matrix: Vec<f32> = matrix.iter().map(|v| *v as f32).collect();
        SpatialTransformer {
            path: s.path().into(),
            warp,
            points: ControlPoints::load(s, planes, last_pool),
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
        let image = match self.warp {
            Warp::Itself => image.clone(),
            Warp::Enlarged => resize(cx, image, ENLARGED, Filter::Bilinear, true)?,
        };
        let control = self.points.forward(cx, &image)?;
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
