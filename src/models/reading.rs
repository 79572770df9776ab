//! From class scores to text.

use crate::tensor::Host;
use crate::{Error, ErrorKind, Result};

/// One character of a reading.
#[derive(Debug, Clone, PartialEq)]
pub struct Character {
    /// The character.
    pub symbol: char,
    /// Its probability.
    pub confidence: f32,
    /// Where it stands, as a share of the image's width.
    pub center: f32,
}

/// What a recognizer read in an image.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// Its characters from left to right.
    pub characters: Vec<Character>,
    /// Geometric mean of the characters' probabilities; 0 of an empty reading, however sure the end was.
    pub confidence: f32,
}

impl Reading {
    /// Of its characters.
    pub(crate) fn of(characters: Vec<Character>) -> Self {
        Reading { confidence: geometric_mean(&characters), characters }
    }

    /// The text.
    pub fn text(&self) -> String {
        self.characters.iter().map(|c| c.symbol).collect()
    }

    /// Joins readings of overlapping parts of a line. Each part covers `start..end` of the line's width. Where two parts
    /// overlap they share a border in the middle; a character that both saw counts once, at the mean of its two places.
    pub fn join(parts: &[(Reading, f32, f32)]) -> Reading {
        let mut placed: Vec<Vec<Character>> = parts
            .iter()
            .map(|(reading, start, end)| {
                let place = |c: &Character| Character {
                    center: start + c.center * (end - start),
                    ..c.clone()
                };
                reading.characters.iter().map(place).collect()
            })
            .collect();
        let mut borders = vec![f32::NEG_INFINITY];
        for i in 1..parts.len() {
            let (left, right) = placed.split_at_mut(i);
            let near = SAME_PLACE * (parts[i].2 - parts[i].1);
            unite(&mut left[i - 1], &mut right[0], near);
            borders.push((parts[i - 1].2 + parts[i].1) / 2.0);
        }
        borders.push(f32::INFINITY);
        let characters: Vec<Character> = placed
            .into_iter()
            .enumerate()
            .flat_map(|(i, part)| {
                let range = borders[i]..borders[i + 1];
                part.into_iter().filter(move |c| range.contains(&c.center))
            })
            .collect();
        Reading::of(characters)
    }
}

/// How far apart two parts may see one character, as a share of a part's width.
const SAME_PLACE: f32 = 0.1;

/// Gives equal characters of two overlapping parts that stand within `near` of each other one place.
fn unite(left: &mut [Character], right: &mut [Character], near: f32) {
    for l in left {
        let twin =
            right.iter_mut().find(|r| r.symbol == l.symbol && (r.center - l.center).abs() < near);
        if let Some(r) = twin {
            let center = (l.center + r.center) / 2.0;
            (l.center, r.center) = (center, center);
        }
    }
}

/// Of the characters' probabilities; 0 of none.
fn geometric_mean(characters: &[Character]) -> f32 {
    if characters.is_empty() {
        return 0.0;
    }
    let logs: f64 = characters.iter().map(|c| f64::from(c.confidence).ln()).sum();
    (logs / characters.len() as f64).exp() as f32
}

/// Refuses scores that are not numbers: what was read in them would be made up.
///
/// # Errors
/// [`ErrorKind::Result`].
pub(crate) fn expect_numbers(scores: &Host) -> Result<()> {
    match scores.data.iter().all(|v| v.is_finite()) {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Result, "recognizer", "a class score is not a number")
            .hint("weights with NaN, or values beyond f32, give this")),
    }
}

/// What `one` makes of the rows of every sample of two tensors of a batch, `a [N, ..]` and `b [N, ..]`.
pub(crate) fn each(a: &Host, b: &Host, one: impl Fn(&[f32], &[f32]) -> Reading) -> Vec<Reading> {
    let n = a.dims()[0].max(1);
    let (first, second) = (a.to_f32(), b.to_f32());
    let samples = first.chunks_exact((first.len() / n).max(1));
    samples.zip(second.chunks_exact((second.len() / n).max(1))).map(|(a, b)| one(a, b)).collect()
}

/// A reading step by step: `logits [T, classes]` and where each step looked, as a share of the width. `symbol` gives the
/// character of a class, and nothing for the end.
pub(crate) fn until_end(
    logits: &[f32],
    classes: usize,
    mut centers: impl Iterator<Item = f32>,
    symbol: impl Fn(usize) -> Option<char>,
) -> Reading {
    let steps = logits.chunks_exact(classes).map_while(|row| {
        let (class, confidence) = best(row);
        let center = centers.next()?;
        Some(Character { symbol: symbol(class)?, confidence, center })
    });
    Reading::of(steps.collect())
}

/// The best path of connectionist temporal classification through `logits [T, classes]`, whose class 0 is the blank: of equal
/// neighbors the first, and no blanks.
pub(crate) fn best_path(logits: &[f32], alphabet: &[char]) -> Reading {
    let rows = logits.chunks_exact(alphabet.len() + 1);
    let (count, mut before) = (rows.len() as f32, 0);
    let mut characters = Vec::new();
    for (t, row) in rows.enumerate() {
        let (class, confidence) = best(row);
        if class != before && class > 0 {
            let center = (t as f32 + 0.5) / count;
            characters.push(Character { symbol: alphabet[class - 1], confidence, center });
        }
        before = class;
    }
    Reading::of(characters)
}

/// The class of the largest score, the lowest of equals, and its soft-max probability.
pub(crate) fn best(row: &[f32]) -> (usize, f32) {
    let (class, most) = row
        .iter()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |(c, m), (i, v)| if *v > m { (i, *v) } else { (c, m) });
    let sum: f64 = row.iter().map(|v| f64::from(v - most).exp()).sum();
    (class, (1.0 / sum) as f32)
}

/// Center of mass of a map of rows of `width` cells, as a share of the width.
pub(crate) fn center(map: &[f32], width: usize) -> f32 {
    let (mut sum, mut moment) = (0.0, 0.0);
    for (i, v) in map.iter().enumerate() {
        let v = f64::from(v.max(0.0));
        sum += v;
        moment += v * ((i % width) as f64 + 0.5);
    }
    if sum > 0.0 { (moment / sum / width as f64) as f32 } else { 0.5 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_ends_at_the_first_end() {
        let read = |logits: &[f32], maps: &[f32]| {
            let centers = maps.chunks_exact(2).map(|map| center(map, 2));
            until_end(logits, 3, centers, |class| [None, Some('a'), Some('b')][class])
        };
        let ln = |p: f32| p.ln();
        let logits = [
            [ln(0.1), ln(0.1), ln(0.8)],
            [ln(0.25), ln(0.5), ln(0.25)],
            [ln(0.6), ln(0.2), ln(0.2)],
        ];
        let maps = [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]];
        let reading = read(logits.as_flattened(), maps.as_flattened());
        assert_eq!(reading.text(), "ba");
        assert!((reading.confidence - 0.4f32.sqrt()).abs() < 1e-6);
        assert_eq!(reading.characters[0].center, 0.75);
        assert_eq!(reading.characters[1].center, 0.5);
        let empty = read(&[ln(0.9), ln(0.05), ln(0.05)], maps.as_flattened());
        assert_eq!(empty.text(), "");
        assert_eq!(empty.confidence, 0.0);
    }

    #[test]
    fn the_best_path_has_no_blanks_and_no_repeats_but_across_a_blank() {
        let row = |class: usize| (0..3).map(move |c| if c == class { 2.0 } else { 0.0 });
        let logits: Vec<f32> = [1, 1, 2, 2, 0, 2, 0, 0].into_iter().flat_map(row).collect();
        let reading = best_path(&logits, &['a', 'b']);
        assert_eq!(reading.text(), "abb");
        let centers: Vec<f32> = reading.characters.iter().map(|c| c.center).collect();
        assert_eq!(centers, [0.0625, 0.3125, 0.6875]);
        assert_eq!(best_path(&logits[12..15], &['a', 'b']), Reading::default());
    }

    #[test]
    fn overlapping_parts_share_their_characters() {
        let at = |symbol, center| Character { symbol, confidence: 0.5, center };
        let left = Reading { characters: vec![at('a', 0.2), at('b', 0.85)], confidence: 0.5 };
        let right = Reading { characters: vec![at('b', 0.1), at('c', 0.8)], confidence: 0.5 };
        // Parts 0..0.6 and 0.4..1 meet at 0.5; the left one sees b at 0.51 and the right one at 0.46.
        let parts = [(left, 0.0, 0.6), (right, 0.4, 1.0)];
        assert_eq!(Reading::join(&parts[..1]).text(), "ab");
        assert_eq!(Reading::join(&parts).text(), "abc");
        assert_eq!(Reading::join(&[]), Reading::default());
    }
}
