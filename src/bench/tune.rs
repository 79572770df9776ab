//! Measuring which tiles are the fastest on a device, with the products of the networks.

use super::subject::{Graph, Size, Subject, trainer, training_batch};
use crate::Result;
use crate::gpu::Gpu;
use crate::tensor::Cx;

/// What to measure with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tuned {
    /// A pass of a network over so many images.
    Pass(Graph, Size, usize),
    /// A training step of the small LEMMA over so many.
    Step(usize),
}

impl std::fmt::Display for Tuned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Tuned::Pass(graph, size, n) => write!(f, "{graph} {size}, batch {n}"),
            Tuned::Step(n) => write!(f, "LEMMA nano, training step, batch {n}"),
        }
    }
}

/// Measures every product of `what` that has no choice yet, each with every tile, and has `gpu` take the fastest from now on:
/// [`Gpu::choices`]. Times are the GPU's where the device was opened with profiling, which makes them steadier.
///
/// # Errors
/// Errors of the device.
pub fn tune(gpu: &Gpu, what: Tuned) -> Result<()> {
    match what {
        Tuned::Pass(graph, size, n) => {
            let subject = Subject::new(gpu, graph, size)?;
            let input = subject.input(n);
            gpu.measuring_choices(|| {
                let cx = Cx::new(gpu);
                let _wanted = subject.forward(&cx, &input)?;
                cx.plan()
            })
        }
        Tuned::Step(n) => {
            let trainer = trainer(gpu, Size::Nano)?;
            let batch = training_batch(n);
            gpu.measuring_choices(|| trainer.step(&batch, n, 1, 1.0).map(|_| ()))
        }
    }
}
