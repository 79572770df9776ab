//! LEMMA scene-text super-resolution and ABINet text recognition in hand-written WGSL on wgpu.
#![warn(missing_docs)]

pub mod data;
mod error;
pub mod gpu;
pub mod models;
pub mod nn;
pub mod ops;
pub mod shape;
pub mod tensor;

pub use error::{Error, ErrorKind, Result};
