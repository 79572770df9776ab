//! What callers give: handles, strings, bytes, and structs that begin with their size.

use engine::{Error, ErrorKind, Result};
use std::ffi::{CStr, c_char};
use std::mem::{MaybeUninit, size_of};
use std::ptr::copy_nonoverlapping;

/// An argument that is not what it must be.
pub(crate) fn wrong(name: &str, what: &str) -> Error {
    Error::new(ErrorKind::Argument, name, what)
}

/// What a handle points to.
///
/// # Safety
/// NULL, or a handle that lives through the call.
pub(crate) unsafe fn handle<'a, T>(handle: *const T, name: &str) -> Result<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { handle.as_ref() }.ok_or_else(|| wrong(name, "handle").got("NULL"))
}

/// A string; none for NULL.
///
/// # Safety
/// NULL, or ends with a zero byte and lives through the call.
pub(crate) unsafe fn text<'a>(text: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) }.to_str();
    text.map(Some).map_err(|_| wrong(name, "text").expected("UTF-8").got("other bytes"))
}

/// `count` values.
///
/// # Safety
/// NULL, or so many values that live through the call.
pub(crate) unsafe fn values<'a, T>(first: *const T, count: usize, name: &str) -> Result<&'a [T]> {
    match (first.is_null(), count) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(wrong(name, "values").expected(count).got("NULL")),
        (false, _) if count > isize::MAX as usize / size_of::<T>() => {
            Err(wrong(name, "number of values").got(count))
        }
        // SAFETY: the caller's promise.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts(first, count) }),
    }
}

/// A struct of options, which begins with its size in bytes as its caller knows it.
///
/// # Safety
/// All its bytes may be zero, and any of its members' bytes anything.
pub(crate) unsafe trait Sized {}

/// Options of a caller who may know fewer members than this library, or more: what is missing is zero, and what is not known
/// here must be.
///
/// # Safety
/// NULL, or as many bytes as the first member says, which live through the call.
pub(crate) unsafe fn options<T: Sized>(given: *const T) -> Result<T> {
    let mut all = MaybeUninit::<T>::zeroed();
    if !given.is_null() {
        // SAFETY: the caller's promise: the size is there.
        let size = unsafe { given.cast::<usize>().read() };
        let most = 4096;
        if !(size_of::<usize>()..=most).contains(&size) {
            return Err(wrong("options", "size, their first member")
                .expected(format!("{}, as the _INIT macro sets it", size_of::<T>()))
                .got(size));
        }
        // SAFETY: the caller's promise: so many bytes are there.
        let bytes = unsafe { std::slice::from_raw_parts(given.cast::<u8>(), size) };
        if bytes.iter().skip(size_of::<T>()).any(|b| *b != 0) {
            return Err(wrong("options", "a member that is set")
                .expected("members that this version of the library knows")
                .got(format!("{size} bytes of them, where it knows {}", size_of::<T>())));
        }
        let known = size.min(size_of::<T>());
        // SAFETY: both have so many bytes, and one was made here.
        unsafe { copy_nonoverlapping(bytes.as_ptr(), all.as_mut_ptr().cast(), known) };
    }
    // SAFETY: any bytes make the struct, as the trait's implementer promises.
    Ok(unsafe { all.assume_init() })
}

/// One of a list of choices by its number.
pub(crate) fn choice<T: Copy>(choices: &[T], number: i32, name: &str) -> Result<T> {
    let found = usize::try_from(number).ok().and_then(|i| choices.get(i)).copied();
    found.ok_or_else(|| {
        wrong(name, "choice").expected(format!("0 to {}", choices.len() - 1)).got(number)
    })
}
