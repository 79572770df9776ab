//! Matrix products: linear layers y = act(scale ⊙ (x·w) + shift + residual), and batches of plain products.

use super::epilogue::Epilogue;
use super::gemm::{Gemm, KERNELS, kept};
use super::layout::{permute, place_columns, slice_last};
use super::tracked::{EACH, Parts};
use super::{Case, Row};
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result};
use std::ops::Range;

/// `x [.., in]` times `w [in, out]` → `[.., out]`, then the epilogue. `torch.nn.Linear` with its weight transposed.
///
/// # Errors
/// Operands whose shapes do not fit.
pub fn linear(cx: &Cx, x: &Tensor, w: &Tensor, ep: &Epilogue) -> Result<Tensor> {
    linear_columns(cx, x, w, 0..w.shape().last(), ep)
}

/// The same with only these columns of `w`, of scale and of shift: one part of a packed projection.
///
/// # Errors
/// Operands whose shapes do not fit, and columns that `w` does not have.
pub fn linear_columns(
    cx: &Cx,
    x: &Tensor,
    w: &Tensor,
    columns: Range<usize>,
    ep: &Epilogue,
) -> Result<Tensor> {
    let (rows, depth) = x.shape().rows_by_last();
    let stride = w.shape().last();
    cx.expect("linear", "weight", w, [depth, stride])?;
    if columns.start > columns.end || columns.end > stride {
        return Err(Error::new(ErrorKind::Shape, "linear", "columns of the weight")
            .expected(format!("a part of 0..{stride}"))
            .got(format!("{columns:?}")));
    }
    let shape = x.shape().with_last(columns.len());
    ep.check(cx, "linear", stride, shape)?;
    let gemm = Gemm::matrix(rows, depth, columns.len()).columns(columns.start, stride);
    ep.after(cx, [x, w], &columns, |ep| {
        let y = gemm.run(cx, x, w, ep, shape)?;
        let ([x_kept, w_kept], of) = (kept(cx, x, w), columns.clone());
        Ok(ep.record(cx, "linear", [x, w], columns.clone(), y, move |cx, dy| {
            let dx = w_kept.map(|w| input_gradient(cx, dy, &w, of.clone())).transpose()?;
            let dw = x_kept.map(|x| weight_gradient(cx, dy, &x, of, stride)).transpose()?;
            Ok([dx, dw])
        }))
    })
}

/// What lowering makes of a product with a part of a wider `x`, for the cases: `x [.., columns]` times `w [in, out]` of an `x` with
/// more columns than these.
///
/// # Errors
/// Operands whose shapes do not fit, columns that `x` does not have, and operands that a gradient is asked of.
fn linear_of(
    cx: &Cx,
    x: &Tensor,
    columns: Range<usize>,
    w: &Tensor,
    ep: &Epilogue,
) -> Result<Tensor> {
    let (rows, stride) = x.shape().rows_by_last();
    let outputs = w.shape().last();
    cx.expect("linear_of", "weight", w, [columns.len(), outputs])?;
    if columns.start > columns.end || columns.end > stride || cx.tracks(&[x, w]) {
        return Err(Error::new(ErrorKind::Shape, "linear_of", "columns of x, without a gradient")
            .expected(format!("a part of 0..{stride}"))
            .got(format!("{columns:?}")));
    }
    let shape = x.shape().with_last(outputs);
    ep.check(cx, "linear_of", outputs, shape)?;
    let gemm = Gemm::matrix(rows, columns.len(), outputs).rows_of(columns.start, stride);
    gemm.run(cx, x, w, ep, shape)
}

/// dX = dY·Wᵀ with the used columns of W.
fn input_gradient(cx: &Cx, dy: &Tensor, w: &Tensor, columns: Range<usize>) -> Result<Tensor> {
    let used = match columns.len() == w.shape().last() {
        true => w.clone(),
        false => slice_last(cx, w, columns)?,
    };
    linear(cx, dy, &permute(cx, &used, &[1, 0])?, &Epilogue::default())
}

/// dW = Xᵀ·dY in the used ones of all columns of W.
pub(super) fn weight_gradient(
    cx: &Cx,
    dy: &Tensor,
    x: &Tensor,
    columns: Range<usize>,
    stride: usize,
) -> Result<Tensor> {
    let (rows, depth) = x.shape().rows_by_last();
    let gemm = Gemm::matrix(rows, depth, columns.len()).transposed();
    let shape = [depth, columns.len()].into();
    let used = gemm.run(cx, x, dy, &Epilogue::default(), shape)?;
    if columns.len() == stride { Ok(used) } else { place_columns(cx, &used, columns.start, stride) }
}

/// Workgroups of a grid in z.
const MOST_PLANES: usize = 65_535;

/// `a [B, M, K]` times `b [B, K, N]`, or times one `b [1, K, N]` for all, → `[B, M, N]`. `torch.bmm`.
///
/// # Errors
/// Operands whose shapes do not fit, and more than 65,535 products with a `b` of their own.
pub fn batched_matmul(cx: &Cx, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let [batch, m, k] = a.shape().nlc("batched_matmul")?;
    let [planes, _, n] = b.shape().nlc("batched_matmul")?;
    let one = planes == 1;
    cx.expect("batched_matmul", "b", b, [if one { 1 } else { batch }, k, n])?;
    if one {
        return linear(cx, a, &b.reshape([k, n])?, &Epilogue::default());
    }
    if batch > MOST_PLANES {
        return Err(Error::new(ErrorKind::Shape, "batched_matmul", "number of products")
            .expected(format!("at most {MOST_PLANES}, or one b for all"))
            .got(batch));
    }
    let gemm = Gemm::matrix(m, k, n).batch(batch);
    let y = gemm.run(cx, a, b, &Epilogue::default(), [batch, m, n].into())?;
    let [a_kept, b_kept] = kept(cx, a, b);
    Ok(cx.record("batched_matmul", [a, b], y, move |cx, dy, _| {
        let of_a = |b| batched_matmul(cx, &dy, &permute(cx, &b, &[0, 2, 1])?);
        let of_b =
            |a| gemm.transposed().run(cx, &a, &dy, &Epilogue::default(), [batch, k, n].into());
        Ok([b_kept.map(of_a).transpose()?, a_kept.map(of_b).transpose()?])
    }))
}

/// The row of the table.
pub const ROW: Row = Row { op: "matmul", kernels: KERNELS, tolerance: 4e-6, gradient: 4e-6, cases };

fn cases() -> Vec<Case> {
    let linear = |why: &str, [m, k, n]: [usize; 3], columns: Range<usize>, parts: Parts| {
        let label = format!("[{m}, {k}]·[{k}, {n}] {columns:?}{parts}: {why}");
        let mut s = Seeded::new(&label);
        let mut inputs = vec![s.signed([m, k]), s.signed([k, n])];
        inputs.extend(parts.inputs(&mut s, n, [m, columns.len()].into()));
        let flops = 2.0 * (m * k * columns.len()) as f64;
        let of = columns.clone();
        let case = parts.case(
            label,
            inputs,
            flops,
            move |cx, t| {
                let ep = parts.tensors(&t[2..]);
                Ok(vec![linear_columns(cx, &t[0], &t[1], of.clone(), &ep)?])
            },
            move |h| {
                let mut y = oracle(&h[0], &h[1], columns.clone());
                parts.apply(&mut y, &h[2..], columns.start);
                vec![y]
            },
        );
        (case, flops)
    };
    let plain = |why, mkn: [usize; 3], parts| linear(why, mkn, 0..mkn[2], parts).0;
    let timed = |why, mkn: [usize; 3], parts| {
        let (case, flops) = linear(why, mkn, 0..mkn[2], parts);
        case.bench(flops)
    };
    let batched = |why: &str, [batch, m, k, n]: [usize; 4], planes: usize| {
        let label = format!("[{batch}, {m}, {k}]·[{planes}, {k}, {n}]: {why}");
        let mut s = Seeded::new(&label);
        let inputs = vec![s.signed([batch, m, k]), s.signed([planes, k, n])];
        Case::new(
            label,
            inputs,
            |cx, t| Ok(vec![batched_matmul(cx, &t[0], &t[1])?]),
            |h| vec![batched_oracle(&h[0], &h[1])],
        )
    };
    let part = |why: &str, [rows, stride, outputs]: [usize; 3], columns: Range<usize>| {
        let label = format!("[{rows}, {stride}] {columns:?}·[{}, {outputs}]: {why}", columns.len());
        let mut s = Seeded::new(&label);
        let inputs = vec![s.signed([rows, stride]), s.signed([columns.len(), outputs])];
        let of = columns.clone();
        let run = move |cx: &Cx, t: &[Tensor]| {
            Ok(vec![linear_of(cx, &t[0], columns.clone(), &t[1], &Epilogue::default())?])
        };
        let part_of = move |h: &[Host]| {
            let rows = h[0].data.chunks_exact(h[0].shape.last());
            let x: Vec<f64> = rows.flat_map(|r| r[of.clone()].to_vec()).collect();
            let x = Host::new([h[0].dims()[0], of.len()], x);
            vec![oracle(&x, &h[1], 0..h[1].shape.last())]
        };
        Case::new(label, inputs, run, part_of).without_gradient()
    };
    let mut all = vec![
        plain("one number", [1, 1, 1], Parts::ALL),
        plain("one row, odd depth", [1, 37, 5], Parts::BIAS),
        plain("primes", [67, 29, 41], Parts::ALL),
        plain("fewer columns than a vector", [130, 36, 3], Parts::BIAS),
        plain("one below every tile", [63, 31, 31], Parts::ALL),
        plain("one above every tile", [65, 33, 33], Parts::ALL),
        plain("a slope for each column", [65, 32, 40], Parts::ALL.with_act(EACH)).not_benched(),
        plain("a slope for each column, odd", [33, 7, 13], Parts::BIAS.with_act(EACH))
            .not_benched(),
        part("the middle channels", [70, 96, 36], 32..64),
        part("odd channels", [33, 11, 5], 3..10),
        plain("nothing to add", [40, 64, 48], Parts::default()),
        linear("the middle of a packed projection", [26, 64, 192], 64..128, Parts::ALL).0,
        linear("an odd column", [9, 17, 23], 5..22, Parts::ALL).0,
        plain("more rows than one grid axis of small tiles", [70_001, 3, 2], Parts::BIAS),
        timed("classes", [26, 512, 37], Parts::BIAS),
        timed("square", [512, 512, 512], Parts::default()),
        timed("recognizer, packed projection", [256, 512, 1536], Parts::BIAS),
        timed("recognizer, feed-forward in", [256, 512, 2048], Parts::BIAS.with_act(1)),
        timed("recognizer, feed-forward out", [256, 2048, 512], Parts::ALL),
        timed("language model, one word", [26, 512, 512], Parts::BIAS),
        timed("GRU, projected input", [1024, 64, 96], Parts::BIAS),
        timed("GRU, nano", [1024, 32, 48], Parts::BIAS),
        timed("guidance, packed projection", [1024, 64, 192], Parts::BIAS),
        timed("guidance", [1024, 64, 64], Parts::ALL),
        batched("one number each", [3, 1, 1, 1], 3),
        batched("primes", [5, 7, 11, 13], 5),
        batched("one b for all", [3, 26, 64, 37], 1),
        batched("attention scores of a batch", [4, 26, 256, 64], 4),
    ];
    for act in 1..=5 {
        all.push(plain("each activation", [24, 16, 24], Parts::BIAS.with_act(act)));
    }
    all
}

/// `x [.., K]` times columns of `w [K, N]` in f64.
pub fn oracle(x: &Host, w: &Host, columns: Range<usize>) -> Host {
    let (rows, depth) = x.shape.rows_by_last();
    let (stride, n) = (w.shape.last(), columns.len());
    let mut y = Host::zeros(x.shape.with_last(n));
    for r in 0..rows {
        let out = &mut y.data[r * n..][..n];
        for k in 0..depth {
            let a = x.data[r * depth + k];
            for (v, b) in out.iter_mut().zip(&w.data[k * stride..][columns.clone()]) {
                *v += a * b;
            }
        }
    }
    y
}

fn batched_oracle(a: &Host, b: &Host) -> Host {
    let ([_, m, k], [planes, _, n]) =
        (a.shape.nlc("a").expect("three axes"), b.shape.nlc("b").expect("three axes"));
    let mut data = Vec::new();
    for (i, part) in a.data.chunks_exact(m * k).enumerate() {
        let plane = &b.data[i % planes * k * n..][..k * n];
        let (x, w) = (Host::new([m, k], part.to_vec()), Host::new([k, n], plane.to_vec()));
        data.extend(oracle(&x, &w, 0..n).data);
    }
    Host::new([a.dims()[0], m, n], data)
}
