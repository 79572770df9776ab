//! From class scores to text.

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

/// What turns class scores into readings.
pub(super) struct Decoder {
    /// Characters of classes 1, 2, …, of all but the end: a configuration without is refused.
    pub charset: Vec<char>,
    /// Positions.
    pub steps: usize,
    /// Classes.
    pub classes: usize,
}

impl Reading {
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
        Reading { confidence: geometric_mean(&characters), characters }
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

impl Decoder {
    /// Reads `logits [T, classes]`, cut at the first end; `maps [T, rows · width]` say where each step looked.
    pub fn read(&self, logits: &[f32], maps: &[f32], width: usize) -> Reading {
        let cells = maps.len() / self.steps;
        let mut characters = Vec::new();
        for (row, map) in logits.chunks_exact(self.classes).zip(maps.chunks_exact(cells)) {
            let (class, confidence) = best(row);
            if class == 0 {
                break;
            }
            let symbol = self.charset[class - 1];
            characters.push(Character { symbol, confidence, center: center(map, width) });
        }
        Reading { confidence: geometric_mean(&characters), characters }
    }
}

/// The class of the largest score, the lowest of equals, and its soft-max probability.
fn best(row: &[f32]) -> (usize, f32) {
    let (class, most) = row
        .iter()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |(c, m), (i, v)| if *v > m { (i, *v) } else { (c, m) });
    let sum: f64 = row.iter().map(|v| f64::from(v - most).exp()).sum();
    (class, (1.0 / sum) as f32)
}

/// Center of mass of a map of rows of `width` cells, as a share of the width.
fn center(map: &[f32], width: usize) -> f32 {
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
        let decoder = Decoder { charset: vec!['a', 'b'], steps: 3, classes: 3 };
        let ln = |p: f32| p.ln();
        let logits = [
            [ln(0.1), ln(0.1), ln(0.8)],
            [ln(0.25), ln(0.5), ln(0.25)],
            [ln(0.6), ln(0.2), ln(0.2)],
        ];
        let maps = [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]];
        let reading = decoder.read(logits.as_flattened(), maps.as_flattened(), 2);
        assert_eq!(reading.text(), "ba");
        assert!((reading.confidence - 0.4f32.sqrt()).abs() < 1e-6);
        assert_eq!(reading.characters[0].center, 0.75);
        assert_eq!(reading.characters[1].center, 0.5);
        let empty = decoder.read(&[ln(0.9), ln(0.05), ln(0.05)], maps.as_flattened(), 2);
        assert_eq!(empty.text(), "");
        assert_eq!(empty.confidence, 0.0);
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
