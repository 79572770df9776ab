//! MORAN on raw tensors.

use super::recognizers::{images, texts};
use super::{Activation, Detail, Subject, collect};
use crate::Result;
use crate::data::checkpoint::StateDict;
use crate::gpu::Gpu;
use crate::models::moran::Network;
use crate::tensor::Axes;

/// The graph of MORAN.
pub(super) fn run(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    detail: Detail,
) -> Result<Vec<Activation>> {
    let network = Network::load(gpu, subject.source())?;
    let [high, _] = images(gpu, inputs)?;
    let cx = detail.pass(gpu);
    let input = Network::prepare(&cx, &high)?;
    cx.value("moran", "input", &input, Axes::Image);
    let spelled = network.forward(&cx, &input)?;
    for (name, spelled) in ["l2r", "r2l"].into_iter().zip(&spelled) {
        let [n, steps, classes] = spelled.logits.shape().nlc("MORAN")?;
        let rows = spelled.logits.reshape([n * steps, classes])?;
        cx.value("moran", name, &rows, Axes::Same);
    }
    let mut out = collect(gpu, cx.submit()?)?;
    let read = &spelled[0];
    out.push(texts(gpu, &network, &[&read.logits, &read.places], "moran.text")?);
    Ok(out)
}
