//! How much memory a pass takes, before anything is allocated.

use super::Engine;
use super::upscale::Lemma;
use crate::models::lemma::{HIGH, LOW, PLANES};
use crate::tensor::{Cx, Tensor};
use crate::{Error, ErrorKind, Result};

/// Bytes by part.
#[derive(Debug, Clone)]
pub struct MemoryPlan {
    /// Names and bytes of the parts.
    pub parts: Vec<(&'static str, u64)>,
    /// The largest buffer among them.
    pub largest: u64,
    /// The largest buffer that kernels of the adapter can bind.
    pub most: u64,
}

impl MemoryPlan {
    /// Bytes of all parts.
    pub fn total(&self) -> u64 {
        self.parts.iter().map(|(_, n)| n).sum()
    }

    /// Whether the adapter can bind its buffers, however much memory there is.
    pub fn binds(&self) -> bool {
        self.largest <= self.most
    }
}

/// Bytes that a pass over `batch` images takes, by a recording that allocates nothing: `lemma` was loaded on a device opened
/// with [`planning`](crate::gpu::GpuOptions::planning).
///
/// # Errors
/// [`ErrorKind::Argument`] for a model on a device that computes.
pub fn plan_memory(lemma: &Lemma, batch: usize) -> Result<MemoryPlan> {
    plan(lemma.engine(), batch, |cx, input| lemma.network().forward(cx, input))
}

/// The same of what `forward` records on `[batch, 16, 64, 4]`.
pub(super) fn plan<T>(
    engine: &Engine,
    batch: usize,
    forward: impl Fn(&Cx, &Tensor) -> Result<T>,
) -> Result<MemoryPlan> {
    let gpu = engine.gpu();
    if !gpu.options().planning {
        return Err(Error::new(ErrorKind::Argument, "memory", "device of the model")
            .expected("one opened with `planning`")
            .got("one that computes"));
    }
    let pixels = batch * LOW.0 * LOW.1 * PLANES;
    let input = Tensor::upload(gpu, [batch, LOW.0, LOW.1, PLANES], &vec![0.0; pixels]);
    let pass = || {
        let cx = Cx::new(gpu);
        let output = forward(&cx, &input)?;
        cx.plan()?;
        Ok(output)
    };
    // The first pass uploads the weights.
    drop(pass()?);
    gpu.trim();
    let weights = gpu.memory().live - input.buffer().bytes();
    let before = gpu.memory().allocated;
    gpu.reset_memory_peaks();
    let output = pass()?;
    let after = gpu.memory();
    let peak = after.peak_allocated;
    drop(output);
    Ok(MemoryPlan {
        largest: after.largest,
        most: gpu.largest_buffer(),
        parts: vec![
            ("weights that inference loads", weights),
            ("input", input.buffer().bytes()),
            ("activations at their peak", peak - before),
            ("read-back of the images", (batch * HIGH.0 * HIGH.1 * PLANES * 4) as u64),
        ],
    })
}
