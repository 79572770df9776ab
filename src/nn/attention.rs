//! Multi-head attention and the two kinds of transformer layers that the networks use. Post-norm, as the official code.

use super::{LayerNorm, Linear, Scope};
use crate::ops::{
    Act, Attention, Epilogue, Heads, Mask, activate, add, attention, dropout, linear,
    linear_columns,
};
use crate::tensor::{Axes, Cx, Tensor};
use crate::{Error, Result};
use std::ops::Range;

/// `torch.nn.MultiheadAttention` with its packed input projection.
pub struct MultiHead {
    path: String,
    in_weight: Tensor,
    in_bias: Tensor,
    out_weight: Tensor,
    out_bias: Tensor,
    shape: Attention,
    axes: Axes,
}

impl MultiHead {
    /// Loads `in_proj_weight [3E, E]`, `in_proj_bias`, `out_proj.weight` and `out_proj.bias` for E = `width`.
    pub fn load(s: &Scope, width: usize, heads: usize) -> Self {
        MultiHead {
            path: s.path().into(),
            in_weight: s.transposed("in_proj_weight", 3 * width, width),
            in_bias: s.param("in_proj_bias", &[3 * width]),
            out_weight: s.transposed("out_proj.weight", width, width),
            out_bias: s.param("out_proj.bias", &[width]),
            shape: Attention { heads, width, scale: ((width / heads) as f32).sqrt().recip() },
            axes: Axes::Sequence,
        }
    }

    /// The same for a module that has the batch first, as traces show.
    pub fn batch_first(self) -> Self {
        MultiHead { axes: Axes::Same, ..self }
    }

    /// Keys and values `[N, L, 2E]` of `x [N, L, E]`, which several queries may share.
    ///
    /// # Errors
    /// Another last axis than E.
    pub fn memory(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        self.project(cx, x, 1..3).map_err(|e| e.within(&self.path))
    }

    /// Attention of `query [N or 1, Lq, E]` over what [`MultiHead::memory`] made, and its weights `[N, heads, Lq, Lk]`, which cost
    /// nothing where nobody reads them.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn over(
        &self,
        cx: &Cx,
        query: &Tensor,
        memory: &Tensor,
        mask: Mask,
    ) -> Result<(Tensor, Tensor)> {
        let _scope = cx.scope(&self.path);
        let compute = || {
            let q = self.project(cx, query, 0..1)?;
            let (k, v) = (Heads::part(memory, 0), Heads::part(memory, self.shape.width));
            let (mixed, weights) = attention(cx, Heads::whole(&q), k, v, self.shape, mask, true)?;
            let weights = weights.expect("the weights that were asked for");
            Ok((self.output(cx, &mixed)?, weights))
        };
        compute().map_err(|e: Error| e.within(&self.path))
    }

    /// Parts of the packed projection of `x`: 0 makes queries, 1 keys, 2 values.
    fn project(&self, cx: &Cx, x: &Tensor, parts: Range<usize>) -> Result<Tensor> {
        let e = self.shape.width;
        let bias = Epilogue::bias(&self.in_bias);
        linear_columns(cx, x, &self.in_weight, parts.start * e..parts.end * e, &bias)
    }

    fn output(&self, cx: &Cx, mixed: &Tensor) -> Result<Tensor> {
        let y = linear(cx, mixed, &self.out_weight, &Epilogue::bias(&self.out_bias))?;
        cx.tap(&self.path, "", &y, self.axes);
        Ok(y)
    }

    /// Attention of `query [N or 1, Lq, E]` over `key` and `value` `[N, Lk, E]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(
        &self,
        cx: &Cx,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        mask: Mask,
    ) -> Result<Tensor> {
        Ok(self.weighted(cx, query, key, value, mask)?.0)
    }

    /// The same with the weights `[N, heads, Lq, Lk]`, which cost nothing where nobody reads them.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn weighted(
        &self,
        cx: &Cx,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        mask: Mask,
    ) -> Result<(Tensor, Tensor)> {
        self.compute(cx, query, key, value, mask).map_err(|e| e.within(&self.path))
    }

    fn compute(
        &self,
        cx: &Cx,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        mask: Mask,
    ) -> Result<(Tensor, Tensor)> {
        let _scope = cx.scope(&self.path);
        let e = self.shape.width;
        let project = |x: &Tensor, from: usize, to: usize| self.project(cx, x, from..to);
        let (mixed, weights) = if query.is(key) && key.is(value) {
            let qkv = project(query, 0, 3)?;
            let part = |i: usize| Heads::part(&qkv, i * e);
            attention(cx, part(0), part(1), part(2), self.shape, mask, true)?
        } else {
            let q = project(query, 0, 1)?;
            if key.is(value) {
                let kv = project(key, 1, 3)?;
                let (k, v) = (Heads::part(&kv, 0), Heads::part(&kv, e));
                attention(cx, Heads::whole(&q), k, v, self.shape, mask, true)?
            } else {
                let (k, v) = (project(key, 1, 2)?, project(value, 2, 3)?);
                let (k, v) = (Heads::whole(&k), Heads::whole(&v));
                attention(cx, Heads::whole(&q), k, v, self.shape, mask, true)?
            }
        };
        let y = self.output(cx, &mixed)?;
        Ok((y, weights.expect("the weights that were asked for")))
    }
}

/// Sizes of a transformer layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransformerConfig {
    /// Channels.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Hidden channels of the feed-forward part.
    pub inner: usize,
}

struct FeedForward {
    path: String,
    inner: Linear,
    outer: Linear,
}

impl FeedForward {
    fn load(s: &Scope, config: TransformerConfig) -> Self {
        FeedForward {
            path: s.path().into(),
            inner: Linear::load(&s.at("linear1"), config.width, config.inner, true),
            outer: Linear::load(&s.at("linear2"), config.inner, config.width, true),
        }
    }

    /// dropout(W₂·dropout(ReLU(W₁·x + b₁)) + b₂); `last` names the dropout behind it.
    fn forward(&self, cx: &Cx, x: &Tensor, last: &str) -> Result<Tensor> {
        let h = self.inner.forward(cx, x, Axes::Sequence)?;
        let h = dropout(cx, &activate(cx, &h, Act::Relu)?)?;
        cx.tap(&self.path, "dropout", &h, Axes::Sequence);
        let y = dropout(cx, &self.outer.forward(cx, &h, Axes::Sequence)?)?;
        cx.tap(&self.path, last, &y, Axes::Sequence);
        Ok(y)
    }
}

/// Post-norm encoder layer: x ← LN₁(x + SelfAttn(x)); x ← LN₂(x + FFN(x)).
pub struct EncoderLayer {
    path: String,
    attention: MultiHead,
    norms: [LayerNorm; 2],
    feed_forward: FeedForward,
}

impl EncoderLayer {
    /// Loads `self_attn`, `linear1`, `linear2`, `norm1` and `norm2`.
    pub fn load(s: &Scope, config: TransformerConfig) -> Self {
        EncoderLayer {
            path: s.path().into(),
            attention: MultiHead::load(&s.at("self_attn"), config.width, config.heads),
            norms: ["norm1", "norm2"].map(|n| LayerNorm::load(&s.at(n), config.width)),
            feed_forward: FeedForward::load(s, config),
        }
    }

    /// `x [N, L, C]` to the same shape.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        self.seeking(cx, x, x)
    }

    /// The same with `positions`, of x's shape, added to queries and keys.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward_at(&self, cx: &Cx, x: &Tensor, positions: &Tensor) -> Result<Tensor> {
        self.seeking(cx, x, &add(cx, x, positions)?)
    }

    /// With queries and keys of their own.
    fn seeking(&self, cx: &Cx, x: &Tensor, sought: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let a = dropout(cx, &self.attention.forward(cx, sought, sought, x, Mask::None)?)?;
        cx.tap(&self.path, "dropout1", &a, Axes::Sequence);
        let x = self.norms[0].forward(cx, &a, x, Axes::Sequence)?;
        let f = self.feed_forward.forward(cx, &x, "dropout2")?;
        let y = self.norms[1].forward(cx, &f, &x, Axes::Sequence)?;
        cx.tap(&self.path, "", &y, Axes::Sequence);
        Ok(y)
    }
}

/// Post-norm layer of cross attention alone: x ← LN₂(q + Attn(q, k, v)); x ← LN₃(x + FFN(x)).
pub struct DecoderLayer {
    path: String,
    attention: MultiHead,
    norms: [LayerNorm; 2],
    feed_forward: FeedForward,
}

impl DecoderLayer {
    /// Loads `multihead_attn`, `linear1`, `linear2`, `norm2` and `norm3`.
    pub fn load(s: &Scope, config: TransformerConfig) -> Self {
        DecoderLayer {
            path: s.path().into(),
            attention: MultiHead::load(&s.at("multihead_attn"), config.width, config.heads),
            norms: ["norm2", "norm3"].map(|n| LayerNorm::load(&s.at(n), config.width)),
            feed_forward: FeedForward::load(s, config),
        }
    }

    /// `query [N, Lq, C]` over `key` and `value` `[N, Lk, C]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(
        &self,
        cx: &Cx,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        mask: Mask,
    ) -> Result<Tensor> {
        Ok(self.forward_from(cx, query, query, key, value, mask)?.0)
    }

    /// The same of `x [N, Lq, C]` with a query of its own, and the weights of the attention `[N, heads, Lq, Lk]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward_from(
        &self,
        cx: &Cx,
        x: &Tensor,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        mask: Mask,
    ) -> Result<(Tensor, Tensor)> {
        let _scope = cx.scope(&self.path);
        let (a, weights) = self.attention.weighted(cx, query, key, value, mask)?;
        let a = dropout(cx, &a)?;
        cx.tap(&self.path, "dropout2", &a, Axes::Sequence);
        let x = self.norms[0].forward(cx, &a, x, Axes::Sequence)?;
        let f = self.feed_forward.forward(cx, &x, "dropout3")?;
        let y = self.norms[1].forward(cx, &f, &x, Axes::Sequence)?;
        cx.tap(&self.path, "", &y, Axes::Sequence);
        Ok((y, weights))
    }
}
