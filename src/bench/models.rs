//! Whole networks: how long a pass takes, the first time and afterwards.

use super::stats::{percentile, repeat};
use super::subject::{Graph, Size, Subject};
use crate::Result;
use crate::gpu::Gpu;
use serde::Serialize;
use std::time::Instant;

/// What was measured of a network: times by the host's clock, from the start of the recording to the end on the device.
#[derive(Debug, Clone, Serialize)]
pub struct ModelResult {
    /// Network, size and batch.
    pub name: String,
    /// Images of a pass.
    pub batch: usize,
    /// The first pass on a device that was just opened, with the making of its pipelines; the driver may have some in a cache
    /// on disk.
    pub cold_seconds: f64,
    /// Passes afterwards.
    pub passes: usize,
    /// Their median.
    pub p50_seconds: f64,
    /// Their 99th percentile by the nearest rank: the longest of up to 100.
    pub p99_seconds: f64,
    /// Images a second at the median.
    pub images_per_second: f64,
}

/// What [`measure_model`] calls its result.
pub fn model_name(graph: Graph, size: Size, batch: usize) -> String {
    format!("model {graph} {size}, batch {batch}")
}

/// Opens a device with the options and choices of `like`, runs a first pass over `batch` images, and then more for `seconds`, at least
/// three.
///
/// # Errors
/// Errors of the device.
pub fn measure_model(
    like: &Gpu,
    graph: Graph,
    size: Size,
    batch: usize,
    seconds: f64,
) -> Result<ModelResult> {
    let gpu = Gpu::new(like.options().clone())?;
    gpu.set_choices(like.choices());
    let subject = Subject::new(&gpu, graph, size)?;
    let input = subject.input(batch);
    let pass = || -> Result<f64> {
        let start = Instant::now();
        subject.run(&input)?;
        Ok(start.elapsed().as_secs_f64())
    };
    let cold_seconds = pass()?;
    let warm = repeat(seconds, pass)?;
    let p50_seconds = percentile(&warm, 50.0);
    Ok(ModelResult {
        name: model_name(graph, size, batch),
        batch,
        cold_seconds,
        passes: warm.len(),
        p50_seconds,
        p99_seconds: percentile(&warm, 99.0),
        images_per_second: batch as f64 / p50_seconds,
    })
}
