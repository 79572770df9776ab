//! One operation at one shape, and what was measured of it.

use super::peak::Peak;
use super::stats::{median, repeat};
use crate::Result;
use crate::gpu::Gpu;
use crate::ops::Cost;
use crate::ops::measure::{Measured, Once, once};
use crate::tensor::{Cx, Host, Tensor};
use serde::Serialize;

pub(super) type Run = Box<dyn Fn(&Cx, &[Tensor]) -> Result<Vec<Tensor>>>;

/// One operation at one shape.
pub struct Work {
    /// The operation's name and the shape, with what it is in the graphs.
    pub name: String,
    pub(super) inputs: Box<dyn Fn() -> Vec<Host>>,
    pub(super) run: Run,
    pub(super) flops: f64,
}

/// An operation with its inputs on a device.
pub struct Ready<'a> {
    gpu: &'a Gpu,
    work: &'a Work,
    inputs: Vec<Tensor>,
}

/// What was measured of an operation at a shape.
#[derive(Debug, Clone, Serialize)]
pub struct KernelResult {
    /// [`Work::name`].
    pub name: String,
    /// Times it ran, of which the median counts.
    pub rounds: usize,
    /// Dispatches; 0 by the host's clock.
    pub dispatches: usize,
    /// The median time of all its dispatches.
    pub seconds: f64,
    /// Floating-point operations.
    pub flops: f64,
    /// Bytes of inputs and outputs, each once.
    pub bytes: f64,
    /// 10⁹ operations a second.
    pub gflops: f64,
    /// 10⁹ bytes a second.
    pub gbytes: f64,
    /// Share of the least time that the adapter allows in the time taken. Above 1 where caches are faster than a copy. 0 until
    /// [`KernelResult::compare`].
    pub share: f64,
}

impl Work {
    /// Brings the inputs to the device, stored as its precision says.
    pub fn prepare<'a>(&'a self, gpu: &'a Gpu) -> Ready<'a> {
        let inputs = (self.inputs)().into_iter().map(|h| h.upload_as(gpu, gpu.options().precision));
        Ready { gpu, work: self, inputs: inputs.collect() }
    }
}

impl Ready<'_> {
    /// Runs it and waits.
    ///
    /// # Errors
    /// Those of the operation.
    pub fn once(&self) -> Result<Once> {
        once(self.gpu, |cx| (self.work.run)(cx, &self.inputs))
    }

    /// Runs it once to warm up and then for `seconds`, at least three times.
    ///
    /// # Errors
    /// Those of the operation.
    pub fn measure(&self, seconds: f64) -> Result<KernelResult> {
        let first = self.once()?;
        let bytes: u64 = self.inputs.iter().chain(&first.outputs).map(Tensor::bytes).sum();
        let bytes = bytes as f64;
        let times = repeat(seconds, || Ok(self.once()?.seconds))?;
        let (flops, seconds) = (self.work.flops, median(&times));
        Ok(KernelResult {
            name: self.work.name.clone(),
            rounds: times.len(),
            dispatches: first.dispatches.len(),
            seconds,
            flops,
            bytes,
            gflops: flops / seconds / 1e9,
            gbytes: bytes / seconds / 1e9,
            share: 0.0,
        })
    }
}

impl KernelResult {
    /// Sets the share of what `peak` allows.
    pub fn compare(&mut self, peak: &Peak) {
        let cost = Cost { flops: self.flops, bytes: self.bytes };
        let measured = Measured { seconds: self.seconds, cost, dispatches: Vec::new() };
        self.share = measured.share(peak.flops, peak.bandwidth);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_meet_at_the_ridge() {
        let peak = Peak { flops: 1000.0, bandwidth: 50.0 };
        let share = |flops: f64, bytes: f64| {
            let (name, zero) = (String::new(), 0.0);
            let mut result = KernelResult {
                name,
                rounds: 3,
                dispatches: 1,
                seconds: 1.0,
                flops,
                bytes,
                gflops: zero,
                gbytes: zero,
                share: zero,
            };
            result.compare(&peak);
            result.share
        };
        assert_eq!(peak.ridge(), 20.0);
        assert_eq!(share(20.0 * 30.0, 30.0), 0.6, "at the ridge both bounds say the same");
        assert_eq!(share(10.0 * 30.0, 30.0), 0.6, "left of it bytes bound");
        assert_eq!(share(30.0 * 30.0, 30.0), 0.9, "right of it operations bound");
    }
}
