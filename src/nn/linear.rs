//! Fully connected layers.

use super::Scope;
use crate::Result;
use crate::ops::{Epilogue, add, linear};
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
        let y = self.run(cx, x, None)?;
        cx.tap(&self.path, "", &y, axes);
        Ok(y)
    }

    /// The same with a residual added, of the result's shape or of one sample's; only the layer's own output has its name.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward_onto(
        &self,
        cx: &Cx,
        x: &Tensor,
        residual: &Tensor,
        axes: Axes,
    ) -> Result<Tensor> {
        if cx.tracing() {
            return add(cx, &self.forward(cx, x, axes)?, residual);
        }
        self.run(cx, x, Some(residual))
    }

    /// [`Linear::forward`] on `x [1, L, in]`, which stands for all `copies` samples of a batch.
    ///
    /// # Errors
    /// A last axis that is not `in`.
    pub fn forward_shared(&self, cx: &Cx, x: &Tensor, copies: usize) -> Result<Tensor> {
        let y = self.run(cx, x, None)?;
        cx.tap_copies(&self.path, "", &y, Axes::Same, copies);
        Ok(y)
    }

    fn run(&self, cx: &Cx, x: &Tensor, residual: Option<&Tensor>) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let ep = Epilogue { shift: self.bias.as_ref(), residual, ..Default::default() };
        linear(cx, x, &self.weight, &ep).map_err(|e| e.within(&self.path))
    }

    /// The weight `[in, out]` and the bias `[out]`.
    pub fn parameters(&self) -> (&Tensor, Option<&Tensor>) {
        (&self.weight, self.bias.as_ref())
    }

    /// The path in the state dict.
    pub fn path(&self) -> &str {
        &self.path
    }
}
