//! The loss of a recognizer in training, by its stage.

use super::config::TrainConfig;
use super::inputs::Inputs;
use super::losses::Losses;
use super::stage::Stage;
use crate::Result;
use crate::models::abinet;
use crate::ops::{Filter, add, expand, mean_absolute, mix, mul, resize, scale, slice_last};
use crate::tensor::Cx;

/// The loss of `network`, and then its parts.
///
/// # Errors
/// Errors of the operations.
pub(super) fn losses(
    cx: &Cx,
    network: &abinet::Network,
    x: &Inputs,
    config: &TrainConfig,
) -> Result<Losses> {
    let words = &x.reader_words;
    if config.stage == Stage::Language {
        let corrected = network.correct(cx, &x.clean, &x.lengths)?;
        let loss = abinet::reading_loss(cx, &corrected.logits, words)?;
        return Ok(Losses(vec![("loss", loss)]));
    }
    // Some images are seen as the recognizer inside LEMMA sees them: enlarged from low resolution.
    let sharp = slice_last(cx, &x.hr, 0..3)?;
    let blurred = resize(cx, &slice_last(cx, &x.lr, 0..3)?, (32, 128), Filter::Bicubic, true)?;
    let gate = expand(cx, &x.sharp, sharp.shape())?;
    let image = mix(cx, &gate, &sharp, &blurred)?;
    let (mut parts, vision) = if config.stage == Stage::Vision {
        let vision = network.look(cx, &image)?;
        (vec![("loss", abinet::reading_loss(cx, &vision.logits, words)?)], vision)
    } else {
        let reading = network.forward(cx, &image)?;
        let loss = abinet::loss(cx, &reading, words, true)?;
        let parts = vec![
            ("loss", loss.total),
            ("vision", loss.vision),
            ("language", loss.language),
            ("alignment", loss.alignment),
        ];
        (parts, reading.vision)
    };
    if let (Some((places, known)), true) = (&x.places, config.attention_supervision > 0.0) {
        let attention = vision.attention.reshape(places.shape())?;
        let seen = mul(cx, &attention, known)?;
        let guide = scale(cx, &mean_absolute(cx, &seen, places)?, 256.0)?;
        let weighted = scale(cx, &guide, config.attention_supervision)?;
        parts[0].1 = add(cx, &parts[0].1, &weighted)?;
        parts.push(("places", guide));
    }
    Ok(Losses(parts))
}
