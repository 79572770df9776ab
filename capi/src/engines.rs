//! Open adapters.

use crate::adapters::{Described, LemmaAdapter};
use crate::failure::{LemmaError, free, making};
use crate::given::{Sized, choice, options, text};
use engine::gpu::{GpuOptions, Precision};
use engine::{Engine, Result};
use std::ffi::c_char;
use std::path::Path;
use std::ptr::null;

/// How an adapter is opened.
#[repr(C)]
pub struct LemmaEngineOptions {
    size: usize,
    adapter: *const c_char,
    cache: *const c_char,
    memory: u64,
    precision: i32,
}

// SAFETY: numbers, and pointers that are looked at only after a test for NULL.
unsafe impl Sized for LemmaEngineOptions {}

/// An open adapter.
pub struct LemmaEngine {
    pub(crate) engine: Engine,
    adapter: Described,
}

impl LemmaEngine {
    /// # Safety
    /// Strings are NULL or end with a zero byte.
    unsafe fn new(given: *const LemmaEngineOptions) -> Result<Self> {
        // SAFETY: the caller's promise.
        let given = unsafe { options(given) }?;
        // SAFETY: the caller's promise.
        let adapter = unsafe { text(given.adapter, "adapter") }?.map(str::to_string);
        let precision = choice(&[Precision::F32, Precision::F16], given.precision, "precision")?;
        let memory = (given.memory > 0).then_some(given.memory);
        let mut engine =
            Engine::new(GpuOptions { adapter, precision, memory, ..GpuOptions::default() })?;
        // SAFETY: the caller's promise.
        if let Some(folder) = unsafe { text(given.cache, "cache") }?.map(Path::new) {
            engine = engine.keep_pipelines(folder);
            engine.recall_choices(folder);
        }
        let adapter = Described::new(engine.adapter());
        Ok(LemmaEngine { engine, adapter })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_engine_new(
    options: *const LemmaEngineOptions,
    out: *mut *mut LemmaEngine,
    error: *mut *mut LemmaError,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { making(out, error, || LemmaEngine::new(options)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_engine_adapter(engine: *const LemmaEngine) -> *const LemmaAdapter {
    // SAFETY: the caller's promise: NULL or alive.
    unsafe { engine.as_ref() }.map_or(null(), |e| e.adapter.shown())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_engine_free(engine: *mut LemmaEngine) {
    // SAFETY: the caller's promise.
    unsafe { free(engine) }
}
