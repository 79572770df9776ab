//! Square roots, reciprocals and logarithms of single values.

use super::{Case, KernelUse, Row, element, mul, scale};
use crate::gpu::Variant;
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Result, kernel, params};

kernel!(FWD = "elementwise/elementary_fwd", Params, FwdBinds { x, y });
params! { struct Params { n: u32 } }

/// √x for every value of `x`, which is not negative; the gradient where x is 0 is infinite, as PyTorch's.
///
/// # Errors
/// Those of the kernel.
pub fn sqrt(cx: &Cx, x: &Tensor) -> Result<Tensor> {
    let y = map(cx, x, SQRT)?;
    let saved = y.clone();
    Ok(cx.record("sqrt", [x], y, move |cx, dy, _| {
        let slope = scale(cx, &map(cx, &saved, RECIPROCAL)?, 0.5)?;
        Ok([Some(mul(cx, &dy, &slope)?)])
    }))
}

/// 1 / x for every value of `x`.
///
/// # Errors
/// Those of the kernel.
pub fn reciprocal(cx: &Cx, x: &Tensor) -> Result<Tensor> {
    let y = map(cx, x, RECIPROCAL)?;
    let saved = y.clone();
    Ok(cx.record("reciprocal", [x], y, move |cx, dy, _| {
        let slope = scale(cx, &mul(cx, &saved, &saved)?, -1.0)?;
        Ok([Some(mul(cx, &dy, &slope)?)])
    }))
}

/// ln x for every value of `x`, which is positive.
///
/// # Errors
/// Those of the kernel.
pub fn ln(cx: &Cx, x: &Tensor) -> Result<Tensor> {
    let y = map(cx, x, LN)?;
    let of = x.detached();
    Ok(cx.record("ln", [x], y, move |cx, dy, _| {
        Ok([Some(mul(cx, &dy, &map(cx, &of, RECIPROCAL)?)?)])
    }))
}

/// Numbers of the functions in the kernel.
const SQRT: u32 = 0;
const RECIPROCAL: u32 = 1;
const LN: u32 = 2;

fn map(cx: &Cx, x: &Tensor, kind: u32) -> Result<Tensor> {
    let y = cx.out(x.shape());
    let width = element::width(&[x.len()]);
    let n = x.len() / width;
    let p = Params { n: to_u32(n) };
    let binds = FwdBinds { x: x.read(), y: y.write() };
    cx.run(&FWD, &variant(width, kind), element::grid(n), &p, binds)?;
    Ok(y)
}

fn variant(width: usize, kind: u32) -> Variant {
    element::variant(width).set("KIND", kind)
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "elementary",
    kernels: &[KernelUse { kernel: &FWD, variants }],
    tolerance: 1e-6,
    gradient: 5e-6,
    cases,
};

fn variants() -> Vec<Variant> {
    [1, 4].into_iter().flat_map(|w| [SQRT, RECIPROCAL, LN].map(|k| variant(w, k))).collect()
}

fn cases() -> Vec<Case> {
    let case = |why: &str, shape: [usize; 2], kind: u32| {
        let label = format!("function {kind} of {shape:?}: {why}");
        let x = Seeded::new(&label).uniform(shape, 0.25, 4.0);
        let run = move |cx: &Cx, t: &[Tensor]| {
            Ok(vec![match kind {
                SQRT => sqrt(cx, &t[0])?,
                RECIPROCAL => reciprocal(cx, &t[0])?,
                _ => ln(cx, &t[0])?,
            }])
        };
        let one = move |v: &f64| match kind {
            SQRT => v.sqrt(),
            RECIPROCAL => v.recip(),
            _ => v.ln(),
        };
        let oracle = move |h: &[Host]| {
            vec![Host { data: h[0].data.iter().map(one).collect(), ..h[0].clone() }]
        };
        Case::new(label, vec![x], run, oracle)
    };
    [SQRT, RECIPROCAL, LN]
        .into_iter()
        .flat_map(|kind| {
            [("one value", [1, 1]), ("primes", [3, 23]), ("fours", [7, 12])]
                .map(|(why, shape)| case(why, shape, kind))
        })
        .collect()
}
