//! Square roots and reciprocals of single values.

use super::{Case, KernelUse, Row, element, mul, scale};
use crate::gpu::Variant;
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Result, kernel, params};

kernel!(FWD = "elementwise/root_fwd", Params, FwdBinds { x, y });
params! { struct Params { n: u32 } }

/// √x for every value of `x`, which is not negative; the gradient where x is 0 is infinite, as PyTorch's.
///
/// # Errors
/// Those of the kernel.
pub fn sqrt(cx: &Cx, x: &Tensor) -> Result<Tensor> {
    let y = root(cx, x, false)?;
    let saved = y.clone();
    Ok(cx.record("sqrt", [x], y, move |cx, dy, _| {
        let slope = scale(cx, &root(cx, &saved, true)?, 0.5)?;
        Ok([Some(mul(cx, &dy, &slope)?)])
    }))
}

/// 1 / x for every value of `x`.
///
/// # Errors
/// Those of the kernel.
pub fn reciprocal(cx: &Cx, x: &Tensor) -> Result<Tensor> {
    let y = root(cx, x, true)?;
    let saved = y.clone();
    Ok(cx.record("reciprocal", [x], y, move |cx, dy, _| {
        let slope = scale(cx, &mul(cx, &saved, &saved)?, -1.0)?;
        Ok([Some(mul(cx, &dy, &slope)?)])
    }))
}

fn root(cx: &Cx, x: &Tensor, reciprocal: bool) -> Result<Tensor> {
    let y = cx.out(x.shape());
    let width = element::width(&[x.len()]);
    let n = x.len() / width;
    let p = Params { n: to_u32(n) };
    let binds = FwdBinds { x: x.read(), y: y.write() };
    cx.run(&FWD, &variant(width, reciprocal), element::grid(n), &p, binds)?;
    Ok(y)
}

fn variant(width: usize, reciprocal: bool) -> Variant {
    element::variant(width).set("RECIPROCAL", reciprocal)
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "roots",
    kernels: &[KernelUse { kernel: &FWD, variants }],
    tolerance: 1e-6,
    gradient: 5e-6,
    cases,
};

fn variants() -> Vec<Variant> {
    [1, 4].into_iter().flat_map(|w| [false, true].map(|r| variant(w, r))).collect()
}

fn cases() -> Vec<Case> {
    let case = |why: &str, shape: [usize; 2], inverse: bool| {
        let label = format!("{} of {shape:?}: {why}", if inverse { "reciprocal" } else { "root" });
        let x = Seeded::new(&label).uniform(shape, 0.25, 4.0);
        let run = move |cx: &Cx, t: &[Tensor]| {
            Ok(vec![if inverse { reciprocal(cx, &t[0])? } else { sqrt(cx, &t[0])? }])
        };
        let one = move |v: &f64| if inverse { v.recip() } else { v.sqrt() };
        let oracle = move |h: &[Host]| {
            vec![Host { data: h[0].data.iter().map(one).collect(), ..h[0].clone() }]
        };
        Case::new(label, vec![x], run, oracle)
    };
    vec![
        case("one value", [1, 1], false),
        case("one value", [1, 1], true),
        case("primes", [3, 23], false),
        case("primes", [3, 23], true),
        case("fours", [7, 12], false),
        case("fours", [7, 12], true),
    ]
}
