//! What MATRN is trained on: the cross entropy of every reading of every round.

use super::Seen;
use crate::Result;
use crate::models::abinet::{Words, reading_loss};
use crate::ops::{add, scale};
use crate::tensor::{Cx, Tensor};

/// The loss and its parts, one number each.
pub struct Loss {
    /// The sum.
    pub total: Tensor,
    /// Of the vision model.
    pub vision: Tensor,
    /// Of the language model, the mean over the rounds.
    pub language: Tensor,
    /// Of the joint part: three times the mean over its readings.
    pub joint: Tensor,
}

/// The loss of a batch. Training (`all` is true) takes the readings by sight, by text and by both of every round, evaluation the
/// last round's by both alone.
///
/// # Errors
/// Shapes that do not fit.
pub fn loss(cx: &Cx, seen: &Seen, words: &Words, all: bool) -> Result<Loss> {
    let _part = cx.part("loss");
    let rounds = &seen.rounds;
    let rounds = if all { &rounds[..] } else { &rounds[rounds.len() - 1..] };
    let mean = |readings: &[&Tensor], factor: f32| -> Result<Tensor> {
        let mut sum = reading_loss(cx, readings[0], words)?;
        for reading in &readings[1..] {
            sum = add(cx, &sum, &reading_loss(cx, reading, words)?)?;
        }
        scale(cx, &sum, factor / readings.len() as f32)
    };
    let vision = reading_loss(cx, &seen.vision.logits, words)?;
    let language: Vec<&Tensor> = rounds.iter().map(|r| &r.language.logits).collect();
    let language = mean(&language, 1.0)?;
    let joint: Vec<&Tensor> = match all {
        true => rounds.iter().flat_map(|r| [&r.visual, &r.semantic, &r.both]).collect(),
        false => rounds.iter().map(|r| &r.both).collect(),
    };
    let joint = mean(&joint, 3.0)?;
    let total = add(cx, &add(cx, &vision, &language)?, &joint)?;
    Ok(Loss { total, vision, language, joint })
}
