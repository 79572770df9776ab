//! The text-focus recognizer on raw tensors.

use super::inputs::{integers, text_focus_images};
use super::{Activation, Detail, Subject, collect, packed};
use crate::data::checkpoint::StateDict;
use crate::gpu::Gpu;
use crate::models::text_focus;
use crate::tensor::{Cx, Tensor};
use crate::{Error, ErrorKind, Result};

/// The graph of the text-focus recognizer, on high-resolution and super-resolved images.
pub(super) fn run(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    detail: Detail,
) -> Result<Vec<Activation>> {
    let network = text_focus::Network::load(gpu, subject.source())?;
    let tokens = integers(inputs, "lab.input", 2)?;
    let lengths = integers(inputs, "lab.lengths", 1)?.to_u32();
    let (n, l) = (tokens.dims()[0], tokens.dims()[1]);
    if lengths.len() != n || lengths.iter().any(|v| *v as usize > l) {
        return Err(Error::new(ErrorKind::Shape, "lab.lengths", "lengths of the words")
            .expected(format!("{n} of at most {l}"))
            .got(format!("{lengths:?}")));
    }
    let tokens = Tensor::upload_u32(gpu, [n, l], &tokens.to_u32());
    let mut out = Vec::new();
    for (path, rgb) in ["hr", "sr"].into_iter().zip(text_focus_images(inputs, n)?) {
        let gray: Vec<f32> =
            rgb.chunks_exact(3).map(|p| 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]).collect();
        let image = Tensor::upload(gpu, [n, 32, 128, 1], &gray);
        // The modules are named in the first pass only: the second one calls the same modules again.
        let cx = if out.is_empty() { detail.pass(gpu) } else { Cx::new(gpu) };
        let focus = network.forward(&cx, &image, &tokens)?;
        out.extend(collect(gpu, cx.submit()?)?);
        let hosts = Tensor::read_all(gpu, &[&focus.logits, &focus.attention])?;
        let value =
            |name: &str, value| Activation { name: format!("{path}.{name}"), call: 0, value };
        out.push(value("logits", packed(&hosts[0], &lengths)));
        out.push(value("attn", hosts[1].clone()));
    }
    Ok(out)
}
