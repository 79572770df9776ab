//! Operations: one file per family with its kernels, its function and its oracle in f64.
//!
//! A row of [`TABLE`] makes an operation known to the tests, the benches, the kernel catalogue and the self-test. An operation
//! that is composed of others is just a function and needs no row.

mod row;

mod layer_norm;

pub use layer_norm::{Deviation, layer_norm};
pub use row::{Case, Cost, KernelUse, Row};

/// Every operation that has kernels of its own.
pub const TABLE: &[&Row] = &[&layer_norm::ROW];
