//! What is counted of words, and the figures that follow from the counts.

use super::letters::Letters;
use crate::data::metrics::{Fidelity, edit_distance, mcnemar, wilson};
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};
use std::collections::BTreeMap;

/// Images over which PSNR is pooled.
pub const BATCH: usize = 64;

/// PSNR and SSIM.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Nearness {
    /// Peak signal-to-noise ratio in dB.
    pub psnr: f64,
    /// Structural similarity.
    pub ssim: f64,
}

/// How near images are to the true ones, in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fidelities {
    /// Whole batches, with sums of their figures.
    batches: (usize, Nearness),
    /// The images of the batch that is not whole.
    open: Vec<Fidelity>,
    /// Images, with sums of their figures.
    images: (usize, Nearness),
}

impl Fidelities {
    /// The next image.
    pub fn add(&mut self, image: Fidelity) {
        put(&mut self.images, image);
        self.open.push(image);
        if self.open.len() == BATCH {
            put(&mut self.batches, Fidelity::mean(&self.open));
            self.open.clear();
        }
    }

    /// Batches of 64, the last one with what there is.
    pub fn batches(&self) -> usize {
        self.batches.0 + usize::from(!self.open.is_empty())
    }

    /// Means over batches, as the released evaluation reports: PSNR of the error pooled over a batch; the last batch, however
    /// small, counts as much as any.
    pub fn by_batch(&self) -> Nearness {
        let mut all = self.batches;
        if !self.open.is_empty() {
            put(&mut all, Fidelity::mean(&self.open));
        }
        mean(all)
    }

    /// Means over images.
    pub fn by_image(&self) -> Nearness {
        mean(self.images)
    }
}

fn put(sums: &mut (usize, Nearness), one: Fidelity) {
    sums.0 += 1;
    sums.1.psnr += one.psnr();
    sums.1.ssim += one.ssim;
}

/// Of nothing there is no mean, which is no number.
fn mean((n, sum): (usize, Nearness)) -> Nearness {
    Nearness { psnr: sum.psnr / n as f64, ssim: sum.ssim / n as f64 }
}

impl Serialize for Fidelities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mean = self.by_batch();
        let mut out = serializer.serialize_struct("Fidelities", 3)?;
        out.serialize_field("psnr", &mean.psnr)?;
        out.serialize_field("ssim", &mean.ssim)?;
        out.serialize_field("per_image", &self.by_image())?;
        out.end()
    }
}

/// How words were read, by the length of what is compared of their label.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WordAccuracy(pub BTreeMap<usize, Tally>);

/// Lengths that have a bin of their own; longer words share one. Words of whose label nothing is compared have bin 0.
pub const LONGEST_BIN: usize = 11;

/// Counts over words, in the order of [`VERSIONS`](super::VERSIONS).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Words.
    pub words: usize,
    /// Characters of their labels.
    pub characters: usize,
    /// Words read right.
    pub right: [usize; 3],
    /// Edit distances of readings and labels, added up.
    pub edits: [usize; 3],
    /// Words read right only when super-resolved, of LR and SR.
    pub only_sr: usize,
    /// Words read right only when not.
    pub only_lr: usize,
}

/// The figures of one version of the images.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Score {
    /// Share of the words read right.
    pub accuracy: f64,
    /// The same with four digits, as the released evaluation goes on with it.
    pub rounded: f64,
    /// Wilson's 95 % interval of it.
    pub interval: (f64, f64),
    /// Edits for each character of the labels; none without characters.
    pub character_error_rate: Option<f64>,
}

impl Tally {
    /// A word and its three readings: what is compared of them.
    pub fn of(label: &str, readings: &[String; 3]) -> Self {
        let right = readings.each_ref().map(|r| usize::from(r == label));
        Tally {
            words: 1,
            characters: label.chars().count(),
            right,
            edits: readings.each_ref().map(|r| edit_distance(r, label)),
            only_sr: usize::from(right[1] > right[0]),
            only_lr: usize::from(right[0] > right[1]),
        }
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Tally) {
        self.words += other.words;
        self.characters += other.characters;
        self.only_sr += other.only_sr;
        self.only_lr += other.only_lr;
        for i in 0..3 {
            self.right[i] += other.right[i];
            self.edits[i] += other.edits[i];
        }
    }

    /// The figures of version `i`.
    pub fn score(&self, i: usize) -> Score {
        let share = |n: usize, of: usize| (of > 0).then(|| n as f64 / of as f64);
        let accuracy = share(self.right[i], self.words).unwrap_or(f64::NAN);
        Score {
            accuracy,
            rounded: four_digits(accuracy),
            interval: wilson(self.right[i], self.words),
            character_error_rate: share(self.edits[i], self.characters),
        }
    }

    /// McNemar's exact p of SR against LR.
    pub fn p(&self) -> f64 {
        mcnemar(self.only_sr, self.only_lr)
    }
}

/// A number rounded to four digits, a tie to the even one, as Python does it.
fn four_digits(value: f64) -> f64 {
    format!("{value:.4}").parse().unwrap_or(f64::NAN)
}

impl Serialize for Tally {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Tally", 9)?;
        out.serialize_field("words", &self.words)?;
        out.serialize_field("characters", &self.characters)?;
        out.serialize_field("right", &self.right)?;
        out.serialize_field("edits", &self.edits)?;
        out.serialize_field("only_sr_right", &self.only_sr)?;
        out.serialize_field("only_lr_right", &self.only_lr)?;
        out.serialize_field("lr", &self.score(0))?;
        out.serialize_field("sr", &self.score(1))?;
        out.serialize_field("hr", &self.score(2))?;
        out.end()
    }
}

impl Serialize for WordAccuracy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let total = self.total();
        let mut out = serializer.serialize_struct("WordAccuracy", 4)?;
        out.serialize_field("all", &total)?;
        out.serialize_field("mcnemar_p", &total.p())?;
        out.serialize_field("by_length", &self.0)?;
        out.serialize_field("bins", &self.bins())?;
        out.end()
    }
}

impl WordAccuracy {
    /// Counts a word.
    pub fn count(&mut self, letters: Letters, label: &str, readings: &[&str; 3]) -> Tally {
        let tally = Tally::of(&letters.of(label), &readings.map(|r| letters.of(r)));
        self.0.entry(tally.characters).or_default().add(&tally);
        tally
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &WordAccuracy) {
        for (length, tally) in &other.0 {
            self.0.entry(*length).or_default().add(tally);
        }
    }

    /// The counts of all lengths.
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.0.values().for_each(|t| total.add(t));
        total
    }

    /// The counts of labels of 0, 1, …, 10, and of 11 and more characters.
    pub fn bins(&self) -> [Tally; LONGEST_BIN + 1] {
        let mut bins = [Tally::default(); LONGEST_BIN + 1];
        self.0.iter().for_each(|(length, t)| bins[*length.min(&LONGEST_BIN)].add(t));
        bins
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::metrics::psnr;

    #[test]
    fn readings_are_counted_by_length_and_version() {
        let words = [
            ("It's", ["its", "ITS", "it's"]),
            ("cat", ["cot", "cat", "cat"]),
            ("hotel", ["hotel", "hote", "hotel"]),
            ("!", ["", "", "x"]),
            ("abcdefghijkl", ["", "abcdefghijkl", ""]),
            ("abcdefghijk", ["", "", ""]),
        ];
        let mut read = WordAccuracy::default();
        for (label, readings) in &words {
            read.count(Letters::Released, label, readings);
        }
        let lengths: Vec<usize> = read.0.keys().copied().collect();
        assert_eq!(lengths, [0, 3, 5, 11, 12]);
        let three = read.0[&3];
        assert_eq!((three.words, three.right, three.edits), (2, [1, 2, 2], [1, 0, 0]));
        let all = read.total();
        assert_eq!((all.words, all.characters, all.right), (6, 34, [3, 4, 3]));
        assert_eq!((all.only_sr, all.only_lr, all.p()), (2, 1, 1.0));
        assert_eq!(read.0[&0].score(0).character_error_rate, None);
        let bins = read.bins();
        assert_eq!(bins.map(|b| b.words), [1, 0, 0, 2, 0, 1, 0, 0, 0, 0, 0, 2]);
        let mut sum = Tally::default();
        bins.iter().for_each(|b| sum.add(b));
        assert_eq!(sum, all, "bins add up to the table's accuracy");
    }

    #[test]
    fn shares_are_rounded_as_python_rounds() {
        let share = |right, words| Tally { words, right: [right; 3], ..Tally::default() }.score(0);
        assert_eq!(share(1, 3).rounded, 0.3333);
        assert_eq!(share(1, 32).rounded, 0.0312, "the half 0.03125 goes to even");
        assert_eq!(share(3, 32).rounded, 0.0938, "and 0.09375 to the even one above");
        assert_eq!(share(1052, 1619).rounded, 0.6498);
        let nobody = Tally::default();
        assert!(nobody.score(2).accuracy.is_nan() && nobody.score(2).rounded.is_nan());
        assert_eq!(nobody.p(), 1.0);
    }

    #[test]
    fn batches_count_alike_and_images_alike() {
        let mut near = Fidelities::default();
        assert!(near.by_batch().psnr.is_nan() && near.by_image().ssim.is_nan());
        let image = |i: usize| Fidelity { error: 1.0 + i as f64, ssim: i as f64 / 100.0 };
        (0..67).for_each(|i| near.add(image(i)));
        let pooled = |from: usize, to: usize| {
            psnr((from..to).map(|i| image(i).error).sum::<f64>() / (to - from) as f64)
        };
        let batch = near.by_batch();
        assert_eq!(near.batches(), 2);
        assert!((batch.psnr - (pooled(0, 64) + pooled(64, 67)) / 2.0).abs() < 1e-12);
        assert!((batch.ssim - (0.315 + 0.65) / 2.0).abs() < 1e-12);
        let each = (0..67).map(|i| image(i).psnr()).sum::<f64>() / 67.0;
        assert!((near.by_image().psnr - each).abs() < 1e-12);
        assert!((near.by_image().ssim - 0.33).abs() < 1e-12);
    }
}
