//! The words worth looking at.

use super::letters::Letters;
use super::record::{Record, WordRecord};
use crate::data::metrics::edit_distance;
use std::collections::BTreeSet;

/// How many words of each kind are kept.
const MOST: usize = 9;

/// A word, and what makes it worth looking at.
#[derive(Debug, Clone)]
pub struct Example {
    /// All that was found out about it.
    pub record: Record,
    /// What super-resolution gains: edits that it saves, and decibels.
    gain: (f64, f64),
    /// Mean squared difference of SR and bicubic, of bytes.
    change: f64,
}

/// The best, the worst and the most changed words so far, by the first method and the first judge.
#[derive(Debug, Clone, Default)]
pub struct Examples {
    /// Those that gain most: edits first, then PSNR.
    pub best: Vec<Example>,
    /// Those that lose most.
    pub worst: Vec<Example>,
    /// Those where SR is furthest from bicubic.
    pub changed: Vec<Example>,
}

impl Examples {
    /// Looks at a word and keeps it where it belongs among the first.
    pub fn see(&mut self, record: &Record, word: &WordRecord, letters: Letters) {
        let Some(first) = word.methods.first() else { return };
        let wrong = |text: &str| edit_distance(&letters.of(text), &letters.of(&word.label)) as f64;
        let edits = match (word.lr.first(), first.readings.first()) {
            (Some(lr), Some(sr)) if letters.counts(&word.label) => wrong(lr) - wrong(sr),
            _ => 0.0,
        };
        let psnr = first.fidelity.psnr() - word.bicubic.psnr();
        let gain = (edits, if psnr.is_nan() { 0.0 } else { psnr });
        let example = Example { record: record.clone(), gain, change: first.change };
        if gain > (0.0, 0.0) {
            keep(&mut self.best, &example, |w| w.gain);
        } else if gain < (0.0, 0.0) {
            keep(&mut self.worst, &example, |w| (-w.gain.0, -w.gain.1));
        }
        keep(&mut self.changed, &example, |w| (w.change, 0.0));
    }

    /// Sets and numbers from 1 of all the words, each once.
    pub fn places(&self) -> Vec<(String, usize)> {
        let all = [&self.best, &self.worst, &self.changed].into_iter().flatten();
        let place = |e: &Example| (e.record.set.clone(), e.record.sample);
        all.map(place).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// Puts `word` into `list`, largest rank first and of equals the earlier, unless the list is full of larger ones.
fn keep(list: &mut Vec<Example>, word: &Example, rank: impl Fn(&Example) -> (f64, f64)) {
    let own = rank(word);
    let at = list.partition_point(|w| rank(w) >= own);
    if at < MOST {
        list.insert(at, word.clone());
        list.truncate(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::MadeRecord;
    use super::*;
    use crate::data::metrics::Fidelity;

    /// A word whose reading is `edits` away from its label in LR and SR.
    fn word(sample: usize, edits: [usize; 2], errors: [f64; 2], change: f64) -> Record {
        let text = |n: usize| "a".repeat(n);
        let near = |error| Fidelity { error, ssim: 0.0 };
        let made = MadeRecord { fidelity: near(errors[1]), change, readings: vec![text(edits[1])] };
        let word = WordRecord {
            label: String::new(),
            size: (1, 1),
            bicubic: near(errors[0]),
            lr: vec![text(edits[0])],
            hr: vec![String::new()],
            methods: vec![made],
        };
        Record { set: "s".into(), sample, left_out: None, word: Some(word) }
    }

    #[test]
    fn the_first_of_each_kind_are_kept_in_order() {
        let mut all = Examples::default();
        let mut see = |record: Record| {
            all.see(&record, record.word.as_ref().unwrap(), Letters::Released);
        };
        for i in 0..30 {
            see(word(i, [i % 5, 2], [100.0, 100.0 / (1.0 + i as f64)], i as f64));
        }
        see(word(30, [1, 1], [0.0, 0.0], -1.0));
        let samples = |list: &[Example]| list.iter().map(|w| w.record.sample).collect::<Vec<_>>();
        assert_eq!(samples(&all.best), [29, 24, 19, 14, 9, 4, 28, 23, 18]);
        assert_eq!(samples(&all.worst), [0, 5, 10, 15, 20, 25, 1, 6, 11]);
        assert_eq!(samples(&all.changed), [29, 28, 27, 26, 25, 24, 23, 22, 21]);
        let places = all.places();
        assert_eq!(places.len(), 22, "each word once: {places:?}");
    }
}
