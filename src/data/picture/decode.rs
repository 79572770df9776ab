//! Reads image files of every [`Kind`], recognized by their content.
//!
//! Whatever a file holds becomes 8-bit RGB, upright: gray is repeated, 16 bits are rounded to 8,
//! the EXIF orientation is applied, and transparency lies on white or black ([`grounded`]). Color
//! profiles are not applied. A file that lies about its size is refused before memory is taken for it.
//! All who decode pass here: they share one pool of memory, and a decoder that panics is an error.

use super::encode::Format;
use super::ground::grounded;
use super::kind::{Kind, Unread};
use super::room::Room;
use super::{jpeg, pages, tiff};
use crate::{Error, ErrorKind, Result};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use std::borrow::Cow;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Most pixels an image file may declare.
pub const MAX_PIXELS: u64 = 1 << 26;

/// Bytes a decoder may take: the largest image with four 16-bit channels.
const MAX_BYTES: u64 = MAX_PIXELS * 8;

/// Room for one image of the largest size, or many small ones.
static ROOM: Room = Room::new(MAX_PIXELS);

/// A decoded image file and what it was.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The image, 8-bit RGB, upright.
    pub image: RgbImage,
    /// Format for a result like it: the file's own, or PNG for kinds that are only read.
    pub format: Format,
    /// Kind of the file.
    pub kind: Kind,
    /// Width and height as stored, before the EXIF orientation.
    pub stored_size: (u32, u32),
    /// Color type as decoded, for people: `8-bit gray+alpha`.
    pub color: &'static str,
    /// Whether the EXIF orientation asked for a turn or a flip.
    pub reoriented: bool,
    /// What a user may not expect: a file of several pages or frames, of which the first is taken; one
    /// without its end, of which all pixels are there.
    pub note: Option<String>,
}

/// Decodes the image file `bytes`; `place` names it in errors.
///
/// # Errors
/// [`ErrorKind::Format`] when the content is no image of these kinds, is damaged or cut short,
/// is empty, or has more than [`MAX_PIXELS`] pixels.
pub fn decode(bytes: &[u8], place: &str) -> Result<Decoded> {
    decode_and(bytes, place, Ok)
}

/// Decodes as [`decode`] and makes `then` of the image while its share of the memory for images is held:
/// what many threads do at once never takes more than the largest image, and what `then` keeps.
/// `then` must not decode.
///
/// # Errors
/// As [`decode`], and those of `then`.
pub fn decode_and<T>(
    bytes: &[u8],
    place: &str,
    then: impl FnOnce(Decoded) -> Result<T>,
) -> Result<T> {
    let kind = kind(bytes, place)?;
    let (file, note) = whole(bytes, kind).ok_or_else(|| cut(place, kind))?;
    let (width, height) = guarded(place, kind, || size(&file, place, kind))?;
    let _share = ROOM.take(u64::from(width) * u64::from(height));
    let mut decoded = guarded(place, kind, || pixels(&file, place, kind))?;
    decoded.note = note.or_else(|| {
        let others = pages::others(bytes, kind)?;
        Some(format!("one of several {others}: the first is taken"))
    });
    then(decoded)
}

/// What the content says that the file is.
fn kind(bytes: &[u8], place: &str) -> Result<Kind> {
    let bad = |what: &str| Error::new(ErrorKind::Format, place, what).expected(Kind::LIST);
    if bytes.is_empty() {
        return Err(bad("the file is empty"));
    }
    if let Some(Unread { name, known_as, way }) = Unread::of_content(bytes) {
        return Err(bad("an image format that is not read")
            .got(format!("{name}, {known_as}"))
            .hint(format!("convert it: {way}")));
    }
    match image::guess_format(bytes) {
        Err(_) => Err(bad("not an image")),
        Ok(found) => Kind::try_from(found)
            .map_err(|()| bad("an image format that is not read").got(format!("{found:?}"))),
    }
}

/// The file, completed where only its end is missing, with a word on that; none where pixels are.
fn whole(bytes: &[u8], kind: Kind) -> Option<(Cow<'_, [u8]>, Option<String>)> {
    // The decoder fills what is missing with gray and says nothing.
    if kind != Kind::Written(Format::Jpeg) || jpeg::has_its_end(bytes) {
        return Some((bytes.into(), None));
    }
    let complete = || size(bytes, "", kind).map(|_| jpeg::completed(bytes));
    let file = guarded("", kind, complete).ok().flatten()?;
    Some((file.into(), Some("the file has no end, but all its pixels".into())))
}

/// A decoder's result; a panic of it is one that the file is at fault for.
fn guarded<T>(place: &str, kind: Kind, decode: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        let what = format!("damaged {kind}: its decoder gave up");
        Err(Error::new(ErrorKind::Format, place, what))
    })
}

/// Width and height as the header declares them, within bounds.
fn size(bytes: &[u8], place: &str, kind: Kind) -> Result<(u32, u32)> {
    let (width, height) = decoder(bytes, place, kind)?.dimensions();
    if width == 0 || height == 0 {
        return Err(Error::new(ErrorKind::Format, place, "an image without pixels")
            .got(format!("{width}×{height}")));
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(too_large(place).got(format!("{width}×{height}")));
    }
    Ok((width, height))
}

fn decoder<'a>(bytes: &'a [u8], place: &str, kind: Kind) -> Result<impl ImageDecoder + 'a> {
    let format = match kind {
        Kind::Written(Format::Png) => ImageFormat::Png,
        Kind::Written(Format::Jpeg) => ImageFormat::Jpeg,
        Kind::Written(Format::WebP) => ImageFormat::WebP,
        Kind::Written(Format::Bmp) => ImageFormat::Bmp,
        Kind::Tiff => ImageFormat::Tiff,
        Kind::Gif => ImageFormat::Gif,
        Kind::Pnm => ImageFormat::Pnm,
    };
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    reader.into_decoder().map_err(|e| damaged(e, place, kind))
}

fn pixels(bytes: &[u8], place: &str, kind: Kind) -> Result<Decoded> {
    let mut decoder = decoder(bytes, place, kind)?;
    let stored_size = decoder.dimensions();
    let color = color_name(decoder.color_type());
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|e| damaged(e, place, kind))?;
    if kind == Kind::Tiff {
        image = tiff::straight(image, bytes);
    }
    image.apply_orientation(orientation);
    let reoriented = orientation != Orientation::NoTransforms;
    let (image, format) = (grounded(image), kind.format());
    Ok(Decoded { image, format, kind, stored_size, color, reoriented, note: None })
}

fn damaged(e: ImageError, place: &str, kind: Kind) -> Error {
    let bad = |what: String| Error::new(ErrorKind::Format, place, what);
    match e {
        ImageError::Limits(_) => too_large(place),
        ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => cut(place, kind),
        ImageError::Unsupported(e) => bad(format!("a sort of {kind} that is not read: {e}"))
            .hint("save it as PNG, 8 bits a channel"),
        e => bad(format!("damaged {kind}: {e}")),
    }
}

fn too_large(place: &str) -> Error {
    Error::new(ErrorKind::Format, place, "the image is too large")
        .expected(format!("at most {} megapixels", MAX_PIXELS >> 20))
}

fn cut(place: &str, kind: Kind) -> Error {
    Error::new(ErrorKind::Format, place, format!("the {kind} file ends too early"))
}

fn color_name(color: image::ColorType) -> &'static str {
    use image::ColorType::*;
    match color {
        L8 => "8-bit gray",
        La8 => "8-bit gray+alpha",
        Rgb8 => "8-bit RGB",
        Rgba8 => "8-bit RGBA",
        L16 => "16-bit gray",
        La16 => "16-bit gray+alpha",
        Rgb16 => "16-bit RGB",
        Rgba16 => "16-bit RGBA",
        _ => "floating point",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_that_panics_is_an_error_of_its_file() {
        let e =
            guarded("x.png", Kind::Tiff, || -> Result<()> { panic!("a decoder's") }).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Format);
        assert!(e.to_string().starts_with("x.png: damaged TIFF"), "{e}");
    }
}
