//! Arrays and image files.

use crate::failure::raised;
use engine::data::picture::{self, Fit, PixelFormat, Plan, RgbImage};
use engine::{Error, ErrorKind, Result};
use numpy::{PyArray1, PyArray3, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// uint8 [h, w], [h, w, 3] or [h, w, 4].
pub(crate) type Pixels<'py> = PyReadonlyArrayDyn<'py, u8>;

/// The image of an array without gaps.
pub(crate) fn image(pixels: &Pixels) -> Result<RgbImage> {
    let wrong = || {
        Error::new(ErrorKind::Shape, "image", "array")
            .expected("uint8 [h, w], [h, w, 3] or [h, w, 4], without gaps")
            .got(format!("{:?}", pixels.shape()))
    };
    let (h, w, format) = match *pixels.shape() {
        [h, w] => (h, w, PixelFormat::Gray8),
        [h, w, 3] => (h, w, PixelFormat::Rgb8),
        [h, w, 4] => (h, w, PixelFormat::Rgba8),
        _ => return Err(wrong()),
    };
    let side = |n: usize| u32::try_from(n).map_err(|_| wrong());
    let bytes = pixels.as_slice().map_err(|_| wrong())?;
    picture::from_pixels(bytes, (side(w)?, side(h)?), w * format.bytes(), format)
}

/// The array [h, w, 3] of an image.
pub(crate) fn array(py: Python<'_>, image: RgbImage) -> PyResult<Bound<'_, PyArray3<u8>>> {
    let (w, h) = image.dimensions();
    PyArray1::from_vec(py, image.into_raw()).reshape([h as usize, w as usize, 3])
}

/// Decodes an image file; `place` names it in errors.
#[pyfunction]
pub(crate) fn decode<'py>(
    py: Python<'py>,
    bytes: &[u8],
    place: &str,
) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let decoded = py.detach(|| picture::decode(bytes, place));
    array(py, decoded.map_err(|e| raised(py, &e))?.image)
}

/// The PNG file of an array.
#[pyfunction]
pub(crate) fn encode_png<'py>(
    py: Python<'py>,
    pixels: Pixels<'py>,
) -> PyResult<Bound<'py, PyBytes>> {
    let png = image(&pixels).and_then(|image| picture::encode(&image, picture::Format::Png));
    Ok(PyBytes::new(py, &png.map_err(|e| raised(py, &e))?))
}

/// The PNG file of a sheet: an image before and after, how it was fitted, and what was read.
#[pyfunction]
pub(crate) fn sheet<'py>(
    py: Python<'py>,
    images: (Pixels<'py>, Pixels<'py>),
    fitted: (String, bool),
    reading: (String, f32, Vec<f32>),
) -> PyResult<Bound<'py, PyBytes>> {
    let ((before, after), (fit, keep_upright)) = (images, fitted);
    let (text, confidence, characters) = reading;
    let draw = || -> Result<Vec<u8>> {
        let plan = Plan::new(&image(&before)?, fit.parse::<Fit>()?, !keep_upright)?;
        let sheet = picture::Sheet {
            name: "image",
            plan: &plan,
            super_resolved: &image(&after)?,
            others: &[],
            network: "",
            attention: None,
            reading: Some(picture::Reading { text: &text, confidence, characters: &characters }),
        };
        picture::encode(&sheet.draw(), picture::Format::Png)
    };
    Ok(PyBytes::new(py, &draw().map_err(|e| raised(py, &e))?))
}
