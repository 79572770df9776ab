//! ABINet's language model: the bidirectional cloze network (BCN).

use super::config::AbinetConfig;
use crate::Result;
use crate::nn::{DecoderLayer, Linear, Scope, TransformerConfig};
use crate::ops::{Mask, add, dropout, repeat, softmax};
use crate::tensor::{Axes, Cx, Tensor};

/// What the language model says of a batch.
pub struct Language {
    /// Class scores `[N, T, classes]`.
    pub logits: Tensor,
    /// Features `[N, T, C]`.
    pub feature: Tensor,
}

/// The language model's layers.
pub struct LanguageModel {
    path: String,
    project: Linear,
    token_positions: Tensor,
    queries: Tensor,
    layers: Vec<DecoderLayer>,
    classes: Linear,
}

impl LanguageModel {
    /// Loads `proj`, `token_encoder`, `pos_encoder`, `model` and `cls`.
    pub fn load(s: &Scope, config: &AbinetConfig) -> Self {
        let c = &config.language;
        let layer = TransformerConfig { width: c.d_model, heads: c.nhead, inner: c.d_inner };
        let table = |name: &str| {
            let name = format!("{name}.pe");
            s.buffer(&name, &[config.max_length, 1, c.d_model])
        };
        LanguageModel {
            path: s.path().into(),
            project: Linear::load(&s.at("proj"), config.num_classes, c.d_model, false),
            token_positions: table("token_encoder"),
            queries: table("pos_encoder"),
            layers: (0..c.num_layers)
                .map(|i| DecoderLayer::load(&s.at(format!("model.layers.{i}")), layer))
                .collect(),
            classes: Linear::load(&s.at("cls"), c.d_model, config.num_classes, true),
        }
    }

    /// Corrects a reading: `logits [N, T, classes]`, whose soft-max is taken without a gradient, and `lengths [N]` in
    /// `2..=T`. Each step sees all others within the length, but not itself.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, logits: &Tensor, lengths: &Tensor) -> Result<Language> {
        let _scope = cx.scope(&self.path);
        let [n, t, _] = logits.shape().nlc(&self.path)?;
        let probabilities = softmax(cx, &logits.detached(), 2)?;
        let d = self.token_positions.shape().last();
        let positions = self.token_positions.reshape([t, d])?;
        let projected = self.project.forward(cx, &probabilities, Axes::Same)?;
        let memory = dropout(cx, &add(cx, &projected, &positions)?)?;
        for name in ["token_encoder.dropout", "token_encoder"] {
            cx.tap(&self.path, name, &memory, Axes::Sequence);
        }
        let mut x = repeat(cx, &self.queries.reshape([1, t, d])?, n)?;
        for name in ["pos_encoder.dropout", "pos_encoder"] {
            cx.tap(&self.path, name, &x, Axes::Sequence);
        }
        for layer in &self.layers {
            x = layer.forward(cx, &x, &memory, &memory, Mask::DiagonalAndLengths(lengths))?;
        }
        cx.tap(&self.path, "model", &x, Axes::Sequence);
        let logits = self.classes.forward(cx, &x, Axes::Same)?;
        Ok(Language { logits, feature: x })
    }
}
