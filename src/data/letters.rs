//! How long a label is, and what becomes of letters beyond a–z where only a–z and 0–9 are known.

use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Entries of a label's classes: 25 characters and an end.
pub const STEPS: usize = 26;

/// Letters that Unicode takes for their own, with what they are written as where they are missing.
const OWN: [(char, &str); 22] = [
    ('ł', "l"),
    ('Ł', "L"),
    ('ø', "o"),
    ('Ø', "O"),
    ('đ', "d"),
    ('Đ', "D"),
    ('ð', "d"),
    ('Ð', "D"),
    ('ħ', "h"),
    ('Ħ', "H"),
    ('ŧ', "t"),
    ('Ŧ', "T"),
    ('ı', "i"),
    ('ß', "ss"),
    ('ẞ', "SS"),
    ('æ', "ae"),
    ('Æ', "AE"),
    ('œ', "oe"),
    ('Œ', "OE"),
    ('þ', "th"),
    ('Þ', "TH"),
    ('ŋ', "n"),
];

/// The text with its letters as ASCII has them, where that is right: é is e, ł is l, ß is ss, ﬁ is fi. The rest stays as
/// it is.
///
/// ```
/// use lemma_gpu::data::letters::fold;
/// assert_eq!(fold("Łódź, Straße 5, 北京"), "Lodz, Strasse 5, 北京");
/// ```
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    let letter = |c: char| -> Cow<'static, str> {
        match OWN.iter().find(|(own, _)| *own == c) {
            Some((_, ascii)) => (*ascii).into(),
            None => signs(c).to_string().into(),
        }
    };
    let parts = text.nfkd().filter(|c| !is_combining_mark(*c));
    parts.map(letter).collect::<String>().into()
}

/// Signs that are the same to a reader.
fn signs(c: char) -> char {
    match c {
        '‘' | '’' | '‚' | 'ʼ' | '′' => '\'',
        '“' | '”' | '„' | '«' | '»' | '″' => '"',
        '‐' | '‑' | '‒' | '–' | '—' | '−' => '-',
        '⁄' | '∕' => '/',
        '×' => 'x',
        c => c,
    }
}

/// What a label keeps of its letters and digits where only those of ASCII are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// All of them, folded or not.
    All,
    /// Most of them.
    Some,
    /// Few or none: the label is in another script.
    OtherScript,
}

/// What `label` keeps.
pub fn kept(label: &str) -> Kept {
    if label.is_ascii() {
        return Kept::All;
    }
    let (mut all, mut lost) = (0, 0);
    for c in fold(label).chars().filter(|c| c.is_alphanumeric()) {
        all += 1;
        lost += usize::from(!c.is_ascii());
    }
    match lost {
        0 => Kept::All,
        lost if 2 * lost >= all => Kept::OtherScript,
        _ => Kept::Some,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_latin_scripts_are_folded() {
        let cases = [
            ("café naïve Ångström", "cafe naive Angstrom"),
            ("ĐẶNG ŁÓDŹ İstanbul ıçğş", "DANG LODZ Istanbul icgs"),
            ("Þórður Ægir Œuvre ﬁn", "THordur AEgir OEuvre fin"),
            ("１２３ ＡＢ “it’s” a–b", "123 AB \"it's\" a-b"),
            ("№5 m²", "No5 m2"),
        ];
        for (text, want) in cases {
            assert_eq!(fold(text), want);
            assert_eq!(kept(text), Kept::All, "{text}");
        }
        assert!(matches!(fold("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn other_scripts_are_told_from_stray_letters() {
        for text in ["北京", "Ελλάδα", "Москва 1", "北京 A", "مرحبا", "हिन्दी"]
        {
            assert_eq!(kept(text), Kept::OtherScript, "{text}");
        }
        assert_eq!(kept("Hotel 北"), Kept::Some);
        assert_eq!(kept("10 €"), Kept::All, "a sign is no letter");
        assert_eq!(kept("…☃"), Kept::All);
    }
}
