//! Reads image files: PNG, JPEG, WebP and BMP, recognised by their content.
//!
//! Whatever a file holds becomes 8-bit RGB, upright: grey is repeated, 16 bits are rounded to 8,
//! the EXIF orientation is applied, and transparency is composited on white. Colour profiles are
//! not applied. A file that lies about its size is refused before memory is taken for it.

use super::encode::Format;
use crate::{Error, ErrorKind, Result};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits, RgbImage};
use std::io::Cursor;

/// Most pixels an image file may declare.
pub const MAX_PIXELS: u64 = 1 << 26;

/// Bytes a decoder may take: the largest image with four 16-bit channels.
const MAX_BYTES: u64 = MAX_PIXELS * 8;

/// A decoded image file and what it was.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The image, 8-bit RGB, upright.
    pub image: RgbImage,
    /// Format of the file.
    pub format: Format,
    /// Width and height as stored, before the EXIF orientation.
    pub stored_size: (u32, u32),
    /// Colour type as decoded, for people: `8-bit grey+alpha`.
    pub color: &'static str,
    /// Whether the EXIF orientation asked for a turn or a flip.
    pub reoriented: bool,
}

/// Decodes the image file `bytes`; `place` names it in errors.
///
/// # Errors
/// [`ErrorKind::Format`] when the content is no image of these formats, is damaged or cut short,
/// is empty, or has more than [`MAX_PIXELS`] pixels.
pub fn decode(bytes: &[u8], place: &str) -> Result<Decoded> {
    let bad = |what: String| Error::new(ErrorKind::Format, place, what);
    if bytes.is_empty() {
        return Err(bad("the file is empty".into()).expected(Format::LIST));
    }
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| Error::io(place, "reading", e))?;
    let format = match reader.format() {
        None => return Err(bad("not an image".into()).expected(Format::LIST)),
        Some(found) => Format::try_from(found).map_err(|()| {
            bad("an image format that is not read".into())
                .expected(Format::LIST)
                .got(format!("{found:?}"))
        })?,
    };
    let damaged = |e: ImageError| match e {
        ImageError::Limits(_) => too_large(place),
        ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            cut(place, format)
        }
        e => bad(format!("damaged {format}: {e}")),
    };

    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_BYTES);
    let mut reader = reader;
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(bad("an image without pixels".into()).got(format!("{width}×{height}")));
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(too_large(place).got(format!("{width}×{height}")));
    }
    // The JPEG decoder fills what is missing with grey and says nothing.
    if format == Format::Jpeg && !jpeg_has_its_end(bytes) {
        return Err(cut(place, format));
    }

    let color = color_name(decoder.color_type());
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    image.apply_orientation(orientation);
    let reoriented = orientation != Orientation::NoTransforms;
    let image = if image.color().has_alpha() { on_white(image) } else { image.into_rgb8() };
    Ok(Decoded { image, format, stored_size: (width, height), color, reoriented })
}

fn too_large(place: &str) -> Error {
    Error::new(ErrorKind::Format, place, "the image is too large")
        .expected(format!("at most {} megapixels", MAX_PIXELS >> 20))
}

fn cut(place: &str, format: Format) -> Error {
    Error::new(ErrorKind::Format, place, format!("the {format} file ends too early"))
}

fn on_white(image: DynamicImage) -> RgbImage {
    let image = image.into_rgba8();
    let bytes = image.pixels().flat_map(|p| {
        let [r, g, b, a] = p.0.map(u32::from);
        [r, g, b].map(|v| ((v * a + 255 * (255 - a) + 127) / 255) as u8)
    });
    let bytes = bytes.collect();
    RgbImage::from_raw(image.width(), image.height(), bytes).expect("three bytes per pixel")
}

fn color_name(color: image::ColorType) -> &'static str {
    use image::ColorType::*;
    match color {
        L8 => "8-bit grey",
        La8 => "8-bit grey+alpha",
        Rgb8 => "8-bit RGB",
        Rgba8 => "8-bit RGBA",
        L16 => "16-bit grey",
        La16 => "16-bit grey+alpha",
        Rgb16 => "16-bit RGB",
        Rgba16 => "16-bit RGBA",
        _ => "floating point",
    }
}

/// Whether an end-of-image marker follows the first scan: the header segments, which may hold a
/// whole thumbnail with its own end, are skipped by their lengths.
fn jpeg_has_its_end(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    const END: [u8; 2] = [0xFF, 0xD9];
    let mut at = 2;
    while let Some(&[0xFF, marker, high, low]) = bytes.get(at..at + 4) {
        if marker == 0xFF {
            at += 1;
            continue;
        }
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == START_OF_SCAN {
            break;
        }
    }
    bytes.get(at..).is_some_and(|scan| scan.windows(2).any(|pair| pair == END))
}
