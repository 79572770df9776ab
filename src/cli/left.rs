//! Files of a folder that are not taken, and why.

use super::say::count;
use crate::data::picture::{Kind, Unread};
use std::collections::BTreeMap;
use std::path::Path;

/// Why a file is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// It has pictures in it, but none that are read.
    Unread(Unread),
    /// Its name is not that of an image.
    Other,
    /// A link to a folder.
    Link,
    /// A pipe, a socket or a device.
    Special,
}

impl Sort {
    /// The sort of a file that is no image by its name.
    pub fn of(path: &Path) -> Self {
        Unread::from_path(path).map_or(Sort::Other, Sort::Unread)
    }
}

/// How many files of each sort are left alone.
#[derive(Debug, Default)]
pub struct LeftAlone(BTreeMap<Sort, usize>);

impl LeftAlone {
    /// Counts a file.
    pub fn add(&mut self, sort: Sort) {
        *self.0.entry(sort).or_default() += 1;
    }

    /// All of them.
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// Whether all of them are files of no kind that is known.
    pub fn is_plain(&self) -> bool {
        self.0.keys().all(|sort| *sort == Sort::Other)
    }

    /// What is left alone, in a line; nothing where all was taken.
    pub fn note(&self) -> Option<String> {
        let part = |(sort, n): (&Sort, &usize)| match sort {
            Sort::Unread(kind) => format!("{n} {} (convert it: {})", kind.name, kind.way),
            Sort::Other => format!("{n} not {} by name", Kind::LIST),
            Sort::Link => count(*n, "link") + " to folders",
            Sort::Special => format!("{n} of pipes, sockets and devices"),
        };
        let files = count(self.total(), "file");
        let parts = match self.is_plain() {
            true => format!("not {} by name", Kind::LIST),
            false => self.0.iter().map(part).collect::<Vec<_>>().join(", "),
        };
        (!self.0.is_empty()).then(|| format!("{files} left alone: {parts}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_alone_is_counted_by_its_sort() {
        let mut left = LeftAlone::default();
        assert_eq!(left.note(), None);
        left.add(Sort::of("notes.txt".as_ref()));
        assert!(left.note().unwrap().starts_with("1 file left alone: not PNG, JPEG"));
        for name in ["a.heic", "b.HEIC", "c.pdf"] {
            left.add(Sort::of(name.as_ref()));
        }
        left.add(Sort::Link);
        left.add(Sort::Special);
        let note = left.note().unwrap();
        assert!(note.starts_with("6 files left alone: ") && left.total() == 6, "{note}");
        for part in
            ["2 HEIC (convert it: heif-convert", "1 PDF", "1 not PNG", "1 link", "1 of pipes"]
        {
            assert!(note.contains(part), "{part}: {note}");
        }
    }
}
