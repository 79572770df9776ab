//! Layer normalization over the last axis:  y = (s − μ)·r·γ + β  with  s = x + residual.

use super::columns::{self, LANES};
use super::norm_affine::{self, AFFINE_BWD, Normalized};
use super::{Case, KernelUse, Row, element};
use crate::gpu::{Gpu, Grid, Variant};
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Result, kernel, params};

kernel!(FWD = "norm/layer_norm_fwd", Params, FwdBinds { x, residual, gamma, beta, y });
kernel!(
    BWD_X = "norm/layer_norm_bwd_input",
    Params,
    BwdXBinds { x, residual, gamma, dy, ds, mean, rstd }
);
params! { struct Params { rows: u32, cols: u32, eps: f32 } }

/// Which deviation normalizes a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deviation {
    /// √(σ² + ε) with the biased variance: `torch.nn.LayerNorm`.
    Biased,
    /// σ + ε with the n − 1 deviation: the text-focus transformer's layer norm.
    Unbiased,
}

/// Normalizes every row of the last axis of `x [.., C]`, after adding `residual [.., C]`, by `gamma [C]` and `beta [C]`.
///
/// # Errors
/// Operands whose shapes do not fit.
pub fn layer_norm(
    cx: &Cx,
    x: &Tensor,
    residual: Option<&Tensor>,
    gamma: &Tensor,
    beta: &Tensor,
    eps: f32,
    deviation: Deviation,
) -> Result<Tensor> {
    const OP: &str = "layer_norm";
    let (rows, cols) = x.shape().rows_by_last();
    if let Some(r) = residual {
        cx.expect(OP, "residual", r, x.shape())?;
    }
    cx.expect(OP, "gamma", gamma, [cols])?;
    cx.expect(OP, "beta", beta, [cols])?;
    let width = element::width(&[cols]);
    let p = Params { rows: to_u32(rows), cols: to_u32(cols / width), eps };
    let y = cx.out(x.shape());
    let (lanes, tile) = tile(cx.gpu());
    let variant = element::of(with(tile, residual.is_some(), deviation), width);
    let grid = Grid::linear(rows.div_ceil(lanes));
    let other = Tensor::read_or_absent(residual);
    let binds = FwdBinds {
        x: x.read(),
        residual: other,
        gamma: gamma.read(),
        beta: beta.read(),
        y: y.write(),
    };
    cx.run(&FWD, &variant, grid, &p, binds)?;
    let held = (x.clone(), residual.cloned(), gamma.clone());
    let saved = Saved { x: held.0, residual: held.1, gamma: held.2, variant, grid, p };
    Ok(match residual {
        None => {
            cx.record(OP, [x, gamma, beta], y, move |cx, dy, need| saved.backward(cx, &dy, need))
        }
        Some(r) => cx.record(OP, [x, r, gamma, beta], y, move |cx, dy, need| {
            let wanted = [need[0] || need[1], need[2], need[3]];
            let [ds, dgamma, dbeta] = saved.backward(cx, &dy, wanted)?;
            Ok([ds.clone().filter(|_| need[0]), ds.filter(|_| need[1]), dgamma, dbeta])
        }),
    })
}

/// Means and deviations are computed again.
struct Saved {
    x: Tensor,
    residual: Option<Tensor>,
    gamma: Tensor,
    variant: Variant,
    grid: Grid,
    p: Params,
}

impl Saved {
    /// Gradients of x + residual, γ and β.
    fn backward(&self, cx: &Cx, dy: &Tensor, need: [bool; 3]) -> Result<[Option<Tensor>; 3]> {
        let Saved { x, gamma, .. } = self;
        let rows = self.p.rows as usize;
        let (ds, mean, rstd) = (cx.out(x.shape()), cx.out_f32([rows]), cx.out_f32([rows]));
        let residual = self.residual.as_ref();
        let binds = BwdXBinds {
            x: x.read(),
            residual: Tensor::read_or_absent(residual),
            gamma: gamma.read(),
            dy: dy.read(),
            ds: ds.write(),
            mean: mean.write(),
            rstd: rstd.write(),
        };
        cx.run(&BWD_X, &self.variant, self.grid, &self.p, binds)?;
        let (mut dgamma, mut dbeta) = (None, None);
        if need[1] || need[2] {
            let of = Normalized { x, residual, mean: &mean, rstd: &rstd, by_row: true };
            let sums = of.gradients(cx, dy)?;
            [dgamma, dbeta] = sums.map(Some);
        }
        let wanted = |i: usize, grad: Option<Tensor>| grad.filter(|_| need[i]);
        Ok([wanted(0, Some(ds)), wanted(1, dgamma), wanted(2, dbeta)])
    }
}

/// Rows of a workgroup, and its tile: one row per workgroup, or one row per invocation where barriers are pure cost.
fn tile(gpu: &Gpu) -> (usize, Variant) {
    let [row, rows] = tiles();
    if columns::serial(gpu) { (LANES, rows) } else { (1, row) }
}

fn tiles() -> [Variant; 2] {
    [columns::of(1, 64), columns::of(to_u32(LANES), to_u32(LANES))]
}

fn with(tile: Variant, residual: bool, deviation: Deviation) -> Variant {
    tile.set("HAS_RESIDUAL", residual).set("UNBIASED", deviation == Deviation::Unbiased)
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "layer_norm",
    kernels: &[
        KernelUse { kernel: &FWD, variants },
        KernelUse { kernel: &BWD_X, variants },
        KernelUse { kernel: &AFFINE_BWD, variants: norm_affine::by_row_variants },
    ],
    tolerance: 2e-6,
    gradient: 1e-5,
    cases,
};

fn variants() -> Vec<Variant> {
    let ways = [Deviation::Biased, Deviation::Unbiased].map(|d| [(false, d), (true, d)]);
    let of = |t: Variant| ways.as_flattened().iter().map(move |(r, d)| with(t.clone(), *r, *d));
    let all = tiles().into_iter().flat_map(of);
    all.flat_map(|t| [1, 4].map(|width| element::of(t.clone(), width))).collect()
}

fn cases() -> Vec<Case> {
    let case = |why: &str, rows: usize, cols: usize, residual: bool, deviation: Deviation| {
        let label = format!("[{rows}, {cols}] {deviation:?} residual={residual}: {why}");
        let mut s = Seeded::new(&label);
        let mut inputs =
            vec![s.signed([rows, cols]), s.uniform([cols], 0.5, 1.5), s.signed([cols])];
        if residual {
            inputs.push(s.signed([rows, cols]));
        }
        let eps = if deviation == Deviation::Biased { 1e-5f32 } else { 1e-6 };
        let case = Case::new(
            label,
            inputs,
            move |cx, t| Ok(vec![layer_norm(cx, &t[0], t.get(3), &t[1], &t[2], eps, deviation)?]),
            move |h| vec![oracle(&h[0], h.get(3), &h[1], &h[2], eps.into(), deviation)],
        );
        case.bench(8.0 * (rows * cols) as f64)
    };
    vec![
        // Two values become ±1/√2 whatever they are: their gradient is what rounding leaves of 0.
        case("smallest with a deviation", 1, 2, false, Deviation::Unbiased).gradient_of(&[1, 2]),
        case("three values", 2, 3, true, Deviation::Unbiased),
        case("primes, one below a workgroup", 7, 63, true, Deviation::Biased),
        case("one above a workgroup", 5, 65, false, Deviation::Biased),
        case("guidance", 1024, 64, true, Deviation::Biased),
        case("recognizer", 256, 512, true, Deviation::Biased),
        case("text-focus decoder", 21, 1024, true, Deviation::Unbiased),
        case("more rows than one grid axis", 65_537, 8, false, Deviation::Biased).not_benched(),
    ]
}

/// Reference in f64.
pub fn oracle(
    x: &Host,
    residual: Option<&Host>,
    gamma: &Host,
    beta: &Host,
    eps: f64,
    deviation: Deviation,
) -> Host {
    let (_, cols) = x.shape.rows_by_last();
    let n = cols as f64;
    let mut y = x.clone();
    for (r, row) in y.data.chunks_exact_mut(cols).enumerate() {
        for (c, v) in row.iter_mut().enumerate() {
            *v += residual.map_or(0.0, |h| h.data[r * cols + c]);
        }
        let mean = row.iter().sum::<f64>() / n;
        let squares = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        let rstd = match deviation {
            Deviation::Biased => 1.0 / (squares / n + eps).sqrt(),
            Deviation::Unbiased => 1.0 / ((squares / (n - 1.0)).sqrt() + eps),
        };
        for (c, v) in row.iter_mut().enumerate() {
            *v = (*v - mean) * rstd * gamma.data[c] + beta.data[c];
        }
    }
    y
}
