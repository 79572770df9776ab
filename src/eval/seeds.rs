//! Sets whose poor images were made several times: means and spreads over the seeds, of all images and of the small ones.

use super::evaluation::{Evaluation, SetResult};
use super::published::{TABLE_5, same};
use super::score::Tally;
use serde::Serialize;

/// Accuracies of a set over its seeds, in shares, for a judge.
#[derive(Debug, Clone, Serialize)]
pub struct OverSeeds {
    /// The set.
    pub set: String,
    /// Whether these are only the images of at most 1024 pixels.
    pub small: bool,
    /// Images.
    pub images: usize,
    /// Who read.
    pub judge: String,
    /// Of the poor images.
    pub lr: Spread,
    /// Of each method.
    pub methods: Vec<Spread>,
    /// Of the good images, which no seed changes.
    pub hr: Spread,
    /// What Table 5 prints for bicubic and LEMMA, in percent, and its number of images.
    pub published: Option<(f64, f64, usize)>,
}

/// A figure over seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// Standard deviation of one seed from another; none of one seed.
    pub deviation: Option<f64>,
    /// For each seed.
    pub each: Vec<f64>,
}

impl Spread {
    fn of(each: Vec<f64>) -> Self {
        let n = each.len() as f64;
        let mean = each.iter().sum::<f64>() / n;
        let squares: f64 = each.iter().map(|v| (v - mean).powi(2)).sum();
        let deviation = (each.len() > 1).then(|| (squares / (n - 1.0)).sqrt());
        Spread { mean, deviation, each }
    }
}

/// The figures of all sets with seeds.
pub fn over_seeds(evaluation: &Evaluation) -> Vec<OverSeeds> {
    let mut names: Vec<&str> = Vec::new();
    for set in evaluation.sets.iter().filter(|s| s.seed.is_some() && s.images > 0) {
        if !names.contains(&set.name.as_str()) {
            names.push(&set.name);
        }
    }
    let mut all = Vec::new();
    for (j, judge) in evaluation.judges.iter().enumerate() {
        for name in &names {
            let seeds: Vec<&SetResult> =
                evaluation.sets.iter().filter(|s| s.name == *name && s.images > 0).collect();
            for small in [false, true] {
                let tally = |set: &SetResult, m: usize| -> Tally {
                    let reading = &set.methods[m].judges[j];
                    if small { reading.small } else { reading.words.total() }
                };
                let spread = |m: usize, version: usize| {
                    let share = |s: &&SetResult| tally(s, m).score(version).rounded;
                    Spread::of(seeds.iter().map(share).collect())
                };
                let images = tally(seeds[0], 0).words;
                if images == 0 {
                    continue;
                }
                let row = TABLE_5.iter().find(|row| same(row.0, name) && !small);
                all.push(OverSeeds {
                    set: name.to_string(),
                    small,
                    images,
                    judge: judge.clone(),
                    lr: spread(0, 0),
                    methods: (0..evaluation.methods.len()).map(|m| spread(m, 1)).collect(),
                    hr: spread(0, 2),
                    published: row.map(|row| (row.2, row.3, row.1)),
                });
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_that_of_a_sample() {
        let three = Spread::of(vec![0.5, 0.6, 0.7]);
        assert!((three.mean - 0.6).abs() < 1e-12);
        assert!((three.deviation.unwrap() - 0.1).abs() < 1e-12);
        assert_eq!(Spread::of(vec![0.5]), Spread { mean: 0.5, deviation: None, each: vec![0.5] });
    }
}
