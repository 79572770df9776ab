//! What a model is worth: how near its images come to the true ones, and how much better they are read, against bicubic
//! enlargement and against the true images themselves.
//!
//! A [`Contest`] walks over sets of [`Pairs`] in their order, in batches of 64 whose last one is kept, as the released evaluation
//! does except that it shuffles. Several [methods](Method) and several [judges](Judge) take part in one run over the data. What is
//! found out about a sample is a [`Record`]; an [`Evaluation`] adds records up, so that one that was interrupted goes on from
//! those it has. [`tables`], [`page`] and [`Evaluation::json`] show it beside the [published] figures. Knows engines and data; no
//! terminal.

mod ablations;
mod evaluation;
mod examples;
mod journal;
mod letters;
mod made;
mod method;
mod notes;
mod pairs;
pub mod published;
mod record;
mod report;
mod reproduce;
mod run;
mod score;
mod seeds;

pub use ablations::{Ablation, Trial};
pub use evaluation::{Evaluation, MethodResult, Reading, SMALL, SetResult};
pub use examples::{Example, Examples};
pub use journal::Journal;
pub use letters::Letters;
pub use made::Made;
pub use method::{Judge, Method};
pub use notes::notes;
pub use pairs::{HR_SIZE, Pair, Pairs};
pub use record::{MadeRecord, Record, WordRecord};
pub use report::{Subject, page, tables};
pub use reproduce::{Exhibit, Origins};
pub use run::{Contest, Event, Pictures};
pub use score::{BATCH, Fidelities, LONGEST_BIN, Nearness, Score, Tally, WordAccuracy};
pub use seeds::{OverSeeds, Spread, over_seeds};

/// The three versions of an image that are read: as it is, super-resolved, and true.
pub const VERSIONS: [&str; 3] = ["LR", "SR", "HR"];
