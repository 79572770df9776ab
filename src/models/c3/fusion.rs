//! The fusion of two clues (`gated`): each is weighted by how it goes with the image's feature.

use crate::Result;
use crate::nn::{Conv, Scope};
use crate::ops::{
    Act, Epilogue, activate, add, concat_last, conv2d, depthwise_conv2d, mul, reciprocal,
    slice_last, softmax, sqrt, sum_to,
};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// Dilations of a gate's depthwise convolutions.
const DILATIONS: [usize; 4] = [1, 2, 4, 8];
/// Slope of the leaky ReLU for negative values.
const LEAK: f32 = 0.2;

/// A convolution's weight by its direction and its length: g·v / ‖v‖ for each output channel, `torch.nn.utils.weight_norm`.
struct NormedWeight {
    length: Tensor,
    direction: Tensor,
}

impl NormedWeight {
    /// Loads `weight_g [out, 1, 1, 1]` and `weight_v [out, in, k, k]`.
    fn load(s: &Scope, input: usize, output: usize, k: usize) -> Self {
        // Initial lengths are those of the initial directions.
        let direction = s.conv_weight("weight_v", [output, input, k, k]);
        NormedWeight { length: s.conv_weight("weight_g", [output, 1, 1, 1]), direction }
    }

    /// `[k, k, in, out]`.
    fn weight(&self, cx: &Cx) -> Result<Tensor> {
        let v = &self.direction;
        let squares = sum_to(cx, &mul(cx, v, v)?, self.length.shape())?;
        let by = mul(cx, &self.length, &reciprocal(cx, &sqrt(cx, &squares)?)?)?;
        mul(cx, v, &by)
    }
}

/// A 1×1 convolution without bias.
struct NormedConv {
    path: String,
    weight: NormedWeight,
}

impl NormedConv {
    fn load(s: &Scope, input: usize, output: usize) -> Self {
        NormedConv { path: s.path().into(), weight: NormedWeight::load(s, input, output, 1) }
    }

    fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let weight = self.weight.weight(cx)?;
        let y = conv2d(cx, x, &weight, Window::same(1), &Epilogue::default())?;
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }
}

/// A depthwise convolution with its taps apart.
struct Spread {
    path: String,
    weight: NormedWeight,
    bias: Tensor,
    dilation: usize,
}

impl Spread {
    fn load(s: &Scope, channels: usize, dilation: usize) -> Self {
        Spread {
            path: s.path().into(),
            weight: NormedWeight::load(s, 1, channels, 3),
            bias: s.param("bias", &[channels]),
            dilation,
        }
    }

    fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let weight = self.weight.weight(cx)?.reshape([3, 3, x.shape().last()])?;
        let y = depthwise_conv2d(cx, x, &weight, &self.bias, self.dilation)?;
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }
}

/// `gated1` or `gated2`.
struct Gate {
    path: String,
    first: NormedConv,
    spread: Vec<Spread>,
}

impl Gate {
    fn load(s: &Scope, channels: usize) -> Self {
        let spread = DILATIONS.iter().enumerate();
        Gate {
            path: s.path().into(),
            first: NormedConv::load(&s.at(0), channels, channels),
            spread: spread.map(|(i, d)| Spread::load(&s.at(i + 2), channels, *d)).collect(),
        }
    }

    fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let mut y = activate(cx, &self.first.forward(cx, x)?, Act::Relu)?;
        cx.tap(&self.path, "1", &y, Axes::Image);
        for spread in &self.spread {
            y = spread.forward(cx, &y)?;
        }
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }
}

/// `down_conv` and `gated`.
pub(super) struct Fusion {
    path: String,
    narrow: Conv,
    gates: [Gate; 2],
    compress: NormedConv,
    leak: Tensor,
}

impl Fusion {
    /// Loads both for a feature of so many `features` and clues of `channels`.
    pub(super) fn load(s: &Scope, features: usize, channels: usize) -> Self {
        let gated = s.at("gated");
        // The gate of the visual clue.
        gated.leave("gated3.");
        Fusion {
            path: gated.path().into(),
            narrow: Conv::load(&s.at("down_conv"), features, channels, Window::same(1), true),
            gates: ["gated1", "gated2"].map(|name| Gate::load(&gated.at(name), 2 * channels)),
            compress: NormedConv::load(&gated.at("compress.1"), 4 * channels, 2 * channels),
            leak: Tensor::upload(s.gpu(), [1], &[LEAK]),
        }
    }

    /// Two clues `[N, H, W, C]` by the `feature [N, H, W, F]`: `[N, H, W, C]`.
    pub(super) fn forward(&self, cx: &Cx, feature: &Tensor, clues: [&Tensor; 2]) -> Result<Tensor> {
        let [n, h, w, c] = clues[0].shape().nhwc(&self.path)?;
        let context = self.narrow.forward(cx, feature)?;
        let _scope = cx.scope(&self.path);
        let mut seen = Vec::new();
        for (gate, clue) in self.gates.iter().zip(clues) {
            seen.push(gate.forward(cx, &concat_last(cx, &[&context, clue])?)?);
        }
        let both = concat_last(cx, &seen.iter().collect::<Vec<_>>())?;
        let both = activate(cx, &both, Act::Prelu(&self.leak))?;
        cx.tap(&self.path, "compress.0", &both, Axes::Image);
        let scores = self.compress.forward(cx, &both)?;
        cx.tap(&self.path, "compress", &scores, Axes::Image);
        // One against the other, at each place of each channel.
        let shares = softmax(cx, &scores.reshape([n, h, w, 2, c])?, 3)?;
        let shares = shares.reshape([n, h, w, 2 * c])?;
        let part = |i: usize| mul(cx, clues[i], &slice_last(cx, &shares, i * c..(i + 1) * c)?);
        let y = add(cx, &part(0)?, &part(1)?)?;
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }
}
