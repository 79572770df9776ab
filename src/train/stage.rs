//! What a run trains, and which networks that are.

use crate::Result;
use crate::data::checkpoint::StateDict;
use crate::models::ModelKind;
use serde::{Deserialize, Serialize};

/// What is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// ABINet's vision model alone.
    Vision,
    /// ABINet's language model alone, from words to the same words.
    Language,
    /// ABINet as a whole.
    Abinet,
    /// LEMMA and the recognizer inside it.
    Lemma,
    /// The transformer recognizer of the text-focus loss.
    Recognizer,
    /// SRCNN.
    Srcnn,
    /// SRResNet.
    Srresnet,
    /// TSRN.
    Tsrn,
    /// TBSRN.
    Tbsrn,
    /// Text Gestalt.
    Tg,
    /// TATT and the recognizer that guides it.
    Tatt,
    /// C3-STISR as released, and the recognizer that guides it.
    C3,
    /// PCAN.
    Pcan,
    /// RCAN.
    Rcan,
    /// SAN.
    San,
}

impl Stage {
    /// All of them.
    pub const ALL: [Stage; 15] = [
        Stage::Vision,
        Stage::Language,
        Stage::Abinet,
        Stage::Lemma,
        Stage::Recognizer,
        Stage::Srcnn,
        Stage::Srresnet,
        Stage::Tsrn,
        Stage::Tbsrn,
        Stage::Tg,
        Stage::Tatt,
        Stage::C3,
        Stage::Pcan,
        Stage::Rcan,
        Stage::San,
    ];

    /// The networks beside LEMMA that the stage trains by what their own authors trained them by: what it makes from nothing, and
    /// what else it goes on with; none for other stages.
    pub fn networks(self) -> &'static [ModelKind] {
        match self {
            Stage::Srcnn => &[ModelKind::Srcnn],
            Stage::Srresnet => &[ModelKind::SrResNet],
            Stage::Tsrn => &[ModelKind::Tsrn],
            Stage::Tbsrn => &[ModelKind::Tbsrn],
            Stage::Tg => &[ModelKind::TextGestalt],
            Stage::Tatt => &[ModelKind::Tatt, ModelKind::TattInBatch],
            Stage::C3 => &[ModelKind::C3],
            Stage::Pcan => &[ModelKind::Pcan],
            Stage::Rcan => &[ModelKind::Rcan, ModelKind::RcanUnit],
            Stage::San => &[ModelKind::San],
            Stage::Vision | Stage::Language | Stage::Abinet | Stage::Lemma | Stage::Recognizer => {
                &[]
            }
        }
    }

    /// Which of the networks that the stage trains `state` is a checkpoint of.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) saying what it is instead.
    pub fn expect(self, state: &StateDict, place: &str) -> Result<ModelKind> {
        let found = ModelKind::expect_one_of(self.networks(), state, place);
        match ModelKind::of(state) {
            Some(ModelKind::C3Fused) if self == Stage::C3 => found.map_err(|e| {
                e.hint("its clues' depthwise and deformable convolutions have no gradient here")
            }),
            _ => found,
        }
    }

    /// Whether it trains a network beside LEMMA.
    pub fn is_compared(self) -> bool {
        !self.networks().is_empty()
    }

    /// Whether the recognizer learns with it that guides what is trained.
    pub fn is_guided(self) -> bool {
        self.networks().iter().any(|kind| kind.is_guided())
    }

    /// Whether what is trained super-resolves images.
    pub fn super_resolves(self) -> bool {
        self == Stage::Lemma || self.is_compared()
    }

    /// Whether words are straightened by a spatial transformer in training; as released, SRResNet's are not.
    pub(super) fn straightens(self) -> bool {
        use Stage::{C3, Pcan, Tatt, Tbsrn, Tg, Tsrn};
        matches!(self, Tsrn | Tbsrn | Tg | Tatt | C3 | Pcan)
    }
}
