//! What a model is worth: how near its images come to the true ones, and how much better they are read, against bicubic
//! enlargement and against the true images themselves.
//!
//! [`evaluate`] walks over sets of [`Pairs`] in their order, in batches of 64 whose last one is kept, as the reference does
//! except that it shuffles. [`tables`] and [`page`] show the [`Evaluation`]. Knows engines and data; no terminal.

mod examples;
mod pairs;
mod report;
mod run;
mod score;

pub use examples::{Example, Examples};
pub use pairs::{Pair, Pairs};
pub use report::{Subject, page, tables};
pub use run::{BATCH, Event, evaluate};
pub use score::{EditDistance, Evaluation, Score, SetResult, Tally, WordAccuracy};

/// The three versions of an image that are read: enlarged by bicubic, super-resolved, and true.
pub const VERSIONS: [&str; 3] = ["LR", "SR", "HR"];
