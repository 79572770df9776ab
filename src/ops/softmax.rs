//! Soft-max along any axis:  y = e^(x − m) / Σ e^(x − m),  m the maximum along the axis.

use super::columns::{self, LANES};
use super::{Case, KernelUse, Row, element};
use crate::gpu::{Gpu, Grid, Variant};
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(FWD = "reduce/softmax_fwd", Params, FwdBinds { x, y });
kernel!(BWD = "reduce/softmax_bwd", Params, BwdBinds { y, dy, dx });
params! { struct Params { columns: u32, axis: u32, inner: u32 } }

/// Soft-max of `x` along `axis`: `torch.softmax`.
///
/// # Errors
/// An axis that `x` does not have.
pub fn softmax(cx: &Cx, x: &Tensor, axis: usize) -> Result<Tensor> {
    let dims = x.dims();
    if axis >= dims.len() {
        return Err(Error::new(ErrorKind::Argument, "softmax", "axis")
            .expected(format!("below {}, the axes of {}", dims.len(), x.shape()))
            .got(axis));
    }
    let y = cx.out_f32(x.shape());
    if x.is_empty() {
        return Ok(y);
    }
    let (length, inner): (usize, usize) = (dims[axis], dims[axis + 1..].iter().product());
    let columns = x.len() / length;
    let width = element::width(&[inner]);
    let (columns, inner) = (columns / width, inner / width);
    let (lanes, variant) = variant(cx.gpu(), length, inner);
    let variant = element::of(variant, width);
    let p = Params { columns: to_u32(columns), axis: to_u32(length), inner: to_u32(inner) };
    let grid = Grid::linear(columns.div_ceil(lanes));
    cx.run(&FWD, &variant, grid, &p, FwdBinds { x: x.read(), y: y.write() })?;
    let saved = y.clone();
    Ok(cx.record("softmax", [x], y, move |cx, dy, _| {
        let dx = cx.out(saved.shape());
        cx.run(
            &BWD,
            &variant,
            grid,
            &p,
            BwdBinds { y: saved.read(), dy: dy.read(), dx: dx.write() },
        )?;
        Ok([Some(dx)])
    }))
}

/// Lanes and tile. Neighboring invocations lie along the neighboring elements: along the inner axes, or along the axis
/// itself when it is the last. A short axis is left to one invocation a column, without a barrier.
fn variant(gpu: &Gpu, axis: usize, inner: usize) -> (usize, Variant) {
    match (axis, inner) {
        (0..=64, _) => (64, short()),
        (_, 1) if !columns::serial(gpu) => (1, last()),
        _ => (LANES, columns::tile(gpu)),
    }
}

fn short() -> Variant {
    columns::of(64, 64)
}

fn last() -> Variant {
    columns::of(1, 64)
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "softmax",
    kernels: &[KernelUse { kernel: &FWD, variants }, KernelUse { kernel: &BWD, variants }],
    tolerance: 2e-6,
    gradient: 1e-5,
    cases,
};

fn variants() -> Vec<Variant> {
    let all = columns::tiles().into_iter().chain([short(), last()]);
    all.flat_map(|t| [1, 4].map(|width| element::of(t.clone(), width))).collect()
}

fn cases() -> Vec<Case> {
    let case = |why: &str, shape: &[usize], axis: usize, size: f64| {
        let label = format!("{shape:?} axis {axis}, values to {size}: {why}");
        let x = Seeded::new(&label).uniform(shape, -size, size);
        let flops = 5.0 * x.data.len() as f64;
        let run = move |cx: &Cx, t: &[Tensor]| Ok(vec![softmax(cx, &t[0], axis)?]);
        Case::new(label, vec![x], run, move |h| vec![oracle(&h[0], axis)]).bench(flops)
    };
    vec![
        case("one element is 1", &[1, 1], 1, 3.0),
        case("primes, a middle axis", &[3, 7, 5], 1, 3.0),
        case("the first axis", &[67, 3, 3], 0, 3.0),
        // One value has all the weight: what is left of the gradient is rounding.
        case("values whose exponential overflows", &[5, 64], 1, 200.0).without_gradient(),
        case("one above a short axis", &[5, 65], 1, 3.0),
        case("character probabilities", &[2, 26, 37], 2, 8.0),
        case("cells of a map", &[26, 256], 1, 8.0),
        case("pixels of every channel", &[1, 1024, 64], 1, 4.0),
        case("pixels of every channel, nano", &[2, 1024, 32], 1, 4.0),
        case("more columns than one grid axis", &[65_537, 65], 1, 3.0).not_benched(),
    ]
}

/// Reference in f64.
pub fn oracle(x: &Host, axis: usize) -> Host {
    let (length, inner) = (x.dims()[axis], x.dims()[axis + 1..].iter().product::<usize>());
    let mut y = x.clone();
    for block in y.data.chunks_exact_mut(length * inner) {
        for column in 0..inner {
            let at = |a: usize| a * inner + column;
            let most = (0..length).fold(f64::NEG_INFINITY, |m, a| m.max(block[at(a)]));
            let sum: f64 = (0..length).map(|a| (block[at(a)] - most).exp()).sum();
            (0..length).for_each(|a| block[at(a)] = (block[at(a)] - most).exp() / sum);
        }
    }
    y
}
