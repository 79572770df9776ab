//! PARSeq on raw tensors.

use super::gradients::{GradMode, finish, pass};
use super::inputs::integers;
use super::recognizers::{first_image, images, texts};
use super::{Activation, Detail, Subject, collect};
use crate::data::checkpoint::StateDict;
use crate::gpu::Gpu;
use crate::models::parseq::{Network, Orders, START, STEPS, loss};
use crate::ops::backward;
use crate::tensor::{Axes, Cx, Host};
use crate::{Error, ErrorKind, Result};

/// Values of which the reference has the first image alone, so many rows of it or all.
const FIRST: [(&str, Option<usize>); 5] = [
    ("patch", Some(16)),
    ("block0", None),
    ("memory", None),
    ("step2.content", None),
    ("refine.decoder_out", None),
];

/// The graph of PARSeq.
pub(super) fn run(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    detail: Detail,
) -> Result<Vec<Activation>> {
    let network = Network::load(gpu, subject.source())?;
    let [rich, low] = images(gpu, inputs)?;
    let cx = detail.pass(gpu);
    cx.value("parseq", "input_from_16x64", &network.prepare(&cx, &low)?, Axes::Image);
    let input = network.prepare(&cx, &rich)?;
    cx.value("parseq", "input", &input, Axes::Image);
    let spelled = network.forward(&cx, &input)?;
    let (greedy, ids) = &spelled.greedy;
    cx.value("parseq", "ar_logits", greedy, Axes::Same);
    cx.value("parseq", "ar_ids", ids, Axes::Same);
    cx.value("parseq", "logits", &spelled.logits, Axes::Same);
    cx.value("parseq", "ids", &spelled.ids, Axes::Same);
    let mut out = collect(gpu, cx.submit()?)?;
    let steps = made(&ids.to_host(gpu)?);
    out = out.into_iter().filter_map(|a| as_made(a, steps)).collect();
    for (name, rows) in FIRST {
        first_image(&mut out, &format!("parseq.{name}"), rows);
    }
    out.extend(content(&out));
    out.push(texts(gpu, &network, &[&spelled.logits, &spelled.looks], "parseq.text")?);
    out.push(texts(gpu, &network, &[greedy, &spelled.looks], "parseq.text_ar")?);
    // The modules are named in the first pass only: the second one calls the same modules again.
    let cx = Cx::new(gpu);
    let spelled = network.forward(&cx, &network.prepare(&cx, &low)?)?;
    cx.submit()?;
    let value = spelled.logits.to_host(gpu)?;
    out.push(Activation { name: "parseq.logits_from_16x64".into(), call: 0, value });
    let outputs = [&spelled.logits, &spelled.looks];
    out.push(texts(gpu, &network, &outputs, "parseq.text_from_16x64")?);
    Ok(out)
}

/// How many steps the reference makes: until every sample has produced an end.
fn made(ids: &Host) -> usize {
    let ends = ids.data.chunks_exact(STEPS).map(|row| row.iter().position(|id| *id == 0.0));
    ends.map(|end| end.map_or(STEPS, |at| at + 1)).max().unwrap_or(STEPS)
}

/// An activation as of a pass that made so many steps: nothing of the others, and no symbols of theirs in the refinement.
fn as_made(mut a: Activation, steps: usize) -> Option<Activation> {
    let own = ["text_embed", "dropout", "decoder", "head"];
    if a.call > 0 && own.iter().any(|part| a.name.starts_with(part)) {
        let twice = ["text_embed", "text_embed.embedding", "dropout"].contains(&a.name.as_str());
        let each = if twice { 2 } else { 1 };
        let refines = a.call > STEPS * each;
        if !refines && a.call > steps * each {
            return None;
        }
        if refines {
            let second = a.call.is_multiple_of(2);
            match a.name.as_str() {
                "dropout" if !second => cut(&mut a.value, steps),
                "decoder.layers.0.norm_c" => cut(&mut a.value, steps),
                "text_embed" | "text_embed.embedding" if second => cut(&mut a.value, steps - 1),
                _ => {}
            }
            a.call -= (STEPS - steps) * each;
        }
    }
    if ["parseq.ar_logits", "parseq.ar_ids"].contains(&a.name.as_str()) {
        cut(&mut a.value, steps);
    }
    Some(a)
}

/// The first `length` rows of each sample of `[N, L, ..]`.
fn cut(value: &mut Host, length: usize) {
    let mut dims = value.dims().to_vec();
    let row: usize = dims[2..].iter().product();
    let samples = value.data.chunks_exact(dims[1] * row);
    value.data = samples.flat_map(|s| s[..length * row].to_vec()).collect();
    dims[1] = length;
    value.shape = dims.as_slice().into();
}

/// What the refinement is given: the start, then the symbols of all steps but the last.
fn content(out: &[Activation]) -> Option<Activation> {
    let ids = &out.iter().find(|a| a.name == "parseq.ar_ids")?.value;
    let steps = ids.dims()[1];
    let row = |row: &[f64]| [&[f64::from(START)], &row[..steps - 1]].concat();
    let data = ids.data.chunks_exact(steps).flat_map(row).collect();
    let value = Host::new(ids.shape, data).into_u32();
    Some(Activation { name: "parseq.refine.content_ids".into(), call: 0, value })
}

/// The loss of PARSeq and its gradients, of the words `parseq.train.targets` in the orders `parseq.train.blocked`, under the names of
/// the reference. Nothing differs between training and evaluation but dropout, which there is none of here.
pub(super) fn gradients(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    mode: GradMode,
    detail: Detail,
) -> Result<Vec<Activation>> {
    let (network, parameters) = Network::to_train(gpu, subject.source(), &|_| false)?;
    let words = integers(inputs, "parseq.train.targets", 2)?;
    let blocked = integers(inputs, "parseq.train.blocked", 3)?;
    let (n, symbols) = (words.dims()[0], words.dims()[1]);
    let [all, _] = images(gpu, inputs)?;
    if all.dims()[0] < n {
        return Err(Error::new(ErrorKind::Shape, "parseq.train.targets", "words of the images")
            .expected(format!("at most {}", all.dims()[0]))
            .got(n));
    }
    let image = all.view(0, [n, 32, 128, 3])?;
    let orders = Orders::new(gpu, &words.to_u32(), symbols.max(1) - 1, &blocked.to_u32())?;
    let cx = pass(gpu, mode, detail);
    let logits = network.along(&cx, &network.prepare(&cx, &image)?, &orders)?;
    for (i, logits) in logits.iter().enumerate() {
        cx.value("parseq.train", &format!("logits_perm{i}"), logits, Axes::Same);
    }
    let loss = loss(&cx, &logits, &orders)?;
    let grads = backward(&cx, &loss, 1.0)?;
    let none: Option<fn(&str) -> f32> = None;
    let parts = [("loss", &loss)];
    let mut out = finish(gpu, cx, grads, &parts, 1.0, &[("", &parameters)], mode, none)?;
    for a in &mut out {
        let family = a.name.split('.').next().unwrap_or_default();
        if ["grad", "losses"].contains(&family) {
            a.name = format!("parseq.train.{}", a.name);
        }
    }
    Ok(out)
}
