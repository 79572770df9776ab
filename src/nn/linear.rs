//! Fully connected layers.

use super::Scope;
use crate::Result;
use crate::ops::{Epilogue, linear};
use crate::tensor::{Axes, Cx, Tensor};

/// `torch.nn.Linear`: y = x·Wᵀ + b.
pub struct Linear {
    path: String,
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// Loads `weight [out, in]` and, if `bias`, `bias [out]`.
    pub fn load(s: &Scope, input: usize, output: usize, bias: bool) -> Self {
        Linear {
            path: s.path().into(),
            weight: s.transposed("weight", output, input),
            bias: bias.then(|| s.param("bias", &[output])),
        }
    }

    /// `x [.., in]` to `[.., out]`, named as the module's output with `axes`.
    ///
    /// # Errors
    /// A last axis that is not `in`.
    pub fn forward(&self, cx: &Cx, x: &Tensor, axes: Axes) -> Result<Tensor> {
        let y = self.run(cx, x)?;
        cx.tap(&self.path, "", &y, axes);
        Ok(y)
    }

    /// [`Linear::forward`] on `x [1, L, in]`, which stands for all `copies` samples of a batch.
    ///
    /// # Errors
    /// A last axis that is not `in`.
    pub fn forward_shared(&self, cx: &Cx, x: &Tensor, copies: usize) -> Result<Tensor> {
        let y = self.run(cx, x)?;
        cx.tap_copies(&self.path, "", &y, Axes::Same, copies);
        Ok(y)
    }

    fn run(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let ep = Epilogue { shift: self.bias.as_ref(), ..Default::default() };
        linear(cx, x, &self.weight, &ep).map_err(|e| e.within(&self.path))
    }
}
