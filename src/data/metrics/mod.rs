//! What a result is worth: how near an image is to the true one, how right a reading is, and how sure both figures are.
//!
//! Host arithmetic in f64 as the reference evaluates; knows neither files nor networks.

mod fidelity;
mod statistics;
mod words;

pub use fidelity::{Fidelity, Values, psnr};
pub use statistics::{mcnemar, wilson};
pub use words::{edit_distance, normalized, plain};
