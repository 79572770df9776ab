//! Deformable spatiotemporal attention of a clue (`dsta_*`): what of it counts, by place and by channel.

use crate::Result;
use crate::nn::{Conv, Excitation, Scope};
use crate::ops::{
    Act, Filter, activate, add, deformable_depthwise, max_pool, mean_to, mul, resize, slice_last,
};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// How much narrower the attention is than the clue.
const NARROWING: usize = 4;
/// Taps of the deformable convolution.
const TAPS: usize = 9;

/// The layers of `dsta_*`.
pub(super) struct ClueAttention {
    path: String,
    narrow: Conv,
    shrink: Conv,
    around: [Conv; 3],
    down: Conv,
    offsets: [Conv; 2],
    weight: Tensor,
    bias: Tensor,
    channels: Excitation,
    skip: Conv,
    widen: Conv,
}

impl ClueAttention {
    pub(super) fn load(s: &Scope, channels: usize) -> Self {
        let f = channels / NARROWING;
        let conv = |name: &str, input: usize, output: usize, window: Window| {
            Conv::load(&s.at(name), input, output, window, true)
        };
        let (one, same) = (Window::same(1), Window::same(3));
        let deformable = s.at("dcn");
        let weight = deformable.conv_weight("weight", [f, 1, 3, 3]);
        ClueAttention {
            path: s.path().into(),
            narrow: conv("conv1", channels, f, one),
            shrink: conv("conv2", f, f, Window { pad: (0, 0), ..same.strided(2, 2) }),
            around: ["conv_max", "conv3", "conv3_"].map(|name| conv(name, f, f, same)),
            down: conv("down_conv2.0", f, f, same.strided(2, 2)),
            offsets: ["mask", "mask2"].map(|name| conv(name, f, 3 * TAPS * f, same)),
            weight: weight.reshape([3, 3, f]).expect("one input channel"),
            bias: deformable.param("bias", &[f]),
            channels: Excitation::load(&s.at("conv_du"), f, channels / 2, channels),
            skip: conv("conv_f", f, f, one),
            widen: conv("conv4", f, channels, one),
        }
    }

    /// `clue [N, H, W, C]`, weighted.
    pub(super) fn forward(&self, cx: &Cx, clue: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let tap = |name: &str, t: &Tensor| cx.tap(&self.path, name, t, Axes::Image);
        let [n, h, w, _] = clue.shape().nhwc(&self.path)?;
        let a = self.narrow.forward(cx, clue)?;
        let seen = max_pool(cx, &self.shrink.forward(cx, &a)?, Window::pool(7, 7).strided(3, 3))?;
        let mut e = seen.clone();
        for conv in &self.around {
            e = activate(cx, &conv.forward(cx, &e)?, Act::Relu)?;
            tap("relu", &e);
        }
        let bent = self.bend(cx, &seen, &e)?;
        let mean = mean_to(cx, &bent, [n, 1, 1, bent.shape().last()])?;
        tap("avg_pool", &mean);
        let by_channel = self.channels.forward(cx, &mean)?;
        let bent = resize(cx, &bent, (h, w), Filter::Bilinear, false)?;
        let by_place = self.widen.forward(cx, &add(cx, &bent, &self.skip.forward(cx, &a)?)?)?;
        let by_place = activate(cx, &by_place, Act::Sigmoid)?;
        tap("sigmoid", &by_place);
        let y = mul(cx, &mul(cx, clue, &by_place)?, &by_channel)?;
        tap("", &y);
        Ok(y)
    }

    /// `seen [N, h, w, F]` through a deformable convolution whose taps lie where `e`, of the same shape, says on two scales.
    fn bend(&self, cx: &Cx, seen: &Tensor, e: &Tensor) -> Result<Tensor> {
        let tap = |name: &str, t: &Tensor| cx.tap(&self.path, name, t, Axes::Image);
        let [_, h, w, f] = seen.shape().nhwc(&self.path)?;
        let [fine, coarse] = &self.offsets;
        let d = activate(cx, &self.down.forward(cx, e)?, Act::Relu)?;
        for name in ["down_conv2.1", "down_conv2"] {
            tap(name, &d);
        }
        let coarse = resize(cx, &coarse.forward(cx, &d)?, (h, w), Filter::Bilinear, false)?;
        let both = add(cx, &fine.forward(cx, e)?, &coarse)?;
        let offsets = slice_last(cx, &both, 0..2 * TAPS * f)?;
        let modulation = slice_last(cx, &both, 2 * TAPS * f..3 * TAPS * f)?;
        let modulation = activate(cx, &modulation, Act::Sigmoid)?;
        let bent = deformable_depthwise(cx, seen, &offsets, &modulation, &self.weight, &self.bias)?;
        tap("dcn", &bent);
        activate(cx, &bent, Act::Relu)
    }
}
