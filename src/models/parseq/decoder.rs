//! PARSeq's decoder: queries, one for each place of a word, that look at symbols at hand and at the image.

use super::{CLASSES, STEPS, Spelled, WIDTH};
use crate::Result;
use crate::nn::{LayerNorm, Linear, MultiHead, Scope};
use crate::ops::{
    Act, Mask, activate, add, argmax, concat_last, embedding, lengths, repeat, scale, slice_last,
    sum_to,
};
use crate::shape::to_u32;
use crate::tensor::{Axes, Cx, Tensor};

const HEADS: usize = 12;
const INNER: usize = 1536;
/// Rows of the table of symbols; behind the classes the start and the padding.
const SYMBOLS: usize = CLASSES + 2;
/// The symbol before the first.
pub const START: u32 = 95;
const EPS: f32 = 1e-5;

/// q ← q + SelfAttn(LN q; LN c); q ← q + CrossAttn(LN q; M); q ← q + W₂·GELU(W₁·LN q).
struct Layer {
    path: String,
    /// Of queries, of content, and before each of the other two parts.
    norms: [LayerNorm; 4],
    itself: MultiHead,
    image: MultiHead,
    inner: Linear,
    outer: Linear,
}

impl Layer {
    fn load(s: &Scope) -> Self {
        let heads = |name: &str| MultiHead::load(&s.at(name), WIDTH, HEADS).batch_first();
        Layer {
            path: s.path().into(),
            norms: ["norm_q", "norm_c", "norm1", "norm2"]
                .map(|name| LayerNorm::load_with(&s.at(name), WIDTH, EPS)),
            itself: heads("self_attn"),
            image: heads("cross_attn"),
            inner: Linear::load(&s.at("linear1"), WIDTH, INNER, true),
            outer: Linear::load(&s.at("linear2"), INNER, WIDTH, true),
        }
    }

    /// `queries [N, K, C]` that see `content [N, L, C]` but for what `mask` hides, and the image by its keys and values; with
    /// where they looked, `[N, heads, K, 128]`.
    fn forward(
        &self,
        cx: &Cx,
        queries: &Tensor,
        content: &Tensor,
        image: &Tensor,
        mask: Mask,
    ) -> Result<(Tensor, Tensor)> {
        let _scope = cx.scope(&self.path);
        let tap = |name: &str, t: &Tensor| cx.tap(&self.path, name, t, Axes::Same);
        let [own, others, first, second] = &self.norms;
        let q = own.alone(cx, queries, Axes::Same)?;
        let c = self.itself.memory(cx, &others.alone(cx, content, Axes::Same)?)?;
        let (a, _) = self.itself.over(cx, &q, &c, mask)?;
        tap("dropout1", &a);
        let x = add(cx, queries, &a)?;
        let q = first.alone(cx, &x, Axes::Same)?;
        let (a, looks) = self.image.over(cx, &q, image, Mask::None)?;
        tap("dropout2", &a);
        let x = add(cx, &x, &a)?;
        let h = self.inner.forward(cx, &second.alone(cx, &x, Axes::Same)?, Axes::Same)?;
        let h = activate(cx, &h, Act::Gelu)?;
        tap("dropout", &h);
        let f = self.outer.forward(cx, &h, Axes::Same)?;
        tap("dropout3", &f);
        let y = add(cx, &x, &f)?;
        tap("", &y);
        Ok((y, looks))
    }
}

/// The layers.
pub(super) struct Decoder {
    layer: Layer,
    norm: LayerNorm,
    head: Linear,
    table: Tensor,
    /// A query for each place, and the position of each symbol.
    places: Tensor,
}

impl Decoder {
    /// Loads `decoder`, `head`, `text_embed` and `pos_queries`.
    pub(super) fn load(s: &Scope) -> Self {
        Decoder {
            layer: Layer::load(&s.at("decoder.layers.0")),
            norm: LayerNorm::load_with(&s.at("decoder.norm"), WIDTH, EPS),
            head: Linear::load(&s.at("head"), WIDTH, CLASSES, true),
            table: s.at("text_embed.embedding").param("weight", &[SYMBOLS, WIDTH]),
            places: s.param("pos_queries", &[1, STEPS, WIDTH]),
        }
    }

    /// Reads `memory [N, 128, C]`: symbol by symbol, then all places once more.
    pub(super) fn forward(&self, cx: &Cx, memory: &Tensor) -> Result<Spelled> {
        let n = memory.dims()[0];
        let image = self.layer.image.memory(cx, memory)?;
        let starts = Tensor::upload_u32(cx.gpu(), [n, 1], &vec![START; n]);
        let start = embedding(cx, &starts, &self.table, 1.0)?;
        let none = Tensor::upload(cx.gpu(), [n, 0, WIDTH], &[]);
        let mut symbols = none;
        let mut steps = Vec::new();
        for i in 0..STEPS {
            let content = self.content(cx, &start, &symbols)?;
            cx.value("parseq", &format!("step{i}.content"), &content, Axes::Same);
            let query = repeat(cx, &self.places.view(i * WIDTH, [1, 1, WIDTH])?, n)?;
            let (out, _) = self.decode(cx, &query, &content, &image, Mask::None)?;
            cx.value("parseq", &format!("step{i}.decoder_out"), &out, Axes::Same);
            let logits = self.head.forward(cx, &out, Axes::Same)?;
            if i + 1 < STEPS {
                let next = embedding(cx, &argmax(cx, &logits)?, &self.table, 1.0)?;
                symbols = behind(cx, &symbols, &next)?;
            }
            steps.push(logits.reshape([n, CLASSES])?);
        }
        let greedy = concat_last(cx, &steps.iter().collect::<Vec<_>>())?;
        let greedy = greedy.reshape([n, STEPS, CLASSES])?;
        // Every place sees all symbols but its own, up to the first end.
        let known = lengths(cx, &greedy, to_u32(STEPS))?;
        let content = self.content(cx, &start, &symbols)?;
        let queries = repeat(cx, &self.places, n)?;
        let (out, looks) =
            self.decode(cx, &queries, &content, &image, Mask::OwnAndLengths(&known))?;
        cx.value("parseq", "refine.decoder_out", &out, Axes::Same);
        let logits = self.head.forward(cx, &out, Axes::Same)?;
        let [_, _, places, patches] = looks.shape().nhwc("PARSeq")?;
        let looks = sum_to(cx, &looks, [n, 1, places, patches])?;
        let (greedy_ids, ids) = (argmax(cx, &greedy)?, argmax(cx, &logits)?);
        Ok(Spelled { greedy: (greedy, greedy_ids), logits, ids, looks })
    }

    /// Class scores `[N, L, 95]` for each of `hidden`, tables u32 `[N, L, L]` of the symbols that a place does not see; the symbols
    /// `input` u32 `[N, L]` begin with the start.
    pub(super) fn along(
        &self,
        cx: &Cx,
        memory: &Tensor,
        input: &Tensor,
        hidden: &[Tensor],
    ) -> Result<Vec<Tensor>> {
        let (n, l) = (input.dims()[0], input.dims()[1]);
        let image = self.layer.image.memory(cx, memory)?;
        let symbols = scale(cx, &embedding(cx, input, &self.table, 1.0)?, (WIDTH as f32).sqrt())?;
        let flat = symbols.reshape([n, l * WIDTH])?;
        let places = self.places.reshape([STEPS * WIDTH])?;
        // The start has no position, and the first symbol the first one.
        let start = slice_last(cx, &flat, 0..WIDTH)?.reshape([n, 1, WIDTH])?;
        let others = slice_last(cx, &flat, WIDTH..l * WIDTH)?.reshape([n, l - 1, WIDTH])?;
        let positions = slice_last(cx, &places, 0..(l - 1) * WIDTH)?;
        let others = add(cx, &others, &positions.reshape([l - 1, WIDTH])?)?;
        let content = behind(cx, &start, &others)?;
        let queries = slice_last(cx, &places, 0..l * WIDTH)?.reshape([1, l, WIDTH])?;
        let queries = repeat(cx, &queries, n)?;
        let order = |hidden: &Tensor| {
            let mask = Mask::Table(hidden);
            let (out, _) = self.decode(cx, &queries, &content, &image, mask)?;
            self.head.forward(cx, &out, Axes::Same)
        };
        hidden.iter().map(order).collect()
    }

    /// The start, then `symbols [N, i, C]` of the table, which alone have positions: `[N, i + 1, C]`.
    fn content(&self, cx: &Cx, start: &Tensor, symbols: &Tensor) -> Result<Tensor> {
        let root = (WIDTH as f32).sqrt();
        let scaled = |embedded: &Tensor| -> Result<Tensor> {
            cx.tap("text_embed.embedding", "", embedded, Axes::Same);
            let scaled = match embedded.is_empty() {
                true => embedded.clone(),
                false => scale(cx, embedded, root)?,
            };
            cx.tap("text_embed", "", &scaled, Axes::Same);
            Ok(scaled)
        };
        let (start, scaled) = (scaled(start)?, scaled(symbols)?);
        let count = symbols.dims()[1];
        if count == 0 {
            return Ok(start);
        }
        let positions = self.places.view(0, [count, WIDTH])?;
        behind(cx, &start, &add(cx, &scaled, &positions)?)
    }

    fn decode(
        &self,
        cx: &Cx,
        queries: &Tensor,
        content: &Tensor,
        image: &Tensor,
        mask: Mask,
    ) -> Result<(Tensor, Tensor)> {
        for t in [content, queries] {
            cx.tap("dropout", "", t, Axes::Same);
        }
        let (y, looks) = self.layer.forward(cx, queries, content, image, mask)?;
        let y = self.norm.alone(cx, &y, Axes::Same)?;
        cx.tap("decoder", "", &y, Axes::Same);
        Ok((y, looks))
    }
}

/// `a [N, L, C]`, then `b [N, M, C]` along the sequence.
fn behind(cx: &Cx, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let [n, l, c] = a.shape().nlc("PARSeq")?;
    let m = b.dims()[1];
    let both = concat_last(cx, &[&a.reshape([n, l * c])?, &b.reshape([n, m * c])?])?;
    both.reshape([n, l + m, c])
}
