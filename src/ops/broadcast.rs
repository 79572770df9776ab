//! Broadcasting and its adjoint: copies along axes, and sums over them.

use super::layout::{COPY, ColumnParams, CopyBinds};
use super::reorder::{self, read_by};
use super::strided::{View, repeated, strides};
use super::{Case, KernelUse, Row, element};
use crate::shape::{Shape, to_u32};
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(SUM = "reduce/sum_fwd", Params, SumBinds { x, y });
params! { struct Params { n: u32, length: u32, chunk: u32, chunks: u32, inner: u32 } }

/// Longest sum of one invocation; longer ones take several rounds, which also keeps the rounding errors small.
const CHUNK: usize = 64;

/// Sums over the axes in which `shape` has 1 where `x` has more, or that it lacks at the front: the adjoint of
/// broadcasting, and with the empty shape the sum of everything.
///
/// # Errors
/// A `shape` that does not broadcast to that of `x`.
pub fn sum_to(cx: &Cx, x: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
    let shape = shape.into();
    let mut sum = x.detached();
    // Runs of axes that are all summed or all kept, from the last.
    let mut inner = 1;
    let mut runs: Vec<(bool, usize)> = Vec::new();
    for (size, summed) in aligned("sum_to", x.shape(), shape)? {
        match runs.last_mut() {
            Some((kind, run)) if *kind == summed => *run *= size,
            _ => runs.push((summed, size)),
        }
    }
    for (summed, run) in runs {
        if summed {
            sum = sum_middle(cx, &sum, run, inner)?;
        } else {
            inner *= run;
        }
    }
    let from = x.shape();
    let sum = sum.reshape(shape)?;
    Ok(cx.record("sum_to", [x], sum, move |cx, dy, _| Ok([Some(expand(cx, &dy, from)?)])))
}

/// `x` repeated along the axes in which it has 1, or that it lacks at the front: `torch.Tensor.expand` with its memory
/// filled.
///
/// # Errors
/// An `x` that does not broadcast to `shape`.
pub fn expand(cx: &Cx, x: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
    let shape = shape.into();
    let own = strides(x.shape());
    let mut axes: Vec<(usize, usize)> = aligned("expand", shape, x.shape())?
        .into_iter()
        .enumerate()
        .map(|(back, (size, repeated))| match own.len().checked_sub(back + 1) {
            Some(axis) if !repeated => (size, own[axis]),
            _ => (size, 0),
        })
        .collect();
    axes.reverse();
    let y = read_by(cx, x, &View::new(&axes), shape)?;
    let from = x.shape();
    Ok(cx.record("expand", [x], y, move |cx, dy, _| Ok([Some(sum_to(cx, &dy, from)?)])))
}

/// One sample `n` times: `[1, ..]` → `[n, ..]`, as `torch.Tensor.expand` with its memory filled.
///
/// # Errors
/// A first axis that is not 1.
pub fn repeat(cx: &Cx, x: &Tensor, n: usize) -> Result<Tensor> {
    let mut dims = x.dims().to_vec();
    if dims.first() != Some(&1) {
        return Err(Error::new(ErrorKind::Shape, "repeat", "first axis")
            .expected("1")
            .got(x.shape()));
    }
    if n == 1 {
        return Ok(x.clone());
    }
    dims[0] = n;
    let y = cx.out(dims.as_slice());
    let cols = x.len();
    if n * cols > 0 {
        let width = element::width(&[cols]);
        let cols = to_u32(cols / width);
        let n = to_u32(n) * cols;
        // Every row reads the same one.
        let p = ColumnParams { n, cols, from_cols: 0, from_first: 0, to_cols: cols, to_first: 0 };
        let grid = element::grid(n as usize);
        cx.run(&COPY, &element::variant(width), grid, &p, CopyBinds { x: x.read(), y: y.write() })?;
    }
    let from = x.shape();
    Ok(cx.record("repeat", [x], y, move |cx, dy, _| Ok([Some(sum_to(cx, &dy, from)?)])))
}

/// Axes of `large` from the last: size, and whether `small` has 1 or nothing there.
fn aligned(op: &str, large: Shape, small: Shape) -> Result<Vec<(usize, bool)>> {
    let misfit = || {
        Error::new(ErrorKind::Shape, op, "shapes that broadcast")
            .expected(format!("axes of {large} or 1, aligned at the last"))
            .got(small)
    };
    if small.rank() > large.rank() {
        return Err(misfit());
    }
    let mut axes = Vec::new();
    for (back, size) in large.dims().iter().rev().enumerate() {
        let other = small.rank().checked_sub(back + 1).map(|axis| small.dims()[axis]);
        axes.push(match other {
            Some(o) if o == *size => (*size, false),
            None | Some(1) => (*size, true),
            _ => return Err(misfit()),
        });
    }
    Ok(axes)
}

/// `x` as `[outer, length, inner]` to `[outer, inner]`.
fn sum_middle(cx: &Cx, x: &Tensor, mut length: usize, inner: usize) -> Result<Tensor> {
    let mut x = x.clone();
    while length > 1 {
        let outer = x.len() / (length * inner);
        let chunks = length.div_ceil(CHUNK);
        let y = cx.out_f32([outer, chunks, inner]);
        let width = element::width(&[inner]);
        let n = y.len() / width;
        let p = Params {
            n: to_u32(n),
            length: to_u32(length),
            chunk: to_u32(CHUNK),
            chunks: to_u32(chunks),
            inner: to_u32(inner / width),
        };
        let binds = SumBinds { x: x.read(), y: y.write() };
        cx.run(&SUM, &element::variant(width), element::grid(n), &p, binds)?;
        (x, length) = (y, chunks);
    }
    Ok(x)
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "broadcast",
    kernels: &[
        KernelUse { kernel: &SUM, variants: element::variants },
        KernelUse { kernel: &COPY, variants: element::variants },
        reorder::PERMUTE_USE,
        reorder::TRANSPOSE_USE,
    ],
    tolerance: 1e-6,
    gradient: 1e-6,
    cases,
};

fn cases() -> Vec<Case> {
    let sum = |why: &str, from: &'static [usize], to: &'static [usize]| {
        let label = format!("sum of {from:?} to {to:?}: {why}");
        let x = Seeded::new(&label).uniform(from, 0.0, 1.0);
        let flops = x.data.len() as f64;
        Case::new(
            label,
            vec![x],
            move |cx, t| Ok(vec![sum_to(cx, &t[0], to)?]),
            move |h| vec![oracle(&h[0], to)],
        )
        .bench(flops)
    };
    let copies = |why: &str, from: &'static [usize], to: &'static [usize]| {
        let label = format!("{from:?} repeated to {to:?}: {why}");
        let x = Seeded::new(&label).signed(from);
        Case::new(
            label,
            vec![x],
            move |cx, t| Ok(vec![expand(cx, &t[0], to)?]),
            move |h| {
                let like = Host::zeros(to);
                vec![Host::new(to, repeated(&h[0], &like))]
            },
        )
    };
    let samples = |why: &str, shape: [usize; 3], n: usize| {
        let label = format!("repeat {shape:?} {n} times: {why}");
        let inputs = vec![Seeded::new(&label).signed(shape)];
        Case::new(
            label,
            inputs,
            move |cx, t| Ok(vec![repeat(cx, &t[0], n)?]),
            move |h| vec![Host::new([n, shape[1], shape[2]], h[0].data.repeat(n))],
        )
    };
    vec![
        samples("queries of the language model", [1, 26, 64], 5),
        samples("odd sizes", [1, 3, 5], 7),
        sum("everything", &[3, 5, 7], &[]),
        sum("a loss", &[16, 4, 32, 128], &[1]),
        sum("a bias", &[1024, 64], &[64]),
        sum("one above a chunk", &[65, 3], &[3]),
        sum("rows", &[7, 129], &[7, 1]),
        sum("channel attention", &[2, 16, 64, 8], &[2, 1, 1, 8]),
        sum("every second axis", &[2, 3, 2, 3, 2, 5], &[2, 1, 2, 1, 2, 1]),
        copies("a bias", &[8], &[5, 8]),
        copies("rows", &[7, 1], &[2, 7, 12]),
        copies("the middle", &[2, 1, 3], &[2, 9, 3]),
        copies("one number", &[1], &[3, 4]),
    ]
}

/// Sums in f64.
pub fn oracle(x: &Host, to: impl Into<Shape>) -> Host {
    let to = to.into();
    let mut y = Host::zeros(to);
    let index = Host::new(to, (0..to.len()).map(|i| i as f64).collect());
    for (v, at) in x.data.iter().zip(repeated(&index, x)) {
        y.data[at as usize] += v;
    }
    y
}
