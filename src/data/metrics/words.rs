//! Whether a word was read right, by the reference's rule.

use crate::data::letters::fold;

/// The word as it is compared: lower-case, its letters as ASCII has them, and nothing but 0-9 and a-z.
pub fn normalized(word: &str) -> String {
    fold(word).to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect()
}

/// The word as the released evaluation compares it: its ASCII letters and digits in lower case, and nothing else; é is dropped.
pub fn plain(word: &str) -> String {
    word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Least number of insertions, deletions and replacements of a character that make `a` from `b` (Levenshtein).
pub fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_compared_without_case_and_signs() {
        assert_eq!(normalized("Don't – 42 É!"), "dont42e");
        assert_eq!(normalized("日本"), "");
        assert_eq!(plain("Don't – 42 É!"), "dont42");
        assert_eq!(
            (plain("#1"), plain("it's"), plain("?!")),
            ("1".into(), "its".into(), String::new())
        );
    }

    #[test]
    fn distances_of_words() {
        let cases =
            [("kitten", "sitting", 3), ("", "abc", 3), ("same", "same", 0), ("ab", "ba", 2)];
        for (a, b, want) in cases {
            assert_eq!((edit_distance(a, b), edit_distance(b, a)), (want, want), "{a} {b}");
        }
    }
}
