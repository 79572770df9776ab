//! CRNN on raw tensors.

use super::recognizers::{images, texts};
use super::{Activation, Detail, Subject, collect};
use crate::Result;
use crate::data::checkpoint::StateDict;
use crate::gpu::Gpu;
use crate::models::crnn::Network;
use crate::tensor::Axes;

/// The graph of CRNN.
pub(super) fn run(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    detail: Detail,
) -> Result<Vec<Activation>> {
    let network = Network::load(gpu, subject.source())?;
    let [high, low] = images(gpu, inputs)?;
    let cx = detail.pass(gpu);
    let poor = Network::prepare(&cx, &low)?;
    cx.value("crnn", "input_from_16x64", &poor, Axes::Image);
    let input = Network::prepare(&cx, &high)?;
    cx.value("crnn", "input", &input, Axes::Image);
    let logits = network.forward(&cx, &input)?;
    cx.value("crnn", "logits", &logits, Axes::Sequence);
    let mut out = collect(gpu, cx.submit()?)?;
    out.push(texts(gpu, &network, &[&logits], "crnn.text")?);
    Ok(out)
}
