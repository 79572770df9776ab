//! Kinds of image files: those that are read, and those that are only known by name.

use super::encode::Format;
use image::ImageFormat;
use std::fmt;
use std::path::Path;

/// Image files that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A format that is written, too.
    Written(Format),
    /// The first page counts.
    Tiff,
    /// The first frame counts.
    Gif,
    /// PBM, PGM, PPM and PAM.
    Pnm,
}

impl Kind {
    /// The kinds in words, for messages.
    pub const LIST: &str = "PNG, JPEG, WebP, BMP, TIFF, GIF or PNM";

    /// The kind that a path's extension names, if it is read.
    pub fn from_path(path: &Path) -> Option<Self> {
        if let Ok(format) = Format::from_path(path) {
            return Some(Kind::Written(format));
        }
        match extension(path).as_str() {
            "tif" | "tiff" => Some(Kind::Tiff),
            "gif" => Some(Kind::Gif),
            "pnm" | "pbm" | "pgm" | "ppm" | "pam" => Some(Kind::Pnm),
            _ => None,
        }
    }

    /// The format of a result that is to be of this kind: PNG for those that are only read.
    pub fn format(self) -> Format {
        match self {
            Kind::Written(format) => format,
            Kind::Tiff | Kind::Gif | Kind::Pnm => Format::Png,
        }
    }
}

impl TryFrom<ImageFormat> for Kind {
    type Error = ();

    fn try_from(format: ImageFormat) -> Result<Self, ()> {
        match format {
            ImageFormat::Png => Ok(Kind::Written(Format::Png)),
            ImageFormat::Jpeg => Ok(Kind::Written(Format::Jpeg)),
            ImageFormat::WebP => Ok(Kind::Written(Format::WebP)),
            ImageFormat::Bmp => Ok(Kind::Written(Format::Bmp)),
            ImageFormat::Tiff => Ok(Kind::Tiff),
            ImageFormat::Gif => Ok(Kind::Gif),
            ImageFormat::Pnm => Ok(Kind::Pnm),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Written(format) => format.fmt(f),
            Kind::Tiff => f.write_str("TIFF"),
            Kind::Gif => f.write_str("GIF"),
            Kind::Pnm => f.write_str("PNM"),
        }
    }
}

/// A kind of files with pictures in them that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unread {
    /// What it is called.
    pub name: &'static str,
    /// Where a user has it from.
    pub known_as: &'static str,
    /// What to do with it.
    pub way: &'static str,
}

const fn unread(name: &'static str, known_as: &'static str, way: &'static str) -> Unread {
    Unread { name, known_as, way }
}

const HEIC: Unread =
    unread("HEIC", "as iPhones take them", "heif-convert IN.heic OUT.png, or export it as JPEG");
const AVIF: Unread = unread("AVIF", "as web pages have them", "avifdec IN.avif OUT.png");
const JPEG_2000: Unread =
    unread("JPEG 2000", "as archives keep them", "opj_decompress -i IN.jp2 -o OUT.png");
const JPEG_XL: Unread = unread("JPEG XL", "a successor of JPEG", "djxl IN.jxl OUT.png");
const PDF: Unread = unread("PDF", "a document of pages", "pdftoppm -png -r 300 IN.pdf OUT");
const POSTSCRIPT: Unread =
    unread("PostScript", "a document of pages", "gs -sDEVICE=png16m -r300 -o OUT.png IN.ps");
const DJVU: Unread = unread("DjVu", "a document of pages", "ddjvu -format=tiff IN.djvu OUT.tif");
const SVG: Unread = unread("SVG", "lines, not pixels", "rsvg-convert IN.svg -o OUT.png");
const PHOTOSHOP: Unread =
    unread("Photoshop", "layers of a picture", "export it as PNG where it was made");
const ICON: Unread = unread("ICO", "icons of Windows", "magick IN.ico OUT.png");

impl Unread {
    /// What the content of a file says that it is.
    pub fn of_content(bytes: &[u8]) -> Option<Self> {
        let starts = |magic: &[u8]| bytes.starts_with(magic);
        if bytes.get(4..8) == Some(b"ftyp") {
            return of_brands(bytes);
        }
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(512)]).to_lowercase();
        match () {
            () if starts(b"\0\0\0\x0cjP  \r\n\x87\n") || starts(b"\xff\x4f\xff\x51") => {
                Some(JPEG_2000)
            }
            () if starts(b"\xff\x0a") || starts(b"\0\0\0\x0cJXL \r\n\x87\n") => Some(JPEG_XL),
            () if starts(b"%PDF-") => Some(PDF),
            () if starts(b"%!PS") => Some(POSTSCRIPT),
            () if starts(b"AT&TFORM") => Some(DJVU),
            () if starts(b"8BPS") => Some(PHOTOSHOP),
            () if starts(b"\0\0\x01\0") => Some(ICON),
            () if text.contains("<svg") => Some(SVG),
            () => None,
        }
    }

    /// What a path's extension says that it is.
    pub fn from_path(path: &Path) -> Option<Self> {
        match extension(path).as_str() {
            "heic" | "heif" | "hif" => Some(HEIC),
            "avif" | "avifs" => Some(AVIF),
            "jp2" | "j2k" | "jpx" | "jpf" | "j2c" | "jpc" => Some(JPEG_2000),
            "jxl" => Some(JPEG_XL),
            "pdf" => Some(PDF),
            "ps" | "eps" => Some(POSTSCRIPT),
            "djvu" | "djv" => Some(DJVU),
            "svg" | "svgz" => Some(SVG),
            "psd" | "psb" => Some(PHOTOSHOP),
            "ico" => Some(ICON),
            _ => None,
        }
    }
}

/// Which of the formats that share the ISO base media container this is: its brands say so, and the
/// first of them may be one that several share.
fn of_brands(bytes: &[u8]) -> Option<Unread> {
    let size = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let brands = bytes.get(8..size.clamp(8, 256).min(bytes.len()))?;
    let has = |names: &[&[u8]]| brands.chunks_exact(4).any(|brand| names.contains(&brand));
    if has(&[b"avif", b"avis"]) {
        Some(AVIF)
    } else if has(&[b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"]) {
        Some(HEIC)
    } else {
        None
    }
}

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_go_by_name() {
        let of = |path: &str| Kind::from_path(path.as_ref()).map(|kind| kind.to_string());
        for (path, kind) in
            [("a.TIF", "TIFF"), ("b.gif", "GIF"), ("c.pgm", "PNM"), ("d.jfif", "JPEG")]
        {
            assert_eq!(of(path).as_deref(), Some(kind));
        }
        assert_eq!(Kind::from_path("x.heic".as_ref()), None);
        assert_eq!(Unread::from_path("x.HEIC".as_ref()), Some(HEIC));
        assert_eq!(Kind::Tiff.format(), Format::Png);
    }

    #[test]
    fn the_container_of_many_formats_is_told_by_all_its_brands() {
        let file = |brands: &[&str]| {
            let brands = brands.concat();
            [&(8 + brands.len() as u32).to_be_bytes()[..], b"ftyp", brands.as_bytes()].concat()
        };
        assert_eq!(Unread::of_content(&file(&["heic", "\0\0\0\0", "mif1"])), Some(HEIC));
        assert_eq!(Unread::of_content(&file(&["mif1", "\0\0\0\0", "avif"])), Some(AVIF));
        assert_eq!(Unread::of_content(&file(&["mif1", "\0\0\0\0"])), Some(HEIC));
        assert_eq!(Unread::of_content(&file(&["isom", "\0\0\0\0", "mp41"])), None);
        for cut in 0..12 {
            Unread::of_content(&file(&["heic"])[..cut]);
        }
        assert_eq!(Unread::of_content(b"<?xml version='1.0'?>\n<SVG/>"), Some(SVG));
    }
}
