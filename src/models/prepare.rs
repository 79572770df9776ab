//! What networks make of an image before they look at it.

use crate::Result;
use crate::ops::{Epilogue, Filter, linear, resize};
use crate::tensor::{Cx, Tensor};

/// Height and width of a word image as recognizers know it, and of a poor one.
pub(crate) const HIGH: (usize, usize) = (32, 128);

/// 0.299 R + 0.587 G + 0.114 B of `[N, H, W, 3 or more]`: `[N, H, W, 1]`.
pub(crate) fn gray(cx: &Cx, image: &Tensor) -> Result<Tensor> {
    let mut weights = vec![0.299, 0.587, 0.114];
    weights.resize(image.shape().last().max(3), 0.0);
    let weights = Tensor::upload(cx.gpu(), [weights.len(), 1], &weights);
    linear(cx, image, &weights, &Epilogue::default())
}

/// `image [N, H, W, C]` at [`HIGH`] size: as it is, or resized bicubically with aligned corners.
pub(crate) fn high(cx: &Cx, image: &Tensor) -> Result<Tensor> {
    let [_, h, w, _] = image.shape().nhwc("recognizer")?;
    match (h, w) == HIGH {
        true => Ok(image.clone()),
        false => resize(cx, image, HIGH, Filter::Bicubic, true),
    }
}
