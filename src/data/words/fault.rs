//! What is wrong with samples, and how often.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Why a sample is left out, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The store is damaged where the sample should be, or cannot be read.
    Storage,
    /// An image is not there.
    Missing,
    /// An image is there and cannot be decoded.
    Unreadable,
    /// The label has no letter or digit.
    EmptyLabel,
    /// The label is in another script than the Latin one.
    OtherScript,
    /// The label has more letters and digits than a model reads.
    LongLabel,
    /// An image has too few pixels to a side.
    Tiny,
    /// An image is too long and thin, or too tall, for a word.
    ExtremeAspect,
    /// It is not clear where the characters stand: the sample is used as one of which nobody knows.
    Places,
    /// Letters of the label are none of the alphabet, nor like one of it: the sample is used without them.
    LostLetters,
}

impl Reason {
    /// Whether the sample is used all the same.
    pub fn is_minor(self) -> bool {
        matches!(self, Reason::Places | Reason::LostLetters)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Storage => "damaged store",
            Reason::Missing => "missing image",
            Reason::Unreadable => "unreadable image",
            Reason::EmptyLabel => "empty label",
            Reason::OtherScript => "label in another script",
            Reason::LongLabel => "label too long",
            Reason::Tiny => "image too small",
            Reason::ExtremeAspect => "image too slender",
            Reason::Places => "malformed places of characters, used without",
            Reason::LostLetters => "letters outside the alphabet, used without",
        })
    }
}

/// What is wrong with a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The kind.
    pub reason: Reason,
    /// The particulars.
    pub detail: String,
}

impl Fault {
    /// A fault with its particulars.
    pub fn new(reason: Reason, detail: impl fmt::Display) -> Self {
        Fault { reason, detail: detail.to_string() }
    }
}

/// Which sample: the source's number in its mix, and the sample's in its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The source.
    pub source: usize,
    /// The sample.
    pub index: usize,
}

/// The samples that were left out, or lost a part, each counted once however often it was met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    places: BTreeMap<Reason, BTreeSet<Place>>,
    /// Of each reason the first sample's particulars.
    examples: BTreeMap<Reason, (Place, String)>,
}

impl Report {
    /// Counts a sample.
    pub fn add(&mut self, place: Place, fault: Fault) {
        let Fault { reason, detail } = fault;
        self.places.entry(reason).or_default().insert(place);
        let example = self.examples.entry(reason).or_insert_with(|| (place, detail.clone()));
        if place < example.0 {
            *example = (place, detail);
        }
    }

    /// How many samples have a fault of a kind.
    pub fn count(&self, reason: Reason) -> usize {
        self.places.get(&reason).map_or(0, BTreeSet::len)
    }

    /// How many were left out in all.
    pub fn total(&self) -> usize {
        let left_out = self.places.iter().filter(|(reason, _)| !reason.is_minor());
        left_out.map(|(_, places)| places.len()).sum()
    }

    /// Whether all was well.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

impl fmt::Display for Report {
    /// A line for each reason with its count and an example; nothing when all was well.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (reason, (place, detail)) in &self.examples {
            let (n, source, index) = (self.count(*reason), place.source + 1, place.index + 1);
            writeln!(f, "{n} × {reason}, as sample {index} of source {source}: {detail}")?;
        }
        Ok(())
    }
}
