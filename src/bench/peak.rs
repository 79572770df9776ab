//! What an adapter can do at most, and by which clock that is measured.

use crate::Result;
use crate::gpu::Gpu;
use crate::ops::measure::by_gpu_clock;
use crate::ops::{copy_bandwidth, fma_peak};
use serde::Serialize;

/// Which clock a time is by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// Timestamps around each dispatch.
    Gpu,
    /// The host's, from submission to completion.
    Host,
}

impl Clock {
    /// The clock that single kernels on this device are timed by.
    pub fn of(gpu: &Gpu) -> Self {
        if by_gpu_clock(gpu) { Clock::Gpu } else { Clock::Host }
    }
}

impl std::fmt::Display for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Clock::Gpu => "the GPU's clock (timestamps around each dispatch)",
            Clock::Host => "the host's clock (submission to completion)",
        })
    }
}

/// What the adapter can do at most, measured by the same clock as the kernels.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Peak {
    /// Floating-point operations a second, two for each multiply-add.
    pub flops: f64,
    /// Bytes a second, read and written, of a copy of 16 MiB.
    pub bandwidth: f64,
}

impl Peak {
    /// Measures both twice; the best counts.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn measure(gpu: &Gpu) -> Result<Self> {
        let mut best = Peak { flops: 0.0, bandwidth: 0.0 };
        for _ in 0..2 {
            best = best.or(Peak { flops: fma_peak(gpu)?, bandwidth: copy_bandwidth(gpu)? });
        }
        Ok(best)
    }

    /// The better of two measurements.
    pub fn or(self, other: Peak) -> Self {
        let Peak { flops, bandwidth } = other;
        Peak { flops: flops.max(self.flops), bandwidth: bandwidth.max(self.bandwidth) }
    }

    /// Operations for each byte at which both bounds meet.
    pub fn ridge(&self) -> f64 {
        self.flops / self.bandwidth
    }
}
