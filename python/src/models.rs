//! Engine and models. Python goes on while the device works; between passes it is asked for signals, and told of progress.

use crate::failure::raised;
use crate::images::{Pixels, array, image};
use engine::data::picture::{Fit, RgbImage};
use engine::engine::{Head, Options, ReadOptions, Reading, Wanted};
use engine::gpu::{GpuOptions, Precision};
use engine::{Error, ErrorKind, Result, Source};
use numpy::{PyArray1, PyArray2, PyArray3, PyArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// An open adapter.
#[pyclass(frozen)]
pub(crate) struct Engine(engine::Engine);

#[pymethods]
impl Engine {
    #[new]
    fn new(
        py: Python<'_>,
        adapter: Option<String>,
        precision: &str,
        memory: Option<u64>,
        cache: Option<String>,
    ) -> PyResult<Self> {
        let open = || -> Result<Self> {
            let precision = match precision {
                "f32" => Precision::F32,
                "f16" => Precision::F16,
                other => {
                    return Err(Error::new(
                        ErrorKind::Argument,
                        "precision",
                        "way to store values",
                    )
                    .expected("f32 or f16")
                    .got(other));
                }
            };
            let options = GpuOptions { adapter, precision, memory, ..GpuOptions::default() };
            let mut engine = engine::Engine::new(options)?;
            if let Some(folder) = cache.as_deref().map(Path::new) {
                engine = engine.keep_pipelines(folder);
                engine.recall_choices(folder);
            }
            Ok(Engine(engine))
        };
        py.detach(open).map_err(|e| raised(py, &e))
    }
}

/// Calls `load` with the source of weights: none, a path or bytes.
fn with_source<T: Send>(
    py: Python<'_>,
    weights: Option<&Bound<'_, PyAny>>,
    load: impl FnOnce(Source<'_>) -> Result<T> + Send,
) -> PyResult<T> {
    let loaded = match weights {
        None => py.detach(|| load(Source::Shipped)),
        Some(any) => match (any.cast::<PyBytes>(), any.extract::<String>()) {
            (Ok(bytes), _) => {
                let bytes = bytes.as_bytes();
                py.detach(|| load(Source::Bytes(bytes)))
            }
            (_, Ok(path)) => py.detach(|| load(Source::File(path.into()))),
            _ => return Err(PyTypeError::new_err("weights: expected None, a path or bytes")),
        },
    };
    loaded.map_err(|e| raised(py, &e))
}

/// What Python wants to hear of a call, and what it raised on the way.
struct Watcher {
    progress: Option<Py<PyAny>>,
    raised: Mutex<Option<PyErr>>,
}

impl Watcher {
    fn new(progress: Option<Py<PyAny>>) -> Self {
        Watcher { progress, raised: Mutex::new(None) }
    }

    fn raised(&self) -> std::sync::MutexGuard<'_, Option<PyErr>> {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks Python for signals, and tells it of progress.
    fn report(&self, done: usize, all: usize) {
        let heard = Python::attach(|py| {
            py.check_signals()?;
            self.progress.as_ref().map_or(Ok(()), |call| call.call1(py, (done, all)).map(drop))
        });
        if let Err(e) = heard {
            self.raised().get_or_insert(e);
        }
    }

    fn asked(&self) -> bool {
        self.raised().is_some()
    }

    /// The outcome of a call, unless Python raised something meanwhile.
    fn outcome<T>(self, py: Python<'_>, result: Result<T>) -> PyResult<T> {
        match self.raised().take() {
            Some(e) => Err(e),
            None => result.map_err(|e| raised(py, &e)),
        }
    }
}

fn images(py: Python<'_>, arrays: &[Pixels]) -> PyResult<Vec<RgbImage>> {
    let numbered = arrays.iter().enumerate();
    let image =
        |(i, pixels)| image(pixels).map_err(|e| raised(py, &e.within(format!("images[{i}]"))));
    numbered.map(image).collect()
}

/// Text, confidence, and characters with confidence and center.
type Read = (String, f32, Vec<(String, f32, f32)>);

fn read(reading: &Reading) -> Read {
    let character = |c: &engine::engine::Character| (c.symbol.to_string(), c.confidence, c.center);
    (reading.text(), reading.confidence, reading.characters.iter().map(character).collect())
}

/// Image, attention and reading.
type Word<'py> = (Bound<'py, PyArray3<u8>>, Option<Bound<'py, PyArray2<f32>>>, Read);

/// LEMMA.
#[pyclass(frozen)]
pub(crate) struct Lemma(engine::Lemma);

#[pymethods]
impl Lemma {
    #[new]
    fn new(
        py: Python<'_>,
        engine: &Engine,
        weights: Option<&Bound<'_, PyAny>>,
        reader: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let engine = &engine.0;
        let lemma = with_source(py, weights, |source| engine::Lemma::load(engine, source))?;
        let Some(reader) = reader else { return Ok(Lemma(lemma)) };
        let reader = with_source(py, Some(reader), |s| engine::Recognizer::load(engine, s))?;
        Ok(Lemma(lemma.with_reader(reader)))
    }

    #[getter]
    fn adapter(&self) -> &str {
        &self.0.engine().adapter().name
    }

    #[expect(clippy::too_many_arguments, reason = "they are the options of one call")]
    fn upscale<'py>(
        &self,
        py: Python<'py>,
        arrays: Vec<Pixels<'py>>,
        batch: usize,
        fit: &str,
        keep_upright: bool,
        text: bool,
        attention: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Vec<Word<'py>>> {
        let fit = fit.parse::<Fit>().map_err(|e| raised(py, &e))?;
        let images = images(py, &arrays)?;
        let watcher = Watcher::new(progress);
        let upscaled = py.detach(|| {
            let report = |done, all| watcher.report(done, all);
            let asked = || watcher.asked();
            let options = Options {
                fit,
                keep_upright,
                wanted: Wanted { text, attention },
                batch,
                progress: Some(&report),
                cancelled: Some(&asked),
            };
            pollster::block_on(self.0.upscale_with_async(&images, options))
        });
        let word = |one: engine::engine::Upscaled| {
            let map = one.attention.map(|map| {
                let (w, h) = map.dimensions();
                PyArray1::from_slice(py, map.values()).reshape([h as usize, w as usize])
            });
            Ok((array(py, one.image)?, map.transpose()?, read(&one.reading.unwrap_or_default())))
        };
        watcher.outcome(py, upscaled)?.into_iter().map(word).collect()
    }
}

/// A recognizer.
#[pyclass(frozen)]
pub(crate) struct Recognizer {
    recognizer: engine::Recognizer,
    adapter: String,
}

#[pymethods]
impl Recognizer {
    #[new]
    fn new(py: Python<'_>, engine: &Engine, weights: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let engine = &engine.0;
        let recognizer =
            with_source(py, weights, |source| engine::Recognizer::load(engine, source))?;
        Ok(Recognizer { recognizer, adapter: engine.adapter().name.clone() })
    }

    #[getter]
    fn adapter(&self) -> &str {
        &self.adapter
    }

    #[getter]
    fn kind(&self) -> &'static str {
        self.recognizer.kind().name()
    }

    fn read<'py>(
        &self,
        py: Python<'py>,
        arrays: Vec<Pixels<'py>>,
        batch: usize,
        head: &str,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Vec<Read>> {
        let head = match head {
            "vision" => Head::Vision,
            "language" => Head::Language,
            "fusion" => Head::Fusion,
            other => {
                let error = Error::new(ErrorKind::Argument, "head", "what gives the reading");
                let error = error.expected("vision, language or fusion").got(other);
                return Err(raised(py, &error));
            }
        };
        let images = images(py, &arrays)?;
        let watcher = Watcher::new(progress);
        let readings = py.detach(|| {
            let report = |done, all| watcher.report(done, all);
            let asked = || watcher.asked();
            let options =
                ReadOptions { head, batch, progress: Some(&report), cancelled: Some(&asked) };
            pollster::block_on(self.recognizer.read_with_async(&images, options))
        });
        Ok(watcher.outcome(py, readings)?.iter().map(read).collect())
    }
}
