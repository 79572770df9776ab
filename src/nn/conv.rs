//! Convolutions, alone and with the batch norm behind them.

use super::{BatchNorm, Scope};
use crate::Result;
use crate::ops::{Epilogue, conv2d};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// `torch.nn.Conv2d` with one group.
pub struct Conv {
    path: String,
    /// `[kh, kw, in, out]`
    weight: Tensor,
    bias: Option<Tensor>,
    window: Window,
}

impl Conv {
    /// Loads `weight [out, in, kh, kw]` and, if `bias`, `bias [out]`.
    pub fn load(s: &Scope, input: usize, output: usize, window: Window, bias: bool) -> Self {
        let (kh, kw) = window.kernel;
        Conv {
            path: s.path().into(),
            weight: s.conv_weight("weight", [output, input, kh, kw]),
            bias: bias.then(|| s.param("bias", &[output])),
            window,
        }
    }

    /// `conv(x) + bias` of images `[N, H, W, in]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let ep = Epilogue { shift: self.bias.as_ref(), ..Default::default() };
        let y = conv2d(cx, x, &self.weight, self.window, &ep).map_err(|e| e.within(&self.path))?;
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }
}

/// A convolution and the batch norm behind it.
pub struct ConvNorm {
    conv: Conv,
    norm: BatchNorm,
}

impl ConvNorm {
    /// Loads the convolution at `conv` and the batch norm at `norm`.
    pub fn load(
        conv: &Scope,
        norm: &Scope,
        input: usize,
        output: usize,
        window: Window,
        bias: bool,
    ) -> Self {
        ConvNorm {
            conv: Conv::load(conv, input, output, window, bias),
            norm: BatchNorm::load(norm, output),
        }
    }

    /// `norm(conv(x))` of images `[N, H, W, in]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        self.norm.forward(cx, &self.conv.forward(cx, x)?)
    }
}
