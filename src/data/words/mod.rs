//! Words to train on and to measure with.
//!
//! ```text
//! open ──▶ Source ── get ──▶ Sample ── prepare ──▶ Prepared ─┐
//!          LMDB, folder,     images,    16×64×4,             ├─ Loader ──▶ Batch
//!          tar, synth:       label      32×128×4, Encoded ───┘
//! ```
//!
//! A [`Mix`] makes one course of several sources; a [`Loader`] goes through it on threads, and what it
//! gives depends on seed and [`Position`] alone. A sample that breaks its [`Rules`], or cannot be had,
//! is a [`Fault`]: counted in the [`Report`], replaced or passed over, never a panic.

mod collection;
mod fault;
mod identity;
mod label;
pub mod labels;
mod loader;
mod mix;
mod places;
mod prepare;
mod sample;
mod shards;
mod source;
mod store;
mod tar_writer;
#[cfg(test)]
mod tests;

pub use super::letters::STEPS;
pub use collection::sets;
pub use fault::{Fault, Place, Reason, Report};
pub use identity::Identity;
pub use label::{Encoded, printable};
pub use loader::{Batch, Loader, LoaderOptions, Order, Position};
pub use mix::Mix;
pub use prepare::{Prepared, Rules, prepare};
pub use sample::{Sample, Source};
pub use source::open;
pub use store::{Layout, Store, fits_a_line};
