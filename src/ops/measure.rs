//! Timing a pass or a case: by the GPU's clock where there is one, otherwise by the host's around a submission.

use super::{Case, Cost};
use crate::Result;
use crate::gpu::{Gpu, Timing};
use crate::tensor::{Cx, Tensor};
use std::time::Instant;

/// What one run of a case takes.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Median over the rounds, in seconds: the sum over its dispatches, or submission to completion by the host's clock.
    pub seconds: f64,
    /// Its work.
    pub cost: Cost,
    /// Each dispatch of the median round; empty by the host's clock.
    pub dispatches: Vec<Timing>,
}

impl Measured {
    /// Whether the GPU's clock was used.
    pub fn by_gpu_clock(&self) -> bool {
        !self.dispatches.is_empty()
    }

    /// Floating-point operations per second.
    pub fn flops(&self) -> f64 {
        self.cost.flops / self.seconds
    }

    /// Bytes of inputs and outputs per second.
    pub fn bandwidth(&self) -> f64 {
        self.cost.bytes / self.seconds
    }

    /// Share of the least time that the adapter allows, `max(flops / peak, bytes / bandwidth)`, in the time taken.
    pub fn share(&self, peak_flops: f64, peak_bandwidth: f64) -> f64 {
        (self.cost.flops / peak_flops).max(self.cost.bytes / peak_bandwidth) / self.seconds
    }
}

/// One pass that was waited for.
pub struct Once {
    /// The sum over its dispatches, or submission to completion by the host's clock.
    pub seconds: f64,
    /// Each dispatch; empty by the host's clock.
    pub dispatches: Vec<Timing>,
    /// What was computed.
    pub outputs: Vec<Tensor>,
}

/// Whether passes on this device are timed by the GPU's clock.
pub fn by_gpu_clock(gpu: &Gpu) -> bool {
    gpu.options().profile && gpu.summary().features.contains(&"timestamp-query")
}

/// Records a pass, runs it and waits for it. Use a device opened with [`profile`](crate::gpu::GpuOptions::profile) for the
/// GPU's clock.
///
/// # Errors
/// Those of the operations.
pub fn once(gpu: &Gpu, record: impl FnOnce(&Cx) -> Result<Vec<Tensor>>) -> Result<Once> {
    let cx = Cx::new(gpu);
    let outputs = record(&cx)?;
    if by_gpu_clock(gpu) {
        let dispatches = cx.submit_timed()?;
        return Ok(Once {
            seconds: dispatches.iter().map(|t| t.seconds).sum(),
            dispatches,
            outputs,
        });
    }
    let start = Instant::now();
    cx.submit()?;
    if let Some(t) = outputs.first() {
        gpu.read(&[t.view(0, [1])?.part()])?;
    }
    Ok(Once { seconds: start.elapsed().as_secs_f64(), dispatches: Vec::new(), outputs })
}

/// Runs `case` once to warm up and then `rounds` times (at least one). Use a device opened with
/// [`profile`](crate::gpu::GpuOptions::profile) for the GPU's clock.
///
/// # Errors
/// Those of the operation.
pub fn measure(gpu: &Gpu, case: &Case, rounds: usize) -> Result<Measured> {
    let inputs = case.upload(gpu);
    let mut runs = Vec::new();
    let mut cost = Cost::default();
    for round in 0..=rounds.max(1) {
        let run = once(gpu, |cx| (case.run)(cx, &inputs))?;
        cost = case.cost(&inputs, &run.outputs);
        if round > 0 {
            runs.push((run.seconds, run.dispatches));
        }
    }
    runs.sort_by(|a, b| f64::total_cmp(&a.0, &b.0));
    let (seconds, dispatches) = runs.swap_remove(runs.len() / 2);
    Ok(Measured { seconds, cost, dispatches })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_the_tighter_bound() {
        let cost = Cost { flops: 100.0, bytes: 40.0 };
        let m = Measured { seconds: 2.0, cost, dispatches: Vec::new() };
        assert_eq!((m.flops(), m.bandwidth(), m.by_gpu_clock()), (50.0, 20.0, false));
        assert_eq!(m.share(100.0, 1e9), 0.5);
        assert_eq!(m.share(1e9, 40.0), 0.5);
    }
}
