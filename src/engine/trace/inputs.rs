//! Raw tensors of an inputs file, as the graphs take them.

use super::{info, to_f64};
use crate::data::checkpoint::{Dtype, HostTensor, StateDict};
use crate::data::picture::{self, RgbImage};
use crate::gpu::Gpu;
use crate::models::procedural;
use crate::tensor::{Host, Tensor};
use crate::{Error, ErrorKind, Result};

/// Bytes `[N, 3, H, W]` as images.
pub(super) fn rgb_images(
    tensor: &HostTensor,
    name: &str,
    h: usize,
    w: usize,
) -> Result<Vec<RgbImage>> {
    let fits = matches!(tensor.shape(), [n, 3, a, b] if *n > 0 && (*a, *b) == (h, w));
    if tensor.dtype() != Dtype::U8 || !fits {
        return Err(Error::new(ErrorKind::Shape, name, "images")
            .expected(format!("bytes [N, 3, {h}, {w}] of at least one"))
            .got(format!("{} {:?}", tensor.dtype().name(), tensor.shape())));
    }
    let area = h * w;
    let images = tensor.bytes().chunks_exact(3 * area).map(|planes| {
        RgbImage::from_fn(w as u32, h as u32, |x, y| {
            let at = y as usize * w + x as usize;
            image::Rgb([planes[at], planes[area + at], planes[2 * area + at]])
        })
    });
    Ok(images.collect())
}

/// The images `input.{which}_u8` (for the recognizer's pool `abi` also `input.u8`), or, of a file that gives a seed instead,
/// the images of that seed that `info.pool_index` lists.
pub(super) fn pool_or_bytes(
    inputs: &StateDict,
    which: &str,
    h: usize,
    w: usize,
) -> Result<Vec<RgbImage>> {
    let names = [format!("input.{which}_u8"), "input.u8".to_string()];
    if let Some((name, t)) = names.iter().find_map(|n| Some((n, inputs.tensors.get(n)?))) {
        return rgb_images(t, name, h, w);
    }
    let info = info(inputs).unwrap_or_default();
    let list = info["pool_index"].as_array();
    let (Some(seed), Some(list)) = (info["seed"].as_u64(), list) else {
        return Err(Error::new(ErrorKind::Format, "inputs", "images")
            .expected(format!("{}, or seed and pool_index in `info`", names[0]))
            .got("neither"));
    };
    const POOL: usize = 8;
    let pool = procedural::images(seed, &format!("input:{which}"), POOL, h, w, h / 2);
    let number = |i: &serde_json::Value| Some(i.as_u64()? as usize).filter(|i| *i < POOL);
    let chosen: Option<Vec<usize>> = list.iter().map(number).collect();
    let chosen = chosen.filter(|chosen| !chosen.is_empty()).ok_or_else(|| {
        Error::new(ErrorKind::Format, "inputs", "pool_index in `info`")
            .expected(format!("numbers of images, from 0 to {}", POOL - 1))
            .got(format!("{list:?}"))
    })?;
    let image = |i: usize| {
        let bytes = pool[i * h * w * 3..][..h * w * 3].to_vec();
        RgbImage::from_raw(w as u32, h as u32, bytes).expect("bytes of one image")
    };
    Ok(chosen.into_iter().map(image).collect())
}

/// Floats `[N, C or more, H, W]` of the first tensor found, on the device as `[N, H, W, C]`.
pub(super) fn float_images(
    gpu: &Gpu,
    inputs: &StateDict,
    names: &[&str],
    c: usize,
    h: usize,
    w: usize,
) -> Result<Tensor> {
    let Some((name, t)) = names.iter().find_map(|n| Some((n, inputs.tensors.get(*n)?))) else {
        let found: Vec<&str> = inputs.tensors.keys().take(5).map(String::as_str).collect();
        return Err(Error::new(ErrorKind::Format, "inputs", "raw images of the model")
            .expected(format!("a tensor {}", names.join(" or ")))
            .got(format!("{} tensors: {}", inputs.tensors.len(), found.join(", "))));
    };
    let (n, values) = channels_last(t, name, c, h, w)?;
    Ok(Tensor::upload(gpu, [n, h, w, c], &values))
}

fn channels_last(
    t: &HostTensor,
    name: &str,
    c: usize,
    h: usize,
    w: usize,
) -> Result<(usize, Vec<f32>)> {
    let (n, planes) = match t.shape() {
        [n, planes, a, b] if *n > 0 && *planes >= c && (*a, *b) == (h, w) => (*n, *planes),
        other => {
            return Err(Error::new(ErrorKind::Shape, name, "images")
                .expected(format!("floats [N, {c}, {h}, {w}] of at least one"))
                .got(format!("{} {other:?}", t.dtype().name())));
        }
    };
    let values = t.to_f32()?;
    let area = h * w;
    let last = (0..n * area * c).map(|i| {
        let (image, pixel, channel) = (i / (area * c), i / c % area, i % c);
        values[(image * planes + channel) * area + pixel]
    });
    Ok((n, last.collect()))
}

/// Non-negative integers of a tensor of `rank` axes, at least one.
pub(super) fn integers(inputs: &StateDict, name: &str, rank: usize) -> Result<Host> {
    let wrong = |got: String| {
        Error::new(ErrorKind::Format, name, "labels of the recognizer")
            .expected(format!("non-negative integers of {rank} axes, at least one"))
            .got(got)
    };
    let t = inputs.tensors.get(name).ok_or_else(|| wrong("no such tensor".into()))?;
    let values = to_f64(t)?;
    let most = f64::from(u32::MAX);
    let counts = |v: &f64| (0.0..=most).contains(v) && v.fract() == 0.0;
    if t.shape().len() != rank || values.is_empty() || !values.iter().all(counts) {
        return Err(wrong(format!("{} {:?}", t.dtype().name(), t.shape())));
    }
    Ok(Host::new(t.shape(), values))
}

/// High-resolution and super-resolved RGB images `[N, 32, 128, 3]`, channels-last.
pub(super) fn text_focus_images(inputs: &StateDict, n: usize) -> Result<[Vec<f32>; 2]> {
    let one = |which: &str| -> Result<Option<Vec<f32>>> {
        let (bytes, floats) = (format!("input.{which}_u8"), format!("input.{which}"));
        if let Some(t) = inputs.tensors.get(&bytes) {
            let images = rgb_images(t, &bytes, 32, 128)?;
            return Ok(Some(images.iter().flat_map(picture::rgb_input).collect()));
        }
        let Some(t) = inputs.tensors.get(&floats) else { return Ok(None) };
        Ok(Some(channels_last(t, &floats, 3, 32, 128)?.1))
    };
    if let (Some(hr), Some(sr)) = (one("hr")?, one("sr")?) {
        return Ok([hr, sr]);
    }
    let Some(seed) = info(inputs).and_then(|i| i.get("seed")?.as_u64()) else {
        return Err(Error::new(ErrorKind::Format, "inputs", "images of the recognizer")
            .expected("input.hr_u8 and input.sr_u8, or input.hr and input.sr, or a seed in `info`")
            .got("none of them"));
    };
    let pool = |name: &str| -> Vec<f32> {
        let bytes = procedural::images(seed, name, n, 32, 128, 16);
        bytes.iter().map(|v| f32::from(*v) / 255.0).collect()
    };
    let hr = pool("input:hr");
    let sr = pool("input:sr").iter().zip(&hr).map(|(s, h)| 0.5 * s + 0.5 * h).collect();
    Ok([hr, sr])
}
