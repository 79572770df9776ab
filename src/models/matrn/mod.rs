//! MATRN, a text recognizer: ABINet's vision and language models, and an encoder in which what is seen and what is read attend to
//! each other ("Multi-modal text recognition networks: interactive enhancements between visual and semantic features").

mod hiding;
mod joint;
mod loss;

use super::abinet::{self, AbinetConfig, Language, LanguageModel, SHORTEST, Vision, VisionModel};
use super::prepare::high;
use super::reading::Reading;
use super::recipe::{
    Recipe,
    Rule::{self, Bump, Gain, Row0},
};
use super::recognizer::{Head, WordRecognizer, expect_classes};
use crate::gpu::Gpu;
use crate::nn::{Parameters, Scope, Source, Weights};
use crate::ops::{clamp, lengths};
use crate::shape::to_u32;
use crate::tensor::{Axes, Cx, Host, Tensor};
use crate::{Error, ErrorKind, Result};
pub use hiding::Hiding;
use joint::{Joint, Met};
pub use loss::{Loss, loss};

/// Rounds of language model and joint encoder.
pub const ROUNDS: usize = 3;
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

/// What is hidden of the feature map in training.
pub enum Hides<'a> {
    /// Nothing.
    Nothing,
    /// Of each round these cells, `[N, 256, 1]`: 1 for them.
    Cells(&'a [Tensor]),
    /// Of each round cells of a character, by choices that were drawn.
    Drawn(&'a [Hiding]),
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
    /// [`ErrorKind::Shape`] listing tensors that are missing, misshapen or left over;
    /// [`ErrorKind::Format`] for another alphabet.
    pub fn load(gpu: &Gpu, source: &dyn Source) -> Result<Self> {
        let config = AbinetConfig::default();
        let shape = [config.num_classes, config.vision.d_model];
        let alphabet = "the end, a-z, 1-9, 0";
        expect_classes(source, PLACE, "semantic_visual.cls.weight", shape, alphabet)?;
        Ok(Weights::load(gpu, source, None, PLACE, |s| Ok(Self::build(s)))?.0)
    }

    /// Loads for training: also returns the parameters, of which those that are not `frozen` are leaves of a tape.
    ///
    /// # Errors
    /// As [`Network::load`].
    pub fn to_train(
        gpu: &Gpu,
        source: &dyn Source,
        frozen: &dyn Fn(&str) -> bool,
    ) -> Result<(Self, Parameters)> {
        Weights::load(gpu, source, Some(frozen), PLACE, |s| Ok(Self::build(s)))
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
        self.forward_hiding(cx, image, &Hides::Nothing)
    }

    /// The same in training, where some cells of the feature map are hidden.
    ///
    /// # Errors
    /// Shapes that do not fit, and choices for fewer rounds than there are.
    pub fn forward_hiding(&self, cx: &Cx, image: &Tensor, hides: &Hides) -> Result<Seen> {
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
            let hidden = match hides {
                Hides::Nothing => None,
                Hides::Cells(cells) => Some(of_round(cells, i)?.clone()),
                Hides::Drawn(choices) => {
                    let length = clamp(cx, &read, SHORTEST, longest)?;
                    Some(of_round(choices, i)?.cells(cx, &vision.attention, &length)?)
                }
            };
            let Met { visual, semantic, both } =
                self.joint.forward(cx, &vision, &language.feature, hidden.as_ref(), &path)?;
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

/// What is given for a round, from 1.
fn of_round<T>(all: &[T], round: usize) -> Result<&T> {
    all.get(round - 1).ok_or_else(|| {
        Error::new(ErrorKind::Shape, PLACE, "what is hidden").expected(ROUNDS).got(all.len())
    })
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
