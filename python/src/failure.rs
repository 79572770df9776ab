//! Errors of the engine as exceptions of `lemma_gpu.errors`.

use engine::{Error, ErrorKind};
use pyo3::prelude::*;

fn name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NoAdapter => "no-adapter",
        ErrorKind::Device => "device",
        ErrorKind::Memory => "memory",
        ErrorKind::Io => "io",
        ErrorKind::Format => "format",
        ErrorKind::Shape => "shape",
        ErrorKind::Argument => "argument",
        ErrorKind::Result => "result",
        ErrorKind::Cancelled => "cancelled",
        _ => "error",
    }
}

/// The exception of an error.
pub(crate) fn raised(py: Python<'_>, error: &Error) -> PyErr {
    let made = py
        .import("lemma_gpu.errors")
        .and_then(|module| module.call_method1("of_kind", (name(error.kind()), error.to_string())));
    made.map_or_else(|e| e, PyErr::from_value)
}
