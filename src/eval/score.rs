//! What is counted, and the figures that follow from the counts.

use super::examples::Examples;
use crate::data::metrics::{edit_distance, mcnemar, normalized, wilson};
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};
use std::collections::BTreeMap;

/// Sets of the paper with the number of images that weighs them.
const WEIGHTS: [(&str, f64); 3] = [("easy", 1619.0), ("medium", 1411.0), ("hard", 1343.0)];

/// Everything that an evaluation found.
#[derive(Debug, Clone, Serialize)]
pub struct Evaluation {
    /// Each set, in order.
    pub sets: Vec<SetResult>,
    /// Words worth looking at.
    #[serde(skip)]
    pub examples: Examples,
}

/// What a set gave.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SetResult {
    /// Its name.
    pub name: String,
    /// Images evaluated.
    pub images: usize,
    /// Batches of 64, over which PSNR and SSIM are averaged.
    pub batches: usize,
    /// Bicubic enlargement against the true images.
    pub bicubic: EditDistance,
    /// Super-resolved against the true images.
    pub super_resolved: EditDistance,
    /// How the words were read; none without a judge.
    pub readability: Option<WordAccuracy>,
    /// Samples left out: reason and number.
    pub left_out: BTreeMap<String, usize>,
    /// Labels that are evaluated but out of the ordinary: kind and number.
    pub unusual_labels: BTreeMap<&'static str, usize>,
    /// The first label of each kind.
    #[serde(skip)]
    pub examples: BTreeMap<&'static str, String>,
}

/// How near images are to the true ones: means over batches.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct EditDistance {
    /// Peak signal-to-noise ratio in dB.
    pub psnr: f64,
    /// Structural similarity.
    pub ssim: f64,
}

/// How words were read, by the length of their normalized label.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WordAccuracy(pub BTreeMap<usize, Tally>);

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
    /// Wilson's 95 % interval of it.
    pub interval: (f64, f64),
    /// Edits for each character of the labels; none without characters.
    pub character_error_rate: Option<f64>,
}

impl Tally {
    /// A word and its three readings, all of them normalized.
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
        Score {
            accuracy: share(self.right[i], self.words).unwrap_or(f64::NAN),
            interval: wilson(self.right[i], self.words),
            character_error_rate: share(self.edits[i], self.characters),
        }
    }

    /// McNemar's exact p of SR against LR.
    pub fn p(&self) -> f64 {
        mcnemar(self.only_sr, self.only_lr)
    }
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
        let mut out = serializer.serialize_struct("WordAccuracy", 3)?;
        out.serialize_field("all", &total)?;
        out.serialize_field("mcnemar_p", &total.p())?;
        out.serialize_field("by_length", &self.0)?;
        out.end()
    }
}

impl WordAccuracy {
    /// Counts a word.
    pub fn count(&mut self, label: &str, readings: &[String; 3]) -> Tally {
        let label = normalized(label);
        let tally = Tally::of(&label, &readings.each_ref().map(|r| normalized(r)));
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
}

impl Evaluation {
    /// The counts of all sets; none without a judge.
    pub fn readability(&self) -> Option<WordAccuracy> {
        let mut all = WordAccuracy::default();
        for set in self.sets.iter().filter(|s| s.images > 0) {
            all.add(set.readability.as_ref()?);
        }
        (!all.0.is_empty()).then_some(all)
    }

    /// The paper's average accuracy of LR, SR and HR, (1619·easy + 1411·medium + 1343·hard) / 4373; none unless the sets
    /// easy, medium and hard are all there.
    pub fn weighted_accuracy(&self) -> Option<[f64; 3]> {
        let mut sum = [0.0; 3];
        for (name, weight) in WEIGHTS {
            let set = self.sets.iter().find(|s| s.name == name && s.images > 0)?;
            let total = set.readability.as_ref()?.total();
            sum.iter_mut().enumerate().for_each(|(i, s)| *s += weight * total.score(i).accuracy);
        }
        let all: f64 = WEIGHTS.iter().map(|w| w.1).sum();
        Some(sum.map(|s| s / all))
    }

    /// PSNR and SSIM of bicubic and of SR: means over the sets.
    pub fn nearness(&self) -> [EditDistance; 2] {
        let sets: Vec<&SetResult> = self.sets.iter().filter(|s| s.images > 0).collect();
        let mean = |of: &dyn Fn(&SetResult) -> f64| {
            sets.iter().map(|s| of(s)).sum::<f64>() / sets.len() as f64
        };
        [
            EditDistance { psnr: mean(&|s| s.bicubic.psnr), ssim: mean(&|s| s.bicubic.ssim) },
            EditDistance {
                psnr: mean(&|s| s.super_resolved.psnr),
                ssim: mean(&|s| s.super_resolved.ssim),
            },
        ]
    }

    /// Images evaluated.
    pub fn images(&self) -> usize {
        self.sets.iter().map(|s| s.images).sum()
    }

    /// Samples left out.
    pub fn left_out(&self) -> usize {
        self.sets.iter().flat_map(|s| s.left_out.values()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::{Subject, page, tables};
    use super::*;
    use crate::data::metrics::{Fidelity, Values};

    fn set(name: &str, words: &[(&str, [&str; 3])]) -> SetResult {
        let mut readability = WordAccuracy::default();
        for (label, readings) in words {
            readability.count(label, &readings.map(str::to_string));
        }
        SetResult {
            name: name.into(),
            images: words.len(),
            readability: Some(readability),
            ..SetResult::default()
        }
    }

    #[test]
    fn readings_are_counted_by_length_and_version() {
        let set = set(
            "x",
            &[
                ("It's", ["its", "ITS", "it's"]),
                ("cat", ["cot", "cat", "cat"]),
                ("hotel", ["hotel", "hote", "hotel"]),
                ("!", ["", "", "x"]),
            ],
        );
        let readability = set.readability.unwrap();
        let lengths: Vec<usize> = readability.0.keys().copied().collect();
        assert_eq!(lengths, [0, 3, 5]);
        let three = readability.0[&3];
        assert_eq!((three.words, three.right, three.edits), (2, [1, 2, 2], [1, 0, 0]));
        let all = readability.total();
        assert_eq!((all.words, all.characters, all.right), (4, 11, [3, 3, 3]));
        assert_eq!((all.only_sr, all.only_lr, all.p()), (1, 1, 1.0));
        assert_eq!(all.score(1).character_error_rate, Some(1.0 / 11.0));
        assert_eq!(readability.0[&0].score(0).character_error_rate, None);
    }

    #[test]
    fn of_no_image_nothing_is_a_number_and_nothing_fails() {
        let sets = [vec![], vec![SetResult::default()], vec![set("easy", &[])]];
        for sets in sets {
            let evaluation = Evaluation { sets, examples: Examples::default() };
            assert!(evaluation.nearness().iter().all(|n| n.psnr.is_nan() && n.ssim.is_nan()));
            assert_eq!((evaluation.images(), evaluation.left_out()), (0, 0));
            assert!(evaluation.readability().is_none() && evaluation.weighted_accuracy().is_none());
            let subject = Subject { model: "m".into(), judge: None, adapter: "a".into() };
            assert!(tables(&evaluation).is_empty());
            page(&evaluation, &subject).expect("a page");
            serde_json::to_string(&evaluation).expect("JSON");
        }
        let nobody = Tally::default();
        assert!(nobody.score(2).accuracy.is_nan() && nobody.p() == 1.0);
        let blank = Values { data: &[], channels: 3 };
        assert!(Fidelity::of(blank, blank, 0).ssim.is_nan());
        assert!(Fidelity::mean(&[]).psnr().is_nan());
    }

    #[test]
    fn the_average_weighs_the_sets_as_the_paper_does() {
        let right = ("a", ["a", "a", "a"]);
        let wrong = ("a", ["b", "a", "a"]);
        let sets = vec![
            set("hard", &[wrong]),
            set("easy", &[right, right]),
            set("medium", &[right, wrong, wrong, wrong]),
        ];
        let mut evaluation = Evaluation { sets, examples: Examples::default() };
        let [lr, sr, _] = evaluation.weighted_accuracy().unwrap();
        assert!((lr - (1619.0 + 0.25 * 1411.0) / 4373.0).abs() < 1e-12);
        assert!((sr - 1.0).abs() < 1e-12);
        assert_eq!(evaluation.readability().unwrap().total().words, 7);
        evaluation.sets.pop();
        assert_eq!(evaluation.weighted_accuracy(), None);
    }
}
