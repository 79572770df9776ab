//! MATRN on raw tensors.

use super::gradients::{GradMode, finish, pass, targets};
use super::recognizers::{first_image, images, texts};
use super::{Activation, Detail, Subject, collect, to_f64};
use crate::data::checkpoint::StateDict;
use crate::gpu::Gpu;
use crate::models::matrn::{Hides, Network, ROUNDS, loss};
use crate::models::prepare::{Scaled, high};
use crate::ops::backward;
use crate::tensor::{Axes, Cx, Tensor};
use crate::{Error, ErrorKind, Result};

/// Cells of the feature map.
const CELLS: usize = 256;

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

/// Gradients of MATRN's training loss, of the words `matrn.train.target.ids` and `.lengths`, under the names of the reference; in
/// training with those cells hidden that `matrn.train.iterK.mask_tokens` lists.
pub(super) fn gradients(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    mode: GradMode,
    detail: Detail,
) -> Result<Vec<Activation>> {
    let (network, parameters) = Network::to_train(gpu, subject.source(), &|_| false)?;
    let [image, _] = images(gpu, inputs)?;
    let n = image.dims()[0];
    let words = targets(gpu, inputs, "matrn.train.target", n, (26, 37))?;
    let trains = mode == GradMode::Train;
    let hidden = match trains {
        true => (1..=ROUNDS).map(|i| hidden(gpu, inputs, n, i)).collect::<Result<Vec<_>>>()?,
        false => Vec::new(),
    };
    let cx = pass(gpu, mode, detail);
    let hides = if trains { Hides::Cells(&hidden) } else { Hides::Nothing };
    let seen = network.forward_hiding(&cx, &image, &hides)?;
    let loss = loss(&cx, &seen, &words, trains)?;
    let grads = backward(&cx, &loss.total, 1.0)?;
    let parts = [
        ("loss", &loss.total),
        ("vision_loss", &loss.vision),
        ("language_loss", &loss.language),
        ("alignment_loss", &loss.joint),
    ];
    let none: Option<fn(&str) -> f32> = None;
    let mut out = finish(gpu, cx, grads, &parts, 1.0, &[("", &parameters)], mode, none)?;
    let place = if trains { "matrn.train" } else { "matrn.eval" };
    for a in &mut out {
        let family = a.name.split('.').next().unwrap_or_default();
        if ["grad", "losses"].contains(&family) {
            a.name = format!("{place}.{}", a.name);
        } else if let (true, Some(name)) = (trains, a.name.strip_prefix("matrn.")) {
            a.name = format!("{place}.{name}");
        }
    }
    Ok(out)
}

/// Which cells are hidden in a round, `[N, 256, 1]`: 1 for those that the file lists.
fn hidden(gpu: &Gpu, inputs: &StateDict, n: usize, round: usize) -> Result<Tensor> {
    let name = format!("matrn.train.iter{round}.mask_tokens");
    let missing = || Error::new(ErrorKind::Format, &name, "hidden cells").expected("[N, 10]");
    let list = to_f64(inputs.tensors.get(&name).ok_or_else(missing)?)?;
    if !list.len().is_multiple_of(n) || list.iter().any(|cell| *cell >= CELLS as f64) {
        return Err(missing().got(format!("{} numbers of {n} images", list.len())));
    }
    let mut cells = vec![0.0; n * CELLS];
    for (i, cell) in list.iter().enumerate().filter(|(_, cell)| **cell >= 0.0) {
        cells[i / (list.len() / n) * CELLS + *cell as usize] = 1.0;
    }
    Ok(Tensor::upload(gpu, [n, CELLS, 1], &cells))
}
