//! Every network there is: what people and arguments call it, and what its checkpoints are known by.

use super::recipe::Recipe;
use super::{abinet, lemma, text_focus};
use crate::data::checkpoint::StateDict;
use crate::{Error, ErrorKind, Result};

/// What weights are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelKind {
    /// LEMMA with its recognizer.
    Lemma,
    /// Full ABINet.
    Abinet,
    /// The transformer recognizer of the text-focus loss.
    TextFocus,
}

/// A row of the table of networks.
struct Entry {
    kind: ModelKind,
    /// What people call it.
    name: &'static str,
    /// What arguments call it.
    word: &'static str,
    /// Names of tensors, all of which its checkpoints have.
    marks: &'static [&'static str],
    recipe: &'static Recipe,
}

/// A checkpoint is of the first network whose marks it has.
const TABLE: &[Entry] = &[
    Entry {
        kind: ModelKind::Lemma,
        name: "LEMMA",
        word: "lemma",
        marks: &["block1.0.weight", "position_prior.vision.cls.weight"],
        recipe: &lemma::RECIPE,
    },
    Entry {
        kind: ModelKind::Abinet,
        name: "ABINet",
        word: "abinet",
        marks: &["vision.cls.weight", "alignment.cls.weight"],
        recipe: &abinet::RECIPE,
    },
    Entry {
        kind: ModelKind::TextFocus,
        name: "text-focus recognizer",
        word: "text-focus",
        marks: &["generator_word.proj.weight", "embedding_word.lut.weight"],
        recipe: &text_focus::RECIPE,
    },
];

impl ModelKind {
    /// What a state dict is of, by the names of its tensors.
    pub fn of(state: &StateDict) -> Option<Self> {
        let has = |name: &&str| state.tensors.contains_key(*name);
        TABLE.iter().find(|e| e.marks.iter().all(has)).map(|e| e.kind)
    }

    /// The one that arguments call so.
    pub fn named(word: &str) -> Option<Self> {
        TABLE.iter().find(|e| e.word == word).map(|e| e.kind)
    }

    /// What arguments call each.
    pub fn words() -> impl Iterator<Item = &'static str> {
        TABLE.iter().map(|e| e.word)
    }

    fn entry(self) -> &'static Entry {
        TABLE.iter().find(|e| e.kind == self).expect("a row for each network")
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// Its procedural weights.
    pub(crate) fn recipe(self) -> &'static Recipe {
        self.entry().recipe
    }

    /// Checks that `state` is a checkpoint of this kind.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] saying what it is instead.
    pub fn expect(self, state: &StateDict, place: &str) -> Result<()> {
        let found = ModelKind::of(state);
        if found == Some(self) {
            return Ok(());
        }
        let got = match found {
            Some(other) => format!("a checkpoint of {}", other.name()),
            None => {
                let names: Vec<&str> = state.tensors.keys().take(3).map(String::as_str).collect();
                format!("{} tensors: {}, …", state.tensors.len(), names.join(", "))
            }
        };
        let error = Error::new(ErrorKind::Format, place, "what the weights are of")
            .expected(format!("a checkpoint of {}", self.name()))
            .got(got);
        let first = state.tensors.keys().next().and_then(|name| name.split_once('.'));
        let below = first.filter(|(part, _)| {
            let part = format!("{part}.");
            state.tensors.keys().all(|name| name.starts_with(&part))
        });
        Err(match below {
            Some((part, _)) => error.hint(format!("--key {part} takes that off all names")),
            None => error,
        })
    }
}
