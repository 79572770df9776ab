//! An evaluation: records of samples, added up.

use super::examples::Examples;
use super::letters::Letters;
use super::pairs::Pairs;
use super::record::{MadeRecord, Record, WordRecord};
use super::score::{Fidelities, Nearness, Tally, WordAccuracy};
use std::collections::BTreeMap;

/// Sets of the paper with the number of images that weighs them.
const WEIGHTS: [(&str, f64); 3] = [("easy", 1619.0), ("medium", 1411.0), ("hard", 1343.0)];

/// Images of at most so many pixels are the small ones of a set.
pub const SMALL: u32 = 16 * 64;

/// Everything that an evaluation found.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// Names of what was evaluated.
    pub methods: Vec<String>,
    /// Names of who read.
    pub judges: Vec<String>,
    /// How words were compared.
    pub letters: Letters,
    /// Each set, in order.
    pub sets: Vec<SetResult>,
    /// Words worth looking at, by the first method and the first judge.
    pub examples: Examples,
}

/// What a set gave.
#[derive(Debug, Clone, Default)]
pub struct SetResult {
    /// What keeps it apart, as [`Pairs::id`] says.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The seed of its poor images, where they were made.
    pub seed: Option<u64>,
    /// Samples in it.
    pub samples: usize,
    /// Samples that were seen, left out or not.
    pub seen: usize,
    /// Images evaluated.
    pub images: usize,
    /// Those of at most 1024 pixels.
    pub small_images: usize,
    /// Bicubic enlargement against the true images.
    pub bicubic: Fidelities,
    /// What was evaluated.
    pub methods: Vec<MethodResult>,
    /// Samples left out: reason and number.
    pub left_out: BTreeMap<String, usize>,
    /// Labels that are evaluated but out of the ordinary: kind and number.
    pub unusual_labels: BTreeMap<&'static str, usize>,
    /// The first label of each kind.
    pub unusual_examples: BTreeMap<&'static str, String>,
}

/// What a method gave on a set.
#[derive(Debug, Clone, Default)]
pub struct MethodResult {
    /// Its images against the true ones.
    pub near: Fidelities,
    /// How each judge read.
    pub judges: Vec<Reading>,
}

/// How a judge read the images of a method.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// All words.
    pub words: WordAccuracy,
    /// Those whose good image has at most 1024 pixels.
    pub small: Tally,
    /// Words that were read right of this method and not of the first one, and the other way round.
    pub against_first: (usize, usize),
}

impl Evaluation {
    /// Of nothing yet.
    pub fn new(
        sets: &[Pairs],
        methods: Vec<String>,
        judges: Vec<String>,
        letters: Letters,
    ) -> Self {
        let method = MethodResult {
            judges: vec![Reading::default(); judges.len()],
            ..MethodResult::default()
        };
        let result = |set: &Pairs| SetResult {
            id: set.id(),
            name: set.name().into(),
            seed: set.seed(),
            samples: set.len(),
            methods: vec![method.clone(); methods.len()],
            ..SetResult::default()
        };
        let sets = sets.iter().map(result).collect();
        Evaluation { methods, judges, letters, sets, examples: Examples::default() }
    }

    /// Adds what was found out about a sample; samples come set by set, in their order.
    pub fn see(&mut self, record: &Record) {
        let letters = self.letters;
        let Some(set) = self.sets.iter_mut().find(|s| s.id == record.set) else { return };
        set.seen = record.sample;
        match (&record.word, &record.left_out) {
            (Some(word), _) => {
                set.count(word, letters);
                self.examples.see(record, word, letters);
            }
            (None, reason) => {
                let reason = reason.clone().unwrap_or_default();
                *set.left_out.entry(reason).or_default() += 1;
            }
        }
    }

    /// Sets with images, those of other seeds than the first left away.
    pub fn sets(&self) -> Vec<&SetResult> {
        let first = self.sets.iter().find_map(|s| s.seed);
        self.sets.iter().filter(|s| s.images > 0 && s.seed == first).collect()
    }

    /// The counts of all sets for a method and a judge; none where nobody read a word.
    pub fn readability(&self, method: usize, judge: usize) -> Option<WordAccuracy> {
        let mut all = WordAccuracy::default();
        for set in self.sets() {
            all.add(&set.methods.get(method)?.judges.get(judge)?.words);
        }
        (!all.0.is_empty()).then_some(all)
    }

    /// Sets of the paper that hold another number of samples than there: name, samples, samples in the paper.
    pub fn other_sizes(&self) -> Vec<(&str, usize, usize)> {
        let known = |s: &&SetResult| {
            let (name, size) = WEIGHTS.iter().find(|(name, _)| *name == s.name)?;
            (s.samples != *size as usize).then_some((*name, s.samples, *size as usize))
        };
        self.sets().iter().filter_map(known).collect()
    }

    /// (1619·easy + 1411·medium + 1343·hard) / 4373 of a figure; none unless these sets are all there.
    pub fn weighted(&self, of: impl Fn(&SetResult) -> f64) -> Option<f64> {
        let sets = self.sets();
        let mut sum = 0.0;
        for (name, weight) in WEIGHTS {
            sum += weight * of(sets.iter().find(|s| s.name == name)?);
        }
        Some(sum / WEIGHTS.iter().map(|w| w.1).sum::<f64>())
    }

    /// The paper's average accuracy of LR, SR and HR, of accuracies that are rounded to four digits; none unless the sets easy,
    /// medium and hard are all there and were read.
    pub fn weighted_accuracy(&self, method: usize, judge: usize) -> Option<[f64; 3]> {
        self.readability(method, judge)?;
        let total = |s: &SetResult| s.methods[method].judges[judge].words.total();
        let average = |i| self.weighted(|s| total(s).score(i).rounded);
        Some([average(0)?, average(1)?, average(2)?])
    }

    /// Plain means of PSNR and SSIM over the sets: of bicubic, or of a method.
    pub fn nearness(&self, method: Option<usize>) -> Nearness {
        let sets = self.sets();
        let mean = |of: fn(Nearness) -> f64| {
            sets.iter().map(|s| of(s.near(method).by_batch())).sum::<f64>() / sets.len() as f64
        };
        Nearness { psnr: mean(|n| n.psnr), ssim: mean(|n| n.ssim) }
    }

    /// The same with the weights of the paper's average; none unless its sets are all there.
    pub fn weighted_nearness(&self, method: Option<usize>) -> Option<Nearness> {
        let of = |f: fn(Nearness) -> f64| self.weighted(|s| f(s.near(method).by_batch()));
        Some(Nearness { psnr: of(|n| n.psnr)?, ssim: of(|n| n.ssim)? })
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

impl SetResult {
    /// Bicubic's images, or those of a method.
    pub fn near(&self, method: Option<usize>) -> &Fidelities {
        method.map_or(&self.bicubic, |m| &self.methods[m].near)
    }

    fn count(&mut self, word: &WordRecord, letters: Letters) {
        self.images += 1;
        self.bicubic.add(word.bicubic);
        let small = word.size.0.saturating_mul(word.size.1) <= SMALL;
        self.small_images += usize::from(small);
        if let Some(kind) = letters.unusual(&word.label) {
            *self.unusual_labels.entry(kind).or_default() += 1;
            self.unusual_examples.entry(kind).or_insert_with(|| word.label.clone());
        }
        let right =
            |made: &MadeRecord, j: usize| letters.of(&made.readings[j]) == letters.of(&word.label);
        for (m, (made, result)) in word.methods.iter().zip(&mut self.methods).enumerate() {
            result.near.add(made.fidelity);
            if !letters.counts(&word.label) {
                continue;
            }
            for (j, reading) in result.judges.iter_mut().enumerate() {
                let tally = reading.words.count(letters, &word.label, &word.readings(m, j));
                if small {
                    reading.small.add(&tally);
                }
                let (own, first) = (right(made, j), right(&word.methods[0], j));
                reading.against_first.0 += usize::from(own && !first);
                reading.against_first.1 += usize::from(first && !own);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::{Subject, page, tables};
    use super::*;
    use crate::data::metrics::Fidelity;
    use crate::data::picture::RgbImage;
    use crate::data::words::{Fault, Sample, Source};

    struct Blank(usize);

    impl Source for Blank {
        fn len(&self) -> usize {
            self.0
        }

        fn get(&self, _: usize) -> Result<Sample, Fault> {
            let (hr, label) = (RgbImage::new(1, 1), String::new());
            Ok(Sample { lr: None, hr, label, characters: Vec::new(), flaw: None })
        }
    }

    fn pairs(name: &str, len: usize) -> Pairs {
        Pairs::new(name.into(), Box::new(Blank(len)))
    }

    /// A word of a label with a reading of LR, of each method, and of HR.
    fn word(set: &str, sample: usize, label: &str, read: &[&str]) -> Record {
        let fidelity = Fidelity { error: 10.0, ssim: 0.5 };
        let own = &read[1..read.len() - 1];
        let made = |r: &&str| MadeRecord { fidelity, change: 1.0, readings: vec![r.to_string()] };
        let word = WordRecord {
            label: label.into(),
            size: (32, 30 + 3 * sample as u32),
            bicubic: fidelity,
            lr: vec![read[0].into()],
            hr: vec![read[read.len() - 1].into()],
            methods: own.iter().map(made).collect(),
        };
        Record { set: set.into(), sample, left_out: None, word: Some(word) }
    }

    fn evaluation(sets: &[Pairs], methods: usize) -> Evaluation {
        let names = (0..methods).map(|i| format!("m{i}")).collect();
        Evaluation::new(sets, names, vec!["reader".into()], Letters::Released)
    }

    #[test]
    fn the_average_weighs_the_sets_as_the_paper_does() {
        let sets = [pairs("hard", 1), pairs("easy", 3), pairs("medium", 4)];
        let mut all = evaluation(&sets, 1);
        let (right, wrong) = (&["a", "a", "a"], &["b", "a", "a"]);
        all.see(&word("hard", 1, "a", wrong));
        [right, right, wrong]
            .iter()
            .zip(1..)
            .for_each(|(r, i)| all.see(&word("easy", i, "A!", *r)));
        (1..5).for_each(|i| all.see(&word("medium", i, "a", if i < 2 { right } else { wrong })));
        let [lr, sr, _] = all.weighted_accuracy(0, 0).unwrap();
        let want = (1619.0 * 0.6667 + 0.25 * 1411.0) / 4373.0;
        assert!((lr - want).abs() < 1e-12, "of rounded accuracies: {lr}");
        assert!((sr - 1.0).abs() < 1e-12);
        assert_eq!(all.readability(0, 0).unwrap().total().words, 8);
        all.sets.pop();
        assert_eq!(all.weighted_accuracy(0, 0), None);
        assert!(all.weighted_nearness(None).is_none());
    }

    #[test]
    fn methods_are_compared_with_the_first_and_small_images_counted_apart() {
        let mut all = evaluation(&[pairs("x", 3)], 2);
        all.see(&word("x", 1, "a", &["b", "a", "b", "a"]));
        all.see(&word("x", 2, "a", &["b", "b", "a", "a"]));
        let reason = Some("missing image".to_string());
        all.see(&Record { set: "x".into(), sample: 3, left_out: reason, word: None });
        all.see(&Record { set: "y".into(), sample: 1, left_out: None, word: None });
        let set = &all.sets[0];
        assert_eq!((set.seen, set.images, all.left_out()), (3, 2, 1));
        assert_eq!((set.methods[1].judges[0].against_first, set.small_images), ((1, 1), 0));
        assert_eq!(set.methods[0].judges[0].against_first, (0, 0));
        let mut small = word("x", 4, "a", &["a", "b", "a", "a"]);
        small.word.as_mut().unwrap().size = (64, 16);
        all.see(&small);
        let tally = all.sets[0].methods[1].judges[0].small;
        assert_eq!((all.sets[0].small_images, tally.words, tally.right), (1, 1, [1, 1, 1]));
    }

    #[test]
    fn of_no_image_nothing_is_a_number_and_nothing_fails() {
        for sets in [vec![], vec![pairs("easy", 0)]] {
            let none = evaluation(&sets, 1);
            assert!(none.nearness(None).psnr.is_nan() && none.nearness(Some(0)).ssim.is_nan());
            assert_eq!((none.images(), none.left_out()), (0, 0));
            assert!(none.readability(0, 0).is_none() && none.weighted_accuracy(0, 0).is_none());
            let subject = Subject::default();
            assert!(tables(&none).is_empty());
            page(&none, &subject, &[]).expect("a page");
            serde_json::to_string(&none.json(&subject)).expect("JSON");
        }
    }
}
