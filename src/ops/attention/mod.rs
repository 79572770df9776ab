//! Multi-head attention between projections:  y = soft-max(scale·q·kᵀ, masked)·v  for every head.
//!
//! Heads are consecutive slices of the channel axis. q, k and v may be parts of one packed tensor, so that one projection
//! serves all three. Scores stay in workgroup memory unless the caller asks for the weights, or a head is wider than one
//! workgroup's accumulators: then the weights are written, and multiplied by the values in a second dispatch. Where a gradient is asked for, or weights are
//! dropped, and for a mask that is a table, attention is composed of products, [`mask_scores`] and a soft-max instead.

mod node;
mod tiles;

pub(crate) use node::Attend;

use super::{
    Case, Mask, Row, batched_matmul, dropout, mask_scores, permute, repeat, scale as scaled,
    slice_last, softmax,
};
use crate::shape::to_u32;
use crate::tensor::{Cx, Dtype, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result};
use tiles::Scores;

/// The channels of a sequence that hold the heads.
#[derive(Clone, Copy)]
pub struct Heads<'a> {
    /// `[N, L, stride]`, or `[1, L, stride]` for one sequence shared by all images.
    pub tensor: &'a Tensor,
    /// First channel.
    pub first: usize,
}

impl<'a> Heads<'a> {
    /// All channels of `tensor`.
    pub fn whole(tensor: &'a Tensor) -> Self {
        Heads { tensor, first: 0 }
    }

    /// Channels of `tensor` from `first`.
    pub fn part(tensor: &'a Tensor, first: usize) -> Self {
        Heads { tensor, first }
    }
}

/// Heads and scale.
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    /// Number of heads.
    pub heads: usize,
    /// Channels of all heads together, E.
    pub width: usize,
    /// Factor of the scores.
    pub scale: f32,
}

/// Attention of queries `q [N, Lq, E]` to keys `k [N, Lk, E]` and values `v [N, Lk, E]`, the part of
/// `torch.nn.MultiheadAttention` between its projections. Returns `[N, Lq, E]` and, if asked for, the soft-max weights
/// `[N, heads, Lq, Lk]`. A sequence whose batch is 1 serves all images.
///
/// Dropout applies to the weights used for the output, not to the returned ones.
///
/// # Errors
/// Operands whose shapes do not fit, heads that do not divide the width, or a sequence without keys.
pub fn attention(
    cx: &Cx,
    q: Heads,
    k: Heads,
    v: Heads,
    shape: Attention,
    mask: Mask,
    weights: bool,
) -> Result<(Tensor, Option<Tensor>)> {
    let s = scores(cx, q, k, v, shape, mask)?;
    let parts = [q.tensor, k.tensor, v.tensor];
    let by_table = matches!(mask, Mask::Table(_));
    if cx.tracks(&parts) || cx.mode().dropout.is_some() || by_table {
        let (y, soft) = composed(cx, [q, k, v], s.images as usize, shape, mask)?;
        return Ok((y, weights.then_some(soft)));
    }
    let [n, lq, lk] = [s.images, s.lq, s.lk].map(|x| x as usize);
    let y = cx.out([n, lq, shape.width]);
    let soft = weights.then(|| cx.out_f32([n, shape.heads, lq, lk]));
    if !y.is_empty() {
        let lengths = mask.lengths().map(Tensor::detached);
        let parts = [q, k, v].map(|part| (part.tensor.detached(), part.first));
        cx.push(Attend { parts, lengths, scores: s, y: y.clone(), soft: soft.clone() });
    }
    Ok((y, soft))
}

/// The same of operations that record their gradients, with its weights.
fn composed(
    cx: &Cx,
    [q, k, v]: [Heads; 3],
    n: usize,
    Attention { heads, width, scale }: Attention,
    mask: Mask,
) -> Result<(Tensor, Tensor)> {
    // The heads of a sequence as a batch [N·heads, ..] of matrices, their axes (heads, L, D) in a given order.
    let split = |part: Heads, order: [usize; 4]| -> Result<Tensor> {
        let range = part.first..part.first + width;
        let mut x = match range.len() == part.tensor.shape().last() {
            true => part.tensor.clone(),
            false => slice_last(cx, part.tensor, range)?,
        };
        if x.dims()[0] != n {
            x = repeat(cx, &x, n)?;
        }
        let apart = x.reshape([n, x.dims()[1], heads, width / heads])?;
        let x = permute(cx, &apart, &order)?;
        x.reshape([n * heads, x.dims()[2], x.dims()[3]])
    };
    let (lq, lk) = (q.tensor.dims()[1], k.tensor.dims()[1]);
    let (queries, keys) = (split(q, [0, 2, 1, 3])?, split(k, [0, 2, 3, 1])?);
    let scores = if let Mask::None = mask {
        // There are fewer queries than scores to be scaled.
        batched_matmul(cx, &scaled(cx, &queries, scale)?, &keys)?.reshape([n, heads, lq, lk])?
    } else {
        let scores = batched_matmul(cx, &queries, &keys)?.reshape([n, heads, lq, lk])?;
        mask_scores(cx, &scores, scale, mask)?
    };
    let weights = softmax(cx, &scores, 3)?;
    let kept = dropout(cx, &weights)?.reshape([n * heads, lq, lk])?;
    let y = batched_matmul(cx, &kept, &split(v, [0, 2, 1, 3])?)?;
    let y = permute(cx, &y.reshape([n, heads, lq, width / heads])?, &[0, 2, 1, 3])?;
    Ok((y.reshape([n, lq, width])?, weights))
}

/// Checks the operands and gathers what the kernel must know of them.
fn scores(cx: &Cx, q: Heads, k: Heads, v: Heads, shape: Attention, mask: Mask) -> Result<Scores> {
    const OP: &str = "attention";
    let Attention { heads, width, scale } = shape;
    if heads == 0 || width == 0 || width % heads != 0 {
        return Err(Error::new(ErrorKind::Argument, OP, "heads")
            .expected(format!("a divisor of the width {width}"))
            .got(heads));
    }
    let [nq, lq, q_row] = q.tensor.shape().nlc(OP)?;
    let [nk, lk, k_row] = k.tensor.shape().nlc(OP)?;
    let [nv, _, v_row] = v.tensor.shape().nlc(OP)?;
    let images = [nq, nk, nv].into_iter().find(|n| *n != 1).unwrap_or(1);
    cx.expect(OP, "v", v.tensor, [nv, lk, v_row])?;
    for (name, part, batch) in [("q", q, nq), ("k", k, nk), ("v", v, nv)] {
        let [_, length, stride] = part.tensor.shape().nlc(OP)?;
        if batch != 1 && batch != images || part.first + width > stride || length == 0 {
            return Err(Error::new(ErrorKind::Shape, OP, format!("shape of {name}"))
                .expected(format!("[{images} or 1, at least 1, at least {}]", part.first + width))
                .got(part.tensor.shape()));
        }
    }
    if let Some(lengths) = mask.lengths() {
        cx.expect(OP, "lengths", lengths, [images])?;
        if lengths.dtype() != Dtype::U32 {
            return Err(Error::new(ErrorKind::Argument, OP, "type of lengths")
                .expected("u32")
                .got(format!("{lengths:?}")));
        }
    }
    let step = |batch: usize, length: usize, row: usize| {
        if batch == 1 { 0 } else { to_u32(length * row) }
    };
    Ok(Scores {
        images: to_u32(images),
        lq: to_u32(lq),
        lk: to_u32(lk),
        heads: to_u32(heads),
        width: to_u32(width / heads),
        q_image: step(nq, lq, q_row),
        q_row: to_u32(q_row),
        q_first: to_u32(q.first),
        k_image: step(nk, lk, k_row),
        k_row: to_u32(k_row),
        k_first: to_u32(k.first),
        v_image: step(nv, lk, v_row),
        v_row: to_u32(v_row),
        v_first: to_u32(v.first),
        mask: mask.code(),
        scale,
    })
}

/// The row of the table.
pub const ROW: Row =
    Row { op: "attention", kernels: tiles::KERNELS, tolerance: 3e-6, gradient: 5e-6, cases };

/// Sizes of a case: images, queries, keys, heads, channels of a head.
type Sizes = (usize, usize, usize, usize, usize);

fn cases() -> Vec<Case> {
    let case = |why: &str, (n, lq, lk, heads, d): Sizes, mask: u32, weights: bool, shared: bool| {
        let label = format!(
            "{n} x {lq} x {lk}, {heads} heads of {d}, mask {mask} weights={weights} shared={shared}: {why}"
        );
        let (mut s, e) = (Seeded::new(&label), heads * d);
        let nq = if shared { 1 } else { n };
        let inputs = vec![
            s.uniform([nq, lq, e], -3.0, 3.0),
            s.signed([n, lk, e]),
            s.signed([n, lk, e]),
            s.ints([n], 2.min(to_u32(lk)), to_u32(lk) + 1),
        ];
        let shape = Attention { heads, width: e, scale: 1.0 / (d as f32).sqrt() };
        let run = move |cx: &Cx, t: &[Tensor]| {
            let mask = mask_scores::of(mask as usize, &t[3]);
            let [q, k, v] = [0, 1, 2].map(|i| Heads::whole(&t[i]));
            let (y, w) = attention(cx, q, k, v, shape, mask, weights)?;
            Ok([Some(y), w].into_iter().flatten().collect())
        };
        let oracle = move |h: &[Host]| {
            let mut out = oracle(&h[0], &h[1], &h[2], &h[3], shape, mask);
            out.truncate(1 + usize::from(weights));
            out
        };
        Case::new(label, inputs, run, oracle).bench(4.0 * (n * lq * lk * e) as f64)
    };
    vec![
        case("one pair", (1, 1, 1, 1, 4), 0, true, false),
        case("primes, a head of odd width", (2, 7, 13, 3, 5), 0, true, true),
        case("odd width above the accumulators", (1, 9, 11, 1, 67), 1, true, false),
        case("a width between words, no weights", (2, 17, 65, 2, 22), 2, false, false)
            .not_benched(),
        case("a wide head without weights", (2, 5, 33, 2, 128), 0, false, false).not_benched(),
        case("vision encoder", (1, 256, 256, 2, 64), 0, false, false),
        case("vision encoder, nano", (1, 256, 256, 2, 32), 0, false, false),
        case("text encoder", (2, 26, 26, 4, 16), 0, false, false),
        case("text encoder, nano", (2, 26, 26, 4, 8), 0, false, false),
        case("text decoder", (1, 26, 500, 4, 16), 0, false, false),
        case("text decoder, nano", (1, 26, 500, 4, 8), 0, false, false),
        case("semantic decoder", (1, 1024, 26, 4, 16), 0, false, false),
        case("semantic decoder, nano", (1, 1024, 26, 4, 8), 0, false, false),
        case("language model", (2, 26, 26, 8, 64), 2, false, true),
        case("places and symbols", (2, 26, 26, 12, 32), 3, false, false).not_benched(),
        case("language model, nano", (2, 26, 26, 4, 16), 2, false, true),
        case("position attention", (1, 26, 256, 1, 512), 0, true, true),
        case("position attention, nano", (2, 26, 256, 1, 64), 0, true, true),
        case("text focus on itself", (1, 21, 21, 16, 64), 1, true, false),
        case("text focus on the image", (1, 21, 256, 4, 64), 0, true, false),
        packed(),
    ]
}

/// Queries, keys and values as parts of one tensor.
fn packed() -> Case {
    let label = "parts of a packed projection, beside other channels";
    let inputs = vec![Seeded::new(label).signed([2, 33, 200])];
    let shape = Attention { heads: 4, width: 64, scale: 0.25 };
    let run = move |cx: &Cx, t: &[Tensor]| {
        let [q, k, v] = [0, 64, 136].map(|first| Heads::part(&t[0], first));
        Ok(vec![attention(cx, q, k, v, shape, Mask::Causal, false)?.0])
    };
    Case::new(label, inputs, run, move |h| {
        let part = |first: usize| {
            let rows = h[0].data.chunks_exact(200);
            Host::new([2, 33, 64], rows.flat_map(|r| &r[first..first + 64]).copied().collect())
        };
        let lengths = Host::zeros([2]);
        let mut out = oracle(&part(0), &part(64), &part(136), &lengths, shape, 1);
        out.truncate(1);
        out
    })
}

/// Reference in f64; `mask` by its number in the shader. Gives the result and the weights.
pub fn oracle(
    q: &Host,
    k: &Host,
    v: &Host,
    lengths: &Host,
    shape: Attention,
    mask: u32,
) -> Vec<Host> {
    let (n, lq, lk) = (k.dims()[0], q.dims()[1], k.dims()[1]);
    let (heads, e) = (shape.heads, shape.width);
    let d = e / heads;
    let mut y = Host::zeros([n, lq, e]);
    let mut weights = Host::zeros([n, heads, lq, lk]);
    for (row, w) in weights.data.chunks_exact_mut(lk).enumerate() {
        let (image, head, i) = (row / lq / heads, row / lq % heads, row % lq);
        let q_row = if q.dims()[0] == 1 { i } else { image * lq + i };
        let query = &q.data[q_row * e + head * d..][..d];
        let hidden = |j: usize| match mask {
            1 => j > i,
            2 => j == i || j >= lengths.data[image] as usize,
            3 => j == i + 1 || j >= lengths.data[image] as usize,
            _ => false,
        };
        for (j, s) in w.iter_mut().enumerate() {
            let key = &k.data[(image * lk + j) * e + head * d..][..d];
            let dot: f64 = query.iter().zip(key).map(|(a, b)| a * b).sum();
            *s = if hidden(j) { f64::NEG_INFINITY } else { dot * f64::from(shape.scale) };
        }
        let most = w.iter().fold(f64::NEG_INFINITY, |m, s| m.max(*s));
        let sum: f64 = w.iter().map(|s| (s - most).exp()).sum();
        let out = &mut y.data[(image * lq + i) * e + head * d..][..d];
        for (j, s) in w.iter_mut().enumerate() {
            *s = (*s - most).exp() / sum;
            let value = &v.data[(image * lk + j) * e + head * d..][..d];
            out.iter_mut().zip(value).for_each(|(o, x)| *o += *s * x);
        }
    }
    vec![y, weights]
}
