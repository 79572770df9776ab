//! Labels as the losses want them: classes of ABINet's alphabet, tokens of the text-focus recognizer's, and
//! strokes.

use crate::data::letters::{STEPS, fold};
use crate::data::spelling::{characters, strokes};

/// Characters of a label as printable ASCII has them ([`fold`]), without its blanks and what is left
/// outside; case kept.
pub fn printable(label: &str) -> String {
    fold(label).chars().filter(char::is_ascii_graphic).collect()
}

/// The places of a label's characters as those of what [`Encoded::ids`] has of them: a character that is
/// left out takes its place along, one that becomes two gives each a half.
pub fn encoded_places(label: &str, places: &[(f32, f32)], punctuation: bool) -> Vec<(f32, f32)> {
    let parts = label.chars().zip(places).flat_map(|(c, &(left, right))| {
        let kept = printable(c.encode_utf8(&mut [0; 4]));
        let n = kept.chars().filter(|c| punctuation || c.is_ascii_alphanumeric()).count();
        let end = move |i: usize| left + (right - left) * i as f32 / n as f32;
        (0..n).map(move |i| {
            (if i == 0 { left } else { end(i) }, if i + 1 == n { right } else { end(i + 1) })
        })
    });
    parts.collect()
}

/// A label, encoded for every loss.
///
/// ```
/// let label = lemma_gpu::data::words::Encoded::new("It's 0");
/// assert_eq!(label.ids[..7], [9, 20, 0, 19, 36, 0, 0]);
/// assert_eq!(label.word, "its0");
/// assert_eq!(label.tokens, [0, 19, 30, 29, 1]);
/// assert_eq!(label.targets, [19, 30, 29, 1, 0]);
/// assert_eq!(label.strokes, [0, 1, 2, 1, 1, 7, 8, 9, 8, 9]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Classes of ABINet's alphabet (0 end, 1–26 a–z, 27–35 1–9, 36 the digit 0), ended by zeros,
    /// cut to 26. A character outside the alphabet is a 0 in its place.
    pub ids: [u8; STEPS],
    /// What is read: lower-case letters and digits alone. The reference appends its `-`.
    pub word: String,
    /// Inputs of the text-focus recognizer (0 start, 1–10 0–9, 11–36 a–z): the start, then the
    /// characters of `word`. As many as `length`.
    pub tokens: Vec<u8>,
    /// What it shall answer: the characters, then the end, 0. As many as `length`.
    pub targets: Vec<u8>,
    /// Characters of `word` and the end.
    pub length: usize,
    /// Inputs of the stroke-focus recognizer: the start, then the strokes of the label's characters, whose case counts.
    pub strokes: Vec<u8>,
}

impl Encoded {
    /// Encodes a label as it is stored.
    pub fn new(label: &str) -> Self {
        let label = printable(label);
        let strokes = std::iter::once(0).chain(strokes(&label)).collect();
        let label = label.to_ascii_lowercase();
        let mut ids = [0; STEPS];
        for (id, c) in ids.iter_mut().zip(label.bytes()) {
            *id = match c {
                b'a'..=b'z' => c - b'a' + 1,
                b'1'..=b'9' => c - b'1' + 27,
                b'0' => 36,
                _ => 0,
            };
        }
        let word: String = label.chars().filter(char::is_ascii_alphanumeric).collect();
        let tokens: Vec<u8> = std::iter::once(0).chain(characters(&word)).collect();
        let targets: Vec<u8> = characters(&word).chain([0]).collect();
        Encoded { ids, length: targets.len(), word, tokens, targets, strokes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_of_the_alphabets_has_its_class() {
        let label = Encoded::new("abcdefghijklmnopqrstuvwxy");
        assert_eq!(label.ids[..25], (1..=25).collect::<Vec<u8>>());
        assert_eq!((label.ids[25], label.length), (0, 26));
        let label = Encoded::new("Z1234567890");
        assert_eq!(label.ids[..11], [26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36]);
        assert_eq!(label.targets, [36, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 0]);
        assert_eq!(label.tokens, [0, 36, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1]);
    }

    #[test]
    fn places_follow_what_becomes_of_their_characters() {
        let places = [(0.0, 0.125), (0.125, 0.375), (0.375, 0.5), (0.5, 0.75)];
        assert_eq!(encoded_places("a\u{4E2D} \u{E9}", &places, true), [places[0], places[3]]);
        let halves = [places[0], (0.125, 0.25), (0.25, 0.375), places[2], places[3]];
        assert_eq!(encoded_places("i\u{DF}'s", &places, true), halves);
        assert_eq!(encoded_places("it's", &places, true), places);
        assert_eq!(encoded_places("it's", &places, false), [places[0], places[1], places[3]]);
        assert!(encoded_places("it's", &[], true).is_empty());
    }

    #[test]
    fn blanks_and_foreign_characters_go_and_punctuation_leaves_a_zero() {
        let label = Encoded::new(" Caf\u{E9} \u{4E2D}No.1! ");
        assert_eq!(label.ids[..10], [3, 1, 6, 5, 14, 15, 0, 27, 0, 0]);
        assert_eq!(label.word, "cafeno1");
        assert_eq!(printable(" Caf\u{E9} No.1!\n"), "CafeNo.1!");
        assert_eq!(Encoded::new("Stra\u{DF}e").word, "strasse");
    }

    #[test]
    fn a_long_label_is_cut_for_abinet_only() {
        let label = Encoded::new(&"k".repeat(40));
        assert_eq!(label.ids, [11; 26]);
        assert_eq!((label.word.len(), label.length, label.tokens.len()), (40, 41, 41));
    }

    #[test]
    fn an_empty_label_is_one_end() {
        for empty in ["", " ", "\u{4E2D}"] {
            let label = Encoded::new(empty);
            assert_eq!(label.ids, [0; 26]);
            assert_eq!((label.tokens, label.targets, label.length), (vec![0], vec![0], 1));
        }
        assert_eq!(Encoded::new("?!").length, 1);
    }
}
