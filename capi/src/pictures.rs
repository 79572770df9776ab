//! Images: pixels of the caller's, and pictures that were decoded here.

use crate::failure::{LemmaError, free, guarded, making};
use crate::given::{choice, text, values, wrong};
use engine::data::picture::{
    Format, PixelFormat, RgbImage, decode, encode, from_pixels, pixels_len, write_file,
};
use engine::{ErrorKind, Result};
use std::ffi::c_char;
use std::path::Path;
use std::ptr::null;

const FORMATS: [PixelFormat; 4] =
    [PixelFormat::Rgb8, PixelFormat::Rgba8, PixelFormat::Bgra8, PixelFormat::Gray8];

/// Pixels in memory.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct LemmaImage {
    pixels: *const u8,
    width: u32,
    height: u32,
    stride: usize,
    format: i32,
}

impl LemmaImage {
    pub(crate) const NONE: LemmaImage =
        LemmaImage { pixels: null(), width: 0, height: 0, stride: 0, format: 0 };

    /// The pixels of `image`, which has to live as long as this is looked at.
    pub(crate) fn of(image: &RgbImage) -> Self {
        let (width, height) = image.dimensions();
        let pixels = image.as_raw().as_ptr();
        LemmaImage { pixels, width, height, stride: 3 * width as usize, format: 0 }
    }

    /// A copy of the pixels.
    ///
    /// # Safety
    /// The pixels are NULL, or as many as sizes and stride say.
    pub(crate) unsafe fn copied(&self) -> Result<RgbImage> {
        let format = choice(&FORMATS, self.format, "format")?;
        let row = (self.width as usize).saturating_mul(format.bytes());
        let stride = if self.stride == 0 { row } else { self.stride };
        let len = pixels_len(self.width, self.height, stride, format)?;
        // SAFETY: the caller's promise.
        let pixels = unsafe { values(self.pixels, len, "pixels") }?;
        from_pixels(pixels, (self.width, self.height), stride, format)
    }
}

/// Copies of the pixels of `count` images.
///
/// # Safety
/// NULL or so many images, each as [`LemmaImage::copied`] wants it.
pub(crate) unsafe fn copied(images: *const LemmaImage, count: usize) -> Result<Vec<RgbImage>> {
    // SAFETY: the caller's promise.
    let images = unsafe { values(images, count, "images") }?;
    let numbered = images.iter().enumerate();
    // SAFETY: the caller's promise.
    numbered
        .map(|(i, m)| unsafe { m.copied() }.map_err(|e| e.within(format!("images[{i}]"))))
        .collect()
}

/// A decoded file.
pub struct LemmaPicture(RgbImage);

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_picture_decode(
    bytes: *const u8,
    len: usize,
    out: *mut *mut LemmaPicture,
    error: *mut *mut LemmaError,
) -> i32 {
    let decoded = || {
        // SAFETY: the caller's promise.
        let bytes = unsafe { values(bytes, len, "bytes") }?;
        Ok(LemmaPicture(decode(bytes, "picture")?.image))
    };
    // SAFETY: the caller's promise.
    unsafe { making(out, error, decoded) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_picture_image(picture: *const LemmaPicture) -> LemmaImage {
    // SAFETY: the caller's promise: NULL or alive.
    unsafe { picture.as_ref() }.map_or(LemmaImage::NONE, |p| LemmaImage::of(&p.0))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_picture_free(picture: *mut LemmaPicture) {
    // SAFETY: the caller's promise.
    unsafe { free(picture) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lemma_image_write_png(
    image: *const LemmaImage,
    path: *const c_char,
    overwrite: bool,
    error: *mut *mut LemmaError,
) -> i32 {
    let write = || {
        // SAFETY: the caller's promise.
        let image = unsafe { image.as_ref() }.ok_or_else(|| wrong("image", "image").got("NULL"))?;
        // SAFETY: the caller's promise.
        let image = unsafe { image.copied() }?;
        // SAFETY: the caller's promise.
        let path = unsafe { text(path, "path") }?;
        let path = Path::new(path.ok_or_else(|| wrong("path", "path").got("NULL"))?);
        if path.extension().is_some_and(|e| !e.eq_ignore_ascii_case("png")) {
            let error =
                engine::Error::new(ErrorKind::Argument, path.display(), "name of a PNG file");
            return Err(error.expected("one that ends with .png"));
        }
        write_file(path, &encode(&image, Format::Png)?, overwrite)
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(error, write) }
}
