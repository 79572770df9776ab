//! ABINet, a text recognizer: vision model, language model and their alignment, refined over three iterations.

mod config;
mod language;
mod loss;
mod position;
mod recipe;
mod vision;

pub use config::{AbinetConfig, LanguageConfig, Shaped, VisionConfig};
pub(crate) use config::{DEEPEST, Shapes, WIDEST, divides, unknown, within};
pub use language::{Language, LanguageModel};
pub use loss::{Loss, Words, loss, reading_loss, shares};
pub(crate) use position::{CELLS, PositionAttention};
pub(crate) use recipe::{RECIPE, RULES};
pub use vision::{Vision, VisionModel};

use super::prepare::high;
use super::reading::{self, center, each, expect_numbers, until_end};
use super::recognizer::{Head, WordRecognizer};
use crate::data::checkpoint::StateDict;
use crate::gpu::Gpu;
use crate::nn::{Linear, Parameters, Scope, Source, Weights};
use crate::ops::{Act, activate, clamp, concat_last, lengths, mix};
use crate::shape::to_u32;
use crate::tensor::{Axes, Cx, Host, Tensor};
use crate::{Error, ErrorKind, Result};

/// Shortest length that the language model is given.
pub const SHORTEST: u32 = 2;

/// One round of language model and alignment.
pub struct Iteration {
    /// Lengths `[N]` given to the language model.
    pub lengths_in: Tensor,
    /// The language model's result.
    pub language: Language,
    /// Class scores `[N, T, classes]` of the fused features.
    pub alignment: Tensor,
    /// Lengths `[N]` of the language model's reading, as counted.
    pub language_lengths: Tensor,
    /// Lengths `[N]` of the fused reading, as counted.
    pub alignment_lengths: Tensor,
}

/// What ABINet says of a batch.
pub struct Reading {
    /// The vision model's result.
    pub vision: Vision,
    /// Lengths `[N]` of its reading, as counted.
    pub vision_lengths: Tensor,
    /// The rounds in order; the last one's alignment is the result.
    pub iterations: Vec<Iteration>,
}

/// ABINet on a device.
pub struct Network {
    config: AbinetConfig,
    vision: VisionModel,
    language: LanguageModel,
    gate: Linear,
    classes: Linear,
}

impl Network {
    /// Loads `vision.*`, `language.*` and `alignment.*`. The configuration stands in the metadata key `config`, or is read off
    /// the shapes.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] listing tensors that are missing, misshapen or left over; [`ErrorKind::Format`] for a
    /// configuration that cannot be understood.
    pub fn load(gpu: &Gpu, state: &StateDict) -> Result<Self> {
        Self::with_config(gpu, state, Self::config_of(state)?)
    }

    /// The configuration in the metadata of `state`, or read off its shapes where these tell it.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for one that cannot be understood, and for shapes that leave a size open.
    pub fn config_of(state: &StateDict) -> Result<AbinetConfig> {
        configuration(state, || AbinetConfig::from_shapes(state, "")?.known())
    }

    /// Loads with a configuration of the caller's.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] listing tensors that are missing, misshapen or left over; [`ErrorKind::Format`] for sizes that make
    /// no network.
    pub fn with_config(gpu: &Gpu, source: &dyn Source, config: AbinetConfig) -> Result<Self> {
        config.check()?;
        let build = |s: &Scope| Self::build(s, config.clone());
        Ok(Weights::load(gpu, source, None, "abinet", build)?.0)
    }

    /// Loads for training: also returns the parameters, of which those that are not `frozen` are leaves of a tape.
    ///
    /// # Errors
    /// As [`Network::with_config`].
    pub fn to_train(
        gpu: &Gpu,
        source: &dyn Source,
        config: AbinetConfig,
        frozen: &dyn Fn(&str) -> bool,
    ) -> Result<(Self, Parameters)> {
        config.check()?;
        let build = |s: &Scope| Self::build(s, config.clone());
        Weights::load(gpu, source, Some(frozen), "abinet", build)
    }

    fn build(s: &Scope, config: AbinetConfig) -> Result<Self> {
        let d = config.vision.d_model;
        if d != config.language.d_model {
            return Err(Error::new(ErrorKind::Shape, "abinet", "channels of the language model")
                .expected(format!("{d}, those of the vision model"))
                .got(config.language.d_model));
        }
        Ok(Network {
            vision: VisionModel::load(&s.at("vision"), &config),
            language: LanguageModel::load(&s.at("language"), &config),
            gate: Linear::load(&s.at("alignment.w_att"), 2 * d, d, true),
            classes: Linear::load(&s.at("alignment.cls"), d, config.num_classes, true),
            config,
        })
    }

    /// Sizes and rules.
    pub fn config(&self) -> &AbinetConfig {
        &self.config
    }

    /// Reads `image [N, 32, 128, 3]`, RGB in [0, 1].
    ///
    /// # Errors
    /// Another shape.
    pub fn forward(&self, cx: &Cx, image: &Tensor) -> Result<Reading> {
        let longest = to_u32(self.config.max_length);
        let absent = to_u32(self.config.length_without_end);
        let vision = self.vision.forward(cx, image)?;
        let vision_lengths = lengths(cx, &vision.logits, absent)?;
        let (mut logits, mut counted) = (vision.logits.clone(), vision_lengths.clone());
        let mut iterations = Vec::new();
        for _ in 0..self.config.iterations {
            let lengths_in = clamp(cx, &counted, SHORTEST, longest)?;
            let language = self.language.forward(cx, &logits, &lengths_in)?;
            let language_lengths = lengths(cx, &language.logits, absent)?;
            let alignment = self.align(cx, &language.feature, &vision.feature)?;
            let alignment_lengths = lengths(cx, &alignment, absent)?;
            (logits, counted) = (alignment.clone(), alignment_lengths.clone());
            iterations.push(Iteration {
                lengths_in,
                language,
                alignment,
                language_lengths,
                alignment_lengths,
            });
        }
        Ok(Reading { vision, vision_lengths, iterations })
    }

    /// The vision model alone on `image [N, 32, 128, 3]`.
    ///
    /// # Errors
    /// Another shape.
    pub fn look(&self, cx: &Cx, image: &Tensor) -> Result<Vision> {
        self.vision.forward(cx, image)
    }

    /// The language model alone on class scores `[N, T, classes]`, which carry no gradient, and `lengths [N]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn correct(&self, cx: &Cx, logits: &Tensor, lengths: &Tensor) -> Result<Language> {
        self.language.forward(cx, logits, lengths)
    }

    /// g = σ(W·[l ; v] + b), f = g ⊙ v + (1 − g) ⊙ l, and the class scores of f.
    fn align(&self, cx: &Cx, language: &Tensor, vision: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope("alignment");
        let both = concat_last(cx, &[language, vision])?;
        let gate = activate(cx, &self.gate.forward(cx, &both, Axes::Same)?, Act::Sigmoid)?;
        self.classes.forward(cx, &mix(cx, &gate, vision, language)?, Axes::Same)
    }
}

impl WordRecognizer for Network {
    fn heads(&self) -> &'static [Head] {
        &[Head::Vision, Head::Language, Head::Fusion]
    }

    fn configuration(&self) -> serde_json::Value {
        serde_json::to_value(&self.config).expect("a configuration is plain data")
    }

    fn record(&self, cx: &Cx, images: &Tensor, head: Head) -> Result<Vec<Tensor>> {
        let Reading { vision, mut iterations, .. } = self.forward(cx, &high(cx, images)?)?;
        let last = iterations.pop();
        let logits = match (head, last) {
            (Head::Vision, _) | (_, None) => vision.logits,
            (Head::Language, Some(last)) => last.language.logits,
            (Head::Fusion, Some(last)) => last.alignment,
        };
        Ok(vec![logits, vision.attention])
    }

    fn decode(&self, outputs: &[Host]) -> Result<Vec<reading::Reading>> {
        readings(&self.config, &outputs[0], &outputs[1])
    }
}

/// What is read in `logits [N, T, classes]` with `maps [N, T, H, W]` of where each step looked.
///
/// # Errors
/// [`ErrorKind::Result`] for scores that are not numbers.
pub fn readings(
    config: &AbinetConfig,
    logits: &Host,
    maps: &Host,
) -> Result<Vec<reading::Reading>> {
    expect_numbers(logits)?;
    let charset: Vec<char> = config.charset_chars.chars().collect();
    let (width, cells) = (maps.shape.last(), maps.dims()[2..].iter().product());
    let symbol = |class: usize| class.checked_sub(1).map(|i| charset[i]);
    Ok(each(logits, maps, |logits, maps| {
        let centers = maps.chunks_exact(cells).map(|map| center(map, width));
        until_end(logits, config.num_classes, centers, symbol)
    }))
}

/// The configuration in the metadata of `state`, or what `otherwise` finds.
pub(crate) fn configuration<T: serde::de::DeserializeOwned>(
    state: &StateDict,
    otherwise: impl FnOnce() -> Result<T>,
) -> Result<T> {
    match state.metadata.get("config") {
        None => otherwise(),
        Some(text) => serde_json::from_str(text).map_err(|e| {
            Error::new(ErrorKind::Format, "weights", format!("metadata key config: {e}"))
        }),
    }
}
