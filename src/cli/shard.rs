//! Parts of a list, for jobs that share it.

use std::ops::Range;
use std::str::FromStr;

/// The I-th of N parts, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    part: usize,
    parts: usize,
}

impl Shard {
    /// Its places in a list of `len`: parts follow one another, and differ by one at most.
    pub fn range(self, len: usize) -> Range<usize> {
        let border = |part: usize| {
            let whole = part as u128 * len as u128 / self.parts as u128;
            usize::try_from(whole).expect("no more than the list has")
        };
        border(self.part - 1)..border(self.part)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(part, parts)| {
            Some((part.parse::<usize>().ok()?, parts.parse::<usize>().ok()?))
        });
        match numbers {
            Some((part, parts)) if (1..=parts).contains(&part) => Ok(Shard { part, parts }),
            Some((0, parts)) if parts > 0 => {
                Err(format!("parts are counted from 1: 1/{parts} to {parts}/{parts}"))
            }
            _ => Err("expected I/N, as 2/8, with I from 1 to N".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_list_once_and_nearly_equal() {
        for len in [0, 1, 7, 8, 100, 1001] {
            for parts in [1, 2, 3, 8, 13] {
                let ranges: Vec<Range<usize>> = (1..=parts)
                    .map(|part| format!("{part}/{parts}").parse::<Shard>().unwrap().range(len))
                    .collect();
                let all: Vec<usize> = ranges.iter().cloned().flatten().collect();
                assert_eq!(all, (0..len).collect::<Vec<_>>(), "{len} in {parts}");
                let sizes = ranges.iter().map(ExactSizeIterator::len);
                assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
            }
        }
    }

    #[test]
    fn what_is_no_part_is_said() {
        for wrong in ["", "1", "3/2", "a/2", "1/0", "-1/2", "1/2/3", "1.5/2"] {
            assert!(wrong.parse::<Shard>().unwrap_err().contains("I/N"), "{wrong}");
        }
        assert!("0/4".parse::<Shard>().unwrap_err().contains("counted from 1"));
    }
}
