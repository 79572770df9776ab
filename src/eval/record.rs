//! What an evaluation found out about a sample: all that its figures follow from, and a line of its journal.

use crate::data::metrics::Fidelity;
use serde::{Deserialize, Serialize};

/// A sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its set, as [`Pairs::id`](super::Pairs::id) says.
    pub set: String,
    /// Its number there, from 1.
    pub sample: usize,
    /// Why it was left out; none where it was evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
    /// What was found; none where it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<WordRecord>,
}

/// A word that was evaluated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WordRecord {
    /// Its label as stored.
    pub label: String,
    /// Width and height of the good image as stored.
    pub size: (u32, u32),
    /// The poor image, enlarged by bicubic, against the good one.
    pub bicubic: Fidelity,
    /// What each judge read in the poor image.
    pub lr: Vec<String>,
    /// What each judge read in the good image.
    pub hr: Vec<String>,
    /// Of each method its image.
    pub methods: Vec<MadeRecord>,
}

/// What a method made of a word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MadeRecord {
    /// Its image against the good one.
    #[serde(flatten)]
    pub fidelity: Fidelity,
    /// Mean squared difference of its image and the bicubic one, of bytes.
    pub change: f64,
    /// What each judge read.
    pub readings: Vec<String>,
}

impl WordRecord {
    /// What judge `j` read in the poor image, in that of method `m`, and in the good one.
    pub fn readings(&self, m: usize, j: usize) -> [&str; 3] {
        [&self.lr[j], &self.methods[m].readings[j], &self.hr[j]]
    }
}
