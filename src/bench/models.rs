//! Whole networks: how long a pass takes, the first time and afterwards.

use super::stats::{median, percentile, repeat};
use super::subject::{Graph, Size, Subject};
use crate::Result;
use crate::gpu::Gpu;
use serde::Serialize;
use std::time::Instant;

/// What was measured of a network: times by the host's clock, to the end on the device.
#[derive(Debug, Clone, Serialize)]
pub struct ModelResult {
    /// Network, size and batch.
    pub name: String,
    /// Images of a pass.
    pub batch: usize,
    /// The first pass on a device that was just opened, with its recording and the making of its pipelines; the driver may
    /// have some in a cache on disk.
    pub cold_seconds: f64,
    /// Dispatches of a pass.
    pub dispatches: usize,
    /// Passes afterwards, all of one recording.
    pub passes: usize,
    /// Their median.
    pub p50_seconds: f64,
    /// Their 99th percentile by the nearest rank: the longest of up to 100.
    pub p99_seconds: f64,
    /// The host's part of the median pass: until it is submitted.
    pub host_seconds: f64,
    /// Images a second at the median.
    pub images_per_second: f64,
    /// Bytes of the device that a pass takes besides weights and input.
    pub pass_bytes: u64,
}

/// What [`measure_model`] calls its result.
pub fn model_name(graph: Graph, size: Size, batch: usize) -> String {
    format!("model {graph} {size}, batch {batch}")
}

/// Opens a device with the options and choices of `like`, records a pass over `batch` images, runs it once, and then for
/// `seconds`, at least three times.
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
    let start = Instant::now();
    let kept = subject.keep(&input)?;
    kept.run()?;
    let cold_seconds = start.elapsed().as_secs_f64();
    let mut host = Vec::new();
    let warm = repeat(seconds, || {
        let start = Instant::now();
        host.push(kept.run()?);
        Ok(start.elapsed().as_secs_f64())
    })?;
    let p50_seconds = percentile(&warm, 50.0);
    let dispatches = kept.dispatches();
    // Weights lie on the device now: what another recording takes is the pass's own.
    drop(kept);
    gpu.trim();
    let before = gpu.memory().allocated;
    gpu.reset_memory_peaks();
    let again = subject.keep(&input)?;
    let pass_bytes = gpu.memory().peak_allocated - before;
    drop(again);
    Ok(ModelResult {
        name: model_name(graph, size, batch),
        batch,
        cold_seconds,
        dispatches,
        passes: warm.len(),
        p50_seconds,
        host_seconds: median(&host),
        p99_seconds: percentile(&warm, 99.0),
        images_per_second: batch as f64 / p50_seconds,
        pass_bytes,
    })
}
