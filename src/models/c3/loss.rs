//! What C3-STISR is trained on, as far as that was released: images and their slopes, that the recognizer which guides it reads
//! like one that sees the truth, and that the language model spells the words.

use super::Network;
use crate::Result;
use crate::models::crnn;
use crate::models::objective::Objective;
use crate::models::text_prior::{Distillation, Reading, STEPS, distill};
use crate::models::textzoom::straighten;
use crate::models::word::WordNetwork;
use crate::ops::{add, ctc_loss, mul, scale};
use crate::shape::to_u32;
use crate::tensor::{Cx, Tensor};

/// The words of a batch, as the language model spells them.
pub struct Words<'a> {
    /// Classes `[N, L]`, padded.
    pub targets: &'a Tensor,
    /// How many of each row count, `[N]`.
    pub lengths: &'a Tensor,
    /// Share of each word in the loss, `[N]`.
    pub share: &'a Tensor,
}

/// The loss of a batch, as it is differentiated, and its parts.
pub struct Loss {
    /// The sum of the parts, one number.
    pub total: Tensor,
    /// The super-resolved images.
    pub sr: Tensor,
    /// Images and their slopes.
    pub image: Tensor,
    /// How the recognizers differ.
    pub distill: Tensor,
    /// How the language model spells.
    pub ctc: Tensor,
}

/// Squared differences and the gradient prior.
const IMAGE: Objective = Objective { gradient_prior: 1e-4, ..Objective::SQUARED };

impl Network {
    /// The loss of `lr [N, 16, 64, planes]` against `hr [N, 32, 128, planes]`. What the recognizer reads that guides the network is
    /// detached: it learns from the `teacher` alone. The first quarter of the images is super-resolved without a clue, and the
    /// language model corrects what is read as in evaluation.
    ///
    /// # Errors
    /// Shapes that do not fit; a network that nobody guides.
    pub fn loss(
        &self,
        cx: &Cx,
        teacher: &crnn::Network,
        [lr, hr]: [&Tensor; 2],
        words: &Words,
    ) -> Result<Loss> {
        let n = lr.dims()[0];
        let distilled = distill(cx, [self.prior.reader()?, teacher], lr, hr)?;
        let Distillation { loss: distill, student, logits } = distilled;
        let told: Vec<f32> = (0..n).map(|i| if i < n / 4 { 0.0 } else { 1.0 }).collect();
        let told = Tensor::upload(cx.gpu(), [n, 1, 1], &told);
        let read = Reading {
            logits: Some(logits.detached()),
            probabilities: mul(cx, &student.detached(), &told)?,
        };
        let sr = self.guided(cx, &straighten(cx, self.warp(), lr)?, &read)?;
        let logits = self.prior.read(cx, lr)?.logits.expect("a reading");
        let lengths = Tensor::upload_u32(cx.gpu(), [n], &vec![to_u32(STEPS); n]);
        let spelled = self.language.forward(cx, &logits, &lengths)?.logits;
        let ctc = ctc_loss(cx, &spelled, words.targets, words.lengths, words.share)?;
        let image = scale(cx, &IMAGE.loss(cx, &sr, hr, None)?.total, IMAGE.scale)?;
        let distill = scale(cx, &distill, IMAGE.scale)?;
        let total = add(cx, &add(cx, &image, &distill)?, &ctc)?;
        Ok(Loss { total, sr, image, distill, ctc })
    }
}
