//! How many images fit the device at once, and what to say where they do not.

use crate::data::checkpoint::StateDict;
use crate::data::confusion;
use crate::engine::MemoryPlan;
use crate::gpu::{Gpu, GpuOptions};
use crate::train::{MicroBatch, Start, TrainConfig, Trainer, plan_memory};
use crate::{Error, Result};

/// Bytes that a run may take on a GPU: no API of wgpu's says what one has.
const ON_GPU: u64 = 6 << 30;

/// Bytes that a run may take where no limit is asked for: on an adapter that computes on the CPU half of what the system has
/// free, where it says so.
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

/// A run's network on a device that allocates nothing.
pub struct Planner(Trainer);

impl Planner {
    /// The network of a configuration.
    ///
    /// # Errors
    /// Weights that do not fit the configuration.
    pub fn new(
        config: &TrainConfig,
        adapter: Option<String>,
        recognizer: Option<StateDict>,
        frozen: &dyn Fn(&str) -> bool,
    ) -> Result<Self> {
        let gpu = Gpu::new(GpuOptions { adapter, planning: true, ..Default::default() })?;
        let start = Start {
            recognizer,
            confusion: confusion::weights(&confusion::default_distances()),
            frozen: Some(frozen),
            ..Start::default()
        };
        Trainer::new(&gpu, config.clone(), start).map(Planner)
    }

    /// Bytes by part of a step that works on so many images at once.
    ///
    /// # Errors
    /// Errors of the recording.
    pub fn plan(&self, images: usize) -> Result<MemoryPlan> {
        plan_memory(&self.0, images)
    }

    /// The largest half, quarter, … of the batch that stays within the limit, or else the budget, and whose buffers the adapter
    /// can bind.
    ///
    /// # Errors
    /// As [`Planner::plan`].
    pub fn micro_batch(&self, limit: Option<u64>) -> Result<MicroBatch> {
        let limit = limit.unwrap_or_else(|| budget(self.0.gpu()));
        let batch = self.0.config().batch;
        let mut micro = MicroBatch { images: batch, halves: true };
        let fits = |plan: MemoryPlan| plan.total() <= limit && plan.binds();
        while !fits(self.plan(micro.images)?) && micro.halve(batch, self.0.config()) {}
        Ok(micro)
    }

    /// What to say of a micro-batch that takes more than the limit, if it does.
    ///
    /// # Errors
    /// As [`Planner::plan`].
    pub fn too_much(&self, micro: MicroBatch, limit: u64) -> Result<Option<String>> {
        let taken = self.plan(micro.images)?.total();
        let said = || {
            let [taken, limit] = [taken, limit].map(crate::cli::bytes);
            format!(
                "{} images at once, as in the checkpoint, take {taken}, and --memory is {limit}; --micro-batch auto plans \
                 anew, with other numbers",
                micro.images
            )
        };
        Ok((taken > limit).then(said))
    }

    /// Adds to the error of a device without memory what a step was to take, and what helps.
    pub fn explain(&self, e: Error, micro: MicroBatch) -> Error {
        let batch = self.0.config().batch;
        let images = micro.images.min(batch);
        let e = match self.plan(images) {
            Ok(plan) => e.detail(described(images, &plan)),
            Err(_) => e,
        };
        let mut half = MicroBatch { images, halves: true };
        e.hint(match half.halve(batch, self.0.config()) {
            true => {
                let half = half.images;
                format!("--micro-batch {half}, or auto, takes less; so does --set batch={half}")
            }
            false => {
                "it takes at least so many: more --memory, or another adapter (-g list)".into()
            }
        })
    }
}

/// A plan in lines.
pub fn described(images: usize, plan: &MemoryPlan) -> String {
    let text = crate::cli::info::plan(&format!("a step that works on {images} at once"), plan);
    text.trim_end().into()
}

/// Bytes from a text like `2GiB`, `300MiB` or `1000000`.
///
/// # Errors
/// What would have been right.
pub fn parse(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit: Option<u64> = match unit {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let bytes = number.trim().parse::<f64>().ok().zip(unit).map(|(n, unit)| n * unit as f64);
    match bytes {
        Some(bytes) if (1.0..1e18).contains(&bytes) => Ok(bytes as u64),
        _ => Err("expected bytes, as 2GiB, 300MiB, 500KiB or a number".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn bytes_with_units() {
        let cases = [("2GiB", 2 << 30), ("1.5 MiB", 3 << 19), ("7", 7), ("7B", 7), ("1KiB", 1024)];
        for (text, bytes) in cases {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "0", "-1", "GiB", "2GB", "2 gib", "nanMiB", "infGiB", "1e30"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
