//! Pointwise operations that stand alone: an activation, sum, product, and the mix of two tensors by a gate.

use super::strided::{self, View, strides};
use super::{Act, Case, KernelUse, Row, element};
use crate::gpu::Variant;
use crate::shape::MAX_RANK;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(ACTIVATE = "elementwise/activate_fwd", Params);
kernel!(BINARY = "elementwise/binary_fwd", strided::Params);
kernel!(MIX = "elementwise/mix_fwd", Params);
params! { struct Params { n: u32 } }

/// f(x) for every value of `x`.
///
/// # Errors
/// A slope that is not one number.
pub fn activate(cx: &Cx, x: &Tensor, act: Act) -> Result<Tensor> {
    if let Act::Prelu(slope) = act {
        cx.expect("activate", "slope", slope, [1])?;
    }
    let y = cx.out(x.shape());
    let width = element::width(&[x.len()]);
    let n = x.len() / width;
    cx.run(
        &ACTIVATE,
        &element::variant(width).set("KIND", act.code()),
        element::grid(n),
        &Params { n: n as u32 },
        &[x.read(), act.slope(), y.write()],
    )?;
    Ok(y)
}

/// a + b, with `b` repeated along the axes it lacks: aligned at the last axis, each of its axes has the size of `a`'s or 1.
///
/// # Errors
/// A `b` that does not fit.
pub fn add(cx: &Cx, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    binary(cx, "add", a, b, false)
}

/// a ⊙ b, with `b` repeated as in [`add`].
///
/// # Errors
/// A `b` that does not fit.
pub fn mul(cx: &Cx, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    binary(cx, "mul", a, b, true)
}

fn binary(cx: &Cx, op: &str, a: &Tensor, b: &Tensor, product: bool) -> Result<Tensor> {
    let y = cx.out(a.shape());
    let view = broadcast(op, a, b)?;
    let (width, splat, view) = match view.by_four() {
        Some(fours) => (4, fours.repeats(), fours),
        None => (1, false, view),
    };
    let n = a.len() / width;
    cx.run(
        &BINARY,
        &binary_variant(width, splat, view.inner(), product),
        element::grid(n),
        &view.params(n),
        &[a.read(), b.read(), y.write()],
    )?;
    Ok(y)
}

fn binary_variant(width: usize, splat: bool, inner: u32, product: bool) -> Variant {
    element::variant(width).tile("SPLAT", splat.into()).tile("INNER", inner).set("PRODUCT", product)
}

/// `b` read in the order of `a`.
fn broadcast(op: &str, a: &Tensor, b: &Tensor) -> Result<View> {
    let misfit = || {
        Error::new(ErrorKind::Shape, op, "shape of b")
            .expected(format!("axes of {} or 1, aligned at the last", a.shape()))
            .got(b.shape())
    };
    let missing = a.shape().rank().checked_sub(b.shape().rank()).ok_or_else(misfit)?;
    let own = b.dims().iter().copied().zip(strides(b.shape()));
    let axes = a.dims().iter().zip(std::iter::repeat_n((1, 0), missing).chain(own));
    let view = axes.map(|(&size, (other, stride))| match other {
        _ if other == size => Ok((size, stride)),
        1 => Ok((size, 0)),
        _ => Err(misfit()),
    });
    Ok(View::new(&view.collect::<Result<Vec<_>>>()?))
}

/// gate ⊙ a + (1 − gate) ⊙ b, all of one shape.
///
/// # Errors
/// Shapes that differ.
pub fn mix(cx: &Cx, gate: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    cx.expect("mix", "gate", gate, a.shape())?;
    cx.expect("mix", "b", b, a.shape())?;
    let y = cx.out(a.shape());
    let width = element::width(&[a.len()]);
    let n = a.len() / width;
    cx.run(
        &MIX,
        &element::variant(width),
        element::grid(n),
        &Params { n: n as u32 },
        &[gate.read(), a.read(), b.read(), y.write()],
    )?;
    Ok(y)
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "pointwise",
    kernels: &[
        KernelUse { kernel: &ACTIVATE, variants: activate_variants },
        KernelUse { kernel: &BINARY, variants: binary_variants },
        KernelUse { kernel: &MIX, variants: element::variants },
    ],
    tolerance: 1e-6,
    gradient: 1e-5,
    cases,
};

fn activate_variants() -> Vec<Variant> {
    let kinds = |v: Variant| (0..6u32).map(move |kind| v.clone().set("KIND", kind));
    element::variants().into_iter().flat_map(kinds).collect()
}

fn binary_variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for inner in 0..MAX_RANK as u32 {
        for (width, splat) in [(1, false), (4, false), (4, true)] {
            all.extend([false, true].map(|product| binary_variant(width, splat, inner, product)));
        }
    }
    all
}

fn cases() -> Vec<Case> {
    let act = |why: &str, shape: [usize; 4], range: f64, kind: u32| {
        let label = format!("activation {kind} of {shape:?} within ±{range}: {why}");
        let mut s = Seeded::new(&label);
        let inputs = vec![s.uniform(shape, -range, range), Host::new([1], vec![0.25])];
        Case::new(
            label,
            inputs,
            move |cx, t| {
                let act = match kind {
                    0 => Act::None,
                    1 => Act::Relu,
                    2 => Act::Prelu(&t[1]),
                    3 => Act::Mish,
                    4 => Act::Tanh,
                    _ => Act::Sigmoid,
                };
                Ok(vec![activate(cx, &t[0], act)?])
            },
            move |h| vec![map(&h[0], |v| activation(kind, v, h[1].data[0]))],
        )
    };
    let two = |why: &str, a: &[usize], b: &[usize], product: bool| {
        let label = format!("{a:?} {} {b:?}: {why}", if product { "⊙" } else { "+" });
        let mut s = Seeded::new(&label);
        let inputs = vec![s.signed(a), s.signed(b)];
        let flops = inputs[0].data.len() as f64;
        let case = Case::new(
            label,
            inputs,
            move |cx, t| {
                Ok(vec![if product { mul(cx, &t[0], &t[1])? } else { add(cx, &t[0], &t[1])? }])
            },
            move |h| {
                let b = repeated(&h[1], &h[0]);
                let mut at = b.iter();
                let mut other = || *at.next().expect("one for each");
                vec![map(&h[0], |v| if product { v * other() } else { v + other() })]
            },
        );
        case.bench(flops)
    };
    let mixed = |why: &str, shape: [usize; 3]| {
        let label = format!("mix {shape:?}: {why}");
        let mut s = Seeded::new(&label);
        let inputs = vec![s.uniform(shape, 0.0, 1.0), s.signed(shape), s.signed(shape)];
        let flops = 4.0 * inputs[0].data.len() as f64;
        let case = Case::new(
            label,
            inputs,
            |cx, t| Ok(vec![mix(cx, &t[0], &t[1], &t[2])?]),
            |h| {
                let (a, b) = (&h[1].data, &h[2].data);
                let mut i = 0..;
                vec![map(&h[0], |g| {
                    let i = i.next().expect("endless");
                    g * a[i] + (1.0 - g) * b[i]
                })]
            },
        );
        case.bench(flops)
    };
    vec![
        act("one value", [1, 1, 1, 1], 3.0, 0),
        act("one above a workgroup", [1, 1, 5, 13], 6.0, 1),
        act("primes", [1, 3, 7, 11], 6.0, 2),
        act("soft-plus turns linear at 20", [1, 4, 8, 8], 30.0, 3),
        act("saturation", [1, 3, 7, 5], 100.0, 4),
        act("no overflow", [1, 4, 5, 8], 100.0, 5),
        act("fours", [2, 4, 8, 8], 6.0, 2),
        act("every kind by fours", [1, 4, 5, 8], 6.0, 1),
        act("every kind by fours", [1, 4, 5, 8], 6.0, 4),
        act("block feature", [1, 16, 64, 64], 6.0, 3).bench(6e5),
        two("scalars", &[], &[], false),
        two("one number", &[3, 5], &[1], true),
        two("fours and one number", &[3, 8], &[1, 1], true),
        two("residual", &[1, 16, 64, 64], &[1, 16, 64, 64], false),
        two("channel attention", &[2, 16, 64, 64], &[2, 1, 1, 64], true),
        two("positions", &[3, 26, 512], &[26, 512], false),
        two("one value per row", &[2, 7, 8], &[2, 7, 1], true),
        two("one value per row, odd", &[2, 7, 5], &[2, 7, 1], false),
        two("no four contiguous floats", &[2, 3, 6], &[2, 1, 6], false),
        two("every second axis", &[2, 3, 2, 3, 2, 5], &[2, 1, 2, 1, 2, 1], true),
        two("the other axes, by fours", &[2, 3, 2, 3, 2, 4], &[1, 3, 1, 3, 1, 4], false),
        mixed("fusion", [8, 26, 512]),
        mixed("primes", [3, 5, 7]),
    ]
}

fn map(x: &Host, f: impl FnMut(f64) -> f64) -> Host {
    Host { data: x.data.iter().copied().map(f).collect(), ..x.clone() }
}

/// Values of `b` in the order of `a`.
pub(super) fn repeated(b: &Host, a: &Host) -> Vec<f64> {
    let missing = a.shape.rank() - b.shape.rank();
    let value = |i: usize| {
        let (mut rest, mut at, mut stride) = (i, 0, 1);
        for axis in (0..a.shape.rank()).rev() {
            let own = if axis < missing { 1 } else { b.dims()[axis - missing] };
            at += rest % a.dims()[axis] % own * stride;
            stride *= own;
            rest /= a.dims()[axis];
        }
        b.data[at]
    };
    (0..a.data.len()).map(value).collect()
}

/// The activations of `shaders/shared/activation.wgsl` in f64, by their numbers.
pub(super) fn activation(kind: u32, v: f64, slope: f64) -> f64 {
    match kind {
        1 => v.max(0.0),
        2 if v < 0.0 => slope * v,
        3 => v * (if v > 20.0 { v } else { v.exp().ln_1p() }).tanh(),
        4 => v.tanh(),
        5 => 1.0 / (1.0 + (-v).exp()),
        _ => v,
    }
}
