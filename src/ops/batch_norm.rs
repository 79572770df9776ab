//! Batch normalisation by the batch's own statistics, as in training:  y = (x − μ)·rstd·γ + β,  rstd = 1/√(σ² + ε).
//!
//! Chunks of rows are reduced to a mean and a sum of squares about it, and the chunks are combined in order: the same bits
//! every time, and no loss of digits where the mean is far from zero.

use super::channel_affine::{by_channel, tiles};
use super::columns::{self, LANES};
use super::{Case, KernelUse, Row};
use crate::gpu::{Grid, Variant};
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(PARTIAL = "norm/batch_norm_partial", Partial);
kernel!(FINISH = "norm/batch_norm_finish", Finish);
kernel!(APPLY = "norm/batch_norm_apply", Apply);
params! { struct Partial { rows: u32, channels: u32, chunk: u32 } }
params! { struct Finish { rows: u32, channels: u32, chunk: u32, momentum: f32, eps: f32 } }
params! { struct Apply { rows: u32, channels: u32 } }

const WG: usize = 64;
const MOST_CHUNKS: usize = 256;
const LEAST_CHUNK: usize = 256;

/// Statistics of a batch, for the gradient.
pub struct BatchStats {
    /// Mean of every channel `[C]`.
    pub mean: Tensor,
    /// 1/√(σ² + ε) of every channel with the biased variance `[C]`.
    pub rstd: Tensor,
}

/// Normalises `x [.., C]` by the mean and the biased variance of each channel over all rows: `torch.nn.BatchNorm1d` and
/// `BatchNorm2d` in training. Returns the result, the statistics, and the running mean and variance moved towards the
/// batch's by `momentum`, the variance unbiased.
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
    let chunk = rows.div_ceil(MOST_CHUNKS).max(LEAST_CHUNK);
    let chunks = rows.div_ceil(chunk);
    let (r, c, chunk) = (rows as u32, channels as u32, chunk as u32);

    let parts = [cx.out([chunks, channels]), cx.out([chunks, channels])];
    let p = Partial { rows: r, channels: c, chunk };
    let grid = Grid::xyz(channels.div_ceil(LANES), chunks, 1);
    let binds = [x.read(), parts[0].write(), parts[1].write()];
    cx.run(&PARTIAL, &columns::tile(cx.gpu()), grid, &p, &binds)?;

    let [mean, rstd, new_mean, new_var] = [(); 4].map(|()| cx.out([channels]));
    let p = Finish { rows: r, channels: c, chunk, momentum, eps };
    let binds = [
        parts[0].read(),
        parts[1].read(),
        running_mean.read(),
        running_var.read(),
        mean.write(),
        rstd.write(),
        new_mean.write(),
        new_var.write(),
    ];
    cx.run(&FINISH, &finish_variant(), Grid::xyz(channels.div_ceil(WG), 1, 1), &p, &binds)?;

    let y = cx.out(x.shape());
    let (grid, variant) = by_channel(rows, channels);
    let p = Apply { rows: r, channels: c };
    let binds = [x.read(), mean.read(), rstd.read(), gamma.read(), beta.read(), y.write()];
    cx.run(&APPLY, &variant, grid, &p, &binds)?;
    Ok((y, BatchStats { mean, rstd }, new_mean, new_var))
}

fn finish_variant() -> Variant {
    Variant::new().set("WG", WG as u32)
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "batch_norm_train",
    kernels: &[
        KernelUse { kernel: &PARTIAL, variants: || columns::tiles().into() },
        KernelUse { kernel: &FINISH, variants: || vec![finish_variant()] },
        KernelUse { kernel: &APPLY, variants: tiles },
    ],
    tolerance: 3e-6,
    gradient: 1e-5,
    cases,
};

fn cases() -> Vec<Case> {
    let case = |why: &str, shape: &[usize], offset: f64| {
        let label = format!("{shape:?} about {offset}: {why}");
        let mut s = Seeded::new(&label);
        let c = shape[shape.len() - 1];
        let inputs = vec![
            s.uniform(shape, offset - 1.0, offset + 1.0),
            s.uniform([c], 0.5, 1.5),
            s.signed([c]),
            s.signed([c]),
            s.uniform([c], 0.5, 1.5),
        ];
        let flops = 10.0 * inputs[0].data.len() as f64;
        let run = |cx: &Cx, t: &[Tensor]| {
            let (y, stats, mean, var) =
                batch_norm_train(cx, &t[0], &t[1], &t[2], &t[3], &t[4], 0.1, 1e-5)?;
            Ok(vec![y, stats.mean, stats.rstd, mean, var])
        };
        Case::new(label, inputs, run, |h| oracle(h, 0.1f32.into(), 1e-5f32.into())).bench(flops)
    };
    vec![
        case("fewest rows", &[2, 3], 0.0),
        case("rows of vectors, primes", &[5, 7], 0.0),
        case("images, one above the lanes", &[3, 5, 7, 9], 2.0),
        case("one row above a chunk", &[257, 8], 0.0),
        case("residual block", &[4, 16, 64, 64], 0.2),
        case("nano", &[4, 16, 64, 32], 0.2),
        case("more than the least chunk", &[65_793, 2], 0.5),
    ]
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
