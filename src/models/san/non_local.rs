//! Non-local attention within each quarter of the image: all pixels look at a quarter as many, the largest of two by two.

use crate::Result;
use crate::nn::{Conv, Scope};
use crate::ops::{Attention, Heads, Mask, add, attention, concat_last, max_pool, slice_last};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// How much narrower the attention is than the feature.
const NARROWING: usize = 8;

/// `non_local`.
pub(super) struct NonLocal {
    path: String,
    width: usize,
    theta: Conv,
    phi: Conv,
    values: Conv,
    last: Conv,
}

impl NonLocal {
    pub(super) fn load(s: &Scope, channels: usize) -> Self {
        let width = channels / NARROWING;
        let inside = s.at("non_local");
        let conv = |name: &str, input: usize, output: usize| {
            Conv::load(&inside.at(name), input, output, Window::same(1), true)
        };
        NonLocal {
            path: s.path().into(),
            width,
            theta: conv("theta", channels, width),
            phi: conv("phi.0", channels, width),
            values: conv("g.0", channels, width),
            last: conv("W", width, channels),
        }
    }

    /// `x [N, H, W, C]` with even H and W to the same shape.
    pub(super) fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let [n, h, w, c] = x.shape().nhwc(&self.path)?;
        let (row, quarter) = (w * c, [n, h / 2, w / 2, c]);
        let half = |t: &Tensor, second: usize| {
            let len = t.shape().last() / 2;
            slice_last(cx, t, second * len..(second + 1) * len)
        };
        // Of each side the upper and the lower quarter, then the rows of both sides behind one another.
        let side = |side: usize| {
            let of = |lower: usize| {
                let rows = half(&x.reshape([n, h * row])?, lower)?;
                let x = half(&rows.reshape([n, h / 2, row])?, side)?.reshape(quarter)?;
                self.attend(cx, &x)?.reshape([n, h / 2, row / 2])
            };
            Ok([of(0)?, of(1)?])
        };
        let (left, right): ([Tensor; 2], [Tensor; 2]) = (side(0)?, side(1)?);
        let rows = |i: usize| concat_last(cx, &[&left[i], &right[i]])?.reshape([n, h / 2 * row]);
        let y = concat_last(cx, &[&rows(0)?, &rows(1)?])?.reshape(x.shape())?;
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }

    /// x + W·soft-max(θ(x)·φ(x)ᵀ)·g(x) of images `x [N, H, W, C]`.
    fn attend(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let [n, h, w, _] = x.shape().nhwc(&self.path)?;
        let (inside, d) = (format!("{}.non_local", self.path), self.width);
        let pooled = |conv: &Conv, names: [&str; 2]| {
            let y = max_pool(cx, &conv.forward(cx, x)?, Window::pool(2, 2))?;
            for name in names {
                cx.tap(&inside, name, &y, Axes::Image);
            }
            y.reshape([n, h * w / 4, d])
        };
        let values = pooled(&self.values, ["g.1", "g"])?;
        let queries = self.theta.forward(cx, x)?.reshape([n, h * w, d])?;
        let keys = pooled(&self.phi, ["phi.1", "phi"])?;
        let shape = Attention { heads: 1, width: d, scale: 1.0 };
        let [q, k, v] = [&queries, &keys, &values].map(Heads::whole);
        let (mixed, _) = attention(cx, q, k, v, shape, Mask::None, false)?;
        let y = add(cx, &self.last.forward(cx, &mixed.reshape([n, h, w, d])?)?, x)?;
        cx.tap(&inside, "", &y, Axes::Image);
        Ok(y)
    }
}
