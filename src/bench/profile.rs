//! Passes and training steps, dispatch by dispatch.

use super::stats::{median, repeat};
use super::subject::{Graph, Size, Subject, trainer, training_batch};
use super::tree::{KernelTime, TimeTree, by_kernel, kernel_table};
use crate::Result;
use crate::gpu::{Gpu, Timing};
use crate::tensor::Cx;
use serde::Serialize;
use std::time::Instant;

/// Where the time of a pass or a step goes. Copies between buffers, which move running statistics, are in `wall_seconds` alone.
#[derive(Debug, Clone, Serialize)]
pub struct Profile {
    /// What ran.
    pub name: String,
    /// How often; of each dispatch the median counts.
    pub rounds: usize,
    /// From the start of the recording to the end on the device by the host's clock: the median.
    pub wall_seconds: f64,
    /// Times by scope.
    pub tree: TimeTree,
    /// Times by kernel.
    pub kernels: Vec<KernelTime>,
}

/// Levels of scopes that a terminal shows, and the share of the time below which they are put together.
const DEPTH: usize = 4;
const SMALL: f64 = 0.01;

impl Profile {
    /// Both times of the whole in a line.
    pub fn sums(&self) -> String {
        format!(
            "{} dispatches, {:.2} ms by the GPU's clock; {:.2} ms by the host's, from recording to completion; medians of {}",
            self.tree.dispatches,
            self.tree.seconds * 1e3,
            self.wall_seconds * 1e3,
            self.rounds
        )
    }

    /// The profile for a terminal: a line, the scopes, the kernels.
    pub fn text(&self) -> String {
        format!(
            "{}: {}\n\n{}\n{}\n",
            self.name,
            self.sums(),
            self.tree.table(DEPTH, SMALL).plain(),
            kernel_table(&self.kernels).plain()
        )
    }

    /// Calls `run` once to warm up and then for `seconds`, at least three times.
    fn of(
        name: String,
        seconds: f64,
        mut run: impl FnMut() -> Result<Vec<Timing>>,
    ) -> Result<Self> {
        run()?;
        let all = repeat(seconds, || {
            let start = Instant::now();
            Ok((run()?, start.elapsed().as_secs_f64()))
        })?;
        let count = all.len();
        let (rounds, walls): (Vec<Vec<Timing>>, Vec<f64>) = all.into_iter().unzip();
        let timings = medians(rounds);
        Ok(Profile {
            rounds: count,
            wall_seconds: median(&walls),
            tree: TimeTree::new(&name, &timings),
            kernels: by_kernel(&timings),
            name,
        })
    }
}

/// One forward pass of a network over `n` images. The device must have been opened with profiling.
///
/// # Errors
/// A device without timestamps; errors of the device.
pub fn profile_forward(
    gpu: &Gpu,
    graph: Graph,
    size: Size,
    n: usize,
    seconds: f64,
) -> Result<Profile> {
    let subject = Subject::new(gpu, graph, size)?;
    let input = subject.input(n);
    Profile::of(forward_name(graph, size, n), seconds, || {
        let cx = Cx::new(gpu);
        let _wanted = subject.forward(&cx, &input)?;
        cx.submit_timed()
    })
}

/// One training step of LEMMA over `n` images, as `train --stage lemma` does it with the preset of that size; the small reader
/// that ships looks at the results. The device must have been opened with profiling.
///
/// # Errors
/// As [`profile_forward`].
pub fn profile_step(gpu: &Gpu, size: Size, n: usize, seconds: f64) -> Result<Profile> {
    let trainer = trainer(gpu, size)?;
    let batch = training_batch(n);
    let mut step = 0;
    Profile::of(step_name(size, n), seconds, || {
        step += 1;
        trainer.step_timed(&batch, n, step)
    })
}

/// What [`profile_forward`] calls its profile.
pub fn forward_name(graph: Graph, size: Size, n: usize) -> String {
    format!("profile {graph} {size}, forward, batch {n}")
}

/// What [`profile_step`] calls its profile.
pub fn step_name(size: Size, n: usize) -> String {
    format!("profile LEMMA {size}, training step, batch {n}")
}

/// Times of dispatch `i`.
fn seconds(rounds: &[Vec<Timing>], i: usize) -> Vec<f64> {
    rounds.iter().filter_map(|r| Some(r.get(i)?.seconds)).collect()
}

/// Of each dispatch the median over rounds that ran the same ones.
fn medians(rounds: Vec<Vec<Timing>>) -> Vec<Timing> {
    let mut timings = rounds.first().cloned().unwrap_or_default();
    for (i, timing) in timings.iter_mut().enumerate() {
        timing.seconds = median(&seconds(&rounds, i));
    }
    timings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dispatch_has_its_own_median() {
        let round = |a: f64, b: f64| -> Vec<Timing> {
            let timing = |(scope, seconds): (&str, f64)| Timing {
                scope: scope.into(),
                kernel: "k",
                seconds,
            };
            [("a", a), ("b", b)].map(timing).to_vec()
        };
        let all = medians(vec![round(1.0, 9.0), round(3.0, 7.0), round(2.0, 8.0)]);
        assert_eq!(all.iter().map(|t| t.seconds).collect::<Vec<_>>(), [2.0, 8.0]);
        assert!(medians(Vec::new()).is_empty());
    }
}
