//! ABINet on raw tensors.

use super::inputs::{float_images, rgb_images};
use super::{Activation, Detail, Subject, collect};
use crate::data::checkpoint::StateDict;
use crate::data::picture;
use crate::gpu::Gpu;
use crate::models::abinet;
use crate::tensor::{Axes, Tensor};
use crate::{Error, Result};

/// The graph of ABINet.
pub(super) fn run(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    detail: Detail,
) -> Result<Vec<Activation>> {
    let network = match subject {
        Subject::State(state) => {
            let config = abinet::Network::config_of(state)?;
            abinet::Network::with_config(gpu, *state, counting_as(config, inputs)?)?
        }
        Subject::Procedural(p) => {
            let config = abinet::AbinetConfig::default();
            abinet::Network::with_config(gpu, p, counting_as(config, inputs)?)?
        }
    };
    let bytes = ["input.u8", "input.rec_u8"].iter().find(|n| inputs.tensors.contains_key(**n));
    let input = if let Some(name) = bytes {
        let images = rgb_images(&inputs.tensors[*name], name, 32, 128)?;
        let values: Vec<f32> = images.iter().flat_map(picture::rgb_input).collect();
        Tensor::upload(gpu, [images.len(), 32, 128, 3], &values)
    } else {
        float_images(gpu, inputs, &["prior_input", "input"], 3, 32, 128)?
    };
    let cx = detail.pass(gpu);
    let reading = network.forward(&cx, &input)?;
    for (i, round) in reading.iterations.iter().enumerate() {
        let path = format!("iter{}", i + 1);
        for (name, tensor) in [
            ("lengths_in", &round.lengths_in),
            ("language.logits", &round.language.logits),
            ("language.lengths_raw", &round.language_lengths),
            ("alignment.logits", &round.alignment),
            ("alignment.lengths_raw", &round.alignment_lengths),
        ] {
            cx.value(&path, name, tensor, Axes::Same);
        }
    }
    for (name, tensor) in [
        ("attn_scores", &reading.vision.attention),
        ("feature", &reading.vision.feature),
        ("logits", &reading.vision.logits),
        ("lengths_raw", &reading.vision_lengths),
    ] {
        cx.value("vision", name, tensor, Axes::Same);
    }
    collect(gpu, cx.submit()?)
}

/// The configuration with the rule for readings without an end that the reference was made by: raw lengths of 0 come from
/// ABINet's later revision only.
pub(super) fn counting_as(
    config: abinet::AbinetConfig,
    inputs: &StateDict,
) -> Result<abinet::AbinetConfig> {
    let mut raw = inputs.tensors.iter().filter(|(name, _)| name.ends_with("lengths_raw"));
    let later =
        raw.try_fold(false, |found, (_, t)| Ok::<_, Error>(found || t.to_f32()?.contains(&0.0)))?;
    Ok(if later { abinet::AbinetConfig { length_without_end: 0, ..config } } else { config })
}
