//! Convolutions, alone and with the batch norm and activation that follow.

use super::{BatchNorm, Scope};
use crate::Result;
use crate::ops::{
    Act, Epilogue, activate, add, conv2d, conv2d_shuffled, linear, linear_of, suits_winograd,
    winograd,
};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};
use std::ops::Range;

/// `torch.nn.Conv2d` with one group.
pub struct Conv {
    path: String,
    weight: Weight,
    bias: Option<Tensor>,
    window: Window,
}

enum Weight {
    /// `[kh, kw, in, out]`
    Taps(Tensor),
    /// `[4, 4, in, out]`, of a layer that is not trained.
    Winograd(Tensor),
}

impl Conv {
    /// Loads `weight [out, in, kh, kw]` and, if `bias`, `bias [out]`.
    pub fn load(s: &Scope, input: usize, output: usize, window: Window, bias: bool) -> Self {
        let (kh, kw) = window.kernel;
        let weight = match suits_winograd(window, input, output) && !s.trains() {
            true => Weight::Winograd(s.winograd_weight("weight", input, output)),
            false => Weight::Taps(s.conv_weight("weight", [output, input, kh, kw])),
        };
        Conv {
            path: s.path().into(),
            weight,
            bias: bias.then(|| s.param("bias", &[output])),
            window,
        }
    }

    /// `act(conv(x) + bias)`, fused; a traced pass names the convolution's own output, before `act`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, x: &Tensor, act: Act) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let ep = Epilogue { shift: self.bias.as_ref(), ..Default::default() };
        if !cx.tracing() {
            return self.run(cx, x, &ep.act(act));
        }
        let y = self.run(cx, x, &ep)?;
        cx.tap(&self.path, "", &y, Axes::Image);
        if matches!(act, Act::None) { Ok(y) } else { activate(cx, &y, act) }
    }

    /// `conv(x) + bias + residual`, fused, with a residual of the result's shape or of one of its images; not for traced passes,
    /// which want the convolution's own output.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward_onto(&self, cx: &Cx, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let residual = Some(residual);
        self.run(cx, x, &Epilogue { shift: self.bias.as_ref(), residual, ..Default::default() })
    }

    /// `conv(x) + bias` of a part of the channels of `x`, for a 1×1 layer that is not trained.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward_of(&self, cx: &Cx, x: &Tensor, channels: Range<usize>) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let ep = Epilogue { shift: self.bias.as_ref(), ..Default::default() };
        let (Weight::Taps(w) | Weight::Winograd(w)) = &self.weight;
        let matrix = w.reshape([channels.len(), w.shape().last()])?;
        linear_of(cx, x, channels, &matrix, &ep).map_err(|e| e.within(&self.path))
    }

    fn run(&self, cx: &Cx, x: &Tensor, ep: &Epilogue) -> Result<Tensor> {
        match &self.weight {
            Weight::Taps(w) => conv2d(cx, x, w, self.window, ep),
            Weight::Winograd(u) => winograd(cx, x, u, ep),
        }
        .map_err(|e| e.within(&self.path))
    }
}

/// A convolution and the batch norm behind it, folded into one kernel:
/// y = act(norm(conv(x)) + residual).
pub struct ConvNorm {
    conv: Conv,
    norm: BatchNorm,
    /// Scale and shift of both, where they are folded into one kernel.
    folded: Option<(Tensor, Tensor)>,
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
        let layer = Conv::load(conv, input, output, window, bias);
        let norm_layer = BatchNorm::load(norm, output);
        let values = bias.then(|| conv.values("bias", &[output]));
        let folded = norm_layer.fold(norm, values.as_deref());
        ConvNorm { conv: layer, norm: norm_layer, folded }
    }

    /// `act(norm(conv(x)) + residual)`. In training, and in a traced pass, each module runs by itself.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(
        &self,
        cx: &Cx,
        x: &Tensor,
        residual: Option<&Tensor>,
        act: Act,
    ) -> Result<Tensor> {
        let Some((scale, shift)) = self.folded.as_ref().filter(|_| !cx.tracing()) else {
            return self.separately(cx, x, residual, act);
        };
        let _scope = cx.scope(&self.conv.path);
        let ep = Epilogue { scale: Some(scale), shift: Some(shift), residual, act };
        self.conv.run(cx, x, &ep)
    }

    /// The same, one module at a time.
    fn separately(
        &self,
        cx: &Cx,
        x: &Tensor,
        residual: Option<&Tensor>,
        act: Act,
    ) -> Result<Tensor> {
        let y = self.norm.forward(cx, &self.conv.forward(cx, x, Act::None)?)?;
        let y = match residual {
            Some(r) => add(cx, &y, r)?,
            None => y,
        };
        if matches!(act, Act::None) { Ok(y) } else { activate(cx, &y, act) }
    }
}

/// Several 1×1 convolutions of one input, each with the batch norm and the PReLU behind it, as one product; for inference.
pub struct Branches {
    path: String,
    /// `[in, n·out]`
    weight: Tensor,
    scale: Tensor,
    shift: Tensor,
    slopes: Tensor,
}

impl Branches {
    /// Loads convolution, batch norm and PReLU of each branch from `0`, `1` and `2` below its path; none for training.
    pub fn load(branches: &[Scope], input: usize, output: usize) -> Option<Self> {
        let first = branches.first().filter(|s| !s.trains() && !s.surveys())?;
        let wide = branches.len() * output;
        let (mut weight, mut scale, mut shift) = (vec![0.0; input * wide], vec![], vec![]);
        let mut slopes = Vec::new();
        for (i, s) in branches.iter().enumerate() {
            let own = s.at(0).values("weight", &[output, input, 1, 1]);
            for (at, v) in own.into_iter().enumerate() {
                weight[at % input * wide + i * output + at / input] = v;
            }
            let norm = BatchNorm::load(&s.at(1), output);
            let (by, plus) = norm.fold_values(&s.at(0).values("bias", &[output]))?;
            scale.extend_from_slice(by);
            shift.extend(plus);
            slopes.extend(s.at(2).values("weight", &[1]).repeat(output));
        }
        let row = |values: &[f32]| Tensor::upload(first.gpu(), [wide], values);
        Some(Branches {
            path: first.path().into(),
            weight: Tensor::upload_weight(first.gpu(), [input, wide], &weight),
            scale: row(&scale),
            shift: row(&shift),
            slopes: row(&slopes),
        })
    }

    /// `prelu(norm(conv(x)))` of each branch, side by side in the last axis.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let ep = Epilogue::affine(&self.scale, &self.shift).act(Act::Prelu(&self.slopes));
        linear(cx, x, &self.weight, &ep).map_err(|e| e.within(&self.path))
    }
}

/// A convolution, `torch.nn.PixelShuffle(2)` and an activation as one product; for inference.
pub struct Enlargement {
    path: String,
    /// `[kh, kw, in, 4·channels]`, the columns by row, column and channel of the four pixels.
    weight: Tensor,
    bias: Tensor,
    window: Window,
}

impl Enlargement {
    /// Loads `weight [4·channels, in, kh, kw]` and `bias`; none for training, for channels that make no fours,
    /// and where Winograd's convolution is faster.
    pub fn load(s: &Scope, input: usize, channels: usize, window: Window) -> Option<Self> {
        let ((kh, kw), wide) = (window.kernel, 4 * channels);
        let served = channels.is_multiple_of(4) && !suits_winograd(window, input, wide);
        if s.trains() || s.surveys() || !served {
            return None;
        }
        // Of channel c and pixel q, number 4·c + q in the file.
        let column = |o: usize| o % 4 * channels + o / 4;
        let mut weight = vec![0.0; kh * kw * input * wide];
        for (at, v) in s.values("weight", &[wide, input, kh, kw]).into_iter().enumerate() {
            let (o, i, tap) = (at / (input * kh * kw), at / (kh * kw) % input, at % (kh * kw));
            weight[(tap * input + i) * wide + column(o)] = v;
        }
        let mut bias = vec![0.0; wide];
        for (o, v) in s.values("bias", &[wide]).into_iter().enumerate() {
            bias[column(o)] = v;
        }
        Some(Enlargement {
            path: s.path().into(),
            weight: Tensor::upload_weight(s.gpu(), [kh, kw, input, wide], &weight),
            bias: Tensor::upload(s.gpu(), [wide], &bias),
            window,
        })
    }

    /// `[N, H, W, in]` → `[N, 2·H, 2·W, channels]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, x: &Tensor, act: Act) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let ep = Epilogue::bias(&self.bias).act(act);
        conv2d_shuffled(cx, x, &self.weight, self.window, &ep).map_err(|e| e.within(&self.path))
    }
}

#[cfg(test)]
mod on_adapter {
    use super::*;
    use crate::data::checkpoint::{HostTensor, StateDict};
    use crate::gpu::{Gpu, GpuOptions};
    use crate::nn::Weights;
    use crate::ops::pixel_shuffle;
    use crate::tensor::Seeded;

    #[test]
    fn an_enlargement_is_a_convolution_and_its_shuffle() {
        let adapter = std::env::var("LEMMA_GPU_ADAPTER").ok();
        let gpu = Gpu::new(GpuOptions { adapter, ..Default::default() }).unwrap();
        let mut random = Seeded::new("enlargement");
        let mut state = StateDict::default();
        for (name, shape) in [("up.weight", &[16, 3, 3, 3][..]), ("up.bias", &[16])] {
            let values = random.signed(shape).to_f32();
            state.tensors.insert(name.into(), HostTensor::from_f32(shape, &values).unwrap());
        }
        let window = Window::same(3);
        let build = |s: &Scope| {
            let s = s.at("up");
            Ok((Conv::load(&s, 3, 16, window, true), Enlargement::load(&s, 3, 4, window)))
        };
        let ((conv, enlargement), _) = Weights::load(&gpu, &state, None, "up", build).unwrap();
        let enlargement = enlargement.unwrap();
        let x = random.signed([2, 3, 5, 3]).upload(&gpu);
        let cx = Cx::new(&gpu);
        let apart = conv.forward(&cx, &x, Act::None).unwrap();
        let apart = pixel_shuffle(&cx, &apart, 2, Act::Mish).unwrap();
        let together = enlargement.forward(&cx, &x, Act::Mish).unwrap();
        cx.submit().unwrap();
        let [a, b] = [apart, together].map(|t| t.to_host(&gpu).unwrap());
        assert_eq!(a.shape, b.shape);
        let off = a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 1e-5, "{off}");
    }
}
