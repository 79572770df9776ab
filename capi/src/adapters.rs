//! The adapters of the machine.

use crate::failure::{LemmaError, c_string, free, making};
use engine::Engine;
use engine::gpu::AdapterSummary;
use std::ffi::{CString, c_char};
use std::ptr::null;

/// An adapter as C sees it.
#[repr(C)]
pub struct LemmaAdapter {
    name: *const c_char,
    kind: *const c_char,
    backend: *const c_char,
    driver: *const c_char,
    pci: *const c_char,
    software: bool,
}

/// An adapter with the strings that it points to.
pub(crate) struct Described {
    shown: LemmaAdapter,
    _strings: [CString; 5],
}

// SAFETY: the pointers are to strings of its own, which nobody changes.
unsafe impl Send for Described {}
// SAFETY: as above.
unsafe impl Sync for Described {}

impl Described {
    pub(crate) fn new(a: &AdapterSummary) -> Self {
        let strings = [&a.name, &a.kind, &a.backend, &a.driver, &a.pci].map(|s| c_string(s));
        // What a CString points to stays where it is when the CString moves.
        let [name, kind, backend, driver, pci] = strings.each_ref().map(|s| s.as_ptr());
        let shown = LemmaAdapter { name, kind, backend, driver, pci, software: a.software };
        Described { shown, _strings: strings }
    }

    pub(crate) fn shown(&self) -> *const LemmaAdapter {
        &raw const self.shown
    }
}

/// All of them.
pub struct LemmaAdapters(Vec<Described>);

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_adapters(
    out: *mut *mut LemmaAdapters,
    error: *mut *mut LemmaError,
) -> i32 {
    let list = || Ok(LemmaAdapters(Engine::adapters().iter().map(Described::new).collect()));
    // SAFETY: the caller's promise.
    unsafe { making(out, error, list) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_adapters_count(adapters: *const LemmaAdapters) -> usize {
    // SAFETY: the caller's promise: NULL or alive.
    unsafe { adapters.as_ref() }.map_or(0, |all| all.0.len())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_adapters_get(
    adapters: *const LemmaAdapters,
    i: usize,
) -> *const LemmaAdapter {
    // SAFETY: the caller's promise: NULL or alive.
    unsafe { adapters.as_ref() }.and_then(|all| all.0.get(i)).map_or(null(), Described::shown)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_adapters_free(adapters: *mut LemmaAdapters) {
    // SAFETY: the caller's promise.
    unsafe { free(adapters) }
}
