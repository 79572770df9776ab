//! What the adapter can do at most: the measure that kernel times are compared with.

use super::KernelUse;
use super::measure::once;
use super::numerics::{EVALUATE, Function};
use crate::gpu::{Gpu, Grid, Variant};
use crate::shape::to_u32;
use crate::tensor::{Cx, Tensor};
use crate::{Result, kernel, params};

kernel!(FMA = "bench/fma_peak", Fma, FmaBinds { y });
kernel!(COPY = "bench/copy", Copy4, CopyBinds { x, y });
params! { struct Fma { rounds: u32, x: f32, y: f32 } }
params! { struct Copy4 { vectors: u32 } }

/// Kernels that measure rather than compute.
pub const TOOLS: &[KernelUse] = &[
    KernelUse { kernel: &FMA, variants: || CHAINS.map(chains).to_vec() },
    KernelUse { kernel: &COPY, variants: || vec![Variant::new()] },
    KernelUse { kernel: &EVALUATE, variants: Function::variants },
];

/// Fours of independent chains: few leave units waiting for results, many do not fit the registers of some processors.
const CHAINS: [u32; 4] = [1, 2, 3, 4];

fn chains(vectors: u32) -> Variant {
    Variant::new().tile("VECTORS", vectors)
}

/// Dispatches that take shorter than this say little.
const LONG_ENOUGH: f64 = 0.02;
/// Multiply-adds are measured in no fewer rounds, so that what a workgroup takes to start does not count (on llvmpipe one round
/// alone shows half of the peak).
const LEAST_ROUNDS: u32 = 8;
const REPEATS: usize = 5;

/// Floating-point operations a second of f32 multiply-adds in registers, two for each; the best of several numbers of chains,
/// by the clock that [`once`] uses.
///
/// # Errors
/// Errors of the device.
pub fn fma_peak(gpu: &Gpu) -> Result<f64> {
    const GROUPS: usize = 512;
    let mut best = 0.0f64;
    for vectors in CHAINS {
        let flops = f64::from(512 * vectors * 256) * GROUPS as f64;
        let mut rounds = LEAST_ROUNDS;
        loop {
            let seconds = fastest(gpu, |cx| {
                let y = cx.out_f32([1]);
                let p = Fma { rounds, x: 0.999, y: 0.5 };
                cx.run(
                    &FMA,
                    &chains(vectors),
                    Grid::linear(GROUPS),
                    &p,
                    FmaBinds { y: y.write() },
                )?;
                Ok(y)
            })?;
            if seconds >= LONG_ENOUGH || rounds >= 1 << 20 {
                best = best.max(flops * f64::from(rounds) / seconds);
                break;
            }
            rounds *= 4;
        }
    }
    Ok(best)
}

/// Bytes a second, read and written, of a copy of 16 MiB, as large as the largest activations; the best of five.
///
/// # Errors
/// As [`fma_peak`].
pub fn copy_bandwidth(gpu: &Gpu) -> Result<f64> {
    const VECTORS: usize = 1 << 20;
    let x = Tensor::upload(gpu, [VECTORS, 4], &vec![0.0; 4 * VECTORS]);
    let seconds = fastest(gpu, |cx| {
        let y = cx.out_f32([VECTORS, 4]);
        let p = Copy4 { vectors: to_u32(VECTORS) };
        let grid = Grid::linear(VECTORS.div_ceil(4 * 256));
        cx.run(&COPY, &Variant::new(), grid, &p, CopyBinds { x: x.read(), y: y.write() })?;
        Ok(y)
    })?;
    Ok(2.0 * 16.0 * VECTORS as f64 / seconds)
}

/// The shortest time of one dispatch.
fn fastest(gpu: &Gpu, record: impl Fn(&Cx) -> Result<Tensor>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..REPEATS {
        best = best.min(once(gpu, |cx| Ok(vec![record(cx)?]))?.seconds);
    }
    Ok(best)
}
