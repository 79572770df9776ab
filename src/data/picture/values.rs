//! From a network's values to 8-bit images, with the checks a result must pass before it is kept.

use crate::{Error, ErrorKind, Result};
use image::RgbImage;

/// The first three channels of `values` `[height, width, channels]` as bytes: clamped to 0..=1,
/// times 255, halves rounded away from zero.
///
/// # Errors
/// [`ErrorKind::Shape`] when there are fewer than three channels or the number of values does not
/// fit; [`ErrorKind::Result`] when one of the three channels holds a NaN or an infinity.
pub fn to_rgb8(
    values: &[f32],
    width: u32,
    height: u32,
    channels: usize,
    place: &str,
) -> Result<RgbImage> {
    let pixels = width as usize * height as usize;
    if channels < 3 || pixels.checked_mul(channels) != Some(values.len()) {
        return Err(Error::new(ErrorKind::Shape, place, "values of an image")
            .expected(format!("[{height}, {width}, 3 or more]"))
            .got(format!("{} values in {channels} channels", values.len())));
    }
    let mut bytes = Vec::with_capacity(pixels * 3);
    for (i, pixel) in values.chunks_exact(channels).enumerate() {
        for (c, &v) in pixel[..3].iter().enumerate() {
            if !v.is_finite() {
                let (y, x) = (i / width as usize, i % width as usize);
                return Err(not_finite(place, v, format!("row {y}, column {x}, channel {c}")));
            }
            bytes.push((v.clamp(0.0, 1.0) * 255.0).round() as u8);
        }
    }
    Ok(RgbImage::from_raw(width, height, bytes).expect("three bytes per pixel"))
}

/// Refuses an `output` that is one color all over while the `input` it was made from is not.
///
/// # Errors
/// [`ErrorKind::Result`] in that case.
pub fn check_not_flat(input: &RgbImage, output: &RgbImage, place: &str) -> Result<()> {
    if is_flat(output) && !is_flat(input) {
        return Err(Error::new(ErrorKind::Result, place, "every pixel is the same")
            .expected("an image with the input's content")
            .got(format!("RGB {:?} all over", output.get_pixel(0, 0).0)));
    }
    Ok(())
}

pub(super) fn not_finite(place: &str, value: f32, at: String) -> Error {
    Error::new(ErrorKind::Result, place, "value of an image")
        .expected("a finite number")
        .got(format!("{value} at {at}"))
}

/// Levels that noise of a camera or of JPEG leaves in what has no content.
const NOISE: u8 = 4;

/// Whether an image has no contrast, and so nothing to read: no channel differs by more than noise.
pub fn is_blank(image: &RgbImage) -> bool {
    let (mut low, mut high) = ([255; 3], [0; 3]);
    for pixel in image.pixels() {
        for (c, &v) in pixel.0.iter().enumerate() {
            (low[c], high[c]) = (v.min(low[c]), v.max(high[c]));
        }
    }
    low.iter().zip(high).all(|(&low, high)| high.saturating_sub(low) <= NOISE)
}

fn is_flat(image: &RgbImage) -> bool {
    let mut pixels = image.pixels();
    pixels.next().is_some_and(|first| pixels.all(|p| p == first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn values_are_clamped_and_halves_round_away() {
        let half = 0.5 / 255.0;
        let image = to_rgb8(&[-0.2, half, 1.7, 9.0], 1, 1, 4, "x").unwrap();
        assert_eq!(image.get_pixel(0, 0).0, [0, 1, 255]);
    }

    #[test]
    fn bytes_survive_the_way_there_and_back() {
        let image = RgbImage::from_fn(256, 1, |x, _| Rgb([x as u8; 3]));
        let values = super::super::rgb_input(&image);
        assert_eq!(to_rgb8(&values, 256, 1, 3, "x").unwrap(), image);
    }

    #[test]
    fn a_nan_is_named_with_its_place_and_only_where_it_is_seen() {
        let mut values = vec![0.5; 2 * 2 * 4];
        values[3] = f32::NAN;
        assert!(to_rgb8(&values, 2, 2, 4, "x").is_ok());
        values[13] = f32::NAN;
        let e = to_rgb8(&values, 2, 2, 4, "x").unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Result);
        assert!(e.to_string().contains("NaN at row 1, column 1, channel 1"), "{e}");
        values[13] = f32::INFINITY;
        assert!(to_rgb8(&values, 2, 2, 4, "x").is_err());
        assert_eq!(to_rgb8(&values, 2, 3, 4, "x").unwrap_err().kind(), ErrorKind::Shape);
        assert_eq!(to_rgb8(&values, 4, 2, 2, "x").unwrap_err().kind(), ErrorKind::Shape);
    }

    #[test]
    fn a_flat_result_is_refused_unless_the_input_was_flat() {
        let flat = RgbImage::from_pixel(4, 2, Rgb([3, 4, 5]));
        let mut drawn = flat.clone();
        drawn.put_pixel(2, 1, Rgb([9, 9, 9]));
        assert!(check_not_flat(&flat, &flat, "x").is_ok());
        assert!(check_not_flat(&drawn, &drawn, "x").is_ok());
        assert_eq!(check_not_flat(&drawn, &flat, "x").unwrap_err().kind(), ErrorKind::Result);
    }
}
