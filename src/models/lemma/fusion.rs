//! The adaptive fusion module (paper §3.4): how the guidance enters a block.

use super::config::{Fusion, LemmaConfig};
use crate::Result;
use crate::nn::{BatchNorm, Conv, ConvNorm, Scope};
use crate::ops::{Act, activate, add, concat_last, global_depthwise, mul};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// conv 1×1, norm, PReLU, conv 1×1.
struct Branch {
    path: String,
    first: ConvNorm,
    slope: Tensor,
    second: Conv,
}

impl Branch {
    fn load(s: &Scope, input: usize, output: usize) -> Self {
        let one = Window::same(1);
        Branch {
            path: s.path().into(),
            first: ConvNorm::load(&s.at(0), &s.at(1), input, output, one, true),
            slope: s.at(2).param("weight", &[1]),
            second: Conv::load(&s.at(3), output, output, one, true),
        }
    }

    fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let h = activate(cx, &self.first.forward(cx, x)?, Act::Prelu(&self.slope))?;
        cx.tap(&self.path, "2", &h, Axes::Image);
        let y = self.second.forward(cx, &h)?;
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }
}

/// Global depthwise convolution, three 1×1 convolutions with ReLU, ReLU and sigmoid between and behind.
struct ChannelAttention {
    path: String,
    weight: Tensor,
    bias: Tensor,
    convs: [Conv; 3],
}

impl ChannelAttention {
    fn load(s: &Scope, channels: usize, size: (usize, usize)) -> Self {
        let weight = s.at(0).conv_weight("weight", [channels, 1, size.0, size.1]);
        ChannelAttention {
            path: s.path().into(),
            weight: weight.reshape([size.0, size.1, channels]).expect("one input channel"),
            bias: s.at(0).param("bias", &[channels]),
            convs: [1, 3, 5]
                .map(|i| Conv::load(&s.at(i), channels, channels, Window::same(1), true)),
        }
    }

    fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let mut y = global_depthwise(cx, x, &self.weight, &self.bias)?;
        cx.tap(&self.path, "0", &y, Axes::Image);
        let acts = [Act::Relu, Act::Relu, Act::Sigmoid];
        for ((conv, act), name) in self.convs.iter().zip(acts).zip(["2", "4", "6"]) {
            y = activate(cx, &conv.forward(cx, &y)?, act)?;
            cx.tap(&self.path, name, &y, Axes::Image);
        }
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }
}

/// y = norm(x₃ + aggregation(attention(x₁) ⊙ x₂)) with x₁, x₂, x₃ from three branches.
struct Adaptive {
    branches: [Branch; 3],
    channel_attention: ChannelAttention,
    aggregation: Branch,
    norm: BatchNorm,
}

impl Adaptive {
    fn forward(&self, cx: &Cx, both: &Tensor) -> Result<Tensor> {
        let [x1, x2, x3] = self.branches.each_ref().map(|b| b.forward(cx, both));
        let attention = self.channel_attention.forward(cx, &x1?)?;
        let weighted = mul(cx, &x2?, &attention)?;
        let aggregated = self.aggregation.forward(cx, &weighted)?;
        self.norm.forward(cx, &add(cx, &x3?, &aggregated)?)
    }
}

enum Kind {
    Adaptive(Box<Adaptive>),
    Concat(Box<ConvNorm>),
}

/// Brings the guidance into a block's feature.
pub struct FusionModel {
    path: String,
    guidance_norm: BatchNorm,
    kind: Kind,
}

impl FusionModel {
    /// Loads `affine` of a block, for images of `size`.
    pub fn load(s: &Scope, config: &LemmaConfig, size: (usize, usize)) -> Self {
        let c = config.channels();
        let branches = [1, 2, 3].map(|b| s.at(format!("conv1x1_{b}")));
        let kind = match config.fusion {
            Fusion::Adaptive => Kind::Adaptive(Box::new(Adaptive {
                branches: branches.each_ref().map(|b| Branch::load(b, 2 * c, c)),
                channel_attention: ChannelAttention::load(&s.at("channel_attn"), c, size),
                aggregation: Branch::load(&s.at("aggregation"), c, c),
                norm: BatchNorm::load(&s.at("BN2"), c),
            })),
            Fusion::Concat => Kind::Concat(Box::new(ConvNorm::load(
                &s.at("concat"),
                &s.at("BN2"),
                2 * c,
                c,
                Window::same(1),
                true,
            ))),
        };
        FusionModel { path: s.path().into(), guidance_norm: BatchNorm::load(&s.at("BN"), c), kind }
    }

    /// Feature and guidance `[N, H, W, C]` to one feature.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, feature: &Tensor, guidance: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let g = self.guidance_norm.forward(cx, guidance)?;
        let both = concat_last(cx, &[feature, &g])?;
        let y = match &self.kind {
            Kind::Adaptive(adaptive) => adaptive.forward(cx, &both)?,
            Kind::Concat(conv) => conv.forward(cx, &both)?,
        };
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }
}
