//! One training step on raw tensors: losses, and the gradient of every parameter and of named values.

use super::abinet::counting_as;
use super::inputs::{integers, pool_or_bytes};
use super::{Activation, Detail, Subject, collect, first_images, packed};
use crate::data::checkpoint::StateDict;
use crate::data::picture;
use crate::gpu::Gpu;
use crate::models::lemma::{Focus, LOSS_SCALE, LossWeights};
use crate::models::prepare::gray;
use crate::models::{abinet, lemma, text_focus};
use crate::nn::Parameters;
use crate::ops::{Adam, CLOCK_SIZE, adam, backward, mean_absolute, mean_squared, norm_and_clock};
use crate::tensor::{Cx, Grads, Host, Mode, Tensor};
use crate::{Error, ErrorKind, Result};

/// How the network behaves while its gradients are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GradMode {
    /// As in evaluation: running statistics, no spatial transformer.
    Frozen,
    /// As in training, without dropout: batch statistics, and one step of the optimizer behind it.
    Train,
}

/// What the text-focus loss of LEMMA looks through.
pub struct TextFocusModel<'a> {
    /// Weights of the text-focus recognizer.
    pub recognizer: Subject<'a>,
    /// Weights `[37, 37]` of its cross entropy.
    pub table: Host,
}

pub(super) fn pass(gpu: &Gpu, mode: GradMode, detail: Detail) -> Cx {
    let mode = Mode { batch_statistics: mode == GradMode::Train, dropout: None };
    detail.pass(gpu).with_tape().with_mode(mode)
}

fn value(name: String, value: Host) -> Activation {
    Activation { name, call: 0, value }
}

pub(super) fn of_lemma(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    mode: GradMode,
    focus: Option<&TextFocusModel>,
    detail: Detail,
) -> Result<Vec<Activation>> {
    let config = match subject {
        Subject::State(state) => lemma::Network::config_of(state)?,
        Subject::Procedural(_) => lemma::LemmaConfig::default(),
    };
    let (network, parameters) =
        lemma::Network::to_train(gpu, subject.source(), config, &|_| false)?;
    let focus = match focus {
        None => Focus::Off,
        Some(focus) => Focus::Transformer(
            Box::new(text_focus::Network::load(gpu, focus.recognizer.source())?),
            focus.table.upload(gpu),
        ),
    };
    let lr = pool_or_bytes(inputs, "lr", 16, 64)?;
    let hr = pool_or_bytes(inputs, "hr", 32, 128)?;
    let n = lr.len();
    let upload = |images: &[picture::RgbImage], h: usize, w: usize| {
        let values: Vec<f32> = images.iter().flat_map(picture::lr_input).collect();
        Tensor::upload(gpu, [images.len(), h, w, 4], &values)
    };
    let (lr, hr) = (upload(&lr, 16, 64), upload(&hr, 32, 128));
    let words = inputs.tensors.contains_key("lab.ids").then(|| words(gpu, inputs)).transpose()?;
    let losses = |cx: &Cx| -> Result<Vec<(&'static str, Tensor)>> {
        let output = network.forward(cx, &lr)?;
        cx.expect("lemma", "high-resolution images", &hr, [n, 32, 128, 4])?;
        let Some(words) = &words else {
            return Ok(vec![("mse", mean_squared(cx, &output.image, &hr)?)]);
        };
        let loss = lemma::loss(cx, &output, &hr, words, &focus, &LossWeights::default())?;
        let mut parts = vec![("loss", loss.total), ("mse", loss.mse), ("finetune", loss.finetune)];
        parts.extend(loss.attention.map(|t| ("attention", t)));
        parts.extend(loss.recognition.map(|t| ("recognition", t)));
        Ok(parts)
    };
    let cx = pass(gpu, mode, detail);
    let parts = losses(&cx)?;
    let grads = backward(&cx, &parts[0].1, LOSS_SCALE)?;
    let optimizer = (mode == GradMode::Train)
        .then_some(|name: &str| if name.contains("position_prior") { 1e-4 } else { 1e-3 });
    let parts: Vec<(&str, &Tensor)> = parts.iter().map(|(name, t)| (*name, t)).collect();
    let mut out =
        finish(gpu, cx, grads, &parts, LOSS_SCALE, &[("", &parameters)], mode, optimizer)?;
    if mode == GradMode::Train {
        // The optimizer has moved the weights: what the next step would see.
        let cx = Cx::new(gpu).with_mode(Mode { batch_statistics: true, dropout: None });
        let second = losses(&cx)?;
        cx.submit()?;
        for (name, loss) in second {
            out.push(value(format!("losses_after.{name}"), loss.to_host(gpu)?));
        }
    }
    // Reference files have the recognizer's logits within the words alone.
    for a in out.iter_mut().filter(|a| matches!(&*a.name, "rec.hr_logits" | "rec.sr_logits")) {
        a.value = packed(&a.value, &integers(inputs, "lab.lengths", 1)?.to_u32());
    }
    first_images(&mut out, &["rec.hr_attn", "rec.sr_attn"]);
    Ok(out)
}

pub(super) fn of_abinet(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    mode: GradMode,
    detail: Detail,
) -> Result<Vec<Activation>> {
    let config = match subject {
        Subject::State(state) => abinet::Network::config_of(state)?,
        Subject::Procedural(_) => abinet::AbinetConfig::default(),
    };
    let config = counting_as(config, inputs)?;
    let (steps, classes) = (config.max_length, config.num_classes);
    let (network, parameters) =
        abinet::Network::to_train(gpu, subject.source(), config, &|_| false)?;
    let images = pool_or_bytes(inputs, "abi", 32, 128)?;
    let values: Vec<f32> = images.iter().flat_map(picture::rgb_input).collect();
    let image = Tensor::upload(gpu, [images.len(), 32, 128, 3], &values);
    let words = targets(gpu, inputs, "target", images.len(), (steps, classes))?;
    let cx = pass(gpu, mode, detail);
    let reading = network.forward(&cx, &image)?;
    let loss = abinet::loss(&cx, &reading, &words, mode == GradMode::Train)?;
    let grads = backward(&cx, &loss.total, 1.0)?;
    let parts = [
        ("loss", &loss.total),
        ("vision", &loss.vision),
        ("language", &loss.language),
        ("alignment", &loss.alignment),
    ];
    let none: Option<fn(&str) -> f32> = None;
    finish(gpu, cx, grads, &parts, 1.0, &[("", &parameters)], mode, none)
}

/// The words `PLACE.ids` and `PLACE.lengths` of so many images, of at most so many steps and classes.
pub(super) fn targets(
    gpu: &Gpu,
    inputs: &StateDict,
    place: &str,
    images: usize,
    (steps, classes): (usize, usize),
) -> Result<abinet::Words> {
    let ids = integers(inputs, &format!("{place}.ids"), 2)?;
    let lengths = integers(inputs, &format!("{place}.lengths"), 1)?.to_u32();
    let fits = lengths.len() == images
        && lengths.iter().all(|n| (1..=steps).contains(&(*n as usize)))
        && ids.dims() == [images, steps]
        && ids.data.iter().all(|id| (*id as usize) < classes);
    if !fits {
        return Err(Error::new(ErrorKind::Shape, place, "words of the batch")
            .expected(format!(
                "{} lengths from 1 to {steps}, classes [{0}, {steps}] below {classes}",
                images
            ))
            .got(format!("lengths {lengths:?}, ids {}", ids.shape)));
    }
    Ok(abinet::Words {
        ids: Tensor::upload_u32(gpu, ids.shape, &ids.to_u32()),
        share: share(gpu, &lengths, steps),
    })
}

pub(super) fn of_text_focus(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    focus: Option<&TextFocusModel>,
) -> Result<Vec<Activation>> {
    let network = text_focus::Network::load(gpu, subject.source())?;
    let words = words(gpu, inputs)?;
    let n = words.tokens.dims()[0];
    let [hr, sr] = super::inputs::text_focus_images(inputs, n)?.map(|rgb| {
        let four: Vec<f32> = rgb.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 0.0]).collect();
        Tensor::upload(gpu, [n, 32, 128, 4], &four)
    });
    let sr = sr.leaf(0);
    let table = focus.map(|e| e.table.upload(gpu));
    let mut out = Vec::new();
    for part in ["attention", "recognition"] {
        let cx = Cx::new(gpu).with_tape();
        let seen = network.forward(&cx, &gray(&cx, &hr)?, &words.tokens)?;
        let read = network.forward(&cx, &gray(&cx, &sr)?, &words.tokens)?;
        let loss = if part == "attention" {
            mean_absolute(&cx, &seen.attention, &read.attention)?
        } else {
            lemma::recognition(&cx, &read.logits, &words, table.as_ref())?
        };
        let grad = backward(&cx, &loss, 1.0)?.take(&sr).expect("the loss depends on the image");
        cx.submit()?;
        let hosts = Tensor::read_all(gpu, &[&loss, &grad])?;
        out.push(value(format!("losses.{part}"), hosts[0].clone()));
        let official = hosts[1].permute(&[0, 3, 1, 2]);
        out.push(value(format!("grad_of.sr.{part}_loss"), official));
    }
    Ok(out)
}

/// The words of a batch from `lab.ids`, `lab.input` and `lab.lengths`.
fn words(gpu: &Gpu, inputs: &StateDict) -> Result<lemma::Words> {
    let ids = integers(inputs, "lab.ids", 2)?;
    let tokens = integers(inputs, "lab.input", 2)?;
    let lengths = integers(inputs, "lab.lengths", 1)?.to_u32();
    let l = tokens.dims()[1];
    let fits = [tokens.dims()[0], ids.dims()[0]] == [lengths.len(); 2]
        && lengths.iter().all(|n| (1..=l).contains(&(*n as usize)))
        && tokens.data.iter().all(|t| *t < 37.0)
        && ids.data.iter().all(|t| *t < 37.0);
    if !fits {
        return Err(Error::new(ErrorKind::Shape, "labels", "words of the batch")
            .expected(format!("lengths within 1 to {l} for each row, classes below 37"))
            .got(format!("lengths {lengths:?}, ids {}, input {}", ids.shape, tokens.shape)));
    }
    // A step's target is the next step's token; the last one's is the end.
    let row = |i: usize| tokens.data[i * l + 1..(i + 1) * l].iter().map(|t| *t as u32);
    let targets: Vec<u32> =
        (0..lengths.len()).flat_map(|i| row(i).chain(std::iter::once(0))).collect();
    Ok(lemma::Words {
        ids: Tensor::upload_u32(gpu, ids.shape, &ids.to_u32()),
        tokens: Tensor::upload_u32(gpu, tokens.shape, &tokens.to_u32()),
        targets: Tensor::upload_u32(gpu, tokens.shape, &targets),
        share: share(gpu, &lengths, l),
    })
}

/// 1/Σ lengths for the first `length` of every `steps`, 0 behind.
fn share(gpu: &Gpu, lengths: &[u32], steps: usize) -> Tensor {
    let lengths: Vec<usize> = lengths.iter().map(|n| *n as usize).collect();
    let total: usize = lengths.iter().sum();
    let shares = abinet::shares(&lengths, steps, 1.0 / total as f32);
    Tensor::upload(gpu, [shares.len()], &shares)
}

/// Names under which gradients of values stand in reference files.
const VALUES: [(&str, &str); 11] = [
    ("sr", "sr"),
    ("rot.sr", "rot.sr"),
    ("tp_map", "tp_map"),
    ("lem.h_score", "h_score"),
    ("prior.attn_map", "attn_map"),
    ("prior.img_logits", "img_logits"),
    ("prior.text_logits", "text_logits"),
    ("stn.ctrl", "ctrl"),
    ("stn.out", "stn_out"),
    ("vision.logits", "vision.logits"),
    ("vision.feature", "vision.feature"),
];

#[expect(clippy::too_many_arguments, reason = "the end of one pass, used twice")]
pub(super) fn finish(
    gpu: &Gpu,
    cx: Cx,
    mut grads: Grads,
    parts: &[(&str, &Tensor)],
    scale: f32,
    parameters: &[(&str, &Parameters)],
    mode: GradMode,
    rate: Option<impl Fn(&str) -> f32>,
) -> Result<Vec<Activation>> {
    let mut found = Vec::new();
    for (prefix, all) in parameters {
        let own = all.learning().filter_map(|p| Some((p, grads.take(&p.tensor)?)));
        found.extend(own.map(|(p, grad)| (format!("{prefix}{}", p.name), p, grad)));
    }
    let taps = cx.submit()?;
    let mut out = Vec::new();
    let losses: Vec<&Tensor> = parts.iter().map(|(_, t)| *t).collect();
    for ((name, _), host) in parts.iter().zip(Tensor::read_all(gpu, &losses)?) {
        out.push(value(format!("losses.{name}"), host));
    }
    out.push(value("losses.total".into(), {
        let loss = &out[0].value;
        Host::new(loss.shape, vec![loss.data[0] * f64::from(scale)])
    }));
    for (own, official) in VALUES {
        let Some(tap) = taps.iter().find(|t| t.name == own) else { continue };
        let Some(grad) = grads.take(&tap.tensor) else { continue };
        let host = tap.official(&grad.to_host(gpu)?);
        out.push(value(format!("grad_of.{official}"), host));
    }
    first_images(&mut out, &["grad_of.attn_map", "grad_of.tp_map"]);
    for (name, p, grad) in &found {
        let host = grad.to_host(gpu)?;
        let values = p.to_official(&host.to_f32()).into_iter().map(f64::from).collect();
        out.push(value(format!("grad.{name}"), Host::new(p.official_shape(), values)));
    }
    if mode == GradMode::Train {
        for (prefix, all) in parameters {
            for p in all.all().iter().filter(|p| p.name.contains(".running_")) {
                out.push(value(format!("bn.{prefix}{}", p.name), p.tensor.to_host(gpu)?));
            }
        }
    }
    if let Some(rate) = rate {
        out.extend(step(gpu, &found, rate)?);
    }
    out.extend(collect(gpu, taps)?);
    Ok(out)
}

/// The optimizer of LEMMA's step.
const SETTINGS: Adam =
    Adam { lr: 0.0, beta1: 0.5, beta2: 0.999, eps: 1e-8, decay: 0.0, clips: true };

/// What one step of LEMMA's optimizer changes.
fn step(
    gpu: &Gpu,
    found: &[(String, &crate::nn::Parameter, Tensor)],
    rate: impl Fn(&str) -> f32,
) -> Result<Vec<Activation>> {
    let mut out = Vec::new();
    let state = Tensor::upload(gpu, [CLOCK_SIZE], &[0.0; CLOCK_SIZE]);
    let factor = Tensor::upload(gpu, [1], &[1.0]);
    let left = Tensor::upload_u32(gpu, [1], &[0]);
    let cx = Cx::new(gpu);
    let all: Vec<&Tensor> = found.iter().map(|(.., g)| g).collect();
    norm_and_clock(&cx, &all, &[], &state, 0.25, 0.5, 0.999)?;
    cx.submit()?;
    for (_, p, grad) in found {
        let before = p.tensor.to_host(gpu)?;
        let zeros = vec![0.0; before.data.len()];
        let [m, v] = [(); 2].map(|()| Tensor::upload(gpu, before.shape, &zeros));
        let cx = Cx::new(gpu);
        let settings = Adam { lr: rate(&p.name), ..SETTINGS };
        adam(&cx, &p.tensor, grad, [&m, &v], [&state, &factor, &left], &settings)?;
        cx.submit()?;
        let after = p.tensor.to_host(gpu)?;
        let delta: Vec<f32> =
            after.data.iter().zip(&before.data).map(|(a, b)| (a - b) as f32).collect();
        let values = p.to_official(&delta).into_iter().map(f64::from).collect();
        out.push(value(format!("adam_delta.{}", p.name), Host::new(p.official_shape(), values)));
    }
    out.push(value("clip_norm".into(), Host::new([1], vec![state.to_host(gpu)?.data[0]])));
    Ok(out)
}
