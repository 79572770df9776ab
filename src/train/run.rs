//! The loop: batches to steps to checkpoints, and what happens when it is stopped, killed, or goes wrong.

use super::checkpoint::{self, BEST, LAST, Position};
use super::memory::MicroBatch;
use super::optimizer::{Optimizer, Progress};
use super::trainee::{Losses, Trainee};
use crate::data::words::Batch;
use crate::gpu::Gpu;
use crate::tensor::Tensor;
use crate::{Error, ErrorKind, Result};
use std::path::Path;
use std::time::{Duration, Instant};

/// Where batches come from: a function of the step alone, whatever came before.
pub trait Batches {
    /// Steps in an epoch.
    fn per_epoch(&self) -> usize;

    /// The batch of the next step, from the step that the source was opened at.
    ///
    /// # Errors
    /// Data that cannot be read at all.
    fn next(&mut self) -> Result<Batch>;
}

/// One logged step.
#[derive(Debug, Clone)]
pub struct Logged {
    /// The step, from 1.
    pub step: usize,
    /// The loss and its parts.
    pub losses: Vec<(&'static str, f64)>,
    /// The learning rate.
    pub rate: f32,
    /// What the optimiser says.
    pub progress: Progress,
    /// Images a second since the last line.
    pub speed: f64,
    /// Share of the time since the last line that the device waited for data.
    pub starved: f64,
}

/// What happens in a run.
pub trait Watcher {
    /// Every `log_every` steps, with the losses of each step since.
    fn logged(&mut self, steps: &[Logged]) -> Result<()>;

    /// Every `eval_every` steps: a metric to choose the best weights by, larger is better.
    fn evaluate(&mut self, step: usize, trainee: &Trainee) -> Result<Option<f64>>;

    /// There was no memory for this step, which is taken again with at most `images` at once.
    fn halved(&mut self, step: usize, images: usize);

    /// A checkpoint was written.
    fn saved(&mut self, path: &Path);

    /// Whether the run shall end.
    fn stop(&self) -> bool;
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All steps are done.
    Complete,
    /// It was asked to stop; a checkpoint was written.
    Stopped,
}

/// Trains from `position` on, in batches of parts of at most `micro` images, and writes checkpoints to `folder`. `micro` is left
/// at what was used last.
///
/// # Errors
/// [`ErrorKind::Argument`] where `micro` leaves a part with fewer images than the network needs; [`ErrorKind::Memory`] when there
/// is none for a step or an evaluation, after a checkpoint of the steps before it; [`ErrorKind::Result`] when too many batches in a
/// row have no finite gradient; a lost device; files that cannot be written. The last checkpoint stays.
pub fn run(
    gpu: &Gpu,
    trainee: &Trainee,
    mut position: Position,
    micro: &mut MicroBatch,
    data: &mut dyn Batches,
    folder: &Path,
    watcher: &mut dyn Watcher,
) -> Result<Ended> {
    let c = position.config.clone();
    micro.check(c.batch, &c)?;
    let total = c.total_steps(data.per_epoch());
    let begun = position.step;
    let mut saved = None;
    let mut pending: Vec<Pending> = Vec::new();
    let (mut since, mut waited) = (Instant::now(), Duration::ZERO);
    let ended = loop {
        if position.step >= total {
            break Ok(Ended::Complete);
        }
        if watcher.stop() {
            break Ok(Ended::Stopped);
        }
        let asked = Instant::now();
        let batch = data.next()?;
        waited += asked.elapsed();
        let factor = c.factor(position.step, data.per_epoch(), total);
        let losses = match step_that_fits(trainee, &batch, micro, position.step, factor, watcher) {
            Err(e) if e.kind() == ErrorKind::Memory => break Err(e),
            other => other?,
        };
        position.step += 1;
        let (step, images, rate) = (position.step, batch.len(), c.lr * factor);
        pending.push(Pending { step, images, rate, losses });
        let logs = position.step.is_multiple_of(c.log_every);
        let saves = position.step.is_multiple_of(c.save_every);
        if logs || saves || position.step == total {
            let logged = read(gpu, trainee, &pending, since, waited)?;
            watcher.logged(&logged)?;
            pending.clear();
            (since, waited) = (Instant::now(), Duration::ZERO);
            let skipped = logged.last().map_or(0, |l| l.progress.skipped_in_a_row);
            if skipped >= c.most_skipped.max(1) {
                return Err(Error::new(
                    ErrorKind::Result,
                    format!("step {}", position.step),
                    "gradients that are not finite",
                )
                .expected(format!("fewer than {} batches in a row", c.most_skipped))
                .got(skipped)
                .hint("a smaller lr, or a clip"));
            }
        }
        if c.eval_every > 0 && position.step.is_multiple_of(c.eval_every) {
            // An evaluation takes its memory where the steps had theirs.
            trainee.release();
            let found = match watcher.evaluate(position.step, trainee) {
                Err(e) if e.kind() == ErrorKind::Memory => break Err(e),
                other => other?,
            };
            let better = |v: &f64| v.is_finite() && position.best.is_none_or(|best| *v > best);
            if let Some(value) = found.filter(better) {
                position.best = Some(value);
                checkpoint::save_weights(gpu, &folder.join(BEST), trainee, &position)?;
            }
            since = Instant::now();
        }
        if saves {
            watcher.saved(&checkpoint::save(gpu, folder, trainee, &position)?);
            saved = Some(position.step);
        }
    };
    if ended.is_err() && position.step == begun {
        return ended;
    }
    let mut keep = || -> Result<()> {
        if !pending.is_empty() {
            watcher.logged(&read(gpu, trainee, &pending, since, waited)?)?;
        }
        if saved != Some(position.step) {
            watcher.saved(&checkpoint::save(gpu, folder, trainee, &position)?);
        }
        checkpoint::save_weights(gpu, &folder.join(LAST), trainee, &position)
    };
    match (ended, keep()) {
        (Err(e), Err(other)) => {
            Err(e.detail(format!("step {} is not saved: {other}", position.step)))
        }
        (ended, kept) => kept.and(ended),
    }
}

/// A step, with as many images at once as there is memory for.
fn step_that_fits(
    trainee: &Trainee,
    batch: &Batch,
    micro: &mut MicroBatch,
    step: usize,
    factor: f32,
    watcher: &mut dyn Watcher,
) -> Result<Losses> {
    let mut reason = None;
    loop {
        match trainee.step(batch, micro.images, step, factor) {
            Err(e)
                if e.kind() == ErrorKind::Memory && micro.halve(batch.len(), trainee.config()) =>
            {
                trainee.gpu().trim();
                watcher.halved(step + 1, micro.images);
                reason = Some(e);
            }
            // A driver that is out of memory may give up the device as well: the memory is what to tell of.
            Err(e) if e.kind() == ErrorKind::Device => return Err(reason.unwrap_or(e)),
            other => return other,
        }
    }
}

struct Pending {
    step: usize,
    images: usize,
    rate: f32,
    losses: Losses,
}

/// Waits for the steps in flight, the first of which began at `since`, and reads their losses.
fn read(
    gpu: &Gpu,
    trainee: &Trainee,
    pending: &[Pending],
    since: Instant,
    waited: Duration,
) -> Result<Vec<Logged>> {
    let mut tensors: Vec<&Tensor> = vec![trainee.optimizer().clock()];
    tensors.extend(pending.iter().flat_map(|p| p.losses.iter().map(|(_, t)| t)));
    let mut hosts = Tensor::read_all(gpu, &tensors)?.into_iter();
    let elapsed = since.elapsed().as_secs_f64();
    let speed = pending.iter().map(|p| p.images).sum::<usize>() as f64 / elapsed;
    let starved = waited.as_secs_f64() / elapsed;
    let progress = Optimizer::progress(&hosts.next().expect("the clock").data);
    let logged = pending.iter().map(|p| Logged {
        step: p.step,
        losses: p
            .losses
            .iter()
            .map(|(name, _)| (*name, hosts.next().expect("one for each").data[0]))
            .collect(),
        rate: p.rate,
        progress,
        speed,
        starved,
    });
    Ok(logged.collect())
}
