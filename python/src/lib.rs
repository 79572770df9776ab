//! The native module `lemma_gpu._native`: arrays in, tuples out. What Python sees is in `lemma_gpu/`.

mod failure;
mod images;
mod models;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ffi::OsString;

/// The adapters of this machine, fastest kind first.
#[pyfunction]
fn adapters(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let described = |a: &engine::gpu::AdapterSummary| {
        let dict = PyDict::new(py);
        dict.set_item("index", a.index)?;
        dict.set_item("name", &a.name)?;
        dict.set_item("kind", &a.kind)?;
        dict.set_item("backend", &a.backend)?;
        dict.set_item("driver", &a.driver)?;
        dict.set_item("pci", &a.pci)?;
        dict.set_item("software", a.software)?;
        Ok(dict)
    };
    py.detach(engine::Engine::adapters).iter().map(described).collect()
}

/// Runs the command; its exit code.
#[pyfunction]
fn command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| engine::cli::command(arguments))
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<models::Engine>()?;
    module.add_class::<models::Lemma>()?;
    module.add_class::<models::Recognizer>()?;
    module.add_function(wrap_pyfunction!(adapters, module)?)?;
    module.add_function(wrap_pyfunction!(command, module)?)?;
    module.add_function(wrap_pyfunction!(images::decode, module)?)?;
    module.add_function(wrap_pyfunction!(images::encode_png, module)?)?;
    module.add_function(wrap_pyfunction!(images::sheet, module)?)
}
