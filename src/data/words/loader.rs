//! Batches from threads, in an order that seed and position alone decide.

use super::fault::{Fault, Place, Reason, Report};
use super::label::Encoded;
use super::mix::Mix;
use super::prepare::{Prepared, Rules, prepare};
use crate::data::augment::Augment;
use crate::data::degrade::Degradation;
use crate::data::letters::{Kept, kept};
use crate::data::ordered::Ordered;
use crate::data::random::Random;
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// In which order samples come, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Epoch after epoch without end, each shuffled anew; what does not fill a batch is dropped, and
    /// another sample stands in for one that is left out.
    Shuffled {
        /// Where to begin.
        from: Position,
    },
    /// Each sample once, as stored; the last batch may be smaller, and so may one with samples that
    /// are left out, down to none.
    Once,
}

/// Where in its course a loader is: the batch it gives next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Epochs that are through.
    pub epoch: u64,
    /// Batches of this epoch that were given.
    pub batch: u64,
}

/// How a loader works.
#[derive(Debug, Clone, Copy)]
pub struct LoaderOptions {
    /// Samples of a batch.
    pub batch: usize,
    /// Decides order, degradations and each image's augmentation.
    pub seed: u64,
    /// The order.
    pub order: Order,
    /// Which samples are taken.
    pub rules: Rules,
    /// What makes a coarse image where there is none.
    pub degradation: Degradation,
    /// What the images go through before anything else, if anything.
    pub augment: Option<Augment>,
    /// Threads that load; what comes does not depend on it.
    pub threads: usize,
    /// Batches that may be ready or under way at once.
    pub ahead: usize,
}

impl Default for LoaderOptions {
    /// Batches of 64 by LEMMA's rules, shuffled from the start, seed 0, as they are, two threads.
    fn default() -> Self {
        LoaderOptions {
            batch: 64,
            seed: 0,
            order: Order::Shuffled { from: Position::default() },
            rules: Rules::LEMMA,
            degradation: Degradation::Camera,
            augment: None,
            threads: 2,
            ahead: 4,
        }
    }
}

/// Samples side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[N, 16, 64, 4]`.
    pub lr: Vec<f32>,
    /// `[N, 32, 128, 4]`.
    pub hr: Vec<f32>,
    /// N labels.
    pub labels: Vec<Encoded>,
    /// Of each sample its characters' left and right ends in parts of the width, where known.
    pub characters: Vec<Vec<(f32, f32)>>,
    /// Which samples these are.
    pub places: Vec<Place>,
}

impl Batch {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether every sample was left out.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Checks that there are samples, and everything of each.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] naming what there is too much or too little of.
    pub fn check(&self) -> Result<()> {
        let n = self.len();
        let wrong = |what: &str| Error::new(ErrorKind::Shape, "a batch of words", what);
        if n == 0 {
            return Err(wrong("samples").expected("one or more").got("none"));
        }
        let (lr, hr) = (self.lr.len(), self.hr.len());
        for (what, each, got) in [
            ("lr", 16 * 64 * 4, lr),
            ("hr", 32 * 128 * 4, hr),
            ("characters", 1, self.characters.len()),
        ] {
            if got != n * each {
                return Err(wrong(what).expected(format!("{} for {n} labels", n * each)).got(got));
            }
        }
        Ok(())
    }
}

/// What a thread makes: a batch, and the faults met on the way, counted when it is given.
struct Made {
    batch: Result<Batch>,
    faults: Vec<(Place, Fault)>,
}

/// An iterator of batches.
pub struct Loader {
    made: Ordered<Made>,
    /// Batches of an epoch.
    per_epoch: u64,
    /// Batches given since the very start, those before a resume included.
    given: u64,
    waited: Duration,
    waits: u64,
    report: Report,
}

impl Loader {
    /// Starts the threads.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] when an epoch has fewer samples than a batch, or the position to
    /// begin at lies outside an epoch; [`ErrorKind::Io`] when the system starts no thread.
    pub fn new(mix: Arc<Mix>, options: LoaderOptions) -> Result<Self> {
        let size = options.batch as u64;
        let bad = |what: &str| Error::new(ErrorKind::Argument, "data", what);
        if size == 0 {
            return Err(bad("samples of a batch").expected("1 or more").got(0));
        }
        let (per_epoch, range) = match options.order {
            Order::Once => {
                let batches = (mix.len() as u64).div_ceil(size);
                (batches, 0..batches)
            }
            Order::Shuffled { from } => {
                let per_epoch = mix.epoch_len() / size;
                if per_epoch == 0 {
                    return Err(bad("samples of an epoch")
                        .expected(format!("a batch of {size} or more"))
                        .got(mix.epoch_len())
                        .hint("a weight above 1 (PATH@10) repeats a source within an epoch"));
                }
                let start =
                    from.epoch.checked_mul(per_epoch).and_then(|s| s.checked_add(from.batch));
                match start {
                    Some(start) if from.batch < per_epoch => (per_epoch, start..u64::MAX),
                    _ => {
                        return Err(bad("the position to go on from")
                            .expected(format!("a batch below {per_epoch}"))
                            .got(format!("epoch {}, batch {}", from.epoch, from.batch)));
                    }
                }
            }
        };
        let given = range.start;
        let work = move |ticket| make(&mix, &options, ticket / per_epoch, ticket % per_epoch);
        let made = Ordered::new(range, options.threads, options.ahead, work)?;
        let (waited, report) = (Duration::ZERO, Report::default());
        Ok(Loader { made, per_epoch, given, waited, waits: 0, report })
    }

    /// The batch that comes next: where a run that is interrupted now has to go on.
    pub fn position(&self) -> Position {
        Position { epoch: self.given / self.per_epoch, batch: self.given % self.per_epoch }
    }

    /// Batches of an epoch.
    pub fn batches_per_epoch(&self) -> u64 {
        self.per_epoch
    }

    /// Time that was spent waiting for batches, and for how many: what the threads are short of.
    pub fn waited(&self) -> (Duration, u64) {
        (self.waited, self.waits)
    }

    /// The next batch, as [`Iterator::next`] gives it, or [`ErrorKind::Cancelled`] once `stop` says so and none is there. What
    /// the threads are at then is not waited for, not even when the loader is dropped: a file system may never answer.
    pub fn next_unless(&mut self, stop: &dyn Fn() -> bool) -> Option<Result<Batch>> {
        let ready = self.made.is_ready();
        let begun = Instant::now();
        let made = match self.made.next_unless(stop) {
            Some(made) => made?,
            None => {
                let e = Error::new(ErrorKind::Cancelled, "data", "no longer waited for, as asked");
                return Some(Err(e));
            }
        };
        if !ready {
            self.waited += begun.elapsed();
            self.waits += 1;
        }
        self.given += 1;
        made.faults.into_iter().for_each(|(place, fault)| self.report.add(place, fault));
        Some(made.batch.map_err(|e| e.detail(&self.report)))
    }

    /// The bad samples met on the way to the batches given so far.
    pub fn report(&self) -> &Report {
        &self.report
    }
}

impl Iterator for Loader {
    type Item = Result<Batch>;

    /// The next batch. An error means that no sample could stand in for those left out.
    fn next(&mut self) -> Option<Result<Batch>> {
        self.next_unless(&|| false)
    }
}

/// Stand-ins that are tried for a sample.
const TRIES: u64 = 200;

/// Uses of the seed.
const STAND_IN: u64 = 3;
const DEGRADE: u64 = 4;

fn make(mix: &Mix, options: &LoaderOptions, epoch: u64, batch: u64) -> Made {
    let mut faults = Vec::new();
    let size = options.batch as u64;
    let shuffled = matches!(options.order, Order::Shuffled { .. });
    let end = if shuffled { u64::MAX } else { mix.len() as u64 };
    let mut all = Batch {
        lr: Vec::new(),
        hr: Vec::new(),
        labels: Vec::new(),
        characters: Vec::new(),
        places: Vec::new(),
    };
    for at in batch * size..(batch * size + size).min(end) {
        let first = if shuffled { mix.shuffled(options.seed, epoch, at) } else { mix.in_order(at) };
        let mut stand_ins = Random::new(&[options.seed, STAND_IN, epoch, at]);
        let mut place = first;
        let mut tries = if shuffled { TRIES } else { 1 };
        let found = loop {
            match load(mix, options, epoch, place) {
                Ok((prepared, flaws)) => {
                    faults.extend(flaws.into_iter().map(|flaw| (place, flaw)));
                    break Some(prepared);
                }
                Err(fault) => faults.push((place, fault)),
            }
            tries -= 1;
            if tries == 0 {
                break None;
            }
            place.index = stand_ins.below(mix.source(place.source).len());
        };
        match found {
            Some(prepared) => {
                all.lr.extend(prepared.lr);
                all.hr.extend(prepared.hr);
                all.labels.push(prepared.label);
                all.characters.push(prepared.characters);
                all.places.push(place);
            }
            None if shuffled => {
                let name = mix.names().nth(place.source).unwrap_or_default();
                let error = Error::new(ErrorKind::Format, name, "samples that can be used")
                    .got(format!("none in {TRIES}"));
                return Made { batch: Err(error), faults };
            }
            None => {}
        }
    }
    Made { batch: Ok(all), faults }
}

/// A sample, and what is wrong with parts of it that it does without.
fn load(
    mix: &Mix,
    options: &LoaderOptions,
    epoch: u64,
    place: Place,
) -> Result<(Prepared, Vec<Fault>), Fault> {
    let Place { source, index } = place;
    let mut random = Random::new(&[options.seed, DEGRADE, epoch, source as u64, index as u64]);
    let mut sample = mix.source(source).get(index)?;
    let mut flaws: Vec<Fault> = sample.flaw.take().into_iter().collect();
    if kept(&sample.label) == Kept::Some {
        flaws.push(Fault::new(Reason::LostLetters, format!("{:?}", sample.label)));
    }
    let augment = options.augment.as_ref();
    let prepared = prepare(sample, &options.rules, options.degradation, augment, &mut random)?;
    Ok((prepared, flaws))
}
