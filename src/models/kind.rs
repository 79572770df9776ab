//! Every network there is: what people and arguments call it, and what its checkpoints are known by.

use super::objective::Objective;
use super::recipe::Recipe;
use super::text_focus::Spelling;
use super::word::{Boxed, Build, Loading};
use super::{
    abinet, aster, c3, crnn, lemma, matrn, moran, parseq, pcan, rcan, san, srcnn, srresnet, tatt,
    tbsrn, text_focus, tsrn,
};
use crate::data::checkpoint::StateDict;
use crate::gpu::Gpu;
use crate::nn::Parameters;
use crate::{Error, ErrorKind, Result};

/// What weights are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelKind {
    /// LEMMA with its recognizer.
    Lemma,
    /// Full ABINet.
    Abinet,
    /// The transformer recognizer of the text-focus loss.
    TextFocus,
    /// The same that spells by strokes, of Text Gestalt's loss.
    StrokeFocus,
    /// SRCNN.
    Srcnn,
    /// SRResNet.
    SrResNet,
    /// TSRN.
    Tsrn,
    /// Text Gestalt.
    TextGestalt,
    /// TBSRN.
    Tbsrn,
    /// PCAN.
    Pcan,
    /// RCAN.
    Rcan,
    /// RCAN for values in [0, 1].
    RcanUnit,
    /// SAN.
    San,
    /// CRNN, a recognizer.
    Crnn,
    /// TATT, each image as if alone.
    Tatt,
    /// TATT as released, where an image's place in its batch counts.
    TattInBatch,
    /// C3-STISR as released.
    C3,
    /// C3-STISR as in its paper, guided by its fused clues.
    C3Fused,
    /// ASTER, a recognizer.
    Aster,
    /// MORAN, a recognizer.
    Moran,
    /// PARSeq, a recognizer.
    Parseq,
    /// MATRN, a recognizer.
    Matrn,
}

/// A row of the table of networks.
struct Entry {
    kind: ModelKind,
    /// What people call it.
    name: &'static str,
    /// What arguments call it.
    word: &'static str,
    /// Names of tensors, all of which its checkpoints have; of those between bars one.
    marks: &'static [&'static str],
    recipe: &'static Recipe,
    /// How it is built, where it super-resolves words and is no LEMMA.
    build: Option<Build>,
    /// What it is trained on, where that is known of an image alone.
    objective: Option<Objective>,
}

/// A checkpoint is of the first network whose marks it has. Of networks that have the same tensors the metadata key `arch` tells
/// one.
const TABLE: &[Entry] = &[
    Entry {
        kind: ModelKind::Lemma,
        name: "LEMMA",
        word: "lemma",
        marks: &[
            "block1.0.weight",
            "position_prior.vision.cls.weight|position_prior.rnn.1.embedding.weight",
        ],
        recipe: &lemma::RECIPE,
        build: None,
        objective: None,
    },
    Entry {
        kind: ModelKind::Abinet,
        name: "ABINet",
        word: "abinet",
        marks: &["vision.cls.weight", "alignment.cls.weight"],
        recipe: &abinet::RECIPE,
        build: None,
        objective: None,
    },
    Entry {
        kind: ModelKind::TextFocus,
        name: "text-focus recognizer",
        word: "text-focus",
        marks: &["generator_word.proj.weight", "embedding_word.lut.weight"],
        recipe: &text_focus::RECIPE,
        build: None,
        objective: None,
    },
    Entry {
        kind: ModelKind::StrokeFocus,
        name: "stroke-focus recognizer",
        word: "stroke-focus",
        marks: &[
            "generator_word_with_upperword.proj.weight",
            "embedding_word_with_upperword.lut.weight",
        ],
        recipe: &text_focus::STROKES_RECIPE,
        build: None,
        objective: None,
    },
    Entry {
        kind: ModelKind::Tatt,
        name: "TATT",
        word: "tatt",
        marks: &["block1.0.weight", "infoGen.init_factor.weight"],
        recipe: &tatt::RECIPE,
        build: Some(tatt::BUILD),
        objective: None,
    },
    Entry {
        kind: ModelKind::TattInBatch,
        name: "TATT as its batches count",
        word: "tatt-batch",
        marks: &["block1.0.weight", "infoGen.init_factor.weight"],
        recipe: &tatt::RECIPE,
        build: Some(tatt::IN_BATCH),
        objective: None,
    },
    Entry {
        kind: ModelKind::C3,
        name: "C3-STISR",
        word: "c3",
        marks: &["block1.0.weight", "infoGen_ling.tconv1.weight"],
        recipe: &c3::RECIPE,
        build: Some(c3::BUILD),
        objective: None,
    },
    Entry {
        kind: ModelKind::C3Fused,
        name: "C3-STISR with fused clues",
        word: "c3-fused",
        marks: &["block1.0.weight", "infoGen_ling.tconv1.weight"],
        recipe: &c3::RECIPE,
        build: Some(c3::FUSED),
        objective: None,
    },
    Entry {
        kind: ModelKind::Tbsrn,
        name: "TBSRN",
        word: "tbsrn",
        marks: &["block1.0.weight", "block2.feature_enhancer.linear.weight"],
        recipe: &tbsrn::RECIPE,
        build: Some(tbsrn::BUILD),
        objective: Some(tbsrn::OBJECTIVE),
    },
    Entry {
        kind: ModelKind::Pcan,
        name: "PCAN",
        word: "pcan",
        marks: &["block1.0.weight", "spatial_attention.conv_max.weight"],
        recipe: &pcan::RECIPE,
        build: Some(pcan::BUILD),
        objective: Some(pcan::OBJECTIVE),
    },
    Entry {
        kind: ModelKind::SrResNet,
        name: "SRResNet",
        word: "srres",
        marks: &["block1.0.weight", "block8.0.prelu.weight"],
        recipe: &srresnet::RECIPE,
        build: Some(srresnet::BUILD),
        objective: Some(Objective::SQUARED),
    },
    Entry {
        kind: ModelKind::Tsrn,
        name: "TSRN",
        word: "tsrn",
        marks: &["block1.0.weight", "block2.gru1.conv1.weight"],
        recipe: &tsrn::RECIPE,
        build: Some(tsrn::BUILD),
        objective: Some(tsrn::OBJECTIVE),
    },
    Entry {
        kind: ModelKind::TextGestalt,
        name: "Text Gestalt",
        word: "tg",
        marks: &["block1.0.weight", "block2.gru1.conv1.weight"],
        recipe: &tsrn::TEXT_GESTALT_RECIPE,
        build: Some(tsrn::TEXT_GESTALT),
        objective: Some(tsrn::TEXT_GESTALT_OBJECTIVE),
    },
    Entry {
        kind: ModelKind::Srcnn,
        name: "SRCNN",
        word: "srcnn",
        marks: &["conv1.weight", "conv2.weight", "conv3.weight"],
        recipe: &srcnn::RECIPE,
        build: Some(srcnn::BUILD),
        objective: Some(Objective::SQUARED),
    },
    Entry {
        kind: ModelKind::San,
        name: "SAN",
        word: "san",
        marks: &["head.0.weight", "RG.0.soca.conv_du.0.weight"],
        recipe: &san::RECIPE,
        build: Some(san::BUILD),
        objective: Some(Objective::ABSOLUTE),
    },
    Entry {
        kind: ModelKind::Rcan,
        name: "RCAN",
        word: "rcan",
        marks: &["head.0.weight", "body.0.body.0.body.3.conv_du.0.weight"],
        recipe: &rcan::RECIPE,
        build: Some(rcan::BUILD),
        objective: Some(rcan::OBJECTIVE),
    },
    Entry {
        kind: ModelKind::RcanUnit,
        name: "RCAN for values in [0, 1]",
        word: "rcan-unit",
        marks: &["head.0.weight", "body.0.body.0.body.3.conv_du.0.weight"],
        recipe: &rcan::RECIPE,
        build: Some(rcan::UNIT),
        objective: Some(Objective::ABSOLUTE),
    },
    Entry {
        kind: ModelKind::Crnn,
        name: "CRNN",
        word: "crnn",
        marks: &["cnn.conv0.weight", "rnn.1.embedding.weight"],
        recipe: &crnn::RECIPE,
        build: None,
        objective: None,
    },
    Entry {
        kind: ModelKind::Aster,
        name: "ASTER",
        word: "aster",
        marks: &["encoder.layer0.0.weight", "decoder.decoder.attention_unit.sEmbed.weight"],
        recipe: &aster::RECIPE,
        build: None,
        objective: None,
    },
    Entry {
        kind: ModelKind::Moran,
        name: "MORAN",
        word: "moran",
        marks: &["MORN.cnn.1.weight", "ASRN.attentionL2R.generator.weight"],
        recipe: &moran::RECIPE,
        build: None,
        objective: None,
    },
    Entry {
        kind: ModelKind::Parseq,
        name: "PARSeq",
        word: "parseq",
        marks: &["pos_queries", "text_embed.embedding.weight"],
        recipe: &parseq::RECIPE,
        build: None,
        objective: None,
    },
    Entry {
        kind: ModelKind::Matrn,
        name: "MATRN",
        word: "matrn",
        marks: &["vision.cls.weight", "semantic_visual.cls.weight"],
        recipe: &matrn::RECIPE,
        build: None,
        objective: None,
    },
];

/// The metadata key that tells networks with the same tensors apart.
pub const ARCH: &str = "arch";

impl ModelKind {
    /// What a state dict is of, by the names of its tensors; by the channels of its images, where it is TSRN or Text Gestalt.
    pub fn of(state: &StateDict) -> Option<Self> {
        let has = |names: &&str| names.split('|').any(|name| state.tensors.contains_key(name));
        let all = TABLE.iter().filter(|e| e.marks.iter().all(has));
        let found: Vec<&Entry> = all.collect();
        let told = state.metadata.get(ARCH);
        let told = told.and_then(|word| found.iter().find(|e| e.word == word));
        let planes = state.tensors.get("block1.0.weight").and_then(|t| t.shape().get(1).copied());
        let kind = told.or(found.first()).map(|e| e.kind)?;
        Some(match (kind, planes) {
            (ModelKind::Tsrn, Some(3)) if told.is_none() => ModelKind::TextGestalt,
            _ => kind,
        })
    }

    /// The one that arguments call so.
    pub fn named(word: &str) -> Option<Self> {
        TABLE.iter().find(|e| e.word == word).map(|e| e.kind)
    }

    /// What arguments call it.
    pub fn word(self) -> &'static str {
        self.entry().word
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|e| e.kind)
    }

    /// What arguments call each.
    pub fn words() -> impl Iterator<Item = &'static str> {
        TABLE.iter().map(|e| e.word)
    }

    fn entry(self) -> &'static Entry {
        TABLE.iter().find(|e| e.kind == self).expect("a row for each network")
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// Whether it super-resolves words.
    pub fn enlarges(self) -> bool {
        self == ModelKind::Lemma || self.entry().build.is_some()
    }

    /// What it is trained on, where that is known of an image alone.
    pub fn objective(self) -> Option<Objective> {
        self.entry().objective
    }

    /// The recognizer that looks at its results in training, or guides it, if one does.
    pub fn critic(self) -> Option<Self> {
        match (self, self.objective()) {
            _ if self.is_guided() => Some(ModelKind::Crnn),
            (ModelKind::Lemma, _) => Some(ModelKind::TextFocus),
            (_, Some(objective)) if objective.looks() => Some(match objective.spelling {
                Spelling::Characters => ModelKind::TextFocus,
                Spelling::Strokes => ModelKind::StrokeFocus,
            }),
            _ => None,
        }
    }

    /// Whether a recognizer guides it that is no part of its weights.
    pub fn is_guided(self) -> bool {
        use ModelKind::{C3, C3Fused, Tatt, TattInBatch};
        matches!(self, Tatt | TattInBatch | C3 | C3Fused)
    }

    /// Loads the network, with the parameters that it has in training; none for one that [`ModelKind::enlarges`] nothing, and
    /// for LEMMA, which says more than an image.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] listing tensors that are missing, misshapen or left over; [`ErrorKind::Format`] for sizes that make
    /// no network.
    pub fn load(self, gpu: &Gpu, loading: Loading) -> Option<Result<(Boxed, Parameters)>> {
        let Entry { word, build, .. } = *self.entry();
        build.map(|build| loading.load(gpu, word, build))
    }

    /// What reference files call it.
    pub(crate) fn key(self) -> &'static str {
        self.recipe().key
    }

    /// Its procedural weights.
    pub(crate) fn recipe(self) -> &'static Recipe {
        self.entry().recipe
    }

    /// Checks that `state` is a checkpoint of this kind.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] saying what it is instead.
    pub fn expect(self, state: &StateDict, place: &str) -> Result<()> {
        match ModelKind::of(state) == Some(self) {
            true => Ok(()),
            false => Err(other(state, place, &format!("a checkpoint of {}", self.name()))),
        }
    }

    /// What `state` is a checkpoint of, where that is one of these kinds.
    ///
    /// # Errors
    /// As [`ModelKind::expect`].
    pub fn expect_one_of(kinds: &[Self], state: &StateDict, place: &str) -> Result<Self> {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        ModelKind::of(state)
            .filter(|kind| kinds.contains(kind))
            .ok_or_else(|| other(state, place, &format!("a checkpoint of {}", names.join(" or "))))
    }

    /// What `state` is a checkpoint of, where that super-resolves words.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] saying what it is instead.
    pub fn enlarging(state: &StateDict, place: &str) -> Result<Self> {
        let kinds: Vec<Self> = TABLE.iter().map(|e| e.kind).filter(|k| k.enlarges()).collect();
        Self::expect_one_of(&kinds, state, place)
    }
}

/// The refusal of weights that are of something else.
fn other(state: &StateDict, place: &str, expected: &str) -> Error {
    let got = match ModelKind::of(state) {
        Some(other) => format!("a checkpoint of {}", other.name()),
        None => {
            let names: Vec<&str> = state.tensors.keys().take(3).map(String::as_str).collect();
            format!("{} tensors: {}, …", state.tensors.len(), names.join(", "))
        }
    };
    let error =
        Error::new(ErrorKind::Format, place, "what the weights are of").expected(expected).got(got);
    let first = state.tensors.keys().next().and_then(|name| name.split_once('.'));
    let below = first.filter(|(part, _)| {
        let part = format!("{part}.");
        state.tensors.keys().all(|name| name.starts_with(&part))
    });
    match below {
        Some((part, _)) => error.hint(format!("--key {part} takes that off all names")),
        None => error,
    }
}
