//! The walk over the sets: a thread loads, the device super-resolves and reads, all threads measure.

use super::evaluation::Evaluation;
use super::letters::Letters;
use super::method::{Judge, Method};
use super::pairs::{HR_SIZE, Pairs};
use super::record::{MadeRecord, Record, WordRecord};
use super::score::BATCH;
use crate::data::metrics::{Fidelity, Values};
use crate::data::picture::{LR_SIZE, RgbImage, bicubic, rgb_input, to_rgb8};
use crate::engine::{Engine, enlarge};
use crate::{Error, Result};
use std::sync::mpsc::sync_channel;

/// Images in a pass over a network; results do not depend on it.
const PASS: usize = 32;

/// Everything that takes part in an evaluation.
pub struct Contest<'a> {
    /// Where it computes.
    pub engine: &'a Engine,
    /// What is evaluated.
    pub methods: &'a [Method],
    /// Who reads.
    pub judges: &'a [Judge],
    /// On what.
    pub sets: &'a [Pairs],
    /// How words are compared.
    pub letters: Letters,
}

/// What happens in an evaluation.
pub enum Event<'a> {
    /// A sample was evaluated.
    Done(&'a Record, &'a Pictures),
    /// A sample could not be used.
    LeftOut(&'a Error),
    /// All of these samples are through: a batch, with those that were left out on the way.
    Batch(&'a [Record]),
}

/// The images of a sample.
#[derive(Debug, Clone)]
pub struct Pictures {
    /// The poor image as a network saw it, 64×16.
    pub lr: RgbImage,
    /// That of each method, 128×32.
    pub made: Vec<RgbImage>,
    /// The true image, 128×32.
    pub hr: RgbImage,
}

/// A sample at the networks' sizes.
struct Sample {
    index: usize,
    label: String,
    size: (u32, u32),
    lr: RgbImage,
    hr: RgbImage,
}

/// Samples with what was made and read of them.
struct Seen {
    samples: Vec<Sample>,
    /// `[n, 32, 128, 3]` each.
    bicubic: Vec<f32>,
    high: Vec<f32>,
    made: Vec<Vec<f32>>,
    /// By judges, then samples.
    lr: Vec<Vec<String>>,
    hr: Vec<Vec<String>>,
    /// By methods, judges, samples.
    readings: Vec<Vec<Vec<String>>>,
}

impl Contest<'_> {
    /// An evaluation that has seen nothing yet.
    pub fn begin(&self) -> Evaluation {
        let methods = self.methods.iter().map(|m| m.name().into()).collect();
        let judges = self.judges.iter().map(|j| j.name().into()).collect();
        Evaluation::new(self.sets, methods, judges, self.letters)
    }

    /// Goes on with an evaluation where it stands, and to the end. `each` hears of every sample and of every batch, and may
    /// end it by an error. Where it had seen whole batches, the results are those of an evaluation from the beginning.
    ///
    /// # Errors
    /// [`Result`](crate::ErrorKind::Result) when a super-resolved image holds a NaN,
    /// [`Device`](crate::ErrorKind::Device) when the device fails, and what `each` returns. Samples that cannot be used are no
    /// error.
    pub fn run(
        &self,
        evaluation: &mut Evaluation,
        each: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<()> {
        for (i, set) in self.sets.iter().enumerate() {
            let begin = evaluation.sets[i].seen;
            std::thread::scope(|scope| {
                let (sender, samples) = sync_channel(2 * BATCH);
                // The receiver is gone when the walk ended early.
                std::thread::Builder::new()
                    .spawn_scoped(scope, move || {
                        let mut wanted = (begin..set.len()).map(|i| (i, load(set, i)));
                        wanted.all(|sample| sender.send(sample).is_ok())
                    })
                    .map_err(|e| Error::io("a thread", "cannot be started", e))?;
                let mut walk = Walk { contest: self, set, evaluation, each, left_out: Vec::new() };
                let mut batch = Vec::with_capacity(BATCH);
                for (index, sample) in samples {
                    match sample {
                        Ok(sample) => batch.push(sample),
                        Err(e) => walk.leave_out(index, &e)?,
                    }
                    if batch.len() == BATCH {
                        walk.batch(std::mem::take(&mut batch))?;
                    }
                }
                walk.batch(batch)
            })?;
        }
        Ok(())
    }

    /// The images of samples, by the id of their set and their number from 1.
    ///
    /// # Errors
    /// As [`Contest::run`]; samples that cannot be used are one here.
    pub fn pictures(&self, places: &[(String, usize)]) -> Result<Vec<Pictures>> {
        let mut all = Vec::with_capacity(places.len());
        for (id, number) in places {
            let set = self.sets.iter().find(|s| s.id() == *id).expect("a set of the contest");
            let sample = load(set, number - 1)?;
            let made = self.make(set, &[&sample])?;
            all.push(pictures(set, sample, made.iter().map(Vec::as_slice))?);
        }
        Ok(all)
    }

    /// What each method makes of samples.
    fn make(&self, set: &Pairs, samples: &[&Sample]) -> Result<Vec<Vec<f32>>> {
        let indices: Vec<usize> = samples.iter().map(|s| s.index).collect();
        let lr: Vec<&RgbImage> = samples.iter().map(|s| &s.lr).collect();
        self.methods.iter().map(|m| m.make(set, &indices, &lr)).collect()
    }

    /// What each judge reads.
    fn read(&self, values: &[f32], size: (u32, u32)) -> Result<Vec<Vec<String>>> {
        self.judges.iter().map(|j| j.read(values, size)).collect()
    }
}

/// Sample `index` at the networks' sizes.
fn load(set: &Pairs, index: usize) -> Result<Sample> {
    let pair = set.get(index)?;
    let fit = |image: &RgbImage, (w, h)| bicubic(image, w, h);
    Ok(Sample {
        index,
        label: pair.label,
        size: pair.hr.dimensions(),
        lr: fit(&pair.lr, LR_SIZE),
        hr: fit(&pair.hr, HR_SIZE),
    })
}

/// The images of a sample of which `made [32, 128, 3]` were made.
fn pictures<'a>(
    set: &Pairs,
    sample: Sample,
    made: impl Iterator<Item = &'a [f32]>,
) -> Result<Pictures> {
    let place = format!("{}: sample {}", set.id(), sample.index + 1);
    let (w, h) = HR_SIZE;
    let made = made.map(|values| to_rgb8(values, w, h, 3, &place)).collect::<Result<_>>()?;
    Ok(Pictures { lr: sample.lr, made, hr: sample.hr })
}

/// Values of an image of the good size.
const ONE: usize = (HR_SIZE.0 * HR_SIZE.1 * 3) as usize;

/// The walk over one set.
struct Walk<'a> {
    contest: &'a Contest<'a>,
    set: &'a Pairs,
    evaluation: &'a mut Evaluation,
    each: &'a mut dyn FnMut(Event) -> Result<()>,
    /// Records of samples that were left out since the last batch.
    left_out: Vec<Record>,
}

impl Walk<'_> {
    fn leave_out(&mut self, index: usize, error: &Error) -> Result<()> {
        let reason = Some(error.reason().to_string());
        let (set, sample) = (self.set.id(), index + 1);
        self.left_out.push(Record { set, sample, left_out: reason, word: None });
        (self.each)(Event::LeftOut(error))
    }

    fn batch(&mut self, mut samples: Vec<Sample>) -> Result<()> {
        let mut records = std::mem::take(&mut self.left_out);
        while !samples.is_empty() {
            let rest = samples.split_off(samples.len().min(PASS));
            let seen = self.pass(std::mem::replace(&mut samples, rest))?;
            let measured = side_by_side(seen.samples.len(), |i| seen.word(i));
            let Seen { samples, made, .. } = seen;
            for (i, (sample, word)) in samples.into_iter().zip(measured).enumerate() {
                let number = sample.index + 1;
                let set = self.set.id();
                let record = Record { set, sample: number, left_out: None, word: Some(word) };
                let made = made.iter().map(|values| image(values, i));
                let pictures = pictures(self.set, sample, made)?;
                (self.each)(Event::Done(&record, &pictures))?;
                records.push(record);
            }
        }
        records.sort_by_key(|r| r.sample);
        records.iter().for_each(|record| self.evaluation.see(record));
        match records.is_empty() {
            true => Ok(()),
            false => (self.each)(Event::Batch(&records)),
        }
    }

    /// Takes samples through the networks.
    fn pass(&self, samples: Vec<Sample>) -> Result<Seen> {
        let contest = self.contest;
        let low: Vec<f32> = samples.iter().flat_map(|s| rgb_input(&s.lr)).collect();
        let high: Vec<f32> = samples.iter().flat_map(|s| rgb_input(&s.hr)).collect();
        let bicubic = enlarge(contest.engine, &low)?;
        let made = contest.make(self.set, &samples.iter().collect::<Vec<_>>())?;
        let (lr, hr) = (contest.read(&low, LR_SIZE)?, contest.read(&high, HR_SIZE)?);
        let readings = made.iter().map(|m| contest.read(m, HR_SIZE)).collect::<Result<_>>()?;
        Ok(Seen { samples, bicubic, high, made, lr, hr, readings })
    }
}

impl Seen {
    /// What is found out about sample `i` of it.
    fn word(&self, i: usize) -> WordRecord {
        let (low, high) = (image(&self.bicubic, i), image(&self.high, i));
        let read = |judges: &[Vec<String>]| judges.iter().map(|texts| texts[i].clone()).collect();
        let made = |(values, readings): (&Vec<f32>, &Vec<Vec<String>>)| {
            let made = image(values, i);
            let square = |(a, b): (&f32, &f32)| f64::from(255.0 * (a - b)).powi(2);
            MadeRecord {
                fidelity: near(made, high),
                change: made.iter().zip(low).map(square).sum::<f64>() / ONE as f64,
                readings: read(readings),
            }
        };
        let sample = &self.samples[i];
        WordRecord {
            label: sample.label.clone(),
            size: sample.size,
            bicubic: near(low, high),
            lr: read(&self.lr),
            hr: read(&self.hr),
            methods: self.made.iter().zip(&self.readings).map(made).collect(),
        }
    }
}

/// Image `i` of several.
fn image(values: &[f32], i: usize) -> &[f32] {
    &values[i * ONE..][..ONE]
}

fn near(image: &[f32], truth: &[f32]) -> Fidelity {
    let values = |data| Values { data, channels: 3 };
    Fidelity::of(values(image), values(truth), HR_SIZE.0 as usize)
}

/// `work` on each number below `n`, on all cores; results in order.
fn side_by_side<R: Send>(n: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let part = n.div_ceil(cores).max(1);
    let work = &work;
    let all = |from: usize| (from..(from + part).min(n)).map(work).collect::<Vec<R>>();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n)
            .step_by(part)
            .map(|from| {
                let started = std::thread::Builder::new().spawn_scoped(scope, move || all(from));
                started.map_err(|_| from)
            })
            .collect();
        let join = |started: Result<std::thread::ScopedJoinHandle<'_, Vec<R>>, usize>| match started
        {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // The system starts no more threads: this one does it.
            Err(from) => all(from),
        };
        threads.into_iter().flat_map(join).collect()
    })
}
