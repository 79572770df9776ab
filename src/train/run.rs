//! The loop: batches to steps to checkpoints, and what happens when it is stopped, killed, or goes wrong.

use super::checkpoint::{self, BEST, EMA, LAST, Position};
use super::losses::Losses;
use super::memory::MicroBatch;
use super::optimizer::{Optimizer, Progress};
use super::trainer::Trainer;
use crate::data::words::Batch;
use crate::gpu::{Gpu, Interrupt};
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
    /// Data that cannot be read at all; [`ErrorKind::Cancelled`] where the run is to end before there is a batch.
    fn next(&mut self) -> Result<Batch>;
}

/// One logged step.
#[derive(Debug, Clone)]
pub struct StepMetrics {
    /// The step, from 1.
    pub step: usize,
    /// The loss and its parts.
    pub losses: Vec<(&'static str, f64)>,
    /// The learning rate.
    pub rate: f32,
    /// What the optimizer says.
    pub progress: Progress,
    /// Images a second since the last line.
    pub speed: f64,
    /// Share of the time since the last line that the device waited for data.
    pub starved: f64,
}

/// What happens in a run.
pub trait Observer {
    /// Every `log_every` steps, with the losses of each step since.
    fn logged(&mut self, steps: &[StepMetrics]) -> Result<()>;

    /// Every `eval_every` steps: a metric to choose the best weights by, larger is better.
    fn evaluate(&mut self, step: usize, trainer: &Trainer) -> Result<Option<f64>>;

    /// There was no memory for this step, which is taken again with at most `images` at once.
    fn halved(&mut self, step: usize, images: usize);

    /// A checkpoint was written.
    fn saved(&mut self, path: &Path);

    /// Whether the run shall end.
    fn stop(&self) -> bool;

    /// What says so while a step or an evaluation is under way, which is then broken off. Without it they are taken to their end.
    fn interrupt(&self) -> Option<Interrupt> {
        None
    }

    /// Something got done, while the run is ending too.
    fn alive(&self) {}
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
/// [`ErrorKind::Argument`] for settings that are out of their range, for data without a batch, and where `micro` leaves a part with fewer images than the
/// network needs; [`ErrorKind::Memory`] when there is none for a step or an evaluation; [`ErrorKind::Result`] when too many
/// batches in a row, or the last ones, have no finite gradient, and for weights that are not finite; what batches and watcher
/// return; files that cannot be written; a lost device. But for that, steps that are done are saved whatever ended the run.
pub fn run(
    gpu: &Gpu,
    trainer: &Trainer,
    position: Position,
    micro: &mut MicroBatch,
    data: &mut dyn Batches,
    folder: &Path,
    watcher: &mut dyn Observer,
) -> Result<Ended> {
    position.config.check()?;
    micro.check(position.config.batch, &position.config)?;
    if data.per_epoch() == 0 {
        return Err(Error::new(ErrorKind::Argument, "training", "steps of an epoch")
            .expected("one or more")
            .got(0));
    }
    let total = position.config.total_steps(data.per_epoch());
    let begun = position.step;
    let mut course = Course {
        gpu,
        trainer,
        position,
        micro,
        folder,
        watcher,
        total,
        pending: Vec::new(),
        saved: None,
        skipped: trainer.optimizer().read(gpu)?.skipped_in_a_row,
        since: Instant::now(),
        waited: Duration::ZERO,
    };
    let ended = match course.steps(data) {
        // A step or an evaluation that was broken off left nothing behind.
        Err(e) if e.kind() == ErrorKind::Cancelled && course.watcher.stop() => Ok(Ended::Stopped),
        other => other,
    };
    match ended {
        Err(e) if course.position.step == begun || e.kind() == ErrorKind::Device => Err(e),
        ended => course.close(ended),
    }
}

/// A run under way.
struct Course<'a> {
    gpu: &'a Gpu,
    trainer: &'a Trainer,
    position: Position,
    micro: &'a mut MicroBatch,
    folder: &'a Path,
    watcher: &'a mut dyn Observer,
    /// Steps of the whole run.
    total: usize,
    /// Steps whose losses were not read yet.
    pending: Vec<Pending>,
    /// The step of the last checkpoint, whether or not it could be written.
    saved: Option<usize>,
    /// Batches skipped in a row, as of the last reading.
    skipped: usize,
    since: Instant,
    waited: Duration,
}

impl Course<'_> {
    fn steps(&mut self, data: &mut dyn Batches) -> Result<Ended> {
        let c = self.position.config.clone();
        if c.eval_every > 0 && self.position.unevaluated {
            self.evaluate()?;
        }
        loop {
            if self.position.step >= self.total {
                return Ok(Ended::Complete);
            }
            if self.watcher.stop() {
                return Ok(Ended::Stopped);
            }
            let asked = Instant::now();
            let batch = data.next()?;
            self.waited += asked.elapsed();
            let factor = c.factor(self.position.step, data.per_epoch(), self.total);
            let losses = self.step_that_fits(&batch, factor)?;
            self.position.step += 1;
            let step = self.position.step;
            let (images, rate) = (batch.len(), c.lr * factor);
            self.pending.push(Pending { step, images, rate, losses });
            let saves = step.is_multiple_of(c.save_every);
            if step.is_multiple_of(c.log_every) || saves || step == self.total {
                let written = self.log();
                if self.skipped >= c.max_skipped_steps {
                    let e = skipped(step, self.skipped)
                        .expected(format!("fewer than {} batches in a row", c.max_skipped_steps));
                    return Err(with(e, written));
                }
                written?;
            }
            if c.eval_every > 0 && step.is_multiple_of(c.eval_every) {
                self.position.unevaluated = true;
                self.evaluate()?;
            }
            if saves {
                self.save()?;
            }
        }
    }

    /// A step, with as many images at once as there is memory for.
    fn step_that_fits(&mut self, batch: &Batch, factor: f32) -> Result<Losses> {
        let mut reason: Option<Error> = None;
        loop {
            let step = self.position.step;
            let taken = self.gpu.unless(self.watcher.interrupt(), || {
                self.trainer.step(batch, self.micro.images, step, factor)
            });
            match taken {
                Err(e) if e.kind() == ErrorKind::Memory => {
                    // What earlier steps of other shapes left is given back first: whether a step is taken in smaller parts
                    // must not depend on where the run was last begun.
                    self.trainer.gpu().trim();
                    if reason.replace(e.clone()).is_some() {
                        if !self.micro.halve(batch.len(), self.trainer.config()) {
                            return Err(e);
                        }
                        self.watcher.halved(step + 1, self.micro.images);
                    }
                }
                // A driver that is out of memory may give up the device as well: the memory is what to tell of.
                Err(e) if e.kind() == ErrorKind::Device => return Err(reason.unwrap_or(e)),
                other => return other,
            }
        }
    }

    /// Waits for the steps in flight, and hands on their losses.
    fn log(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let logged = read(self.gpu, self.trainer, &self.pending, self.since, self.waited)?;
        self.pending.clear();
        (self.since, self.waited) = (Instant::now(), Duration::ZERO);
        self.skipped = logged.last().map_or(0, |l| l.progress.skipped_in_a_row);
        self.watcher.logged(&logged)
    }

    /// Evaluates the network, by its averaged weights where it keeps some.
    fn evaluate(&mut self) -> Result<()> {
        // An evaluation takes its memory where the steps had theirs.
        self.trainer.release();
        let trainer = self.trainer;
        trainer.averaged(|| self.evaluate_weights())?;
        self.position.unevaluated = false;
        self.since = Instant::now();
        Ok(())
    }

    fn evaluate_weights(&mut self) -> Result<()> {
        let step = self.position.step;
        let found = self
            .gpu
            .unless(self.watcher.interrupt(), || self.watcher.evaluate(step, self.trainer))?;
        let best = self.position.best;
        let better = |v: &f64| v.is_finite() && best.is_none_or(|best| *v > best);
        if let Some(value) = found.filter(better) {
            self.position.best = Some(value);
            self.keep_micro();
            let path = self.folder.join(BEST);
            checkpoint::save_weights(self.gpu, &path, self.trainer, &self.position)?;
        }
        Ok(())
    }

    fn save(&mut self) -> Result<()> {
        self.keep_micro();
        self.saved = Some(self.position.step);
        let path = checkpoint::save(self.gpu, self.folder, self.trainer, &self.position)?;
        self.watcher.alive();
        self.watcher.saved(&path);
        Ok(())
    }

    fn keep_micro(&mut self) {
        self.position.micro = Some(*self.micro);
    }

    /// Ends the run: what was done is logged and saved, each as far as that can be, whatever came before.
    fn close(mut self, ended: Result<Ended>) -> Result<Ended> {
        let logged = self.log();
        self.watcher.alive();
        let saved = match self.saved == Some(self.position.step) {
            true => Ok(()),
            false => self.save(),
        };
        let saved =
            saved.map_err(|e| e.detail(format!("step {} is not saved", self.position.step)));
        let write = |name| {
            let path = self.folder.join(name);
            let written = checkpoint::save_weights(self.gpu, &path, self.trainer, &self.position);
            self.watcher.alive();
            written
        };
        let weights = write(LAST);
        let averaged = match self.trainer.averages() {
            Some(_) => self.trainer.averaged(|| write(EMA)),
            None => Ok(()),
        };
        let done =
            match ended {
                Ok(Ended::Complete) if self.skipped > 0 => Err(skipped(self.total, self.skipped)
                    .expected("weights that the last step moved, too")),
                other => other,
            };
        [saved, weights, averaged, logged].into_iter().fold(done, |done, also| match (done, also) {
            (Err(e), also) => Err(with(e, also)),
            (Ok(_), Err(e)) => Err(e),
            (done, Ok(())) => done,
        })
    }
}

/// An error, with another in its details.
fn with(e: Error, also: Result<()>) -> Error {
    match also {
        Err(other) => e.detail(other),
        Ok(()) => e,
    }
}

fn skipped(step: usize, count: usize) -> Error {
    Error::new(ErrorKind::Result, format!("step {step}"), "gradients that are not finite")
        .got(format!("the last {count} left out"))
        .hint("a smaller lr, or a clip")
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
    trainer: &Trainer,
    pending: &[Pending],
    since: Instant,
    waited: Duration,
) -> Result<Vec<StepMetrics>> {
    let mut tensors: Vec<&Tensor> = trainer.optimizer().said().into();
    tensors.extend(pending.iter().flat_map(|p| p.losses.iter().map(|(_, t)| t)));
    let mut hosts = Tensor::read_all(gpu, &tensors)?.into_iter();
    let elapsed = since.elapsed().as_secs_f64();
    let speed = pending.iter().map(|p| p.images).sum::<usize>() as f64 / elapsed;
    let starved = waited.as_secs_f64() / elapsed;
    let said = [(); 2].map(|()| hosts.next().expect("what the optimizer says"));
    let progress = Optimizer::progress(said.each_ref());
    let logged = pending.iter().map(|p| StepMetrics {
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
