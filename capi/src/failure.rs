//! Errors as objects, and the wall that no panic passes.

use engine::{Error, ErrorKind, Result};
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;

const OK: i32 = 0;
const PANIC: i32 = 10;

/// An error as it comes out.
pub struct LemmaError {
    status: i32,
    message: CString,
}

fn status(kind: ErrorKind) -> i32 {
    match kind {
        ErrorKind::NoAdapter => 1,
        ErrorKind::Device => 2,
        ErrorKind::Memory => 3,
        ErrorKind::Io => 4,
        ErrorKind::Format => 5,
        ErrorKind::Shape => 6,
        ErrorKind::Argument => 7,
        ErrorKind::Result => 8,
        ErrorKind::Cancelled => 9,
        // A kind that is newer than this interface.
        _ => PANIC,
    }
}

/// A string for C. A zero byte, which would end it early, becomes a replacement character.
pub(crate) fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{FFFD}")).expect("no zero byte is left")
}

/// Runs `work`; what it fails with, or panics with, comes out at `error`.
///
/// # Safety
/// `error` is NULL or a place for a pointer.
pub(crate) unsafe fn guarded(
    error: *mut *mut LemmaError,
    work: impl FnOnce() -> Result<()>,
) -> i32 {
    let (status, failure) = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => (OK, null_mut()),
        Ok(Err(e)) => (status(e.kind()), failed(status(e.kind()), &e.to_string())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
            (PANIC, failed(PANIC, &format!("a fault of the library: {text}")))
        }
    };
    if error.is_null() {
        // SAFETY: made from a box just now, or NULL.
        unsafe { lemma_error_free(failure) };
    } else {
        // SAFETY: the caller's promise.
        unsafe { error.write(failure) };
    }
    status
}

/// [`guarded`] work that makes a handle, which goes to `out`.
///
/// # Safety
/// `out` and `error` are NULL or places for pointers.
pub(crate) unsafe fn making<T>(
    out: *mut *mut T,
    error: *mut *mut LemmaError,
    work: impl FnOnce() -> Result<T>,
) -> i32 {
    let make = || {
        if out.is_null() {
            let place = Error::new(ErrorKind::Argument, "out", "place for the result");
            return Err(place.got("NULL"));
        }
        // SAFETY: the caller's promise.
        unsafe { out.write(null_mut()) };
        let made = Box::into_raw(Box::new(work()?));
        // SAFETY: the caller's promise.
        unsafe { out.write(made) };
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(error, make) }
}

/// Frees a handle.
///
/// # Safety
/// NULL, or from [`making`] and not freed before.
pub(crate) unsafe fn free<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: the caller's promise. A device that is lost may panic on its way out, which concerns nobody any more.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(unsafe { Box::from_raw(handle) })));
    }
}

fn failed(status: i32, message: &str) -> *mut LemmaError {
    Box::into_raw(Box::new(LemmaError { status, message: c_string(message) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_error_status(error: *const LemmaError) -> i32 {
    // SAFETY: the caller's promise: NULL or alive.
    unsafe { error.as_ref() }.map_or(OK, |e| e.status)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_error_message(error: *const LemmaError) -> *const c_char {
    // SAFETY: the caller's promise: NULL or alive.
    unsafe { error.as_ref() }.map_or(c"".as_ptr(), |e| e.message.as_ptr())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_error_free(error: *mut LemmaError) {
    // SAFETY: the caller's promise.
    unsafe { free(error) }
}
