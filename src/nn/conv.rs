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

    /// A layer without bias whose weight stands in the file as that of a linear one, `[out, in]`.
    pub fn load_linear(s: &Scope, input: usize, output: usize) -> Self {
        let weight = s.transposed("weight", output, input);
        Conv {
            path: s.path().into(),
            weight: weight.reshape([1, 1, input, output]).expect("one tap"),
            bias: None,
            window: Window::same(1),
        }
    }

    /// `conv(x) + bias` of images `[N, H, W, in]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        self.forward_as(cx, x, Axes::Image)
    }

    /// The same, named as the module's output with `axes`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward_as(&self, cx: &Cx, x: &Tensor, axes: Axes) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let ep = Epilogue { shift: self.bias.as_ref(), ..Default::default() };
        let y = conv2d(cx, x, &self.weight, self.window, &ep).map_err(|e| e.within(&self.path))?;
        cx.tap(&self.path, "", &y, axes);
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
