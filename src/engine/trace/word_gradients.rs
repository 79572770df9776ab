//! One training step of a network that super-resolves a word, on raw tensors.

use super::gradients::{GradMode, TextFocusModel, finish, pass};
use super::inputs::pool_or_bytes;
use super::word::{images, load};
use super::{Activation, Detail, Subject, info, packed};
use crate::data::checkpoint::StateDict;
use crate::data::picture;
use crate::data::spelling::{characters, strokes};
use crate::gpu::Gpu;
use crate::models::abinet::shares;
use crate::models::text_focus::{self, Spelling};
use crate::models::word::Boxed;
use crate::models::{Look, Objective};
use crate::ops::{backward, scale, slice_last};
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Tensor};
use crate::{Error, ErrorKind, Result};

/// Losses and gradients of `subject` on `input.lr` against `input.hr_u8`; where a recognizer looks at the results, the words are
/// those that the file lists as `labels` in `info`, or in the part of it that is of this network.
pub(super) fn run(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    mode: GradMode,
    focus: Option<&TextFocusModel>,
    detail: Detail,
) -> Result<Vec<Activation>> {
    let kind = subject.kind()?;
    let unknown = || {
        Error::new(ErrorKind::Argument, "gradients", "network")
            .expected("one whose training loss is known of an image alone")
            .got(kind.name())
    };
    let objective = kind.objective().ok_or_else(unknown)?;
    let (network, parameters) = load(gpu, subject, kind, Some(&|_| false))?;
    let lr = images(gpu, inputs, &network)?;
    let hr = high(gpu, inputs, &network)?;
    let words = match focus {
        Some(focus) if objective.looks() => {
            Some(Words::of(gpu, &objective, focus, kind.key(), inputs)?)
        }
        _ => None,
    };
    let look = words.as_ref().map(Words::look);
    let cx = pass(gpu, mode, detail);
    let sr = network.super_resolve(&cx, &lr)?;
    let loss = objective.loss(&cx, &sr, &hr, look.as_ref())?;
    let grads = backward(&cx, &loss.total, objective.scale)?;
    let mut parts = vec![("loss", &loss.total)];
    parts.extend(loss.parts.iter().map(|(name, part)| (*name, part)));
    let none: Option<fn(&str) -> f32> = None;
    let mut out =
        finish(gpu, cx, grads, &parts, objective.scale, &[("", &parameters)], mode, none)?;
    if let Some(words) = words.filter(|_| objective.spelling == Spelling::Strokes) {
        words.name(&mut out);
    }
    Ok(out)
}

/// The images to be reached, in the network's channels and values.
fn high(gpu: &Gpu, inputs: &StateDict, network: &Boxed) -> Result<Tensor> {
    let images = pool_or_bytes(inputs, "hr", 32, 128)?;
    let values: Vec<f32> = images.iter().flat_map(picture::lr_input).collect();
    let all = Tensor::upload(gpu, [images.len(), 32, 128, 4], &values);
    let cx = Cx::new(gpu);
    let hr = scale(&cx, &slice_last(&cx, &all, 0..network.planes())?, network.white())?;
    cx.submit()?;
    Ok(hr)
}

/// The recognizer that looks, and the words as it spells them.
struct Words {
    network: text_focus::Network,
    table: Option<Tensor>,
    lengths: Vec<usize>,
    tokens: Tensor,
    targets: Tensor,
    share: Tensor,
    /// The same on the host.
    spelled: Vec<Vec<u8>>,
}

impl Words {
    fn of(
        gpu: &Gpu,
        objective: &Objective,
        focus: &TextFocusModel,
        key: &str,
        inputs: &StateDict,
    ) -> Result<Self> {
        let info = info(inputs).unwrap_or_default();
        let labels = [&info["systems"][key]["labels"], &info["labels"]];
        let labels = labels.into_iter().find_map(|l| l.as_array()).map(|l| {
            l.iter().filter_map(|v| v.as_str()).map(String::from).collect::<Vec<String>>()
        });
        let Some(labels) = labels.filter(|l| !l.is_empty()) else {
            return Err(Error::new(ErrorKind::Format, "inputs", "words of the images")
                .expected("labels in `info`")
                .got("none"));
        };
        let spelled: Vec<Vec<u8>> = labels
            .iter()
            .map(|label| match objective.spelling {
                Spelling::Characters => characters(label).collect(),
                Spelling::Strokes => strokes(label).collect(),
            })
            .collect();
        let lengths: Vec<usize> = spelled.iter().map(|s| s.len() + 1).collect();
        let (n, l) = (spelled.len(), lengths.iter().copied().max().unwrap_or(1));
        let padded = |first: &[u8]| {
            let row = |s: &Vec<u8>| {
                let all = first.iter().chain(s).copied().map(u32::from);
                all.chain(std::iter::repeat(0)).take(l).collect::<Vec<u32>>()
            };
            Tensor::upload_u32(gpu, [n, l], &spelled.iter().flat_map(row).collect::<Vec<u32>>())
        };
        let share = shares(&lengths, l, 1.0 / lengths.iter().sum::<usize>() as f32);
        Ok(Words {
            network: text_focus::Network::spelling(
                gpu,
                focus.recognizer.source(),
                objective.spelling,
            )?,
            table: (objective.recognition > 0.0).then(|| focus.table.upload(gpu)),
            tokens: padded(&[0]),
            targets: padded(&[]),
            share: Tensor::upload(gpu, [n * l], &share),
            lengths,
            spelled,
        })
    }

    fn look(&self) -> Look<'_> {
        Look {
            network: &self.network,
            tokens: &self.tokens,
            targets: &self.targets,
            share: &self.share,
            table: self.table.as_ref(),
        }
    }

    /// Names strokes and what the recognizer makes of the high-resolution images as reference files do.
    fn name(&self, out: &mut Vec<Activation>) {
        let integers = |dims: &[usize], values: Vec<f64>| Host::new(dims, values).into_u32();
        let (n, l) = (self.tokens.dims()[0], self.tokens.dims()[1]);
        let lengths: Vec<u32> = self.lengths.iter().map(|n| to_u32(*n)).collect();
        let ended = |s: &Vec<u8>| s.iter().copied().chain([0]).map(f64::from).collect::<Vec<f64>>();
        let all: Vec<f64> = self.spelled.iter().flat_map(ended).collect();
        let row = |s: &Vec<u8>| {
            let row = std::iter::once(0).chain(s.iter().copied()).map(f64::from);
            row.chain(std::iter::repeat(0.0)).take(l).collect::<Vec<f64>>()
        };
        let mut named = vec![
            ("stroke.lengths", integers(&[n], lengths.iter().copied().map(f64::from).collect())),
            ("stroke.input", integers(&[n, l], self.spelled.iter().flat_map(row).collect())),
            ("stroke.gt", integers(&[all.len()], all)),
        ];
        let found = |name: &str| out.iter().find(|a| a.name == name).map(|a| a.value.clone());
        if let Some(logits) = found("look.hr_logits") {
            named.push(("stroke.hr_logits", packed(&logits, &lengths)));
        }
        if let Some(seen) = found("look.hr_attn") {
            let [n, heads, rest @ ..] = seen.dims() else { return };
            let one: usize = rest.iter().product();
            let first = seen.data.chunks_exact(heads * one).flat_map(|all| all[..one].to_vec());
            let dims: Vec<usize> = std::iter::once(*n).chain(rest.iter().copied()).collect();
            named.push(("stroke.hr_attn.head0", Host::new(dims.as_slice(), first.collect())));
        }
        out.extend(named.into_iter().map(|(name, value)| Activation {
            name: name.into(),
            call: 0,
            value,
        }));
    }
}
