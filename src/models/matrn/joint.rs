//! MATRN's joint part, in which what was seen and what was read attend to each other.

use super::PLACE;
use crate::Result;
use crate::models::abinet::{AbinetConfig, CELLS, PositionAttention, Vision};
use crate::nn::{EncoderLayer, Linear, Scope, TransformerConfig};
use crate::ops::{Act, Epilogue, activate, add, concat_last, linear, mix, mul, scale, slice_last};
use crate::tensor::{Axes, Cx, Tensor};

/// Layers of the encoder.
const LAYERS: usize = 2;

/// The part in which both kinds of features meet.
pub(super) struct Joint {
    path: String,
    /// A code for each cell of the feature map, `[256, C]`.
    codes: Tensor,
    layers: Vec<EncoderLayer>,
    attention: PositionAttention,
    gate: Linear,
    /// What stands for a cell that is hidden in training, `[1, C]`.
    hidden: Tensor,
    /// Classes by what was seen, by what was read, and by both.
    classes: [Linear; 3],
}

/// What the joint part says at a round: class scores `[N, T, classes]` of each kind.
pub(super) struct Met {
    pub visual: Tensor,
    pub semantic: Tensor,
    pub both: Tensor,
}

impl Joint {
    pub(super) fn load(s: &Scope, config: &AbinetConfig) -> Self {
        let c = &config.vision;
        let (d, classes) = (c.d_model, config.num_classes);
        let layer = TransformerConfig { width: d, heads: c.nhead, inner: c.d_inner };
        let cells = CELLS.0 * CELLS.1;
        let codes = s.buffer("pos_encoder_tfm.pe", &[cells, 1, d]);
        Joint {
            path: s.path().into(),
            codes: codes.reshape([cells, d]).expect("as many elements"),
            layers: (0..LAYERS)
                .map(|i| EncoderLayer::load(&s.at(format!("model1.layers.{i}")), layer))
                .collect(),
            attention: PositionAttention::load(&s.at("model2_vis"), config),
            hidden: s.param("v_token", &[1, d]),
            gate: Linear::load(&s.at("w_att"), 2 * d, d, true),
            classes: ["cls_vis", "cls_sem", "cls"]
                .map(|name| Linear::load(&s.at(name), d, classes, true)),
        }
    }

    /// What was seen and `text [N, T, C]`, each character of which gets the codes of where it was seen. `hidden [N, 256, 1]` is 1
    /// for cells that are hidden in training and 0 for others.
    pub(super) fn forward(
        &self,
        cx: &Cx,
        vision: &Vision,
        text: &Tensor,
        hidden: Option<&Tensor>,
        round: &str,
    ) -> Result<Met> {
        let _scope = cx.scope(&self.path);
        let value = |name: &str, t: &Tensor| cx.value(round, name, t, Axes::Same);
        let [n, steps, d] = text.shape().nlc(PLACE)?;
        let cells = self.codes.dims()[0];
        for name in ["pos_encoder_tfm.dropout", "pos_encoder_tfm"] {
            let codes = self.codes.reshape([1, cells, d])?;
            cx.tap_copies(&self.path, name, &codes, Axes::Sequence, n);
        }
        let maps = vision.attention.detached().reshape([n, steps, cells])?;
        let text = add(cx, text, &linear(cx, &maps, &self.codes, &Epilogue::default())?)?;
        value("joint_in_text", &text);
        let mut seen = vision.image.reshape([n, cells, d])?;
        if let Some(hidden) = hidden {
            // F ⊙ (1 − h) + token·h
            let tokens = linear(cx, hidden, &self.hidden, &Epilogue::default())?;
            let covered = mul(cx, &seen, &scale(cx, hidden, -1.0)?)?;
            seen = add(cx, &add(cx, &seen, &covered)?, &tokens)?;
        }
        let seen = seen.reshape([n, cells * d])?;
        let both = concat_last(cx, &[&seen, &text.reshape([n, steps * d])?])?;
        let mut z = both.reshape([n, cells + steps, d])?;
        for layer in &self.layers {
            z = layer.forward(cx, &z)?;
        }
        cx.tap(&self.path, "model1", &z, Axes::Sequence);
        let z = z.reshape([n, (cells + steps) * d])?;
        let seen = slice_last(cx, &z, 0..cells * d)?;
        value("joint_out_visual", &seen.reshape([n, cells, d])?);
        let read = slice_last(cx, &z, cells * d..(cells + steps) * d)?.reshape([n, steps, d])?;
        let (rows, columns) = CELLS;
        let (seen, maps) = self.attention.forward(cx, &seen.reshape([n, rows, columns, d])?)?;
        value("visual_feature", &seen);
        value("visual_attn", &maps);
        let [by_sight, by_text, by_both] = &self.classes;
        let visual = by_sight.forward(cx, &seen, Axes::Same)?;
        value("visual.logits", &visual);
        let semantic = by_text.forward(cx, &read, Axes::Same)?;
        value("semantic.logits", &semantic);
        // g = σ(W·[v ; s] + b), f = g ⊙ v + (1 − g) ⊙ s
        let gate = self.gate.forward(cx, &concat_last(cx, &[&seen, &read])?, Axes::Same)?;
        let gate = activate(cx, &gate, Act::Sigmoid)?;
        let both = by_both.forward(cx, &mix(cx, &gate, &seen, &read)?, Axes::Same)?;
        value("final.logits", &both);
        Ok(Met { visual, semantic, both })
    }
}
