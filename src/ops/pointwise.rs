//! Pointwise operations that stand alone: an activation, sum, product, and the mix of two tensors by a gate.

use super::epilogue::Tail;
use super::strided::{self, View, repeated, strides};
use super::{Act, Case, KernelUse, Row, element, sum_to};
use crate::gpu::{Grid, Variant};
use crate::shape::{MAX_RANK, Shape, to_u32};
use crate::tensor::{Cx, Host, Kernels, Op, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(ACTIVATE = "elementwise/activate_fwd", Params, ActivateBinds { x, slope, y });
kernel!(ACTIVATE_BWD = "elementwise/activate_bwd", Params, ActivateBwdBinds { x, slope, dy, dx });
kernel!(SLOPE_BWD = "elementwise/prelu_slope_bwd", Params, SlopeBwdBinds { x, dy, ds });
kernel!(BINARY = "elementwise/binary_fwd", strided::Params, BinaryBinds { a, b, y });
kernel!(MIX = "elementwise/mix_fwd", Params, MixBinds { gate, a, b, y });
kernel!(MIX_BWD = "elementwise/mix_bwd", Params, MixBwdBinds { gate, a, b, dy, dgate, da, db });
kernel!(SCALE = "elementwise/scale_fwd", Scale, ScaleBinds { x, y });
params! { struct Params { n: u32 } }
params! { struct Scale { n: u32, factor: f32 } }

/// f(x) for every value of `x`.
///
/// # Errors
/// A slope that is not one number.
pub fn activate(cx: &Cx, x: &Tensor, act: Act) -> Result<Tensor> {
    act.check(cx, "activate")?;
    let y = cx.out(x.shape());
    let mut tail = Tail::default();
    tail.activate(act);
    cx.push(Activate { x: x.detached(), tail, y: y.clone() });
    let (of, code) = (x.clone(), act.code());
    Ok(match act {
        Act::None => cx.record("activate", [x], y, |_, dy, _| Ok([Some(dy)])),
        Act::Prelu(slope) => {
            let at = slope.clone();
            cx.record("activate", [x, slope], y, move |cx, dy, need| {
                let dx = need[0].then(|| activate_backward(cx, &of, code, Some(&at), &dy));
                let dslope = need[1].then(|| slope_backward(cx, &of, &dy));
                Ok([dx.transpose()?, dslope.transpose()?])
            })
        }
        _ => cx.record("activate", [x], y, move |cx, dy, _| {
            Ok([Some(activate_backward(cx, &of, code, None, &dy)?)])
        }),
    })
}

/// An activation as a node of a pass.
pub(crate) struct Activate {
    pub(crate) x: Tensor,
    /// The activation alone.
    pub(crate) tail: Tail,
    pub(crate) y: Tensor,
}

impl Op for Activate {
    fn reads<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.x);
        self.tail.see(see);
    }

    fn writes<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.y);
    }

    fn lower(&self, k: &Kernels) -> Result<()> {
        activate_into(k, &self.x, self.tail.act(), &self.y)
    }
}

/// Dispatches an activation of `x` into `y`.
pub(super) fn activate_into(k: &Kernels, x: &Tensor, act: Act, y: &Tensor) -> Result<()> {
    let (n, plain) = elements(x);
    let binds = ActivateBinds { x: x.read(), slope: act.slope(), y: y.write() };
    k.run(&ACTIVATE, &plain.set("KIND", act.code()), grid(n), &Params { n }, binds)
}

/// dy·f'(x), with f' computed from x again.
fn activate_backward(
    cx: &Cx,
    x: &Tensor,
    code: u32,
    slope: Option<&Tensor>,
    dy: &Tensor,
) -> Result<Tensor> {
    let dx = cx.out(x.shape());
    let (n, plain) = elements(x);
    let binds = ActivateBwdBinds {
        x: x.read(),
        slope: Tensor::read_or_absent(slope),
        dy: dy.read(),
        dx: dx.write(),
    };
    cx.run(&ACTIVATE_BWD, &plain.set("KIND", code), grid(n), &Params { n }, binds)?;
    Ok(dx)
}

/// Σ dy·min(x, 0).
fn slope_backward(cx: &Cx, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let terms = cx.out([x.len()]);
    let (n, variant) = elements(x);
    let binds = SlopeBwdBinds { x: x.read(), dy: dy.read(), ds: terms.write() };
    cx.run(&SLOPE_BWD, &variant, grid(n), &Params { n }, binds)?;
    sum_to(cx, &terms, [1])
}

/// Elements of `x` taken as one row, and the variant for their width.
fn elements(x: &Tensor) -> (u32, Variant) {
    let width = element::width(&[x.len()]);
    (to_u32(x.len() / width), element::variant(width))
}

fn grid(n: u32) -> Grid {
    element::grid(n as usize)
}

/// a + b, with `b` repeated along the axes it lacks: aligned at the last axis, each of its axes has the size of `a`'s or 1.
///
/// # Errors
/// A `b` that does not fit.
pub fn add(cx: &Cx, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let y = binary(cx, "add", a, b, false)?;
    let other = b.shape();
    let own = a.shape();
    Ok(cx.record("add", [a, b], y, move |cx, dy, need| {
        let db = need[1].then(|| sum_to(cx, &dy.reshape(own)?, other)).transpose()?;
        Ok([Some(dy), db])
    }))
}

/// a ⊙ b, with `b` repeated as in [`add`].
///
/// # Errors
/// A `b` that does not fit.
pub fn mul(cx: &Cx, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let y = binary(cx, "mul", a, b, true)?;
    let (left, right) = (a.clone(), b.clone());
    Ok(cx.record("mul", [a, b], y, move |cx, dy, need| {
        let dy = dy.reshape(left.shape())?;
        let times = |other: &Tensor| binary(cx, "mul", &dy, other, true);
        let da = need[0].then(|| times(&right)).transpose()?;
        let db = need[1].then(|| sum_to(cx, &times(&left)?, right.shape())).transpose()?;
        Ok([da, db])
    }))
}

fn binary(cx: &Cx, op: &str, a: &Tensor, b: &Tensor, product: bool) -> Result<Tensor> {
    let y = cx.out(a.shape());
    let view = broadcast(op, a, b)?;
    let copies = copies(a, b);
    let (width, splat, view) = match view.by_four() {
        Some(fours) => (4, fours.repeats(), fours),
        None => (1, false, view),
    };
    let n = a.len() / width;
    let variant = binary_variant(width, splat, view.inner(), product);
    let params = view.params(n);
    let (a, b) = (a.detached(), b.detached());
    cx.push(Binary { a, b, copies, product, variant, n, params, y: y.clone() });
    Ok(y)
}

/// A sum or a product as a node of a pass.
pub(crate) struct Binary {
    pub(crate) a: Tensor,
    pub(crate) b: Tensor,
    /// How often all of `b` stands one behind the other, where nothing else is repeated.
    pub(crate) copies: Option<usize>,
    /// Whether it is a product.
    pub(crate) product: bool,
    pub(crate) y: Tensor,
    variant: Variant,
    n: usize,
    params: strided::Params,
}

impl Op for Binary {
    fn reads<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.a);
        see(&self.b);
    }

    fn writes<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.y);
    }

    fn lower(&self, k: &Kernels) -> Result<()> {
        let binds = BinaryBinds { a: self.a.read(), b: self.b.read(), y: self.y.write() };
        k.run(&BINARY, &self.variant, element::grid(self.n), &self.params, binds)
    }
}

fn binary_variant(width: usize, splat: bool, inner: u32, product: bool) -> Variant {
    element::variant(width).tile("SPLAT", splat.into()).tile("INNER", inner).set("PRODUCT", product)
}

/// How often all of `b` stands one behind the other in the order of `a`, if it is that.
fn copies(a: &Tensor, b: &Tensor) -> Option<usize> {
    let missing = b.dims().iter().take_while(|d| **d == 1).count();
    let same = a.dims().iter().rev().zip(b.dims()[missing..].iter().rev()).all(|(a, b)| a == b);
    (same && !b.is_empty()).then(|| a.len() / b.len())
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
    let (n, variant) = elements(a);
    let binds = MixBinds { gate: gate.read(), a: a.read(), b: b.read(), y: y.write() };
    cx.run(&MIX, &variant, grid(n), &Params { n }, binds)?;
    let saved = [gate, a, b].map(Tensor::clone);
    Ok(cx.record("mix", [gate, a, b], y, move |cx, dy, need| {
        let [gate, a, b] = &saved;
        let [dgate, da, db] = [(); 3].map(|()| cx.out(a.shape()));
        let binds = MixBwdBinds {
            gate: gate.read(),
            a: a.read(),
            b: b.read(),
            dy: dy.read(),
            dgate: dgate.write(),
            da: da.write(),
            db: db.write(),
        };
        cx.run(&MIX_BWD, &variant, grid(n), &Params { n }, binds)?;
        let wanted = |i: usize, grad: Tensor| need[i].then_some(grad);
        Ok([wanted(0, dgate), wanted(1, da), wanted(2, db)])
    }))
}

/// factor·x, the factor a constant.
///
/// # Errors
/// Those of the kernel.
pub fn scale(cx: &Cx, x: &Tensor, factor: f32) -> Result<Tensor> {
    let y = cx.out(x.shape());
    let (n, variant) = elements(x);
    cx.run(
        &SCALE,
        &variant,
        grid(n),
        &Scale { n, factor },
        ScaleBinds { x: x.read(), y: y.write() },
    )?;
    Ok(cx.record("scale", [x], y, move |cx, dy, _| Ok([Some(scale(cx, &dy, factor)?)])))
}

/// Means over the axes in which `shape` has 1 where `x` has more, or that it lacks at the front.
///
/// # Errors
/// A `shape` that does not broadcast to that of `x`.
pub fn mean_to(cx: &Cx, x: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
    let shape = shape.into();
    let count = x.len() as f32 / shape.len().max(1) as f32;
    scale(cx, &sum_to(cx, x, shape)?, count.recip())
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "pointwise",
    kernels: &[
        KernelUse { kernel: &ACTIVATE, variants: activate_variants },
        KernelUse { kernel: &ACTIVATE_BWD, variants: curve_variants },
        KernelUse { kernel: &SLOPE_BWD, variants: element::variants },
        KernelUse { kernel: &BINARY, variants: binary_variants },
        KernelUse { kernel: &MIX, variants: element::variants },
        KernelUse { kernel: &MIX_BWD, variants: element::variants },
        KernelUse { kernel: &SCALE, variants: element::variants },
    ],
    tolerance: 1e-6,
    gradient: 1e-5,
    cases,
};

fn curve_variants() -> Vec<Variant> {
    let kinds = |v: Variant| (1..7u32).map(move |kind| v.clone().set("KIND", kind));
    element::variants().into_iter().flat_map(kinds).collect()
}

fn activate_variants() -> Vec<Variant> {
    let kinds = |v: Variant| (0..7u32).map(move |kind| v.clone().set("KIND", kind));
    element::variants().into_iter().flat_map(kinds).collect()
}

fn binary_variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for inner in 0..to_u32(MAX_RANK) {
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
        let slope = (kind == 2).then(|| Host::new([1], vec![0.25]));
        let inputs = [off_kink(s.uniform(shape, -range, range))].into_iter().chain(slope).collect();
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
                    5 => Act::Sigmoid,
                    _ => Act::Gelu,
                };
                Ok(vec![activate(cx, &t[0], act)?])
            },
            move |h| vec![map(&h[0], |v| activation(kind, v, h.get(1).map_or(0.0, |s| s.data[0])))],
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
    let scaled = |why: &str, shape: [usize; 2]| {
        let label = format!("scale {shape:?}: {why}");
        let x = Seeded::new(&label).signed(shape);
        let run = |cx: &Cx, t: &[Tensor]| Ok(vec![scale(cx, &t[0], 0.75)?]);
        Case::new(label, vec![x], run, |h| vec![map(&h[0], |v| 0.75 * v)])
    };
    vec![
        scaled("primes", [3, 5]),
        scaled("fours", [5, 8]),
        act("one value", [1, 1, 1, 1], 3.0, 0),
        act("one above a workgroup", [1, 1, 5, 13], 6.0, 1),
        act("primes", [1, 3, 7, 11], 6.0, 2),
        act("soft-plus turns linear at 20", [1, 4, 8, 8], 30.0, 3),
        act("saturation", [1, 3, 7, 5], 100.0, 4),
        act("no overflow", [1, 4, 5, 8], 100.0, 5),
        act("fours", [2, 4, 8, 8], 6.0, 2),
        act("tails and middle", [1, 5, 16, 16], 7.0, 6),
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

/// Values rounded to odd multiples of 1/16: none is near 0, where functions have kinks.
pub(super) fn off_kink(x: Host) -> Host {
    map(&x, |v| ((8.0 * v).floor() * 2.0 + 1.0) / 16.0)
}

fn map(x: &Host, f: impl FnMut(f64) -> f64) -> Host {
    Host { data: x.data.iter().copied().map(f).collect(), ..x.clone() }
}

/// The normal distribution function: ½ + φ(v)·(v + v³/3 + v⁵/15 + …) near 0, and by its continued fraction far from it.
fn normal(v: f64) -> f64 {
    let density = (-0.5 * v * v).exp() / std::f64::consts::TAU.sqrt();
    if v.abs() > 6.0 {
        let fraction = (1..60).rev().fold(v.abs(), |f, k| v.abs() + f64::from(k) / f);
        let tail = density / fraction;
        return if v < 0.0 { tail } else { 1.0 - tail };
    }
    let (mut term, mut sum) = (v, v);
    for k in 1..200 {
        term *= v * v / f64::from(2 * k + 1);
        sum += term;
    }
    0.5 + density * sum
}

/// The activations of `shaders/shared/activation.wgsl` in f64, by their numbers.
pub(crate) fn activation(kind: u32, v: f64, slope: f64) -> f64 {
    match kind {
        1 => v.max(0.0),
        2 if v < 0.0 => slope * v,
        3 => v * (if v > 20.0 { v } else { v.exp().ln_1p() }).tanh(),
        4 => v.tanh(),
        5 => 1.0 / (1.0 + (-v).exp()),
        6 => v * normal(v),
        _ => v,
    }
}
