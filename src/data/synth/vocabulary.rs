//! What is written: words, numbers and strings without meaning.

use super::typeface::CHARACTERS;
use crate::data::letters::STEPS;
use crate::data::random::Random;
use crate::{Error, ErrorKind, Result};
use std::path::Path;

/// Most characters of a word.
const LONGEST: usize = STEPS - 1;

/// A list to draw words from.
#[derive(Debug, Clone)]
pub struct Vocabulary(Vec<String>);

impl Vocabulary {
    /// Some 1,300 common words, among them those of signs and shop fronts.
    pub fn common() -> Self {
        Vocabulary(include_str!("words.txt").split_whitespace().map(str::to_owned).collect())
    }

    /// The words of a text file, between white space. Those with other characters than letters and
    /// digits, or more than 25, are left out.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when it cannot be read, [`ErrorKind::Format`] when no word is left.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).map_err(|e| Error::io(path.display(), "cannot be read", e))?;
        let fits = |w: &&str| w.len() <= LONGEST && w.bytes().all(|b| b.is_ascii_alphanumeric());
        let text = String::from_utf8_lossy(&bytes);
        let words: Vec<_> = text.split_whitespace().filter(fits).map(str::to_owned).collect();
        if words.is_empty() {
            return Err(Error::new(ErrorKind::Format, path.display(), "a list of words")
                .expected("words of 1 to 25 letters and digits")
                .got("none"));
        }
        Ok(Vocabulary(words))
    }

    /// A text of 1 to 25 letters and digits: a word of the list in two of three cases, else two
    /// words in one, a number, or characters at random.
    pub fn draw(&self, random: &mut Random) -> String {
        match random.below(100) {
            0..66 => {
                let word = random.pick::<String>(&self.0);
                cased(word, random)
            }
            66..70 => {
                let both = format!("{}{}", random.pick(&self.0), random.pick(&self.0));
                cased(&both[..both.len().min(LONGEST)], random)
            }
            70..82 => number(random),
            _ => nonsense(random),
        }
    }
}

fn cased(word: &str, random: &mut Random) -> String {
    match random.below(20) {
        0..8 => word.to_ascii_uppercase(),
        8..13 => {
            let (first, rest) = word.split_at(1);
            first.to_ascii_uppercase() + rest
        }
        _ => word.to_owned(),
    }
}

/// A count, a year, a time, a house number with a letter.
fn number(random: &mut Random) -> String {
    match random.below(5) {
        0 => (1900 + random.below(140)).to_string(),
        1 => format!(
            "{}{}",
            1 + random.below(12),
            random.pick(&["am", "pm", "AM", "PM", "th", "st"])
        ),
        2 => format!("{}{}", 1 + random.below(300), *random.pick(b"ABCDEFabcdef") as char),
        _ => (0..1 + random.below(8)).map(|_| *random.pick(b"0123456789") as char).collect(),
    }
}

/// Letters and digits at random, in one of three manners of case.
fn nonsense(random: &mut Random) -> String {
    // Mostly short; up to the longest.
    let most = if random.chance(0.12) { LONGEST } else { 9 };
    let length = 1 + random.below(most);
    let from =
        *random.pick(&[&CHARACTERS[..36], &CHARACTERS[10..36], &CHARACTERS[36..], &CHARACTERS[..]]);
    (0..length).map(|_| *random.pick(from) as char).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_short_enough_and_of_many_kinds() {
        let words = Vocabulary::common();
        assert!(words.0.len() > 1000, "{}", words.0.len());
        let mut random = Random::new(&[1]);
        let texts: Vec<String> = (0..4000).map(|_| words.draw(&mut random)).collect();
        assert!(texts.iter().all(|t| (1..=25).contains(&t.len())));
        assert!(texts.iter().all(|t| t.bytes().all(|b| b.is_ascii_alphanumeric())));
        for &c in CHARACTERS {
            let with = texts.iter().filter(|t| t.contains(c as char)).count();
            assert!(with > 30, "{with} with {}", c as char);
        }
        for length in [1, 2, 10, 25] {
            assert!(texts.iter().any(|t| t.len() == length), "{length}");
        }
    }

    #[test]
    fn a_list_of_ones_own_is_filtered() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "alpha Beta-2 gamma9\n caf\u{E9} \n\n").unwrap();
        assert_eq!(Vocabulary::read(file.path()).unwrap().0, ["alpha", "gamma9"]);
        std::fs::write(file.path(), "- \u{E9} !").unwrap();
        assert_eq!(Vocabulary::read(file.path()).unwrap_err().kind(), ErrorKind::Format);
        assert!(Vocabulary::read(Path::new("/nowhere/words")).is_err());
    }
}
