//! Writes image files: whole or not at all, and never over another file unless told to.

use crate::data::part::UnfinishedFile;
use crate::{Error, ErrorKind, Result};
use image::codecs::{bmp::BmpEncoder, jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
use image::{ExtendedColorType, ImageEncoder, RgbImage};
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::str::FromStr;

/// Quality of the JPEG files written, of 100.
const JPEG_QUALITY: u8 = 95;

/// Image formats that are written; all of them are read, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Lossless; the usual choice.
    Png,
    /// Lossy, at quality 95.
    Jpeg,
    /// Written lossless; at most 16,384 pixels a side.
    WebP,
    /// Uncompressed.
    Bmp,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 4] = [Format::Png, Format::Jpeg, Format::WebP, Format::Bmp];

    /// The usual file extension, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Png => "png",
            Format::Jpeg => "jpg",
            Format::WebP => "webp",
            Format::Bmp => "bmp",
        }
    }

    /// The format that a path's extension names.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] when there is no extension or it names none of them.
    pub fn from_path(path: &Path) -> Result<Self> {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        extension.parse().map_err(|e: Error| e.within(path.display()))
    }

    /// Most pixels a side can have.
    fn max_side(self) -> u32 {
        match self {
            Format::Png | Format::Bmp => i32::MAX as u32,
            Format::Jpeg => 65_535,
            Format::WebP => 16_384,
        }
    }
}

impl FromStr for Format {
    type Err = Error;

    /// From an extension or name, in any case.
    fn from_str(name: &str) -> Result<Self> {
        match name.to_ascii_lowercase().as_str() {
            "png" => Ok(Format::Png),
            "jpg" | "jpeg" | "jpe" | "jfif" | "jif" => Ok(Format::Jpeg),
            "webp" => Ok(Format::WebP),
            "bmp" => Ok(Format::Bmp),
            other => Err(Error::new(ErrorKind::Argument, "", "image format")
                .expected("png, jpg, jpeg, webp or bmp")
                .got(if other.is_empty() { "no extension" } else { other })),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Png => "PNG",
            Format::Jpeg => "JPEG",
            Format::WebP => "WebP",
            Format::Bmp => "BMP",
        })
    }
}

/// The image as a file's bytes.
///
/// # Errors
/// [`ErrorKind::Argument`] when the format cannot hold an image of this size.
pub fn encode(image: &RgbImage, format: Format) -> Result<Vec<u8>> {
    let (w, h) = image.dimensions();
    let unfit = |what: &str| Error::new(ErrorKind::Argument, format, what).got(format!("{w}×{h}"));
    if w == 0 || h == 0 {
        return Err(unfit("an image without pixels"));
    }
    if w.max(h) > format.max_side() {
        return Err(unfit("an image too large for the format")
            .expected(format!("at most {} pixels a side", format.max_side()))
            .hint("png has no such limit"));
    }
    let mut bytes = Vec::new();
    let rgb = ExtendedColorType::Rgb8;
    match format {
        Format::Png => PngEncoder::new(&mut bytes).write_image(image, w, h, rgb),
        Format::Jpeg => {
            JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).write_image(image, w, h, rgb)
        }
        Format::WebP => WebPEncoder::new_lossless(&mut bytes).write_image(image, w, h, rgb),
        Format::Bmp => BmpEncoder::new(&mut bytes).write_image(image, w, h, rgb),
    }
    .map_err(|e| unfit(&format!("encoding: {e}")))?;
    Ok(bytes)
}

/// Writes `bytes` to `path`: to a temporary file beside it, which is synced and then renamed, so
/// that nobody sees half a file. The folder must exist.
///
/// # Errors
/// [`ErrorKind::Io`] when writing fails, and when `path` exists and `overwrite` is off; what was
/// there is then untouched.
pub fn write_file(path: &Path, bytes: &[u8], overwrite: bool) -> Result<()> {
    let exists = || {
        Error::new(ErrorKind::Io, path.display(), "the file exists and is kept")
            .hint("overwriting has to be asked for (--overwrite)")
    };
    if !overwrite && path.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let part = UnfinishedFile::beside(path)
        .map_err(|e| Error::io(path.display(), "creating a file beside it", e))?;
    part.file().write_all(bytes).map_err(|e| Error::io(path.display(), "writing", e))?;
    part.finish(path, overwrite).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists if !overwrite => exists(),
        _ => Error::io(path.display(), "finishing the file", e),
    })
}
