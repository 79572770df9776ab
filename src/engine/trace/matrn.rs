//! MATRN on raw tensors.

use super::recognizers::{first_image, images, texts};
use super::{Activation, Detail, Subject, collect};
use crate::Result;
use crate::data::checkpoint::StateDict;
use crate::gpu::Gpu;
use crate::models::matrn::Network;
use crate::models::prepare::{Scaled, high};
use crate::tensor::{Axes, Cx};

/// Values of which the reference has the first image alone, so many rows of it or all.
const FIRST: [(&str, Option<usize>); 7] = [
    ("iter1.joint_in_text", None),
    ("iter1.joint_out_visual", Some(64)),
    ("iter1.visual_feature", None),
    ("iter1.visual_attn", None),
    ("iter1.language.feature", None),
    ("iter2.language.feature", None),
    ("iter3.language.feature", None),
];

/// The graph of MATRN.
pub(super) fn run(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    detail: Detail,
) -> Result<Vec<Activation>> {
    let network = Network::load(gpu, subject.source())?;
    let [rich, low] = images(gpu, inputs)?;
    let scaled = Scaled::imagenet(gpu);
    let cx = detail.pass(gpu);
    let poor = high(&cx, &low)?;
    cx.value("matrn", "input_from_16x64", &scaled.forward(&cx, &poor)?, Axes::Image);
    cx.value("matrn", "input", &scaled.forward(&cx, &rich)?, Axes::Image);
    let seen = network.forward(&cx, &rich)?;
    let last = &seen.rounds[seen.rounds.len() - 1];
    cx.value("matrn", "logits", &last.both, Axes::Same);
    let mut out = collect(gpu, cx.submit()?)?;
    for (name, rows) in FIRST {
        first_image(&mut out, &format!("matrn.{name}"), rows);
    }
    let maps = &seen.vision.attention;
    out.push(texts(gpu, &network, &[&last.both, maps], "matrn.text")?);
    out.push(texts(gpu, &network, &[&seen.vision.logits, maps], "matrn.text_vision")?);
    // The modules are named in the first pass only: the second one calls the same modules again.
    let cx = Cx::new(gpu);
    let seen = network.forward(&cx, &high(&cx, &low)?)?;
    let last = &seen.rounds[seen.rounds.len() - 1];
    cx.submit()?;
    let value = last.both.to_host(gpu)?;
    out.push(Activation { name: "matrn.logits_from_16x64".into(), call: 0, value });
    let outputs = [&last.both, &seen.vision.attention];
    out.push(texts(gpu, &network, &outputs, "matrn.text_from_16x64")?);
    Ok(out)
}
