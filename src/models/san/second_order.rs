//! Second-order channel attention: what a channel is worth follows from how it varies with the others, by the square root of
//! their covariance.

use crate::Result;
use crate::nn::{Excitation, Scope};
use crate::ops::{add, batched_matmul, mean_to, mul, permute, reciprocal, scale, sqrt, sum_to};
use crate::tensor::{Axes, Cx, Tensor};

/// Rounds of Newton–Schulz between the first and the last.
const ROUNDS: usize = 3;

/// `soca`.
pub(super) struct SecondOrder {
    path: String,
    gates: Excitation,
    /// The unit matrix `[C, C]`, and 3/2 of it.
    unit: Tensor,
    more: Tensor,
}

impl SecondOrder {
    pub(super) fn load(s: &Scope, channels: usize, hidden: usize) -> Self {
        let matrix = |v: f32| {
            let one = |i: usize| if i / channels == i % channels { v } else { 0.0 };
            let values: Vec<f32> = (0..channels * channels).map(one).collect();
            Tensor::upload(s.gpu(), [channels, channels], &values)
        };
        SecondOrder {
            path: s.path().into(),
            gates: Excitation::load(&s.at("conv_du"), channels, hidden, channels),
            unit: matrix(1.0),
            more: matrix(1.5),
        }
    }

    /// `x [N, H, W, C]`, each channel times its gate.
    pub(super) fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let [n, _, _, c] = x.shape().nhwc(&self.path)?;
        let root = cx.in_full(|cx| self.root(cx, &covariance(cx, x)?))?;
        let summary = mean_to(cx, &root, [n, 1, c])?.reshape([n, 1, 1, c])?;
        let y = mul(cx, x, &self.gates.forward(cx, &summary)?)?;
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }

    /// The square root of symmetric matrices `m [N, C, C]` by Newton–Schulz, on m / tr m so that it converges.
    fn root(&self, cx: &Cx, m: &Tensor) -> Result<Tensor> {
        let n = m.dims()[0];
        // (3·I − m) / 2
        let half = |m: &Tensor| add(cx, &scale(cx, m, -0.5)?, &self.more);
        let trace = sum_to(cx, &mul(cx, m, &self.unit)?, [n, 1, 1])?;
        let a = mul(cx, m, &reciprocal(cx, &trace)?)?;
        let mut z = half(&a)?;
        let mut y = batched_matmul(cx, &a, &z)?;
        for _ in 0..ROUNDS {
            let t = half(&batched_matmul(cx, &z, &y)?)?;
            y = batched_matmul(cx, &y, &t)?;
            z = batched_matmul(cx, &t, &z)?;
        }
        let y = batched_matmul(cx, &y, &half(&batched_matmul(cx, &z, &y)?)?)?;
        mul(cx, &y, &sqrt(cx, &trace)?)
    }
}

/// Of the channels over all pixels of `x [N, H, W, C]`: `[N, C, C]`.
fn covariance(cx: &Cx, x: &Tensor) -> Result<Tensor> {
    let [n, h, w, c] = x.shape().nhwc("covariance")?;
    let pixels = x.reshape([n, h * w, c])?;
    let mean = mean_to(cx, &pixels, [n, 1, c])?;
    let centered = add(cx, &pixels, &scale(cx, &mean, -1.0)?)?;
    let turned = permute(cx, &centered, &[0, 2, 1])?;
    scale(cx, &batched_matmul(cx, &turned, &centered)?, 1.0 / (h * w) as f32)
}
