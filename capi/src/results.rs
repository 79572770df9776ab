//! What comes out of a call.

use crate::failure::{c_string, free};
use crate::pictures::LemmaImage;
use engine::data::picture::{Map, RgbImage};
use engine::engine::{Reading, Upscaled};
use std::ffi::{CString, c_char};
use std::ptr::null;

/// A character as C sees it.
#[repr(C)]
pub struct LemmaCharacter {
    text: *const c_char,
    confidence: f32,
    center: f32,
}

/// What was read, with the strings that its characters point to.
struct Read {
    text: CString,
    confidence: f32,
    characters: Vec<LemmaCharacter>,
    _symbols: Vec<CString>,
}

impl From<&Reading> for Read {
    fn from(reading: &Reading) -> Self {
        let symbol = |c: &engine::engine::Character| c_string(c.symbol.encode_utf8(&mut [0; 4]));
        let symbols: Vec<CString> = reading.characters.iter().map(symbol).collect();
        let character = |(c, text): (&engine::engine::Character, &CString)| LemmaCharacter {
            text: text.as_ptr(),
            confidence: c.confidence,
            center: c.center,
        };
        Read {
            text: c_string(&reading.text()),
            confidence: reading.confidence,
            characters: reading.characters.iter().zip(&symbols).map(character).collect(),
            _symbols: symbols,
        }
    }
}

struct One {
    image: Option<RgbImage>,
    read: Read,
    attention: Option<Map>,
}

/// The results of a call, one for each image.
pub struct LemmaResults(Vec<One>);

// SAFETY: the pointers are to strings of its own, which nobody changes.
unsafe impl Send for LemmaResults {}
// SAFETY: as above.
unsafe impl Sync for LemmaResults {}

impl From<Vec<Upscaled>> for LemmaResults {
    fn from(all: Vec<Upscaled>) -> Self {
        let one = |u: Upscaled| One {
            read: Read::from(&u.reading.unwrap_or_default()),
            image: Some(u.image),
            attention: u.attention,
        };
        LemmaResults(all.into_iter().map(one).collect())
    }
}

impl From<Vec<Reading>> for LemmaResults {
    fn from(all: Vec<Reading>) -> Self {
        let one = |r: &Reading| One { image: None, read: r.into(), attention: None };
        LemmaResults(all.iter().map(one).collect())
    }
}

/// # Safety
/// NULL, or alive as long as what is taken of it.
unsafe fn at<'a>(results: *const LemmaResults, i: usize) -> Option<&'a One> {
    // SAFETY: the caller's promise.
    unsafe { results.as_ref() }?.0.get(i)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_results_count(results: *const LemmaResults) -> usize {
    // SAFETY: the caller's promise: NULL or alive.
    unsafe { results.as_ref() }.map_or(0, |all| all.0.len())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_results_image(results: *const LemmaResults, i: usize) -> LemmaImage {
    // SAFETY: the caller's promise.
    let image = unsafe { at(results, i) }.and_then(|one| one.image.as_ref());
    image.map_or(LemmaImage::NONE, LemmaImage::of)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_results_text(
    results: *const LemmaResults,
    i: usize,
) -> *const c_char {
    // SAFETY: the caller's promise.
    unsafe { at(results, i) }.map_or(null(), |one| one.read.text.as_ptr())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_results_confidence(results: *const LemmaResults, i: usize) -> f32 {
    // SAFETY: the caller's promise.
    unsafe { at(results, i) }.map_or(0.0, |one| one.read.confidence)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_results_characters(
    results: *const LemmaResults,
    i: usize,
    count: *mut usize,
) -> *const LemmaCharacter {
    // SAFETY: the caller's promise.
    let characters = unsafe { at(results, i) }.map_or(&[][..], |one| &one.read.characters);
    if !count.is_null() {
        // SAFETY: the caller's promise: a place for a number.
        unsafe { count.write(characters.len()) };
    }
    if characters.is_empty() { null() } else { characters.as_ptr() }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_results_attention(
    results: *const LemmaResults,
    i: usize,
    width: *mut u32,
    height: *mut u32,
) -> *const f32 {
    // SAFETY: the caller's promise.
    let map = unsafe { at(results, i) }.and_then(|one| one.attention.as_ref());
    let (w, h) = map.map_or((0, 0), Map::dimensions);
    for (place, value) in [(width, w), (height, h)] {
        if !place.is_null() {
            // SAFETY: the caller's promise: a place for a number.
            unsafe { place.write(value) };
        }
    }
    map.map_or(null(), |map| map.values().as_ptr())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_results_free(results: *mut LemmaResults) {
    // SAFETY: the caller's promise.
    unsafe { free(results) }
}
