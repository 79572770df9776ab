//! Batch normalization, by the batch's own statistics or by running ones:  y = (x − μ)·rstd·γ + β,  rstd = 1/√(σ² + ε).
//!
//! Chunks of rows are reduced to a mean and a sum of squares about it, and the chunks are combined in order: the same bits
//! every time, and no loss of digits where the mean is far from zero.

use super::channel_affine::{by_channel, tiles};
use super::columns::{self, LANES};
use super::norm_affine::{self, AFFINE_BWD, Normalized};
use super::{Act, Case, KernelUse, Row, channel_affine, element};
use crate::gpu::{Grid, Variant};
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(PARTIAL = "norm/batch_norm_partial", Partial, PartialBinds { x, mean, squares });
kernel!(
    FINISH = "norm/batch_norm_finish",
    Finish,
    FinishBinds { part_mean, part_squares, old_mean, old_var, mean, rstd, new_mean, new_var }
);
kernel!(APPLY = "norm/batch_norm_apply", Apply, ApplyBinds { x, mean, rstd, gamma, beta, y });
kernel!(RSTD = "norm/rstd_fwd", Rstd, RstdBinds { variance, rstd });
kernel!(
    BWD_X = "norm/batch_norm_bwd_input",
    Apply,
    BwdXBinds { x, dy, mean, rstd, gamma, dbeta, dgamma, dx }
);
params! { struct Partial { rows: u32, channels: u32, chunk: u32 } }
params! { struct Finish { rows: u32, channels: u32, chunk: u32, momentum: f32, eps: f32 } }
params! { struct Apply { rows: u32, channels: u32 } }
params! { struct Rstd { n: u32, eps: f32 } }

const WG: usize = 64;

/// Statistics that normalized a batch.
#[derive(Clone)]
pub struct BatchStats {
    /// Mean of every channel `[C]`.
    pub mean: Tensor,
    /// 1/√(σ² + ε) of every channel with the biased variance `[C]`.
    pub rstd: Tensor,
}

/// Normalizes `x [.., C]` by the mean and the biased variance of each channel over all rows: `torch.nn.BatchNorm1d` and
/// `BatchNorm2d` in training. Returns the result, the statistics, and the running mean and variance moved towards the
/// batch's by `momentum`, the variance unbiased. Only the result has gradients, to `x`, `gamma` and `beta`.
///
/// # Errors
/// Fewer than two rows, or operands whose shapes do not fit.
#[expect(clippy::too_many_arguments, reason = "the operands of the PyTorch operation")]
pub fn batch_norm_train(
    cx: &Cx,
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    running_mean: &Tensor,
    running_var: &Tensor,
    momentum: f32,
    eps: f32,
) -> Result<(Tensor, BatchStats, Tensor, Tensor)> {
    const OP: &str = "batch_norm_train";
    let (rows, channels) = x.shape().rows_by_last();
    let operands = [
        ("gamma", gamma),
        ("beta", beta),
        ("running_mean", running_mean),
        ("running_var", running_var),
    ];
    for (name, operand) in operands {
        cx.expect(OP, name, operand, [channels])?;
    }
    if rows < 2 {
        return Err(Error::new(ErrorKind::Shape, OP, "values per channel")
            .expected("at least 2")
            .got(format!("x {}", x.shape())));
    }
    let chunk = norm_affine::chunk(rows);
    let chunks = rows.div_ceil(chunk);
    let (r, c, chunk) = (to_u32(rows), to_u32(channels), to_u32(chunk));

    let parts = [(); 2].map(|()| cx.out_f32([chunks, channels]));
    let width = element::width(&[channels]);
    let elements = channels / width;
    let p = Partial { rows: r, channels: to_u32(elements), chunk };
    let grid = Grid::xyz(elements.div_ceil(LANES), chunks, 1);
    let binds = PartialBinds { x: x.read(), mean: parts[0].write(), squares: parts[1].write() };
    cx.run(&PARTIAL, &columns::by(cx.gpu(), width), grid, &p, binds)?;

    let [mean, rstd, new_mean, new_var] = [(); 4].map(|()| cx.out_f32([channels]));
    let p = Finish { rows: r, channels: c, chunk, momentum, eps };
    let binds = FinishBinds {
        part_mean: parts[0].read(),
        part_squares: parts[1].read(),
        old_mean: running_mean.read(),
        old_var: running_var.read(),
        mean: mean.write(),
        rstd: rstd.write(),
        new_mean: new_mean.write(),
        new_var: new_var.write(),
    };
    cx.run(&FINISH, &finish_variant(), Grid::xyz(channels.div_ceil(WG), 1, 1), &p, binds)?;

    let stats = BatchStats { mean, rstd };
    let y = apply(cx, OP, x, &stats, gamma, beta, false)?;
    Ok((y, stats, new_mean, new_var))
}

/// Normalizes `x [.., C]` by running statistics `mean [C]` and `var [C]`, which are constants to the gradient:
/// `torch.nn.BatchNorm1d` and `BatchNorm2d` in evaluation. Inference has them folded into scales and shifts instead.
///
/// # Errors
/// Operands whose shapes do not fit.
pub fn batch_norm_eval(
    cx: &Cx,
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    eps: f32,
) -> Result<Tensor> {
    const OP: &str = "batch_norm_eval";
    let channels = x.shape().last();
    for (name, operand) in [("gamma", gamma), ("beta", beta), ("mean", mean), ("var", var)] {
        cx.expect(OP, name, operand, [channels])?;
    }
    let constants = [gamma, beta, mean, var];
    if constants.into_iter().all(Tensor::is_constant) && !constants.iter().any(|t| cx.tracks(&[t]))
    {
        let [scale, shift] = folded(cx, constants, eps)?;
        return channel_affine(cx, x, &scale, &shift, None, Act::None);
    }
    let rstd = cx.out_f32([channels]);
    let p = Rstd { n: to_u32(channels), eps };
    let binds = RstdBinds { variance: var.read(), rstd: rstd.write() };
    cx.run(&RSTD, &element::scalar(), element::grid(channels), &p, binds)?;
    apply(cx, OP, x, &BatchStats { mean: mean.detached(), rstd }, gamma, beta, true)
}

/// Scale γ/√(σ² + ε) and shift β − μ·scale of constants, computed once.
fn folded(cx: &Cx, [gamma, beta, mean, var]: [&Tensor; 4], eps: f32) -> Result<[Tensor; 2]> {
    let scale_of = move |gamma: &[f32], var: &[f32], c: usize| {
        f64::from(gamma[c]) / (f64::from(var[c]) + f64::from(eps)).sqrt()
    };
    let shape = gamma.shape();
    let scale = gamma.derived(cx.gpu(), "scale of a batch norm", &[var], shape, |v| {
        (0..v[0].len()).map(|c| scale_of(&v[0], &v[1], c) as f32).collect()
    })?;
    let others = [gamma, mean, var];
    let shift = beta.derived(cx.gpu(), "shift of a batch norm", &others, shape, |v| {
        let of = |c: usize| f64::from(v[2][c]) * scale_of(&v[1], &v[3], c);
        (0..v[0].len()).map(|c| (f64::from(v[0][c]) - of(c)) as f32).collect()
    })?;
    Ok([scale, shift])
}

/// (x − μ)·rstd·γ + β by statistics of `x`, or by constant ones.
fn apply(
    cx: &Cx,
    op: &'static str,
    x: &Tensor,
    stats: &BatchStats,
    gamma: &Tensor,
    beta: &Tensor,
    constant: bool,
) -> Result<Tensor> {
    let y = cx.out(x.shape());
    let (rows, channels) = x.shape().rows_by_last();
    let (grid, variant, elements) = by_channel(rows, channels);
    let p = Apply { rows: to_u32(rows), channels: elements };
    let [mean, rstd] = [&stats.mean, &stats.rstd].map(Tensor::read);
    let binds = ApplyBinds {
        x: x.read(),
        mean,
        rstd,
        gamma: gamma.read(),
        beta: beta.read(),
        y: y.write(),
    };
    cx.run(&APPLY, &variant, grid, &p, binds)?;
    let saved = Saved { x: x.clone(), gamma: gamma.clone(), stats: stats.clone(), constant };
    Ok(cx.record(op, [x, gamma, beta], y, move |cx, dy, need| saved.backward(cx, &dy, need)))
}

/// x̂ is computed again.
struct Saved {
    x: Tensor,
    gamma: Tensor,
    stats: BatchStats,
    constant: bool,
}

impl Saved {
    fn backward(&self, cx: &Cx, dy: &Tensor, need: [bool; 3]) -> Result<[Option<Tensor>; 3]> {
        let Saved { x, gamma, stats: BatchStats { mean, rstd }, constant } = self;
        let sums = match (need, constant) {
            ([_, false, false], true) => None,
            _ => {
                let normalized = Normalized { x, residual: None, mean, rstd, by_row: false };
                Some(normalized.gradients(cx, dy)?)
            }
        };
        let mut dx = None;
        if need[0] {
            let out = cx.out(x.shape());
            let (rows, channels) = x.shape().rows_by_last();
            let (grid, variant, elements) = by_channel(rows, channels);
            let variant = variant.set("CONSTANT", *constant);
            let p = Apply { rows: to_u32(rows), channels: elements };
            let sum = |i: usize| Tensor::read_or_absent(sums.as_ref().map(|s| &s[i]));
            let binds = BwdXBinds {
                x: x.read(),
                dy: dy.read(),
                mean: mean.read(),
                rstd: rstd.read(),
                gamma: gamma.read(),
                dbeta: sum(1),
                dgamma: sum(0),
                dx: out.write(),
            };
            cx.run(&BWD_X, &variant, grid, &p, binds)?;
            dx = Some(out);
        }
        let [dgamma, dbeta] = sums.map_or([None, None], |s| s.map(Some));
        Ok([dx, dgamma.filter(|_| need[1]), dbeta.filter(|_| need[2])])
    }
}

fn finish_variant() -> Variant {
    Variant::new().set("WG", to_u32(WG))
}

fn input_variants() -> Vec<Variant> {
    let both = |t: Variant| [false, true].map(|constant| t.clone().set("CONSTANT", constant));
    tiles().into_iter().flat_map(both).collect()
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "batch_norm",
    kernels: &[
        KernelUse { kernel: &PARTIAL, variants: columns::by_all },
        KernelUse { kernel: &FINISH, variants: || vec![finish_variant()] },
        KernelUse { kernel: &APPLY, variants: tiles },
        KernelUse { kernel: &RSTD, variants: || vec![element::scalar()] },
        KernelUse { kernel: &AFFINE_BWD, variants: norm_affine::by_channel_variants },
        KernelUse { kernel: &BWD_X, variants: input_variants },
    ],
    tolerance: 3e-6,
    gradient: 1e-5,
    cases,
};

fn cases() -> Vec<Case> {
    let inputs = |label: &str, shape: &[usize], offset: f64| {
        let mut s = Seeded::new(label);
        let c = shape[shape.len() - 1];
        vec![
            s.uniform(shape, offset - 1.0, offset + 1.0),
            s.uniform([c], 0.5, 1.5),
            s.signed([c]),
            s.signed([c]),
            s.uniform([c], 0.5, 1.5),
        ]
    };
    // Running statistics are constants to the gradient.
    const DIFFERENTIATED: &[usize] = &[0, 1, 2];
    let train = |why: &str, shape: &[usize], offset: f64| {
        let label = format!("training {shape:?} about {offset}: {why}");
        let inputs = inputs(&label, shape, offset);
        let flops = 10.0 * inputs[0].data.len() as f64;
        let run = |cx: &Cx, t: &[Tensor]| {
            let (y, stats, mean, var) =
                batch_norm_train(cx, &t[0], &t[1], &t[2], &t[3], &t[4], 0.1, 1e-5)?;
            Ok(vec![y, stats.mean, stats.rstd, mean, var])
        };
        Case::new(label, inputs, run, |h| oracle(h, 0.1f32.into(), 1e-5f32.into()))
            .gradient_of(DIFFERENTIATED)
            .bench(flops)
    };
    let eval = |why: &str, shape: &[usize]| {
        let label = format!("evaluation {shape:?}: {why}");
        let inputs = inputs(&label, shape, 0.3);
        let flops = 4.0 * inputs[0].data.len() as f64;
        let run = |cx: &Cx, t: &[Tensor]| {
            Ok(vec![batch_norm_eval(cx, &t[0], &t[1], &t[2], &t[3], &t[4], 1e-5)?])
        };
        Case::new(label, inputs, run, |h| vec![eval_oracle(h, 1e-5f32.into())])
            .gradient_of(DIFFERENTIATED)
            .bench(flops)
    };
    vec![
        // Two values become ±1 whatever they are: their gradient is what rounding leaves of 0.
        train("fewest rows", &[2, 3], 0.0).gradient_of(&[1, 2]),
        train("rows of vectors, primes", &[5, 7], 0.0),
        train("images, one above the lanes", &[3, 5, 7, 9], 2.0),
        train("one row above a chunk", &[257, 8], 0.0),
        train("residual block", &[4, 16, 64, 64], 0.2),
        train("nano", &[4, 16, 64, 32], 0.2),
        train("more than the least chunk", &[65_793, 2], 0.5).not_benched(),
        eval("one value", &[1, 1]),
        eval("primes", &[2, 7, 3]),
        eval("one above the lanes", &[3, 5, 65]),
        eval("nano", &[4, 16, 64, 32]),
    ]
}

/// Reference in f64: `x`, γ, β, mean and variance to `y`.
pub fn eval_oracle(h: &[Host], eps: f64) -> Host {
    let c = h[0].shape.last();
    let value = |(i, v): (usize, &f64)| {
        let at = |h: &Host| h.data[i % c];
        (v - at(&h[3])) / (at(&h[4]) + eps).sqrt() * at(&h[1]) + at(&h[2])
    };
    Host { data: h[0].data.iter().enumerate().map(value).collect(), ..h[0].clone() }
}

/// Reference in f64: `x`, γ, β, running mean and variance to `y`, mean, rstd and the new running statistics.
pub fn oracle(h: &[Host], momentum: f64, eps: f64) -> Vec<Host> {
    let (rows, c) = h[0].shape.rows_by_last();
    let n = rows as f64;
    let mut out = vec![h[0].clone()];
    out.resize(5, Host::zeros([c]));
    for channel in 0..c {
        let values = || h[0].data.iter().skip(channel).step_by(c);
        let mean = values().sum::<f64>() / n;
        let squares = values().map(|v| (v - mean).powi(2)).sum::<f64>();
        let rstd = 1.0 / (squares / n + eps).sqrt();
        for v in out[0].data.iter_mut().skip(channel).step_by(c) {
            *v = (*v - mean) * rstd * h[1].data[channel] + h[2].data[channel];
        }
        let moved = |old: f64, new: f64| old + momentum * (new - old);
        out[1].data[channel] = mean;
        out[2].data[channel] = rstd;
        out[3].data[channel] = moved(h[3].data[channel], mean);
        out[4].data[channel] = moved(h[4].data[channel], squares / (n - 1.0));
    }
    out
}
