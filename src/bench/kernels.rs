//! Every operation of the table at the graphs' shapes, and at some larger ones, in shares of what the adapter can do.

use super::shapes;
use super::stats::{median, repeat};
use crate::Result;
use crate::gpu::Gpu;
use crate::ops::measure::{Measured, Once, by_gpu_clock, once};
use crate::ops::{Cost, TABLE, copy_bandwidth, fma_peak};
use crate::tensor::{Cx, Host, Tensor};
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

/// Values that a case of the table must have to be a shape of the graphs, rather than one of the tests' small ones.
const SMALLEST: usize = 4096;

/// Shows `visit` every work whose name `wanted` likes, in the order of the table.
///
/// # Errors
/// The first of `visit`.
pub fn each_work(
    wanted: &dyn Fn(&str) -> bool,
    visit: &mut dyn FnMut(Work) -> Result<()>,
) -> Result<()> {
    let mut larger = shapes::larger();
    for row in TABLE {
        for case in (row.cases)().into_iter().filter(|c| c.bench) {
            let name = format!("{} {}", row.op, case.label);
            let values: usize = case.inputs.iter().map(|h| h.data.len()).sum();
            if values >= SMALLEST && wanted(&name) {
                let (inputs, run, flops) = (case.inputs, case.run, case.flops);
                visit(Work { name, inputs: Box::new(move || inputs.clone()), run, flops })?;
            }
        }
        let of_row = |w: &mut Work| w.name.split(' ').next() == Some(row.op);
        for work in larger.extract_if(.., of_row).filter(|w| wanted(&w.name)) {
            visit(work)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn larger_shapes_belong_to_rows_of_the_table_and_names_are_unlike() {
        for work in shapes::larger() {
            let op = work.name.split(' ').next().unwrap();
            assert!(TABLE.iter().any(|row| row.op == op), "{}", work.name);
        }
        let seen = RefCell::new(Vec::new());
        let look = |name: &str| {
            seen.borrow_mut().push(name.to_string());
            false
        };
        each_work(&look, &mut |work| panic!("{} was not wanted", work.name)).unwrap();
        let mut names = seen.into_inner();
        for part in [
            "conv2d [1, 8, 32, 512] → 512 3×3",
            "conv2d [8, 16, 64, 64] → 64 3×3",
            "conv2d [1, 8, 32, 512] → 512 1×1",
            "conv2d [1, 16, 64, 4] → 64 9×9",
            "conv2d [1, 32, 128, 64] → 4 9×9",
            "matmul [512, 512]·[512, 512]",
            "gru ",
            "attention ",
            "softmax ",
            "resize ",
            "layout permute",
        ] {
            assert!(names.iter().any(|n| n.starts_with(part)), "{part} is not measured");
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "two works of one name");
    }

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
