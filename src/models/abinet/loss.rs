//! What ABINet is trained on: the cross entropy of each part's reading over the characters of a word and its end.

use super::Reading;
use crate::Result;
use crate::ops::{add, cross_entropy, scale};
use crate::tensor::{Cx, Tensor};

/// The words of a batch, on the device.
pub struct Words {
    /// Classes `[N, T]`, padded with the null.
    pub ids: Tensor,
    /// Share of each step in the mean `[N·T]`: 1/Σ (length + 1) within a word and its end, 0 behind it.
    pub share: Tensor,
}

/// Shares `[N·steps]` of the steps of words in a sum over them: `each` for the first `length` steps of a word, 0 behind.
pub fn shares(lengths: &[usize], steps: usize, each: f32) -> Vec<f32> {
    let row = |length: usize| (0..steps).map(move |t| if t < length { each } else { 0.0 });
    lengths.iter().flat_map(|length| row(*length)).collect()
}

/// The loss and its parts, one number each.
pub struct Loss {
    /// The sum.
    pub total: Tensor,
    /// Of the vision model.
    pub vision: Tensor,
    /// Of the language model, over its iterations.
    pub language: Tensor,
    /// Of the fused reading, over its iterations.
    pub alignment: Tensor,
}

/// Cross entropy of `logits [N, T, classes]`.
///
/// # Errors
/// Shapes that do not fit.
pub fn reading_loss(cx: &Cx, logits: &Tensor, words: &Words) -> Result<Tensor> {
    let ids = words.ids.reshape([words.ids.len()])?;
    let logits = logits.reshape([ids.len(), logits.shape().last()])?;
    cross_entropy(cx, &logits, &ids, &words.share, None)
}

/// The loss of a batch. Training (`all` is true) takes the mean over the iterations, evaluation the last one alone.
///
/// # Errors
/// Shapes that do not fit.
pub fn loss(cx: &Cx, reading: &Reading, words: &Words, all: bool) -> Result<Loss> {
    let _part = cx.part("loss");
    let rounds = &reading.iterations;
    let rounds = if all { &rounds[..] } else { &rounds[rounds.len() - 1..] };
    let mean = |logits: &dyn Fn(usize) -> Tensor| -> Result<Tensor> {
        let mut sum = reading_loss(cx, &logits(0), words)?;
        for i in 1..rounds.len() {
            sum = add(cx, &sum, &reading_loss(cx, &logits(i), words)?)?;
        }
        if rounds.len() == 1 { Ok(sum) } else { scale(cx, &sum, 1.0 / rounds.len() as f32) }
    };
    let vision = reading_loss(cx, &reading.vision.logits, words)?;
    let language = mean(&|i| rounds[i].language.logits.clone())?;
    let alignment = mean(&|i| rounds[i].alignment.clone())?;
    let total = add(cx, &add(cx, &vision, &language)?, &alignment)?;
    Ok(Loss { total, vision, language, alignment })
}
