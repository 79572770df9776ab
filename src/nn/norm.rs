//! Normalisation layers with parameters.

use super::Scope;
use crate::Result;
use crate::ops::{Act, Deviation, channel_affine, layer_norm};
use crate::tensor::{Axes, Cx, Tensor};

/// `torch.nn.BatchNorm1d`/`2d` by its running statistics, as y = x ⊙ scale + shift:
/// scale = γ/√(var + ε), shift = β − mean·scale.
pub struct BatchNorm {
    path: String,
    scale: Vec<f32>,
    shift: Vec<f32>,
    device: (Tensor, Tensor),
}

const BATCH_NORM_EPS: f64 = 1e-5;

impl BatchNorm {
    /// Loads `weight`, `bias`, `running_mean` and `running_var`, each `[channels]`.
    pub fn load(s: &Scope, channels: usize) -> Self {
        let [gain, bias, mean, var] = ["weight", "bias", "running_mean", "running_var"]
            .map(|name| s.values(name, &[channels]));
        let scale: Vec<f64> = gain
            .iter()
            .zip(&var)
            .map(|(g, v)| f64::from(*g) / (f64::from(*v) + BATCH_NORM_EPS).sqrt())
            .collect();
        let shift: Vec<f32> = (0..channels)
            .map(|c| (f64::from(bias[c]) - f64::from(mean[c]) * scale[c]) as f32)
            .collect();
        let scale: Vec<f32> = scale.iter().map(|v| *v as f32).collect();
        let device = (
            Tensor::upload(s.gpu(), [channels], &scale),
            Tensor::upload(s.gpu(), [channels], &shift),
        );
        BatchNorm { path: s.path().into(), scale, shift, device }
    }

    /// Normalises `x [.., C]`.
    ///
    /// # Errors
    /// A last axis that is not the layer's.
    pub fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        cx.scope(&self.path);
        let y = channel_affine(cx, x, &self.device.0, &self.device.1, None, Act::None)
            .map_err(|e| e.within(&self.path))?;
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }

    /// Normalises `a + b` in one pass over both.
    ///
    /// # Errors
    /// As [`BatchNorm::forward`].
    pub fn forward_sum(&self, cx: &Cx, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.forward(cx, &crate::ops::add(cx, a, b)?)
    }

    pub(super) fn scale(&self) -> &Tensor {
        &self.device.0
    }

    /// The shift that includes a bias added before the normalisation: shift + bias ⊙ scale.
    pub(super) fn shift_with(&self, s: &Scope, bias: Option<&[f32]>) -> Tensor {
        let Some(bias) = bias else { return self.device.1.clone() };
        let folded: Vec<f32> = (0..bias.len())
            .map(|c| {
                (f64::from(self.shift[c]) + f64::from(bias[c]) * f64::from(self.scale[c])) as f32
            })
            .collect();
        Tensor::upload(s.gpu(), [bias.len()], &folded)
    }
}

/// Layer normalisation over the last axis, after adding a residual.
pub struct LayerNorm {
    path: String,
    gamma: Tensor,
    beta: Tensor,
    eps: f32,
    deviation: Deviation,
}

impl LayerNorm {
    /// `torch.nn.LayerNorm`: loads `weight` and `bias`.
    pub fn load(s: &Scope, width: usize) -> Self {
        LayerNorm {
            path: s.path().into(),
            gamma: s.param("weight", &[width]),
            beta: s.param("bias", &[width]),
            eps: 1e-5,
            deviation: Deviation::Biased,
        }
    }

    /// The text-focus transformer's kind: loads `a_2` and `b_2`; unbiased deviation, ε = 10⁻⁶ added to it.
    pub fn load_unbiased(s: &Scope, width: usize) -> Self {
        LayerNorm {
            path: s.path().into(),
            gamma: s.param("a_2", &[width]),
            beta: s.param("b_2", &[width]),
            eps: 1e-6,
            deviation: Deviation::Unbiased,
        }
    }

    /// Normalises `x + residual`, both `[N, L, C]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, x: &Tensor, residual: &Tensor, axes: Axes) -> Result<Tensor> {
        cx.scope(&self.path);
        let y =
            layer_norm(cx, x, Some(residual), &self.gamma, &self.beta, self.eps, self.deviation)
                .map_err(|e| e.within(&self.path))?;
        cx.tap(&self.path, "", &y, axes);
        Ok(y)
    }
}
