//! Scores of an attention that is differentiated, scaled and masked:  y = scale·x, and a large negative number where a query
//! does not attend to a key.

use super::{Case, KernelUse, Row, element};
use crate::gpu::Variant;
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(FWD = "attention/mask_scores_fwd", Params, FwdBinds { x, lengths, y });
params! { struct Params {
    n: u32, heads: u32, lq: u32, lk: u32, mask: u32, scale: f32,
} }

/// Pairs of query i and key j that do not attend. A query without any key left gets the mean of all values.
#[derive(Clone, Copy)]
pub enum Mask<'a> {
    /// Every pair attends.
    None,
    /// j > i does not.
    Causal,
    /// j = i and j ≥ length do not; lengths are u32 `[N]`.
    DiagonalAndLengths(&'a Tensor),
    /// j = i + 1 and j ≥ length do not: query i asks for the key behind it.
    OwnAndLengths(&'a Tensor),
    /// Pairs whose number is not 0 do not: u32 `[N, Lq, Lk]`.
    Table(&'a Tensor),
}

impl Mask<'_> {
    /// Its number in the shaders.
    pub(crate) fn code(self) -> u32 {
        match self {
            Mask::None => 0,
            Mask::Causal => 1,
            Mask::DiagonalAndLengths(_) => 2,
            Mask::OwnAndLengths(_) => 3,
            Mask::Table(_) => 4,
        }
    }

    /// The lengths of its sequences.
    pub(crate) fn lengths(&self) -> Option<&Tensor> {
        match self {
            Mask::DiagonalAndLengths(lengths) | Mask::OwnAndLengths(lengths) => Some(lengths),
            Mask::None | Mask::Causal | Mask::Table(_) => None,
        }
    }
}

/// `scale·x` for scores `x [N, heads, Lq, Lk]`, with −10³⁰ for the pairs that `mask` hides.
///
/// # Errors
/// Scores of other than four axes, and lengths that do not fit.
pub fn mask_scores(cx: &Cx, x: &Tensor, scale: f32, mask: Mask) -> Result<Tensor> {
    const OP: &str = "mask_scores";
    let [n, heads, lq, lk] = x.dims().try_into().map_err(|_| {
        Error::new(ErrorKind::Shape, OP, "axes of the scores")
            .expected("[N, heads, Lq, Lk]")
            .got(x.shape())
    })?;
    if let Some(lengths) = mask.lengths() {
        cx.expect(OP, "lengths", lengths, [n])?;
    }
    let by = match mask {
        Mask::Table(table) => {
            cx.expect(OP, "table", table, [n, lq, lk])?;
            Some(table.clone())
        }
        _ => mask.lengths().cloned(),
    };
    let p = Params {
        n: to_u32(x.len()),
        heads: to_u32(heads),
        lq: to_u32(lq),
        lk: to_u32(lk),
        mask: mask.code(),
        scale,
    };
    let y = apply(cx, x, by.as_ref(), &p, false)?;
    Ok(cx.record(OP, [x], y, move |cx, dy, _| Ok([Some(apply(cx, &dy, by.as_ref(), &p, true)?)])))
}

fn apply(
    cx: &Cx,
    x: &Tensor,
    lengths: Option<&Tensor>,
    p: &Params,
    gradient: bool,
) -> Result<Tensor> {
    let y = cx.out_f32(x.shape());
    let binds = FwdBinds { x: x.read(), lengths: Tensor::read_or_absent(lengths), y: y.write() };
    cx.run(&FWD, &variant(gradient), element::grid(x.len()), p, binds)?;
    Ok(y)
}

fn variant(gradient: bool) -> Variant {
    element::scalar().set("GRADIENT", gradient)
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "mask_scores",
    kernels: &[KernelUse { kernel: &FWD, variants: || [false, true].map(variant).into() }],
    tolerance: 1e-6,
    gradient: 1e-6,
    cases,
};

fn cases() -> Vec<Case> {
    let case = |why: &str, shape: [usize; 4], mask: usize| {
        let label = format!("{shape:?} mask {mask}: {why}");
        let mut s = Seeded::new(&label);
        let by = match mask {
            4 => s.ints([shape[0], shape[2], shape[3]], 0, 2),
            _ => s.ints([shape[0]], 0, to_u32(shape[3]) + 1),
        };
        let inputs = vec![s.signed(shape), by];
        let case = Case::new(
            label,
            inputs,
            move |cx, t| {
                let mask = of(mask, &t[1]);
                Ok(vec![mask_scores(cx, &t[0], 0.3, mask)?])
            },
            move |h| vec![oracle(&h[0], &h[1], mask)],
        );
        case.bench((shape[0] * shape[1] * shape[2] * shape[3]) as f64)
    };
    vec![
        case("primes", [2, 3, 5, 7], 0),
        case("text focus on itself", [2, 16, 21, 21], 1),
        case("more keys than queries", [3, 2, 4, 11], 1),
        case("language model", [5, 4, 26, 26], 2),
        case("places and symbols", [5, 3, 7, 6], 3),
        case("an order of symbols", [3, 2, 7, 9], 4),
    ]
}

/// The mask of a number, for cases.
pub(super) fn of(code: usize, lengths: &Tensor) -> Mask<'_> {
    match code {
        1 => Mask::Causal,
        2 => Mask::DiagonalAndLengths(lengths),
        3 => Mask::OwnAndLengths(lengths),
        4 => Mask::Table(lengths),
        _ => Mask::None,
    }
}

/// Reference in f64; `mask` by its number in the shader.
fn oracle(x: &Host, lengths: &Host, mask: usize) -> Host {
    let (heads, lq, lk) = (x.dims()[1], x.dims()[2], x.dims()[3]);
    let mut y = x.clone();
    for (at, v) in y.data.iter_mut().enumerate() {
        let (image, i, j) = (at / lk / lq / heads, at / lk % lq, at % lk);
        let hides = match mask {
            1 => j > i,
            2 => j == i || j >= lengths.data[image] as usize,
            3 => j == i + 1 || j >= lengths.data[image] as usize,
            4 => lengths.data[(image * lq + i) * lk + j] != 0.0,
            _ => false,
        };
        *v = if hides { f64::from(-1e30f32) } else { *v * f64::from(0.3f32) };
    }
    y
}
