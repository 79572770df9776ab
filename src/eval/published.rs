//! The figures of the LEMMA paper, its supplement, and its repository: accuracies in percent.

use super::evaluation::{Evaluation, SetResult};
use super::score::Nearness;

/// The sets of TextZoom, and the average over them.
pub const COLUMNS: [&str; 4] = ["easy", "medium", "hard", "average"];

/// Rows of a table whose columns belong to judges: a method, and for each judge easy, medium, hard and average.
type Rows = [(&'static str, [[f64; 4]; 3])];

/// Who read in Table 3.
pub const TABLE_3_JUDGES: [&str; 3] = ["ASTER", "MORAN", "CRNN"];
/// Who read in Table 1 of the supplement.
pub const SUPPLEMENT_1_JUDGES: [&str; 3] = ["ABINet", "MATRN", "PARSeq"];

/// What the poor and the good images are called as methods.
pub const BICUBIC: &str = "BICUBIC";
/// The good images as a method.
pub const HR: &str = "HR";

/// Table 3, and the evaluation of the released re-training.
pub const TABLE_3: &Rows = &[
    (BICUBIC, [[67.4, 42.4, 31.2, 48.2], [60.6, 37.9, 30.8, 44.1], [36.4, 21.1, 21.1, 26.8]]),
    ("SRCNN", [[70.6, 44.0, 31.5, 50.0], [63.9, 40.0, 29.4, 45.6], [41.1, 22.3, 22.0, 29.2]]),
    ("SRResNet", [[69.4, 50.5, 35.7, 53.0], [66.0, 47.1, 33.4, 49.9], [45.2, 32.6, 25.5, 35.1]]),
    ("RCAN", [[67.3, 46.6, 35.1, 50.7], [63.1, 42.9, 33.6, 47.5], [46.8, 27.9, 26.5, 34.5]]),
    ("SAN", [[68.1, 48.7, 36.2, 50.7], [65.6, 44.4, 35.2, 49.4], [50.1, 31.2, 28.1, 37.2]]),
    ("TSRN", [[75.1, 56.3, 40.1, 58.3], [70.1, 55.3, 37.9, 55.4], [52.5, 38.2, 31.4, 41.4]]),
    ("TBSRN", [[75.7, 59.9, 41.6, 60.1], [74.1, 57.0, 40.8, 58.4], [59.6, 47.1, 35.3, 48.1]]),
    ("PCAN", [[77.5, 60.7, 43.1, 61.5], [73.7, 57.6, 41.0, 58.5], [59.6, 45.4, 34.8, 47.4]]),
    ("TG", [[77.9, 60.2, 42.4, 61.3], [75.8, 57.8, 41.4, 59.4], [61.2, 47.6, 35.5, 48.9]]),
    ("TATT", [[78.9, 63.4, 45.4, 63.6], [72.5, 60.2, 43.1, 59.5], [62.6, 53.4, 39.8, 52.6]]),
    ("C3-STISR", [[79.1, 63.3, 46.8, 64.1], [74.2, 61.0, 43.2, 59.5], [65.2, 53.6, 39.8, 53.7]]),
    ("LEMMA", [[81.1, 66.3, 47.4, 66.0], [77.7, 64.4, 44.6, 63.2], [67.1, 58.8, 40.6, 56.3]]),
    (
        RETRAINED,
        [[81.53, 67.40, 48.85, 66.93], [76.90, 64.28, 46.84, 63.60], [64.98, 59.89, 43.48, 56.73]],
    ),
    (HR, [[94.2, 87.7, 76.2, 86.6], [91.2, 85.3, 74.2, 84.1], [76.4, 75.1, 64.6, 72.4]]),
];

/// The authors' own later training, of which the code is released.
pub const RETRAINED: &str = "LEMMA, released re-training";

/// Table 1 of the supplement.
pub const SUPPLEMENT_1: &Rows = &[
    (
        "TBSRN",
        [[79.80, 64.99, 48.47, 65.40], [81.66, 65.98, 50.11, 66.91], [83.69, 66.69, 51.75, 68.40]],
    ),
    (
        "TATT",
        [[80.67, 65.77, 50.26, 66.52], [81.10, 66.62, 51.68, 67.39], [82.21, 65.91, 52.12, 67.71]],
    ),
    (
        "C3-STISR",
        [[81.35, 66.90, 49.89, 67.03], [81.90, 68.04, 51.08, 67.96], [84.25, 68.25, 50.86, 68.83]],
    ),
    (
        "LEMMA",
        [[82.64, 69.24, 50.56, 68.46], [82.83, 70.38, 51.68, 69.25], [83.63, 69.17, 52.27, 69.33]],
    ),
];

/// PSNR and SSIM over the three sets of TextZoom, of the supplement's Table 2.
pub const NEARNESS: [(&str, f64, f64); 2] = [(BICUBIC, 20.35, 0.6961), ("LEMMA", 20.95, 0.7729)];

/// Table 5: set, its images, and accuracies of bicubic and LEMMA. The recognizer is not named; CRNN is assumed.
pub const TABLE_5: [(&str, usize, f64, f64); 4] = [
    ("IC15", 1811, 9.5, 32.5),
    ("CUTE80", 288, 35.8, 76.0),
    ("SVT", 647, 3.3, 21.3),
    ("SVTP", 645, 10.2, 28.4),
];

/// Our accuracies of a method with a judge beside published ones, in percent; easy, medium, hard and average.
#[derive(Debug, Clone, PartialEq)]
pub struct Beside {
    /// Who read.
    pub judge: String,
    /// The row of the publication: a method, or what the poor and the good images are called there.
    pub row: &'static str,
    /// Ours; none for a set that was not evaluated.
    pub ours: [Option<f64>; 4],
    /// Theirs.
    pub published: [f64; 4],
}

/// Whether two names of a network are the same but for case and signs.
pub fn same(a: &str, b: &str) -> bool {
    let letters = |s: &str| -> Vec<char> {
        s.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect()
    };
    letters(a) == letters(b)
}

/// A table by who read in it.
fn read_by(judge: &str) -> Option<(&'static Rows, usize)> {
    [(TABLE_3_JUDGES, TABLE_3), (SUPPLEMENT_1_JUDGES, SUPPLEMENT_1)].into_iter().find_map(
        |(judges, table)| Some((table, judges.iter().position(|name| same(name, judge))?)),
    )
}

/// Our accuracies of a row with a judge, in percent, by the names of both: easy, medium, hard and average, none for a set that was
/// not evaluated; nothing where one of both took no part.
pub fn ours(evaluation: &Evaluation, row: &str, judge: &str) -> Option<[Option<f64>; 4]> {
    let j = evaluation.judges.iter().position(|name| same(name, judge))?;
    let of = |method: &str| evaluation.methods.iter().position(|name| same(name, method));
    let (m, version) = match row {
        _ if evaluation.methods.is_empty() => return None,
        BICUBIC => (0, 0),
        HR => (0, 2),
        RETRAINED => (of("LEMMA")?, 1),
        method => (of(method)?, 1),
    };
    let sets = evaluation.sets();
    let own = |set: &SetResult| set.methods[m].judges[j].words.total().score(version).rounded;
    Some(std::array::from_fn(|column| match COLUMNS[column] {
        "average" => Some(100.0 * evaluation.weighted_accuracy(m, j)?[version]),
        name => Some(100.0 * own(sets.iter().find(|s| s.name == name && s.seed.is_none())?)),
    }))
}

/// Our PSNR and SSIM over easy, medium and hard beside published ones: row, ours, theirs.
pub fn nearness_beside(evaluation: &Evaluation) -> Vec<(&'static str, Nearness, Nearness)> {
    let row = |(row, psnr, ssim): &(&'static str, f64, f64)| {
        let of = |name: &String| same(name, row);
        let method = match *row {
            BICUBIC => None,
            _ => Some(evaluation.methods.iter().position(of)?),
        };
        let ours = evaluation.weighted_nearness(method)?;
        Some((*row, ours, Nearness { psnr: *psnr, ssim: *ssim }))
    };
    NEARNESS.iter().filter_map(row).collect()
}

/// All that can be set beside published figures, where one of the sets is called easy, medium or hard.
pub fn beside(evaluation: &Evaluation) -> Vec<Beside> {
    let mut all = Vec::new();
    for judge in &evaluation.judges {
        let Some((table, column)) = read_by(judge) else { continue };
        for (row, judges) in table {
            let ours = ours(evaluation, row, judge);
            if let Some(ours) = ours.filter(|ours| ours.iter().any(Option::is_some)) {
                let published = judges[column];
                all.push(Beside { judge: judge.clone(), row, ours, published });
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule 5 of the paper's averages, which two entries do not follow.
    #[test]
    fn averages_of_the_tables_are_weighted_ones() {
        let mut odd = Vec::new();
        for (name, table, slack) in [("3", TABLE_3, 0.051), ("1", SUPPLEMENT_1, 0.0051)] {
            for (row, judges) in table {
                for (j, [easy, medium, hard, average]) in judges.iter().enumerate() {
                    let ours = (1619.0 * easy + 1411.0 * medium + 1343.0 * hard) / 4373.0;
                    // Of figures that are rounded themselves.
                    if (ours - average).abs() > 2.0 * slack {
                        odd.push((name, *row, j));
                    }
                }
            }
        }
        assert_eq!(odd, [("3", "SAN", 0), ("3", "C3-STISR", 1)]);
    }

    #[test]
    fn two_decimals_are_shares_of_the_sets() {
        let sizes = [1619.0, 1411.0, 1343.0];
        let fits = |share: f64, n: f64| ((share * n / 100.0).round() * 100.0 / n - share).abs();
        let retrained = TABLE_3.iter().filter(|r| r.0 == RETRAINED);
        for (row, judges) in SUPPLEMENT_1.iter().chain(retrained) {
            for figures in judges {
                for (share, n) in figures.iter().zip(sizes) {
                    assert!(fits(*share, n) < 0.00501, "{row}: {share} of {n}");
                }
            }
        }
    }

    #[test]
    fn names_find_their_rows() {
        assert!(same("c3stisr", "C3-STISR") && !same("LEMMA", "LEMMA (shipped)"));
        let (table, column) = read_by("parseq").unwrap();
        let c3 = table.iter().find(|r| r.0 == "C3-STISR").unwrap();
        assert_eq!(c3.1[column], [84.25, 68.25, 50.86, 68.83]);
        assert!(read_by("ABINet (shipped)").is_none());
    }
}
