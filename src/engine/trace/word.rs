//! Networks that super-resolve a word on raw tensors.

use super::inputs::float_images;
use super::{Activation, Detail, Subject, collect};
use crate::data::checkpoint::StateDict;
use crate::gpu::Gpu;
use crate::models::ModelKind;
use crate::models::word::{Boxed, Loading};
use crate::nn::Parameters;
use crate::ops::scale;
use crate::tensor::{Axes, Cx, Host, Tensor};
use crate::{Error, ErrorKind, Result};

/// What reference files hold of an activation: the activation, and the file's name for what is cut out of it.
const CUTS: &[(&str, &str)] = &[
    ("sr_unit", "sr_unit.img0"),
    ("block2", "block2.img0.ch4"),
    ("block2.feature_enhancer", "block2.enhanced.img0.ch4"),
];

/// The graph of such a network: its values and modules, and what its spatial transformer makes of the images.
pub(super) fn run(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    detail: Detail,
) -> Result<Vec<Activation>> {
    let kind = subject.kind()?;
    let (network, _) = load(gpu, subject, kind, None)?;
    let image = images(gpu, inputs, &network)?;
    let cx = detail.pass(gpu);
    let _wanted = network.enlarge(&cx, &image)?;
    let mut out = collect(gpu, cx.submit()?)?;
    if kind == ModelKind::Rcan {
        let (network, _) = load(gpu, subject, ModelKind::RcanUnit, None)?;
        let image = images(gpu, inputs, &network)?;
        out.push(alone("sr_unit", gpu, |cx| network.enlarge(cx, &image))?);
    }
    if let Some(warp) = network.warp() {
        let cx = detail.pass(gpu);
        let _wanted = warp.forward(&cx, &image)?;
        out.extend(collect(gpu, cx.submit()?)?);
    }
    cut(&mut out, CUTS);
    Ok(out)
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
