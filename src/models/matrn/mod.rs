//! MATRN, a text recognizer: ABINet's vision and language models, and an encoder in which what is seen and what is read attend to
//! each other ("Multi-modal text recognition networks: interactive enhancements between visual and semantic features").

use super::abinet::{
    self, AbinetConfig, Language, LanguageModel, PositionAttention, SHORTEST, Vision, VisionModel,
};
use super::prepare::high;
use super::reading::Reading;
use super::recipe::{
    Recipe,
    Rule::{self, Bump, Gain, Row0},
};
use super::recognizer::{Head, WordRecognizer, expect_classes};
use crate::Result;
use crate::gpu::Gpu;
use crate::nn::{EncoderLayer, Linear, Scope, Source, TransformerConfig, Weights};
use crate::ops::{
    Act, Epilogue, activate, add, clamp, concat_last, lengths, linear, mix, slice_last,
};
use crate::shape::to_u32;
use crate::tensor::{Axes, Cx, Host, Tensor};

/// Rounds of language model and joint encoder.
const ROUNDS: usize = 3;
/// Layers of the joint encoder.
const LAYERS: usize = 2;
const PLACE: &str = "MATRN";

const RULES: &[(&str, Rule)] = &[
    ("semantic_visual.model1*in_proj_weight", Gain(2.0)),
    ("semantic_visual.model1*out_proj.weight", Gain(0.3)),
    ("semantic_visual.model1*linear2.weight", Gain(0.3)),
    ("semantic_visual.model2_vis.project.weight", Gain(6.0)),
    ("semantic_visual.w_att.weight", Gain(2.0)),
    ("semantic_visual.cls.weight", Row0(4.0, 0.1)),
    ("semantic_visual.cls_vis.weight", Row0(4.0, 0.1)),
    ("semantic_visual.cls_sem.weight", Row0(4.0, 0.1)),
    ("semantic_visual.cls.bias", Bump(0, 6.5, 0.1)),
    ("semantic_visual.cls_vis.bias", Bump(0, 6.5, 0.1)),
    ("semantic_visual.cls_sem.bias", Bump(0, 6.5, 0.1)),
];

pub(crate) const RECIPE: Recipe = Recipe {
    key: "matrn",
    rules: &[RULES, abinet::RULES],
    suffixes: &[("vision.cls.weight", "#785"), ("semantic_visual.cls.weight", "#1352")],
};

/// The part in which both kinds of features meet.
struct Joint {
    path: String,
    /// A code for each cell of the feature map, `[256, C]`.
    codes: Tensor,
    layers: Vec<EncoderLayer>,
    attention: PositionAttention,
    gate: Linear,
    /// Classes by what was seen, by what was read, and by both.
    classes: [Linear; 3],
}

/// What the joint part says at a round: class scores `[N, T, classes]` of each kind.
struct Met {
    visual: Tensor,
    semantic: Tensor,
    both: Tensor,
}

impl Joint {
    fn load(s: &Scope, config: &AbinetConfig) -> Self {
        let c = &config.vision;
        let (d, classes) = (c.d_model, config.num_classes);
        let layer = TransformerConfig { width: d, heads: c.nhead, inner: c.d_inner };
        // What hides a token in training stands in every file.
        s.param("v_token", &[1, d]);
        let cells = abinet::CELLS.0 * abinet::CELLS.1;
        let codes = s.buffer("pos_encoder_tfm.pe", &[cells, 1, d]);
        Joint {
            path: s.path().into(),
            codes: codes.reshape([cells, d]).expect("as many elements"),
            layers: (0..LAYERS)
                .map(|i| EncoderLayer::load(&s.at(format!("model1.layers.{i}")), layer))
                .collect(),
            attention: PositionAttention::load(&s.at("model2_vis"), config),
            gate: Linear::load(&s.at("w_att"), 2 * d, d, true),
            classes: ["cls_vis", "cls_sem", "cls"]
                .map(|name| Linear::load(&s.at(name), d, classes, true)),
        }
    }

    /// `image [N, 8, 32, C]` and `text [N, T, C]`, each character of which gets the codes of where it was seen.
    fn forward(&self, cx: &Cx, vision: &Vision, text: &Tensor, round: &str) -> Result<Met> {
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
        let seen = vision.image.reshape([n, cells * d])?;
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
        let (rows, columns) = abinet::CELLS;
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

/// MATRN on a device.
pub struct Network {
    config: AbinetConfig,
    vision: VisionModel,
    language: LanguageModel,
    joint: Joint,
}

/// One round.
pub struct Round {
    /// The language model's result.
    pub language: Language,
    /// Class scores `[N, 26, 37]` by what was seen.
    pub visual: Tensor,
    /// Class scores by what was read.
    pub semantic: Tensor,
    /// Class scores by both: the result.
    pub both: Tensor,
}

/// What MATRN says of a batch.
pub struct Seen {
    /// The vision model's result.
    pub vision: Vision,
    /// The rounds in order; the last one's result is the network's.
    pub rounds: Vec<Round>,
}

impl Network {
    /// Loads a whole state dict.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) listing tensors that are missing, misshapen or left over;
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) for another alphabet.
    pub fn load(gpu: &Gpu, source: &dyn Source) -> Result<Self> {
        let config = AbinetConfig::default();
        let shape = [config.num_classes, config.vision.d_model];
        let alphabet = "the end, a-z, 1-9, 0";
        expect_classes(source, PLACE, "semantic_visual.cls.weight", shape, alphabet)?;
        Ok(Weights::load(gpu, source, None, PLACE, |s| Ok(Self::build(s)))?.0)
    }

    fn build(s: &Scope) -> Self {
        let config = AbinetConfig::default();
        Network {
            vision: VisionModel::load(&s.at("vision"), &config),
            language: LanguageModel::load(&s.at("language"), &config),
            joint: Joint::load(&s.at("semantic_visual"), &config),
            config,
        }
    }

    /// Reads `image [N, 32, 128, 3]`, RGB in [0, 1].
    ///
    /// # Errors
    /// Another shape.
    pub fn forward(&self, cx: &Cx, image: &Tensor) -> Result<Seen> {
        let longest = to_u32(self.config.max_length);
        let vision = self.vision.forward(cx, image)?;
        let mut counted = lengths(cx, &vision.logits, longest)?;
        for (name, t) in [
            ("logits", &vision.logits),
            ("attn_scores", &vision.attention),
            ("lengths_raw", &counted),
        ] {
            cx.value("matrn.vision", name, t, Axes::Same);
        }
        let mut logits = vision.logits.clone();
        let mut rounds = Vec::new();
        for i in 1..=ROUNDS {
            let path = format!("matrn.iter{i}");
            let known = clamp(cx, &counted, SHORTEST, longest)?;
            let language = self.language.forward(cx, &logits, &known)?;
            let read = lengths(cx, &language.logits, longest)?;
            let Met { visual, semantic, both } =
                self.joint.forward(cx, &vision, &language.feature, &path)?;
            counted = lengths(cx, &both, longest)?;
            for (name, t) in [
                ("lengths_in", &known),
                ("language.logits", &language.logits),
                ("language.feature", &language.feature),
                ("language.lengths_raw", &read),
                ("final.lengths_raw", &counted),
            ] {
                cx.value(&path, name, t, Axes::Same);
            }
            logits = both.clone();
            rounds.push(Round { language, visual, semantic, both });
        }
        Ok(Seen { vision, rounds })
    }
}

impl WordRecognizer for Network {
    fn heads(&self) -> &'static [Head] {
        &[Head::Vision, Head::Language, Head::Fusion]
    }

    fn record(&self, cx: &Cx, images: &Tensor, head: Head) -> Result<Vec<Tensor>> {
        let Seen { vision, mut rounds } = self.forward(cx, &high(cx, images)?)?;
        let logits = match (head, rounds.pop()) {
            (Head::Vision, _) | (_, None) => vision.logits,
            (Head::Language, Some(last)) => last.language.logits,
            (Head::Fusion, Some(last)) => last.both,
        };
        Ok(vec![logits, vision.attention])
    }

    fn decode(&self, outputs: &[Host]) -> Result<Vec<Reading>> {
        abinet::readings(&self.config, &outputs[0], &outputs[1])
    }
}
