//! How fast an adapter computes the graphs.
//!
//! | what | from | clock |
//! |---|---|---|
//! | [`Peak`]: multiply-adds and copying | two small kernels | [`Clock::of`] the device |
//! | [`KernelResult`]: an operation at a shape | [`each_work`] of the table, [`Ready::measure`] | the same |
//! | [`ModelResult`]: a pass of a network, cold and warm | [`measure_model`] | the host's |
//! | [`Profile`]: a pass or a training step, dispatch by dispatch | [`profile_forward`], [`profile_step`] | the GPU's |
//!
//! A [`Report`] is all of that as JSON, text and a page; a [`TimeTree`] adds the times of a profile up along the modules' names.
//! Knows no terminal.

mod kernels;
mod models;
pub mod numerics;
mod peak;
mod profile;
mod report;
mod shapes;
mod stats;
mod subject;
mod tree;
mod tune;
mod work;

pub use kernels::each_work;
pub use models::{ModelResult, measure_model, model_name};
pub use peak::{Clock, Peak};
pub use profile::{Profile, forward_name, profile_forward, profile_step, step_name};
pub use report::{AdapterRecord, Report};
pub use stats::{median, percentile};
pub use subject::{Graph, Size, Subject, fewest_in_step, trainer, training_batch};
pub use tree::{KernelTime, TimeTree, by_kernel};
pub use tune::{Tuned, tune};
pub use work::{KernelResult, Ready, Work};
