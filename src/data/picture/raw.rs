//! Images that a program holds in memory.

use super::decode::MAX_PIXELS;
use super::ground::grounded;
use crate::{Error, ErrorKind, Result};
use image::{DynamicImage, GrayImage, RgbImage, RgbaImage};

/// What the bytes of a pixel are. All are 8 bits a channel, and alpha is not multiplied in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Red, green, blue.
    Rgb8,
    /// Red, green, blue, alpha. Transparent pixels lie on white or black, as those of files do.
    Rgba8,
    /// Blue, green, red, alpha: what windows and video frames hold.
    Bgra8,
    /// Luma.
    Gray8,
}

impl PixelFormat {
    /// Bytes of a pixel.
    pub fn bytes(self) -> usize {
        match self {
            PixelFormat::Gray8 => 1,
            PixelFormat::Rgb8 => 3,
            PixelFormat::Rgba8 | PixelFormat::Bgra8 => 4,
        }
    }
}

/// Bytes from the first pixel to the last of an image whose rows begin `stride` bytes apart.
///
/// # Errors
/// [`ErrorKind::Shape`] for an image without pixels or with more than [`MAX_PIXELS`], and for rows that overlap.
pub fn pixels_len(width: u32, height: u32, stride: usize, format: PixelFormat) -> Result<usize> {
    let wrong = |what| Error::new(ErrorKind::Shape, "image", what);
    let all = u64::from(width) * u64::from(height);
    if all == 0 || all > MAX_PIXELS {
        return Err(wrong("size of the image")
            .expected(format!("1 to {MAX_PIXELS} pixels"))
            .got(format!("{width}×{height}")));
    }
    let row = width as usize * format.bytes();
    let rows = (height as usize - 1).checked_mul(stride).and_then(|n| n.checked_add(row));
    match rows {
        Some(bytes) if stride >= row => Ok(bytes),
        _ => Err(wrong("bytes from one row to the next")
            .expected(format!("{row} or more"))
            .got(stride)),
    }
}

/// An image of pixels in memory, whose rows begin `stride` bytes apart.
///
/// # Errors
/// As [`pixels_len`]; [`ErrorKind::Shape`] when there are too few bytes for it.
pub fn from_pixels(
    pixels: &[u8],
    (width, height): (u32, u32),
    stride: usize,
    format: PixelFormat,
) -> Result<RgbImage> {
    let bytes = pixels_len(width, height, stride, format)?;
    if pixels.len() < bytes {
        return Err(Error::new(ErrorKind::Shape, "image", "bytes of pixels")
            .expected(format!("{bytes} for {width}×{height}, {stride} from row to row"))
            .got(pixels.len()));
    }
    let row = width as usize * format.bytes();
    let mut packed = Vec::with_capacity(row * height as usize);
    for start in (0..height as usize).map(|y| y * stride) {
        packed.extend_from_slice(&pixels[start..start + row]);
    }
    if format == PixelFormat::Bgra8 {
        packed.chunks_exact_mut(4).for_each(|pixel| pixel.swap(0, 2));
    }
    let image: Option<DynamicImage> = match format {
        PixelFormat::Rgb8 => RgbImage::from_raw(width, height, packed).map(Into::into),
        PixelFormat::Rgba8 | PixelFormat::Bgra8 => {
            RgbaImage::from_raw(width, height, packed).map(Into::into)
        }
        PixelFormat::Gray8 => GrayImage::from_raw(width, height, packed).map(Into::into),
    };
    Ok(grounded(image.expect("the bytes of all pixels")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_gives_its_colors_and_padding_is_skipped() {
        let read = |bytes: &[u8], stride, format| {
            from_pixels(bytes, (1, 2), stride, format).map(|image| image.into_raw())
        };
        let [a, b] = [[10, 20, 30], [40, 50, 60]];
        assert_eq!(read(&[10, 20, 30, 40, 50, 60], 3, PixelFormat::Rgb8), Ok([a, b].concat()));
        let padded = [10, 20, 30, 255, 9, 9, 40, 50, 60, 255];
        assert_eq!(read(&padded, 6, PixelFormat::Rgba8), Ok([a, b].concat()));
        let swapped = [30, 20, 10, 255, 60, 50, 40, 255];
        assert_eq!(read(&swapped, 4, PixelFormat::Bgra8), Ok([a, b].concat()));
        assert_eq!(read(&[7, 0, 8], 2, PixelFormat::Gray8), Ok(vec![7, 7, 7, 8, 8, 8]));
        let half = [0, 0, 0, 255, 9, 9, 9, 0];
        assert_eq!(read(&half, 4, PixelFormat::Rgba8), Ok(vec![0, 0, 0, 255, 255, 255]));
    }

    #[test]
    fn pixels_that_cannot_be_are_errors() {
        let error = |size, stride, format| {
            from_pixels(&[0; 24], size, stride, format).expect_err("an error").to_string()
        };
        assert!(error((0, 4), 3, PixelFormat::Rgb8).contains("0×4"));
        assert!(error((1 << 16, 1 << 16), 1 << 18, PixelFormat::Rgba8).contains("size"));
        assert!(error((2, 2), 5, PixelFormat::Rgb8).contains("expected 6 or more, got 5"));
        assert!(error((2, 2), 64, PixelFormat::Rgb8).contains("expected 70"));
        assert!(error((1, 3), usize::MAX, PixelFormat::Gray8).contains("row"));
    }
}
