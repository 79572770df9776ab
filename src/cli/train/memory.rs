//! How many images fit the device at once.

use crate::Result;
use crate::data::checkpoint::StateDict;
use crate::data::confusion;
use crate::data::words::{Batch, Encoded};
use crate::gpu::{Gpu, GpuOptions};
use crate::models::lemma::{HIGH, LOW, PLANES};
use crate::train::{Start, TrainConfig, Trainee};
use std::path::Path;

/// Bytes that a run may take on a GPU: no API of wgpu's says what one has.
const ON_GPU: u64 = 6 << 30;

/// Bytes that a run may take: on an adapter that computes on the CPU half of what the system has free, where it says so.
fn budget(gpu: &Gpu) -> u64 {
    let free = || {
        let text = std::fs::read_to_string("/proc/meminfo").ok()?;
        let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    match gpu.summary().software.then(free).flatten() {
        Some(kilobytes) => kilobytes * 1024 / 2,
        None => ON_GPU,
    }
}

/// The largest half, quarter, … of the batch whose recording, which allocates nothing, stays within the budget.
///
/// # Errors
/// Weights that do not fit the configuration.
pub fn micro_batch(
    config: &TrainConfig,
    adapter: Option<String>,
    recognizer: Option<&Path>,
) -> Result<usize> {
    let gpu = Gpu::new(GpuOptions { adapter, planning: true, ..Default::default() })?;
    let start = Start {
        recognizer: recognizer.map(StateDict::read).transpose()?,
        confusion: confusion::weights(&confusion::default_distances()),
        ..Start::default()
    };
    let trainee = Trainee::new(&gpu, config.clone(), start)?;
    let budget = budget(&gpu);
    let mut micro = config.batch;
    while micro > 1 {
        gpu.reset_memory_peaks();
        let batch = Batch {
            lr: vec![0.0; micro * LOW.0 * LOW.1 * PLANES],
            hr: vec![0.0; micro * HIGH.0 * HIGH.1 * PLANES],
            labels: vec![Encoded::new("abcdefgh"); micro],
            characters: vec![Vec::new(); micro],
            places: Vec::new(),
        };
        trainee.step(&batch, micro, 0, 1.0)?;
        if gpu.memory().peak_allocated <= budget {
            break;
        }
        micro = micro.div_ceil(2);
    }
    Ok(micro)
}
