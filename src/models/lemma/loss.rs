//! What LEMMA is trained on: pixels, the readability of the result to a fixed recognizer (the text-focus loss), and what the
//! recognizer inside says (fine-tuning).

use super::Output;
use crate::Result;
use crate::models::prepare::gray;
use crate::models::{abinet, text_focus};
use crate::ops::{add, cross_entropy, mean_absolute, mean_squared, scale, slice_last, softmax};
use crate::tensor::{Axes, Cx, Tensor};
use serde::{Deserialize, Serialize};

/// The words of a batch, on the device.
pub struct Words {
    /// Classes `[N, 26]` of ABINet, padded with its null.
    pub ids: Tensor,
    /// What the text-focus recognizer is given, `[N, L]`: 0, then the characters, padded with 0.
    pub tokens: Tensor,
    /// What it should answer, `[N, L]`: the characters, then 0.
    pub targets: Tensor,
    /// Share of each step in the mean `[N·L]`: 1/Σ lengths within a word, 0 behind it.
    pub share: Tensor,
}

/// Which recognizer supplies the attention of the text-focus loss.
pub enum Focus {
    /// The fixed transformer of the paper, with the weights `[37, 37]` of its cross entropy.
    Transformer(Box<text_focus::Network>, Tensor),
    /// An ABINet, in place of a transformer: its vision model.
    Abinet(Box<abinet::Network>),
    /// Nobody's: no such loss.
    Off,
}

/// Weights of the parts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossWeights {
    /// Of the text-focus loss (α₁ of the paper).
    pub text_focus: f32,
    /// Of the attention in it (λ₁).
    pub attention: f32,
    /// Of the recognition in it (λ₂).
    pub recognition: f32,
    /// Of the fine-tuning loss (α₂).
    pub finetune: f32,
}

impl Default for LossWeights {
    fn default() -> Self {
        LossWeights { text_focus: 0.5, attention: 10.0, recognition: 0.0005, finetune: 0.01 }
    }
}

/// Factor on the loss before it is differentiated.
pub const LOSS_SCALE: f32 = 100.0;

/// The loss and its parts, one number each.
pub struct Loss {
    /// The weighted sum.
    pub total: Tensor,
    /// Mean squared difference of all four channels.
    pub mse: Tensor,
    /// Mean absolute difference of where the recognizer looks on HR and SR.
    pub attention: Option<Tensor>,
    /// Its cross entropy on SR.
    pub recognition: Option<Tensor>,
    /// Cross entropy of the probabilities of the recognizer inside, vision and language; 0 of one that does not learn.
    pub finetune: Tensor,
}

/// The loss of a batch against `hr [N, 32, 128, 4]`.
///
/// # Errors
/// Shapes that do not fit.
pub fn loss(
    cx: &Cx,
    output: &Output,
    hr: &Tensor,
    words: &Words,
    focus: &Focus,
    weights: &LossWeights,
) -> Result<Loss> {
    let _part = cx.part("loss");
    let mse = mean_squared(cx, &output.image, hr)?;
    let every = every_step(cx, words);
    let doubled = |logits: &Tensor| abinet::reading_loss(cx, &softmax(cx, logits, 2)?, &every);
    let finetune = match output.prior.learns {
        true => {
            let image = doubled(&output.prior.image_logits)?;
            add(cx, &image, &doubled(&output.prior.text_logits)?)?
        }
        false => Tensor::upload(cx.gpu(), [1], &[0.0]),
    };
    let (attention, recognition) =
        cx.evaluating(|cx| look(cx, output, hr, words, &every, focus))?.unzip();
    let mut total = mse.clone();
    for (part, weight) in [
        (attention.as_ref(), weights.text_focus * weights.attention),
        (recognition.as_ref(), weights.text_focus * weights.recognition),
        (Some(&finetune), weights.finetune),
    ] {
        if let Some(part) = part {
            total = add(cx, &total, &scale(cx, part, weight)?)?;
        }
    }
    Ok(Loss { total, mse, attention, recognition, finetune })
}

/// Attention and recognition parts of the text-focus loss.
fn look(
    cx: &Cx,
    output: &Output,
    hr: &Tensor,
    words: &Words,
    every: &abinet::Words,
    focus: &Focus,
) -> Result<Option<(Tensor, Tensor)>> {
    match focus {
        Focus::Off => Ok(None),
        Focus::Transformer(network, table) => {
            let seen = network.forward(cx, &gray(cx, hr)?, &words.tokens)?;
            let read = network.forward(cx, &gray(cx, &output.image)?, &words.tokens)?;
            cx.value("rec", "hr_logits", &seen.logits, Axes::Same);
            cx.value("rec", "hr_attn", &seen.attention, Axes::Same);
            cx.value("rec", "sr_logits", &read.logits, Axes::Same);
            cx.value("rec", "sr_attn", &read.attention, Axes::Same);
            let attention = mean_absolute(cx, &seen.attention, &read.attention)?;
            Ok(Some((attention, recognition(cx, &read.logits, words, Some(table))?)))
        }
        Focus::Abinet(network) => {
            let rgb = |image: &Tensor| slice_last(cx, image, 0..3);
            let seen = network.look(cx, &rgb(hr)?)?;
            let read = network.look(cx, &rgb(&output.image)?)?;
            let attention = mean_absolute(cx, &seen.attention, &read.attention)?;
            Ok(Some((attention, abinet::reading_loss(cx, &read.logits, every)?)))
        }
    }
}

/// Cross entropy of the text-focus recognizer's `logits [N, L, 37]`, by `table [37, 37]` where it is weighted.
///
/// # Errors
/// Shapes that do not fit.
pub fn recognition(
    cx: &Cx,
    logits: &Tensor,
    words: &Words,
    table: Option<&Tensor>,
) -> Result<Tensor> {
    let targets = words.targets.reshape([words.targets.len()])?;
    let logits = logits.reshape([targets.len(), logits.shape().last()])?;
    cross_entropy(cx, &logits, &targets, &words.share, table)
}

/// The classes of all steps alike, the padding included.
fn every_step(cx: &Cx, words: &Words) -> abinet::Words {
    let n = words.ids.len();
    abinet::Words {
        ids: words.ids.clone(),
        share: Tensor::upload(cx.gpu(), [n], &abinet::shares(&[n], n, 1.0 / n as f32)),
    }
}
