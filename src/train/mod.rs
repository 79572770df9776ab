//! Training: a network, its optimiser and its data, from a start to checkpoints.
//!
//! Knows no terminal: what a run says goes through a [`Watcher`].

pub mod checkpoint;
mod config;
mod events;
mod init;
mod optimizer;
mod run;
mod start;
mod trainee;

pub use config::{Preset, Schedule, Stage, TextFocus, TrainConfig};
pub use events::Events;
pub use init::Initial;
pub use optimizer::{Optimizer, Progress};
pub use run::{Batches, Ended, Logged, Watcher, run};
pub use trainee::{Losses, Start, Trainee};
