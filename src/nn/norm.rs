//! Normalization layers with parameters.

use super::Scope;
use crate::Result;
use crate::ops::{Deviation, batch_norm_eval, batch_norm_train, layer_norm};
use crate::tensor::{Axes, Cx, Tensor, Var};

/// `torch.nn.BatchNorm1d`/`2d`.
pub struct BatchNorm {
    path: String,
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor,
    var: Tensor,
}

const EPS: f32 = 1e-5;
const MOMENTUM: f32 = 0.1;

impl BatchNorm {
    /// Loads `weight`, `bias`, `running_mean` and `running_var`, each `[channels]`.
    pub fn load(s: &Scope, channels: usize) -> Self {
        BatchNorm {
            path: s.path().into(),
            gamma: s.param("weight", &[channels]),
            beta: s.param("bias", &[channels]),
            mean: s.statistic("running_mean", &[channels]),
            var: s.statistic("running_var", &[channels]),
        }
    }

    /// Normalizes `x [.., C]`. In training a layer whose weight is not frozen does so by the batch's own statistics, and moves
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
        let BatchNorm { gamma, beta, mean, var, .. } = self;
        if !cx.mode().batch_statistics || gamma.var() == Var::Constant {
            return batch_norm_eval(cx, x, gamma, beta, mean, var, EPS);
        }
        let (y, _, new_mean, new_var) =
            batch_norm_train(cx, x, gamma, beta, mean, var, MOMENTUM, EPS)?;
        cx.copy_into(&new_mean, mean, 0)?;
        cx.copy_into(&new_var, var, 0)?;
        Ok(y)
    }
}

/// Layer normalization over the last axis, after adding a residual.
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
        LayerNorm::load_with(s, width, EPS)
    }

    /// The same with another ε than PyTorch's.
    pub fn load_with(s: &Scope, width: usize, eps: f32) -> Self {
        LayerNorm {
            path: s.path().into(),
            gamma: s.param("weight", &[width]),
            beta: s.param("bias", &[width]),
            eps,
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

    /// Normalizes `x + residual`, both `[N, L, C]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, x: &Tensor, residual: &Tensor, axes: Axes) -> Result<Tensor> {
        self.compute(cx, x, Some(residual), axes)
    }

    /// Normalizes `x [N, L, C]` by itself.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn alone(&self, cx: &Cx, x: &Tensor, axes: Axes) -> Result<Tensor> {
        self.compute(cx, x, None, axes)
    }

    fn compute(
        &self,
        cx: &Cx,
        x: &Tensor,
        residual: Option<&Tensor>,
        axes: Axes,
    ) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let y = layer_norm(cx, x, residual, &self.gamma, &self.beta, self.eps, self.deviation)
            .map_err(|e| e.within(&self.path))?;
        cx.tap(&self.path, "", &y, axes);
        Ok(y)
    }
}
