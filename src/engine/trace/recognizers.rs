//! What the traces of word recognizers have in common: their images and texts.

use super::Activation;
use super::inputs::pool_or_bytes;
use crate::Result;
use crate::data::checkpoint::StateDict;
use crate::data::picture;
use crate::gpu::Gpu;
use crate::models::WordRecognizer;
use crate::tensor::{Host, Tensor};

/// The images `input.rec_u8`, `[N, 32, 128, 3]`, and every second pixel of them, `[N, 16, 64, 3]`.
pub(super) fn images(gpu: &Gpu, inputs: &StateDict) -> Result<[Tensor; 2]> {
    let images = pool_or_bytes(inputs, "rec", 32, 128)?;
    let n = images.len();
    let high: Vec<f32> = images.iter().flat_map(picture::rgb_input).collect();
    let second = |pixel: usize| (pixel / 128).is_multiple_of(2) && pixel.is_multiple_of(2);
    let pixels = high.chunks_exact(3).enumerate().filter(|(i, _)| second(*i));
    let low: Vec<f32> = pixels.flat_map(|(_, rgb)| rgb).copied().collect();
    Ok([Tensor::upload(gpu, [n, 32, 128, 3], &high), Tensor::upload(gpu, [n, 16, 64, 3], &low)])
}

/// What `network` reads in `outputs` of a pass that was submitted, as the value `name`: code points, padded with 0.
pub(super) fn texts(
    gpu: &Gpu,
    network: &dyn WordRecognizer,
    outputs: &[&Tensor],
    name: &str,
) -> Result<Activation> {
    let readings = network.decode(&Tensor::read_all(gpu, outputs)?)?;
    let texts: Vec<Vec<char>> = readings.iter().map(|r| r.text().chars().collect()).collect();
    let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
    let code = |text: &Vec<char>, i: usize| f64::from(text.get(i).map_or(0, |c| u32::from(*c)));
    let codes = texts.iter().flat_map(|text| (0..longest).map(move |i| code(text, i)));
    let value = Host::new([texts.len(), longest], codes.collect()).into_u32();
    Ok(Activation { name: name.into(), call: 0, value })
}

/// Adds `NAME.img0`, the first image of a value by itself, so many rows of it or all.
pub(super) fn first_image(out: &mut Vec<Activation>, name: &str, rows: Option<usize>) {
    let Some(found) = out.iter().find(|a| a.name == name) else { return };
    let mut dims = found.value.dims()[1..].to_vec();
    dims[0] = rows.map_or(dims[0], |rows| rows.min(dims[0]));
    let data = found.value.data[..dims.iter().product()].to_vec();
    let value = Host { shape: dims.as_slice().into(), data, ..found.value.clone() };
    out.push(Activation { name: format!("{name}.img0"), call: 0, value });
}
