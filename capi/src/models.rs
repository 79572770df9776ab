//! LEMMA, and recognizers.

use crate::engines::LemmaEngine;
use crate::failure::{LemmaError, c_string, free, guarded, making};
use crate::given::{handle, text, values, wrong};
use engine::{Lemma, Recognizer, Result, Source};
use std::ffi::{CString, c_char};
use std::path::PathBuf;
use std::ptr::null;
use std::sync::{PoisonError, RwLock};

/// A recognizer.
pub struct LemmaReader {
    pub(crate) reader: Recognizer,
    kind: CString,
}

/// LEMMA. Whoever calls takes a clone, so that nobody waits for another's call to exchange the reader.
pub struct LemmaModel(RwLock<Lemma>);

impl LemmaModel {
    pub(crate) fn lemma(&self) -> Lemma {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Where weights come from, as C says it.
#[derive(Clone, Copy)]
enum From {
    Shipped,
    Path(*const c_char),
    Bytes(*const u8, usize),
}

impl From {
    /// # Safety
    /// Pointers are NULL, or to what lives through the call.
    unsafe fn source<'a>(self) -> Result<Source<'a>> {
        match self {
            From::Shipped => Ok(Source::Shipped),
            From::Path(path) => {
                // SAFETY: the caller's promise.
                let path = unsafe { text(path, "path") }?;
                let path = path.ok_or_else(|| wrong("path", "path").got("NULL"))?;
                Ok(Source::File(PathBuf::from(path)))
            }
            // SAFETY: the caller's promise.
            From::Bytes(bytes, len) => Ok(Source::Bytes(unsafe { values(bytes, len, "bytes") }?)),
        }
    }
}

/// # Safety
/// As the header says of its arguments.
unsafe fn load_reader(
    engine: *const LemmaEngine,
    from: From,
    out: *mut *mut LemmaReader,
    error: *mut *mut LemmaError,
) -> i32 {
    let load = || {
        // SAFETY: the caller's promise.
        let (engine, source) = unsafe { (handle(engine, "engine")?, from.source()?) };
        let reader = Recognizer::load(&engine.engine, source)?;
        let kind = c_string(reader.kind().name());
        Ok(LemmaReader { reader, kind })
    };
    // SAFETY: the caller's promise.
    unsafe { making(out, error, load) }
}

/// # Safety
/// As the header says of its arguments.
unsafe fn load_model(
    engine: *const LemmaEngine,
    from: From,
    out: *mut *mut LemmaModel,
    error: *mut *mut LemmaError,
) -> i32 {
    let load = || {
        // SAFETY: the caller's promise.
        let (engine, source) = unsafe { (handle(engine, "engine")?, from.source()?) };
        Ok(LemmaModel(RwLock::new(Lemma::load(&engine.engine, source)?)))
    };
    // SAFETY: the caller's promise.
    unsafe { making(out, error, load) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_reader_shipped(
    engine: *const LemmaEngine,
    out: *mut *mut LemmaReader,
    error: *mut *mut LemmaError,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { load_reader(engine, From::Shipped, out, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_reader_open(
    engine: *const LemmaEngine,
    path: *const c_char,
    out: *mut *mut LemmaReader,
    error: *mut *mut LemmaError,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { load_reader(engine, From::Path(path), out, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_reader_from_bytes(
    engine: *const LemmaEngine,
    bytes: *const u8,
    len: usize,
    out: *mut *mut LemmaReader,
    error: *mut *mut LemmaError,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { load_reader(engine, From::Bytes(bytes, len), out, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_reader_kind(reader: *const LemmaReader) -> *const c_char {
    // SAFETY: the caller's promise: NULL or alive.
    unsafe { reader.as_ref() }.map_or(null(), |r| r.kind.as_ptr())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_reader_free(reader: *mut LemmaReader) {
    // SAFETY: the caller's promise.
    unsafe { free(reader) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_model_shipped(
    engine: *const LemmaEngine,
    out: *mut *mut LemmaModel,
    error: *mut *mut LemmaError,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { load_model(engine, From::Shipped, out, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_model_open(
    engine: *const LemmaEngine,
    path: *const c_char,
    out: *mut *mut LemmaModel,
    error: *mut *mut LemmaError,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { load_model(engine, From::Path(path), out, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_model_from_bytes(
    engine: *const LemmaEngine,
    bytes: *const u8,
    len: usize,
    out: *mut *mut LemmaModel,
    error: *mut *mut LemmaError,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { load_model(engine, From::Bytes(bytes, len), out, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_model_set_reader(
    model: *mut LemmaModel,
    reader: *const LemmaReader,
    error: *mut *mut LemmaError,
) -> i32 {
    let set = || {
        // SAFETY: the caller's promise.
        let (model, reader) = unsafe { (handle(model, "model")?, handle(reader, "reader")?) };
        let mut lemma = model.0.write().unwrap_or_else(PoisonError::into_inner);
        *lemma = lemma.clone().with_reader(reader.reader.clone());
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(error, set) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_model_free(model: *mut LemmaModel) {
    // SAFETY: the caller's promise.
    unsafe { free(model) }
}
