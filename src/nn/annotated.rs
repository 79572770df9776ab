//! Transformer layers as in "The Annotated Transformer", which recognizers and networks of the text-focus family have: attention
//! with four linear layers, and a feed-forward part named `w_1` and `w_2`.

use super::{Linear, Scope};
use crate::Result;
use crate::ops::{Act, Attention, Heads, Mask, activate, attention, dropout};
use crate::tensor::{Axes, Cx, Tensor};

/// Multi-head attention with a linear layer each for queries, keys, values and the result.
pub struct LinearHeads {
    path: String,
    linears: [Linear; 4],
    shape: Attention,
}

impl LinearHeads {
    /// Loads `linears.0` to `linears.3`, of `width` channels each.
    pub fn load(s: &Scope, width: usize, heads: usize) -> Self {
        // A projection that compresses the heads stands in every file and takes no part.
        s.leave("compress_attention_linear.");
        let linear = |i: usize| Linear::load(&s.at(format!("linears.{i}")), width, width, true);
        LinearHeads {
            path: s.path().into(),
            linears: [0, 1, 2, 3].map(linear),
            shape: Attention { heads, width, scale: ((width / heads) as f32).sqrt().recip() },
        }
    }

    /// Attention of `query [N, Lq, E]` over `key [N, Lk, E]`, and its weights `[N, heads, Lq, Lk]`, which cost nothing where
    /// nobody reads them.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(
        &self,
        cx: &Cx,
        query: &Tensor,
        key: &Tensor,
        mask: Mask,
    ) -> Result<(Tensor, Tensor)> {
        let _scope = cx.scope(&self.path);
        let [lq, lk, lv, lo] = &self.linears;
        let q = lq.forward(cx, query, Axes::Same)?;
        let k = lk.forward(cx, key, Axes::Same)?;
        let v = lv.forward(cx, key, Axes::Same)?;
        let (q, k, v) = (Heads::whole(&q), Heads::whole(&k), Heads::whole(&v));
        let (mixed, weights) = attention(cx, q, k, v, self.shape, mask, true)?;
        let weights = weights.expect("the weights that were asked for");
        cx.tap(&self.path, "dropout", &weights, Axes::Same);
        let y = lo.forward(cx, &mixed, Axes::Same)?;
        cx.tap(&self.path, "", &y, Axes::Same);
        Ok((y, weights))
    }
}

/// W₂·dropout(ReLU(W₁·x + b₁)) + b₂.
pub struct PositionwiseFeedForward {
    path: String,
    inner: Linear,
    outer: Linear,
}

impl PositionwiseFeedForward {
    /// Loads `w_1` from `width` channels to `hidden`, and `w_2` back.
    pub fn load(s: &Scope, width: usize, hidden: usize) -> Self {
        PositionwiseFeedForward {
            path: s.path().into(),
            inner: Linear::load(&s.at("w_1"), width, hidden, true),
            outer: Linear::load(&s.at("w_2"), hidden, width, true),
        }
    }

    /// `x [N, L, E]` to the same shape.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let h = activate(cx, &self.inner.forward(cx, x, Axes::Same)?, Act::Relu)?;
        let h = dropout(cx, &h)?;
        cx.tap(&self.path, "dropout", &h, Axes::Same);
        let y = self.outer.forward(cx, &h, Axes::Same)?;
        cx.tap(&self.path, "", &y, Axes::Same);
        Ok(y)
    }
}
