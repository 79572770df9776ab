//! The recognizer inside LEMMA: where characters are in the poor image, and what they say.
//!
//! ABINet is the paper's. With CRNN in its place (paper §4.6, whose code is not public) the reading is spread over the positions
//! of a word: a character is a run of CRNN's steps with one best class, its scores are those of the middle of the run, and it is
//! looked for where that step lies in the image: step t of 26 is centered at t/25 of the width, and weights fall off from there
//! as a normal density whose deviation is the distance of two steps, over all rows alike, with the sum that ABINet's enlarged
//! maps have. CRNN keeps the weights it comes with, so that it needs no loss of its own.

use super::{HIGH, LOW, LemmaConfig, Prior, PriorKind};
use crate::Result;
use crate::models::abinet::{LanguageModel, SHORTEST, VisionModel};
use crate::models::crnn;
use crate::nn::Scope;
use crate::ops::{Filter, clamp, ctc_places, embedding, gather_rows, lengths, resize, slice_last};
use crate::shape::to_u32;
use crate::tensor::{Axes, Cx, Tensor};
use std::sync::OnceLock;

/// CRNN's steps.
const STEPS: usize = 26;
/// What a map of ABINet's sums up to once it is enlarged from 8×32 to 16×64.
const WEIGHT: f64 = 4.0;

/// A recognizer that tells LEMMA where to look.
pub(super) enum PriorModel {
    Abinet(Box<(VisionModel, LanguageModel)>),
    Crnn { reader: Box<crnn::Network>, places: OnceLock<Tensor> },
}

impl PriorModel {
    pub(super) fn load(s: &Scope, config: &LemmaConfig) -> Self {
        match config.prior {
            PriorKind::Abinet => PriorModel::Abinet(Box::new((
                VisionModel::load(&s.at("vision"), &config.position_prior),
                LanguageModel::load(&s.at("language"), &config.position_prior),
            ))),
            PriorKind::Crnn => PriorModel::Crnn {
                reader: Box::new(crnn::Network::build(s)),
                places: OnceLock::new(),
            },
        }
    }

    /// Reads `image [N, 16, 64, 4]`.
    pub(super) fn read(&self, cx: &Cx, image: &Tensor, config: &LemmaConfig) -> Result<Prior> {
        let _scope = cx.scope("position_prior");
        let rgb = slice_last(cx, image, 0..3)?;
        let prior = match self {
            PriorModel::Abinet(models) => by_abinet(cx, &rgb, &models.0, &models.1, config),
            PriorModel::Crnn { reader, places: table } => {
                let shape = [STEPS, LOW.0 * LOW.1];
                let table = table.get_or_init(|| Tensor::constant(cx.gpu(), shape, places()));
                by_crnn(cx, &rgb, reader, table)
            }
        }?;
        for (name, value) in [
            ("attn_map", &prior.maps),
            ("img_logits", &prior.image_logits),
            ("text_logits", &prior.text_logits),
            ("vision_lengths", &prior.vision_lengths),
            ("lengths", &prior.text_lengths),
        ] {
            cx.value("prior", name, value, Axes::Same);
        }
        Ok(prior)
    }
}

fn by_abinet(
    cx: &Cx,
    rgb: &Tensor,
    vision: &VisionModel,
    language: &LanguageModel,
    config: &LemmaConfig,
) -> Result<Prior> {
    let enlarged = resize(cx, rgb, HIGH, Filter::Bicubic, true)?;
    cx.value("prior", "input", &enlarged, Axes::Image);
    let config = &config.position_prior;
    let steps = config.max_length;
    let count = |logits: &Tensor| {
        let counted = lengths(cx, logits, to_u32(config.length_without_end))?;
        clamp(cx, &counted, SHORTEST, to_u32(steps))
    };
    let vision = vision.forward(cx, &enlarged)?;
    cx.value("prior.vision", "attn_vecs", &vision.feature, Axes::Same);
    cx.value("prior.vision", "attn_scores", &vision.attention, Axes::Same);
    let vision_lengths = count(&vision.logits)?;
    let language = language.forward(cx, &vision.logits, &vision_lengths)?;
    let text_lengths = count(&language.logits)?;
    let [n, _, h, w] = vision.attention.shape().nhwc("attention maps")?;
    let each = vision.attention.reshape([n * steps, h, w, 1])?;
    let maps = cx.in_full(|cx| resize(cx, &each, LOW, Filter::Bicubic, true))?;
    let maps = maps.reshape([n, steps, LOW.0, LOW.1])?;
    let (image_logits, text_logits) = (vision.logits, language.logits);
    Ok(Prior { maps, image_logits, text_logits, vision_lengths, text_lengths, learns: true })
}

fn by_crnn(cx: &Cx, rgb: &Tensor, reader: &crnn::Network, places: &Tensor) -> Result<Prior> {
    let input = crnn::Network::prepare(cx, rgb)?;
    cx.value("prior", "input", &input, Axes::Image);
    let logits = cx.evaluating(|cx| reader.forward(cx, &input))?.detached();
    let (at, lengths) = ctc_places(cx, &logits, SHORTEST)?;
    let spelled = gather_rows(cx, &logits, &at, STEPS)?;
    let [n, ..] = spelled.shape().nlc("positions of a word")?;
    let maps = cx.in_full(|cx| embedding(cx, &at, places, 1.0))?;
    Ok(Prior {
        maps: maps.reshape([n, STEPS, LOW.0, LOW.1])?,
        image_logits: spelled.clone(),
        text_logits: spelled,
        vision_lengths: lengths.clone(),
        text_lengths: lengths,
        learns: false,
    })
}

/// The map `[16·64]` of every step.
fn places() -> Vec<f32> {
    let apart = LOW.1 as f64 / (STEPS - 1) as f64;
    let map = |step: usize| {
        let density = move |x: usize| {
            let away = (x as f64 + 0.5 - step as f64 * apart) / apart;
            (-0.5 * away * away).exp()
        };
        let sum: f64 = (0..LOW.1).map(density).sum::<f64>() * LOW.0 as f64;
        (0..LOW.0 * LOW.1).map(move |i| (WEIGHT * density(i % LOW.1) / sum) as f32)
    };
    (0..STEPS).flat_map(map).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_looked_for_where_it_lies() {
        let all = places();
        for (step, map) in all.chunks_exact(LOW.0 * LOW.1).enumerate() {
            let sum: f32 = map.iter().sum();
            assert!((sum - 4.0).abs() < 1e-3, "{sum}");
            let row = &map[..LOW.1];
            assert!(map.chunks_exact(LOW.1).all(|other| other == row));
            let most = (0..LOW.1).max_by(|a, b| row[*a].total_cmp(&row[*b])).expect("columns");
            let center = step as f32 * 64.0 / 25.0;
            assert!((most as f32 + 0.5 - center).abs() <= 0.5, "step {step}: column {most}");
        }
    }
}
