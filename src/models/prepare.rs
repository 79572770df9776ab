//! What networks make of an image before they look at it.

use crate::Result;
use crate::gpu::Gpu;
use crate::ops::{Act, Epilogue, Filter, channel_affine, linear, resize};
use crate::tensor::{Cx, Tensor};

/// Height and width of a word image as recognizers know it, and of a poor one.
pub(crate) const HIGH: (usize, usize) = (32, 128);
/// Height and width of the gray image that CRNN and MORAN take.
pub(crate) const NARROW: (usize, usize) = (32, 100);

/// (v − mean)/deviation of RGB values.
pub(crate) struct Scaled {
    scale: Tensor,
    shift: Tensor,
}

impl Scaled {
    /// By these of each channel.
    pub(crate) fn new(gpu: &Gpu, mean: [f32; 3], deviation: [f32; 3]) -> Self {
        let shift: Vec<f32> = mean.iter().zip(deviation).map(|(m, d)| -m / d).collect();
        Scaled {
            scale: Tensor::upload(gpu, [3], &deviation.map(|d| 1.0 / d)),
            shift: Tensor::upload(gpu, [3], &shift),
        }
    }

    /// By the means and deviations of ImageNet.
    pub(crate) fn imagenet(gpu: &Gpu) -> Self {
        Scaled::new(gpu, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    }

    /// `image [N, H, W, 3]`.
    pub(crate) fn forward(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        channel_affine(cx, image, &self.scale, &self.shift, None, Act::None)
    }
}

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
