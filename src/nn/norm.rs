//! Normalisation layers with parameters.

use super::Scope;
use crate::Result;
use crate::ops::{Act, Deviation, batch_norm_eval, batch_norm_train, channel_affine, layer_norm};
use crate::tensor::{Axes, Cx, Tensor, Var};

/// `torch.nn.BatchNorm1d`/`2d`. Loaded for inference it is folded into y = x ⊙ scale + shift by its running statistics:
/// scale = γ/√(var + ε), shift = β − mean·scale. Loaded for training it keeps its parts.
pub struct BatchNorm {
    path: String,
    kind: Kind,
}

enum Kind {
    Folded { scale: Vec<f32>, shift: Vec<f32>, device: (Tensor, Tensor) },
    Learning { gamma: Tensor, beta: Tensor, mean: Tensor, var: Tensor },
}

const EPS: f64 = 1e-5;
const MOMENTUM: f32 = 0.1;

impl BatchNorm {
    /// Loads `weight`, `bias`, `running_mean` and `running_var`, each `[channels]`.
    pub fn load(s: &Scope, channels: usize) -> Self {
        let kind = if s.trains() { Self::learning(s, channels) } else { Self::folded(s, channels) };
        BatchNorm { path: s.path().into(), kind }
    }

    fn learning(s: &Scope, channels: usize) -> Kind {
        Kind::Learning {
            gamma: s.param("weight", &[channels]),
            beta: s.param("bias", &[channels]),
            mean: s.statistic("running_mean", &[channels]),
            var: s.statistic("running_var", &[channels]),
        }
    }

    fn folded(s: &Scope, channels: usize) -> Kind {
        let [gain, bias, mean, var] = ["weight", "bias", "running_mean", "running_var"]
            .map(|name| s.values(name, &[channels]));
        let scale: Vec<f64> = gain
            .iter()
            .zip(&var)
            .map(|(g, v)| f64::from(*g) / (f64::from(*v) + EPS).sqrt())
            .collect();
        let shift: Vec<f32> = (0..channels)
            .map(|c| (f64::from(bias[c]) - f64::from(mean[c]) * scale[c]) as f32)
            .collect();
        let scale: Vec<f32> = scale.iter().map(|v| *v as f32).collect();
        let device = (
            Tensor::upload(s.gpu(), [channels], &scale),
            Tensor::upload(s.gpu(), [channels], &shift),
        );
        Kind::Folded { scale, shift, device }
    }

    /// Normalises `x [.., C]`. In training a layer whose weight is not frozen does so by the batch's own statistics, and moves
    /// its running ones.
    ///
    /// # Errors
    /// A last axis that is not the layer's; a batch of one value per channel in training.
    pub fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let y = self.compute(cx, x).map_err(|e| e.within(&self.path))?;
        let axes = if y.shape().rank() == 4 { Axes::Image } else { Axes::Same };
        cx.tap(&self.path, "", &y, axes);
        Ok(y)
    }

    fn compute(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        match &self.kind {
            Kind::Folded { device: (scale, shift), .. } => {
                channel_affine(cx, x, scale, shift, None, Act::None)
            }
            Kind::Learning { gamma, beta, mean, var }
                if cx.mode().batch_statistics && gamma.var() != Var::Constant =>
            {
                let (y, _, new_mean, new_var) =
                    batch_norm_train(cx, x, gamma, beta, mean, var, MOMENTUM, EPS as f32)?;
                cx.copy_into(&new_mean, mean, 0)?;
                cx.copy_into(&new_var, var, 0)?;
                Ok(y)
            }
            Kind::Learning { gamma, beta, mean, var } => {
                batch_norm_eval(cx, x, gamma, beta, mean, var, EPS as f32)
            }
        }
    }

    /// Normalises `a + b`.
    ///
    /// # Errors
    /// As [`BatchNorm::forward`].
    pub fn forward_sum(&self, cx: &Cx, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.forward(cx, &crate::ops::add(cx, a, b)?)
    }

    /// Scale and shift for a convolution's epilogue, the shift with the convolution's bias in it: shift + bias ⊙ scale. None
    /// where the layer must stand apart.
    pub(super) fn fold(&self, s: &Scope, bias: Option<&[f32]>) -> Option<(Tensor, Tensor)> {
        let Kind::Folded { device, .. } = &self.kind else { return None };
        let Some(bias) = bias else { return Some(device.clone()) };
        let (_, shift) = self.fold_values(bias)?;
        Some((device.0.clone(), Tensor::upload(s.gpu(), [bias.len()], &shift)))
    }

    /// The values of [`BatchNorm::fold`].
    pub(super) fn fold_values(&self, bias: &[f32]) -> Option<(&[f32], Vec<f32>)> {
        let Kind::Folded { scale, shift, .. } = &self.kind else { return None };
        let folded = |c: usize| f64::from(shift[c]) + f64::from(bias[c]) * f64::from(scale[c]);
        Some((scale, (0..bias.len()).map(|c| folded(c) as f32).collect()))
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
        let _scope = cx.scope(&self.path);
        let y =
            layer_norm(cx, x, Some(residual), &self.gamma, &self.beta, self.eps, self.deviation)
                .map_err(|e| e.within(&self.path))?;
        cx.tap(&self.path, "", &y, axes);
        Ok(y)
    }
}
