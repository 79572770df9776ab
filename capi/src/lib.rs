//! The C interface of lemma-gpu: what `lemma_gpu.h` declares, and documents. Handles are boxes; everything that can fail goes
//! through [`failure::guarded`], so that neither an error nor a panic crosses in any other form than a status and an object.

mod adapters;
mod engines;
mod failure;
mod given;
mod models;
mod pictures;
mod results;
mod work;

use std::ffi::c_char;

/// The interface that the header describes.
const ABI_VERSION: u32 = 1;

#[unsafe(no_mangle)]
pub extern "C" fn lemma_abi_version() -> u32 {
    ABI_VERSION
}

#[unsafe(no_mangle)]
pub extern "C" fn lemma_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}
