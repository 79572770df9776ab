//! From the command's data arguments to batches.

use crate::cli::stop::Stop;
use crate::data::augment::Augment;
use crate::data::words::{Batch, Loader, LoaderOptions, Mix, Order, Position};
use crate::train::{Batches, Stage, TrainConfig};
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;

/// Batches of a run.
pub struct Data {
    loader: Loader,
    stop: Stop,
}

impl Data {
    /// Begins at `step`; a wait for a batch ends when `stop` is asked to.
    ///
    /// # Errors
    /// Sources that do not fill a batch.
    pub fn new(
        mix: &Arc<Mix>,
        config: &TrainConfig,
        step: usize,
        jobs: usize,
        stop: Stop,
    ) -> Result<Self> {
        let per_epoch = mix.epoch_len() / config.batch as u64;
        let from = match (step as u64).checked_div(per_epoch) {
            Some(epoch) => Position { epoch, batch: step as u64 % per_epoch },
            None => Position::default(),
        };
        let seen = matches!(config.stage, Stage::Vision | Stage::Abinet);
        let options = LoaderOptions {
            batch: config.batch,
            seed: config.seed,
            order: Order::Shuffled { from },
            rules: config.rules(),
            augment: (config.augment && seen).then(|| Augment::new(config.seed)),
            threads: jobs,
            ahead: 2 * jobs,
            ..LoaderOptions::default()
        };
        let loader = Loader::new(mix.clone(), options)?;
        Ok(Data { loader, stop })
    }

    /// What was left out so far, or used without its places, and why; none where nothing was.
    pub fn faults(&self) -> Option<String> {
        let report = self.loader.report();
        (!report.is_empty()).then(|| report.to_string())
    }
}

impl Batches for Data {
    fn per_epoch(&self) -> usize {
        self.loader.batches_per_epoch() as usize
    }

    fn next(&mut self) -> Result<Batch> {
        self.loader.next_unless(&|| self.stop.asked()).unwrap_or_else(|| {
            Err(Error::new(ErrorKind::Io, "data", "the threads that load it have ended"))
        })
    }
}
