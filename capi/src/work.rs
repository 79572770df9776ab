//! Super-resolving and reading. Both wait on the caller's own thread, so that call-backs come on it.

use crate::failure::{LemmaError, making};
use crate::given::{Sized, choice, handle, options};
use crate::models::{LemmaModel, LemmaReader};
use crate::pictures::{LemmaImage, copied};
use crate::results::LemmaResults;
use engine::Result;
use engine::data::picture::Fit;
use engine::engine::{Options, ReadOptions, Wanted};
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

type Progress = unsafe extern "C" fn(usize, usize, *mut c_void) -> bool;

/// How images are worked on.
#[repr(C)]
pub struct LemmaOptions {
    size: usize,
    progress: Option<Progress>,
    user: *mut c_void,
    batch: usize,
    fit: i32,
    keep_upright: u8,
    no_text: u8,
    attention: u8,
}

// SAFETY: numbers, a function or none, and a pointer that is only handed on; the header's bools are bytes here, so that any
// byte is one.
unsafe impl Sized for LemmaOptions {}

/// The caller's call-back, and whether it asked to stop.
struct Watcher {
    progress: Option<Progress>,
    user: *mut c_void,
    stop: AtomicBool,
}

// SAFETY: it is called on the caller's thread alone, which waits there; the engine wants to know for callers who do not.
unsafe impl Sync for Watcher {}

impl Watcher {
    fn report(&self, done: usize, all: usize) {
        if let Some(progress) = self.progress {
            // SAFETY: the caller's promise: the function may be called with what it gave for it.
            let go_on = unsafe { progress(done, all, self.user) };
            self.stop.fetch_or(!go_on, Ordering::Relaxed);
        }
    }

    fn asked(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl LemmaOptions {
    fn watcher(&self) -> Watcher {
        Watcher { progress: self.progress, user: self.user, stop: AtomicBool::new(false) }
    }
}

/// # Safety
/// As the header says of its arguments.
unsafe fn upscale(
    model: *const LemmaModel,
    images: *const LemmaImage,
    count: usize,
    given: *const LemmaOptions,
) -> Result<LemmaResults> {
    // SAFETY: the caller's promise.
    let (model, given) = unsafe { (handle(model, "model")?, options(given)?) };
    // SAFETY: the caller's promise.
    let images = unsafe { copied(images, count) }?;
    let watcher = given.watcher();
    let report = |done, all| watcher.report(done, all);
    let asked = || watcher.asked();
    let settings = Options {
        fit: choice(&Fit::ALL, given.fit, "fit")?,
        keep_upright: given.keep_upright != 0,
        wanted: Wanted { text: given.no_text == 0, attention: given.attention != 0 },
        batch: given.batch,
        progress: Some(&report),
        cancelled: Some(&asked),
    };
    let upscaled = pollster::block_on(model.lemma().upscale_with_async(&images, settings))?;
    Ok(LemmaResults::from(upscaled))
}

/// # Safety
/// As the header says of its arguments.
unsafe fn read(
    reader: *const LemmaReader,
    images: *const LemmaImage,
    count: usize,
    given: *const LemmaOptions,
) -> Result<LemmaResults> {
    // SAFETY: the caller's promise.
    let (reader, given) = unsafe { (handle(reader, "reader")?, options(given)?) };
    // SAFETY: the caller's promise.
    let images = unsafe { copied(images, count) }?;
    let watcher = given.watcher();
    let report = |done, all| watcher.report(done, all);
    let asked = || watcher.asked();
    let settings = ReadOptions {
        batch: given.batch,
        progress: Some(&report),
        cancelled: Some(&asked),
        ..ReadOptions::default()
    };
    let readings = pollster::block_on(reader.reader.read_with_async(&images, settings))?;
    Ok(LemmaResults::from(readings))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_upscale(
    model: *const LemmaModel,
    images: *const LemmaImage,
    count: usize,
    options: *const LemmaOptions,
    out: *mut *mut LemmaResults,
    error: *mut *mut LemmaError,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { making(out, error, || upscale(model, images, count, options)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_read(
    reader: *const LemmaReader,
    images: *const LemmaImage,
    count: usize,
    options: *const LemmaOptions,
    out: *mut *mut LemmaResults,
    error: *mut *mut LemmaError,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { making(out, error, || read(reader, images, count, options)) }
}
