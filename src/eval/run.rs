//! The walk over the sets: a thread loads, the device super-resolves and reads, all threads measure.

use super::examples::{Example, Examples};
use super::pairs::Pairs;
use super::score::{EditDistance, Evaluation, SetResult, WordAccuracy};
use crate::data::letters::{Kept, kept};
use crate::data::metrics::{Fidelity, Values, normalized};
use crate::data::picture::{LR_SIZE, RgbImage, SCALE, bicubic, rgb_input, to_rgb8};
use crate::engine::{Head, Lemma, Recognizer, Wanted};
use crate::{Error, Result};
use std::sync::mpsc::sync_channel;

/// Images in a batch, over which PSNR is pooled.
pub const BATCH: usize = 64;

/// Images in a pass over a network; results do not depend on it.
const PASS: usize = 32;

/// Labels whose words are not counted among those that are read.
const OTHER_SCRIPT: &str = "in another script, not among the words that are read";

/// The longest word that the recognizers were made for.
const LONGEST: usize = 25;

/// Width and height of the true images.
const HR_SIZE: (u32, u32) = (LR_SIZE.0 * SCALE, LR_SIZE.1 * SCALE);

/// What happens to a sample.
pub enum Event<'a> {
    /// It was evaluated.
    Done(&'a Example),
    /// It could not be used.
    LeftOut(&'a Error),
}

/// A sample at the network's sizes.
struct Sample {
    index: usize,
    label: String,
    lr: RgbImage,
    hr: RgbImage,
}

/// A sample with what the networks made of it.
struct Seen {
    sample: Sample,
    /// `[32, 128, 3]`, bicubic.
    low: Vec<f32>,
    /// `[32, 128, 4]`, not clamped.
    sr: Vec<f32>,
    /// `[32, 128, 3]`, the truth.
    high: Vec<f32>,
    picture: RgbImage,
    readings: Option<[String; 3]>,
}

/// What was measured of a sample.
struct Measured {
    bicubic: Fidelity,
    sr: Fidelity,
    change: f64,
}

/// Evaluates `lemma` on `sets` with the readings of `judge`. `each` hears of every sample and may end the evaluation by an
/// error.
///
/// # Errors
/// [`Result`](crate::ErrorKind::Result) when a super-resolved image holds a NaN,
/// [`Device`](crate::ErrorKind::Device) when the device fails, and what `each` returns. Samples that cannot be used are no error.
pub fn evaluate(
    lemma: &Lemma,
    judge: Option<&Recognizer>,
    sets: &[Pairs],
    each: &mut dyn FnMut(Event) -> Result<()>,
) -> Result<Evaluation> {
    let mut examples = Examples::default();
    let mut results = Vec::new();
    for set in sets {
        let result = SetResult {
            name: set.name().into(),
            readability: judge.map(|_| WordAccuracy::default()),
            ..SetResult::default()
        };
        let mut walk = Walk { lemma, judge, each, examples: &mut examples, result };
        std::thread::scope(|scope| {
            let (sender, samples) = sync_channel(2 * BATCH);
            // The receiver is gone when the walk ended early.
            std::thread::Builder::new()
                .spawn_scoped(scope, move || {
                    (0..set.len()).try_for_each(|i| sender.send(load(set, i)))
                })
                .map_err(|e| Error::io("a thread", "cannot be started", e))?;
            let mut batch = Vec::with_capacity(BATCH);
            for sample in samples {
                match sample {
                    Ok(sample) => batch.push(sample),
                    Err(e) => walk.leave_out(&e)?,
                }
                if batch.len() == BATCH {
                    walk.batch(std::mem::take(&mut batch))?;
                }
            }
            if batch.is_empty() { Ok(()) } else { walk.batch(batch) }
        })?;
        results.push(walk.close());
    }
    Ok(Evaluation { sets: results, examples })
}

/// Sample `index` at the network's sizes.
fn load(set: &Pairs, index: usize) -> Result<Sample> {
    let pair = set.get(index)?;
    let fit = |image: &RgbImage, (w, h)| bicubic(image, w, h);
    Ok(Sample { index, label: pair.label, lr: fit(&pair.lr, LR_SIZE), hr: fit(&pair.hr, HR_SIZE) })
}

/// The walk over one set.
struct Walk<'a> {
    lemma: &'a Lemma,
    judge: Option<&'a Recognizer>,
    each: &'a mut dyn FnMut(Event) -> Result<()>,
    examples: &'a mut Examples,
    /// PSNR and SSIM are sums over batches until the end.
    result: SetResult,
}

impl Walk<'_> {
    fn leave_out(&mut self, error: &Error) -> Result<()> {
        *self.result.left_out.entry(error.reason().into()).or_default() += 1;
        (self.each)(Event::LeftOut(error))
    }

    fn batch(&mut self, mut samples: Vec<Sample>) -> Result<()> {
        let mut seen = Vec::with_capacity(samples.len());
        while !samples.is_empty() {
            let rest = samples.split_off(samples.len().min(PASS));
            seen.extend(self.pass(std::mem::replace(&mut samples, rest))?);
        }
        let measured = side_by_side(&seen, measure);
        let mean = |of: fn(&Measured) -> Fidelity| {
            let mean = Fidelity::mean(&measured.iter().map(of).collect::<Vec<_>>());
            (mean.psnr(), mean.ssim)
        };
        for (sum, (psnr, ssim)) in [
            (&mut self.result.bicubic, mean(|m| m.bicubic)),
            (&mut self.result.super_resolved, mean(|m| m.sr)),
        ] {
            sum.psnr += psnr;
            sum.ssim += ssim;
        }
        self.result.batches += 1;
        seen.into_iter().zip(measured).try_for_each(|(seen, measured)| self.count(seen, &measured))
    }

    /// Takes samples through the networks.
    fn pass(&self, samples: Vec<Sample>) -> Result<Vec<Seen>> {
        let windows: Vec<&RgbImage> = samples.iter().map(|s| &s.lr).collect();
        let pending = self.lemma.submit(&windows, Wanted::default())?;
        let low: Vec<f32> = windows.iter().flat_map(|w| rgb_input(w)).collect();
        let high: Vec<f32> = samples.iter().flat_map(|s| rgb_input(&s.hr)).collect();
        let bicubic = self.lemma.baseline(&low)?;
        let images = pending.wait()?;
        let (w, h) = HR_SIZE;
        let mut pictures = Vec::with_capacity(samples.len());
        for (sample, result) in samples.iter().zip(&images) {
            let place = format!("{}: sample {}", self.result.name, sample.index + 1);
            pictures.push(to_rgb8(&result.image, w, h, 4, &place)?);
        }
        let mut readings = match self.judge {
            None => None,
            Some(judge) => {
                let colors = |p: &[f32]| [p[0], p[1], p[2]];
                let sr: Vec<f32> =
                    images.iter().flat_map(|i| i.image.chunks_exact(4).flat_map(colors)).collect();
                let size = |(w, h): (u32, u32)| (h as usize, w as usize);
                let read = |values: &[f32], at| -> Result<_> {
                    let readings = judge.read_values(values, size(at), Head::Fusion)?;
                    Ok(readings.into_iter().map(|r| r.text()))
                };
                let (lr, sr) = (read(&low, LR_SIZE)?, read(&sr, HR_SIZE)?);
                Some(lr.zip(sr).zip(read(&high, HR_SIZE)?).map(|((lr, sr), hr)| [lr, sr, hr]))
            }
        };
        let one = (w * h * 3) as usize;
        Ok(samples
            .into_iter()
            .zip(images)
            .zip(pictures)
            .enumerate()
            .map(|(i, ((sample, result), picture))| Seen {
                sample,
                low: bicubic[i * one..][..one].to_vec(),
                sr: result.image,
                high: high[i * one..][..one].to_vec(),
                picture,
                readings: readings.as_mut().and_then(Iterator::next),
            })
            .collect())
    }

    fn count(&mut self, seen: Seen, measured: &Measured) -> Result<()> {
        let Seen { sample, picture, readings, .. } = seen;
        let result = &mut self.result;
        result.images += 1;
        let foreign = kept(&sample.label);
        let unusual = match normalized(&sample.label).len() {
            _ if foreign == Kept::OtherScript => Some(OTHER_SCRIPT),
            0 => Some("without a letter or digit"),
            n if n > LONGEST => Some("longer than 25 characters"),
            _ if foreign == Kept::Some => Some("with letters outside a–z"),
            _ => None,
        };
        if let Some(kind) = unusual {
            *result.unusual_labels.entry(kind).or_default() += 1;
            result.examples.entry(kind).or_insert_with(|| sample.label.clone());
        }
        // What a reader cannot know is no word that it can read right.
        let counted = result.readability.as_mut().filter(|_| foreign != Kept::OtherScript);
        let readings = readings.zip(counted).map(|(texts, counts)| {
            let edits = counts.count(&sample.label, &texts).edits;
            let mut edits = edits.into_iter();
            texts.map(|text| (text, edits.next().unwrap_or_default()))
        });
        let word = Example {
            set: result.name.clone(),
            index: sample.index,
            label: sample.label,
            lr: sample.lr,
            sr: picture,
            hr: sample.hr,
            readings,
            psnr: [measured.bicubic.psnr(), measured.sr.psnr()],
            change: measured.change,
        };
        (self.each)(Event::Done(&word))?;
        self.examples.see(word);
        Ok(())
    }

    fn close(self) -> SetResult {
        let mut result = self.result;
        // Of no image there is no mean, which is no number.
        let batches = result.batches as f64;
        for sum in [&mut result.bicubic, &mut result.super_resolved] {
            *sum = EditDistance { psnr: sum.psnr / batches, ssim: sum.ssim / batches };
        }
        result
    }
}

fn measure(seen: &Seen) -> Measured {
    let values = |data, channels| Values { data, channels };
    let (low, sr, high) = (values(&seen.low, 3), values(&seen.sr, 4), values(&seen.high, 3));
    let width = HR_SIZE.0 as usize;
    let square = |(a, b): (&f32, &f32)| f64::from(255.0 * (a - b)).powi(2);
    let pixels = seen.sr.chunks_exact(4).zip(seen.low.chunks_exact(3));
    let change: f64 = pixels.map(|(s, l)| s.iter().zip(l).map(square).sum::<f64>()).sum();
    Measured {
        bicubic: Fidelity::of(low, high, width),
        sr: Fidelity::of(sr, high, width),
        change: change / seen.low.len() as f64,
    }
}

/// `work` on each of `items`, on all cores; results in order.
fn side_by_side<T: Sync, R: Send>(items: &[T], work: fn(&T) -> R) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let threads: Vec<_> = items
            .chunks(items.len().div_ceil(cores).max(1))
            .map(|part| {
                let own = move || part.iter().map(work).collect::<Vec<R>>();
                std::thread::Builder::new().spawn_scoped(scope, own).map_err(|_| part)
            })
            .collect();
        let join = |started: Result<std::thread::ScopedJoinHandle<'_, Vec<R>>, &[T]>| match started
        {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // The system starts no more threads: this one does it.
            Err(part) => part.iter().map(work).collect(),
        };
        threads.into_iter().flat_map(join).collect()
    })
}
