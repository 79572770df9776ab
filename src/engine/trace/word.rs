//! Networks that super-resolve a word on raw tensors.

use super::inputs::float_images;
use super::{Activation, Detail, Subject, collect};
use crate::data::checkpoint::StateDict;
use crate::gpu::Gpu;
use crate::models::word::{Boxed, Loading};
use crate::models::{ModelKind, crnn};
use crate::nn::Parameters;
use crate::ops::scale;
use crate::tensor::{Axes, Cx, Host, Tensor};
use crate::{Error, ErrorKind, Result};

/// What reference files hold of an activation: the activation, and the file's name for what is cut out of it.
const CUTS: &[(&str, &str)] = &[
    ("sr_unit", "sr_unit.img0"),
    ("sr_alone", "sr_alone.img0"),
    ("sr_no_prior", "sr_no_prior.img0"),
    ("tp_map", "tp_map.ch4"),
    ("attn", "attn.img0"),
    ("guidance", "guidance.img0.ch4"),
    ("clue_rec", "clue_rec.img0.ch4"),
    ("clue_ling", "clue_ling.img0.ch4"),
    ("fused", "fused.img0.ch4"),
    ("block2", "block2.img0.ch4"),
    ("block2.feature_enhancer", "block2.enhanced.img0.ch4"),
];

/// The graph of such a network: its values and modules, what its spatial transformer makes of the images, and the images that it
/// makes in its other ways. `reader` is the recognizer that guides it.
pub(super) fn run(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    detail: Detail,
    reader: Option<&Subject>,
) -> Result<Vec<Activation>> {
    let kind = subject.kind()?;
    let own = subject.own_reader();
    let reader = reader.or(own.as_ref());
    // What is released of TATT is what reference files hold of it.
    let whole = if kind == ModelKind::Tatt { ModelKind::TattInBatch } else { kind };
    let network = guided(gpu, subject, whole, reader)?;
    let image = images(gpu, inputs, &network)?;
    let cx = detail.pass(gpu);
    let _wanted = network.enlarge(&cx, &image)?;
    let mut out = collect(gpu, cx.submit()?)?;
    let mut other = |name: &str, network: &Boxed, image: &Tensor| -> Result<()> {
        out.push(alone(name, gpu, |cx| network.enlarge(cx, image))?);
        Ok(())
    };
    match kind {
        ModelKind::Rcan => {
            let (network, _) = load(gpu, subject, ModelKind::RcanUnit, None)?;
            other("sr_unit", &network, &images(gpu, inputs, &network)?)?;
        }
        ModelKind::Tatt => {
            other("sr_swapped", &network, &reversed(gpu, &image)?)?;
            other("sr_alone", &guided(gpu, subject, kind, reader)?, &image)?;
            other("sr_no_prior", &load(gpu, subject, kind, None)?.0, &image)?;
        }
        ModelKind::C3 => {
            other("sr_fused", &guided(gpu, subject, ModelKind::C3Fused, reader)?, &image)?;
        }
        _ => {}
    }
    if let Some(warp) = network.warp() {
        let cx = detail.pass(gpu);
        let _wanted = warp.forward(&cx, &image)?;
        out.extend(collect(gpu, cx.submit()?)?);
    }
    cut(&mut out, CUTS);
    Ok(out)
}

/// The network with its spatial transformer, guided by a recognizer.
fn guided(
    gpu: &Gpu,
    subject: &Subject,
    kind: ModelKind,
    reader: Option<&Subject>,
) -> Result<Boxed> {
    let (mut network, _) = load(gpu, subject, kind, None)?;
    if let Some(reader) = reader.filter(|_| kind.is_guided()) {
        network.guide(crnn::Network::load(gpu, reader.source())?);
    }
    Ok(network)
}

/// The same images in the opposite order.
fn reversed(gpu: &Gpu, images: &Tensor) -> Result<Tensor> {
    let host = images.to_host(gpu)?;
    let one = host.data.len() / host.dims()[0].max(1);
    let data = host.data.chunks_exact(one).rev().flatten().copied().collect();
    Ok(Host::new(host.shape, data).upload(gpu))
}

/// The network with its spatial transformer; in training with its parameters, those that are not `frozen` leaves.
pub(super) fn load(
    gpu: &Gpu,
    subject: &Subject,
    kind: ModelKind,
    frozen: Option<&dyn Fn(&str) -> bool>,
) -> Result<(Boxed, Parameters)> {
    let sizes = match subject {
        Subject::State(state) => Some(*state),
        Subject::Procedural(_) => None,
    };
    let loading = Loading { source: subject.source(), sizes, warps: true, frozen };
    kind.load(gpu, loading).unwrap_or_else(|| {
        Err(Error::new(ErrorKind::Argument, "trace", "network")
            .expected("one that super-resolves words")
            .got(kind.name()))
    })
}

/// The images that `pass` computes in a pass of its own, which names nothing else.
fn alone(name: &str, gpu: &Gpu, pass: impl FnOnce(&Cx) -> Result<Tensor>) -> Result<Activation> {
    let cx = Cx::new(gpu);
    let image = pass(&cx)?;
    cx.submit()?;
    let value = Axes::Image.official(&image.to_host(gpu)?);
    Ok(Activation { name: name.into(), call: 0, value })
}

/// `input.lr` or `input`, as many channels of it as the network takes, in its values.
pub(super) fn images(gpu: &Gpu, inputs: &StateDict, network: &Boxed) -> Result<Tensor> {
    let image = float_images(gpu, inputs, &["input.lr", "input"], network.planes(), 16, 64)?;
    let cx = Cx::new(gpu);
    let image = scale(&cx, &image, network.white())?;
    cx.submit()?;
    Ok(image)
}

/// Adds what is cut out of activations: `.img0` the first image, `.ch4` every fourth channel, axis 1.
fn cut(out: &mut Vec<Activation>, cuts: &[(&str, &str)]) {
    for (of, name) in cuts {
        let Some(mut value) = out.iter().find(|a| a.name == *of).map(|a| a.value.clone()) else {
            continue;
        };
        if name.contains(".img0") {
            let mut dims = value.dims().to_vec();
            dims[0] = 1;
            let len = dims.iter().product();
            value = Host::new(dims.as_slice(), value.data[..len].to_vec());
        }
        if name.ends_with(".ch4") {
            let mut dims = value.dims().to_vec();
            let (channels, inner) = (dims[1], dims[2..].iter().product::<usize>());
            let kept = value.data.chunks_exact(inner).enumerate();
            let kept = kept
                .filter(|(i, _)| (i % channels).is_multiple_of(4))
                .flat_map(|(_, c)| c.to_vec());
            dims[1] = channels.div_ceil(4);
            value = Host::new(dims.as_slice(), kept.collect());
        }
        out.push(Activation { name: name.to_string(), call: 0, value });
    }
}
