//! What super-resolution is measured against.

use super::Engine;
use crate::models::lemma::{HIGH, LOW};
use crate::ops::{Filter, resize};
use crate::tensor::{Cx, Tensor};
use crate::{Error, ErrorKind, Result};

/// `values [n, 16, 64, 3]` enlarged to `[n, 32, 128, 3]`: bicubic with half-pixel centers, a = −0.75, not clamped.
///
/// # Errors
/// [`ErrorKind::Shape`] when the values are not those of whole images, [`ErrorKind::Device`] when the device fails.
pub fn enlarge(engine: &Engine, values: &[f32]) -> Result<Vec<f32>> {
    let one = LOW.0 * LOW.1 * 3;
    if values.is_empty() {
        return Ok(Vec::new());
    }
    if !values.len().is_multiple_of(one) {
        return Err(Error::new(ErrorKind::Shape, "bicubic", "values of images")
            .expected(format!("a multiple of {one}"))
            .got(values.len()));
    }
    let gpu = engine.gpu();
    let cx = Cx::new(gpu);
    let input = Tensor::upload(gpu, [values.len() / one, LOW.0, LOW.1, 3], values);
    let output = resize(&cx, &input, HIGH, Filter::Bicubic, false)?;
    cx.submit()?;
    Ok(output.to_host(gpu)?.to_f32())
}
