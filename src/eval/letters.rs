//! What of a label and a reading is compared.

use crate::data::letters::{Kept, kept};
use crate::data::metrics::{normalized, plain};

/// The longest word that the recognizers were made for.
const LONGEST: usize = 25;

/// Labels whose words are not counted among those that are read.
const OTHER_SCRIPT: &str = "in another script, not among the words that are read";

/// Labels of which letters are dropped.
const OTHER_LETTERS: &str = "with letters outside a–z";

/// How words are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Letters {
    /// As the released evaluation does: ASCII letters and digits in lower case; whatever else is dropped on both sides. Every
    /// word counts, and where nothing is left of both sides, it is right.
    #[default]
    Released,
    /// Letters beyond ASCII as ASCII has them, é as e; words in other scripts do not count.
    Folded,
}

impl Letters {
    /// What is compared of a label or a reading.
    pub fn of(self, text: &str) -> String {
        match self {
            Letters::Released => plain(text),
            Letters::Folded => normalized(text),
        }
    }

    /// Whether a word with this label is one that can be read.
    pub fn counts(self, label: &str) -> bool {
        self == Letters::Released || kept(label) != Kept::OtherScript
    }

    /// What is out of the ordinary about a label, where something is.
    pub fn unusual(self, label: &str) -> Option<&'static str> {
        match (self.of(label).len(), kept(label)) {
            _ if !self.counts(label) => Some(OTHER_SCRIPT),
            (0, _) => Some("without a letter or digit"),
            (n, _) if n > LONGEST => Some("longer than 25 characters"),
            (_, Kept::Some | Kept::OtherScript) => Some(OTHER_LETTERS),
            _ if self.of(label) != normalized(label) => Some(OTHER_LETTERS),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_beyond_ascii_are_dropped_or_folded() {
        use Letters::{Folded, Released};
        assert_eq!(
            (Released.of("Café №1"), Folded.of("Café №1")),
            ("caf1".into(), "cafeno1".into())
        );
        assert!(Released.counts("北京") && !Folded.counts("北京"));
        assert_eq!(Folded.unusual("北京"), Some(OTHER_SCRIPT));
        assert_eq!(Released.unusual("北京"), Some("without a letter or digit"));
        assert_eq!(Released.unusual("café"), Some("with letters outside a–z"));
        assert_eq!((Folded.unusual("café"), Released.unusual("It's")), (None, None));
        assert_eq!(Released.unusual(&"a".repeat(26)), Some("longer than 25 characters"));
    }
}
