//! Where the characters of a word stand, as sets on disk keep it: of each character its left and right end in parts of the
//! image's width, `left:right`, with blanks between characters.
//!
//! ```text
//! 0.046875:0.2109375 0.234375:0.40625 0.421875:0.4765625
//! ```

use super::fault::{Fault, Reason};

/// The places of a word's characters as text; what is read from it are the same numbers to the bit.
pub(super) fn written(characters: &[(f32, f32)]) -> String {
    let one = |(left, right): &(f32, f32)| format!("{left}:{right}");
    characters.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// The places of the characters of `label` from their text.
///
/// # Errors
/// [`Reason::Places`] where it does not give two numbers of 0..=1 in order for each character of the label.
pub(super) fn read(text: &str, label: &str) -> Result<Vec<(f32, f32)>, Fault> {
    let number = |text: &str| text.parse().ok().filter(|v: &f32| (0.0..=1.0).contains(v));
    let one = |place: &str| {
        let found = place.split_once(':').and_then(|(left, right)| {
            let (left, right) = (number(left)?, number(right)?);
            (left <= right).then_some((left, right))
        });
        found.ok_or_else(|| {
            let shown: String = place.chars().take(40).collect();
            Fault::new(Reason::Places, format!("{shown:?}, not left:right within 0..=1"))
        })
    };
    let places = text.split_whitespace().map(one).collect::<Result<Vec<_>, _>>()?;
    let characters = label.chars().count();
    if places.len() != characters {
        let counts = format!("{} places for {characters} characters", places.len());
        return Err(Fault::new(Reason::Places, counts));
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_to_the_bit() {
        let places = [(0.0, 0.1), (1.0 / 3.0, 0.333_333_4), (f32::MIN_POSITIVE, 1.0), (0.5, 0.5)];
        let text = written(&places);
        assert_eq!(read(&text, "It's"), Ok(places.to_vec()), "{text}");
        assert_eq!(read("", ""), Ok(Vec::new()));
    }

    #[test]
    fn malformed_places_are_told_apart() {
        let cases = [
            ("0.1:0.2", "2 characters"),
            ("0.1:0.2 0.3:0.4 0.5:0.6", "3 places"),
            ("", "0 places"),
            ("0.1:0.2 0.3", "\"0.3\""),
            ("0.1:0.2 0.4:0.3", "0.4:0.3"),
            ("0.1:0.2 0.3:1.1", "0.3:1.1"),
            ("-0.1:0.2 0.3:0.4", "-0.1:0.2"),
            ("0.1:0.2 0.3:NaN", "NaN"),
            ("0.1:0.2 0.3:inf", "inf"),
            ("0.1:0.2 0.3:0.4:0.5", "0.4:0.5"),
            ("\u{1F600}\u{0}:", "not left:right"),
        ];
        for (text, says) in cases {
            let fault = read(text, "ab").unwrap_err();
            assert_eq!(fault.reason, Reason::Places);
            assert!(fault.detail.contains(says), "{text}: {}", fault.detail);
        }
    }
}
