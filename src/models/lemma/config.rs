//! Sizes and switches of LEMMA.

use crate::Result;
use crate::data::checkpoint::StateDict;
use crate::models::abinet::{AbinetConfig, DEEPEST, Shaped, Shapes, WIDEST, divides, within};
use crate::models::crnn;
use crate::models::textzoom::TrunkConfig;
use crate::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// Pixels of the low-resolution image, of which K are selected.
const PIXELS: usize = super::LOW.0 * super::LOW.1;
/// Most hidden units that the recurrent kernels take.
const MOST_UNITS: usize = 256;

/// How image and text features meet (paper §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alignment {
    /// They do not: the guidance is the located image feature alone.
    None,
    /// They do not: positions alone, whatever the image shows there, ask the text.
    Text,
    /// Text to image only.
    Uni,
    /// Image to text, then text to image.
    Bi,
}

/// How the guidance enters a block (paper §3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fusion {
    /// The adaptive fusion module.
    Adaptive,
    /// Concatenation and one 1×1 convolution with batch norm.
    Concat,
}

/// Which recognizer stands inside (paper §4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PriorKind {
    /// ABINet's vision and language models.
    #[default]
    Abinet,
    /// CRNN, with the weights it comes with.
    Crnn,
}

/// Sizes and switches of the guidance: location enhancement and multi-modal alignment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuidanceConfig {
    /// Attention heads.
    pub nhead: usize,
    /// Hidden channels of the feed-forward parts.
    pub d_inner: usize,
    /// Layers of the text encoder.
    pub encoder_layers: usize,
    /// Layers of each of the two cross-attention stacks.
    pub decoder_layers: usize,
    /// K, the number of selected positions of 1024.
    pub select_num: usize,
    /// Channels of the three expansion convolutions.
    pub attn_conv: [usize; 3],
    /// Whether only the K best positions are kept.
    #[serde(default = "on")]
    pub feature_selection: bool,
    /// Whether the image feature is weighted by the expanded attention.
    #[serde(default = "on")]
    pub location_attention: bool,
    /// Whether the attention is expanded by convolutions; without them every channel gets the soft-max of the score itself.
    #[serde(default = "on")]
    pub expansion_conv: bool,
    /// Whether a 3×3 convolution spreads the weighted feature.
    #[serde(default = "on")]
    pub pixel_to_region: bool,
    /// How image and text features meet.
    #[serde(default = "bi")]
    pub alignment: Alignment,
}

impl GuidanceConfig {
    /// Whether the located image feature is part of the guidance.
    pub(super) fn locates(&self) -> bool {
        self.alignment != Alignment::Text
    }

    /// Whether there are convolutions that expand the attention.
    pub(super) fn expands(&self) -> bool {
        self.locates() && self.location_attention && self.expansion_conv
    }
}

fn on() -> bool {
    true
}

fn bi() -> Alignment {
    Alignment::Bi
}

fn adaptive() -> Fusion {
    Fusion::Adaptive
}

/// Sizes and switches of LEMMA. Input `[N, 16, 64, 4]`, output `[N, 32, 128, 4]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LemmaConfig {
    /// Hidden units of each GRU direction; the network has twice as many channels.
    pub hidden_units: usize,
    /// Recurrent residual blocks.
    pub srb_nums: usize,
    /// Whether training starts with the spatial transformer; evaluation never runs it.
    #[serde(default = "on")]
    pub stn: bool,
    /// The guidance.
    pub guidance: GuidanceConfig,
    /// How the guidance enters a block.
    #[serde(default = "adaptive")]
    pub fusion: Fusion,
    /// Which recognizer stands inside.
    #[serde(default)]
    pub prior: PriorKind,
    /// The sizes of an ABINet inside.
    pub position_prior: AbinetConfig,
}

impl Default for LemmaConfig {
    /// The official sizes.
    fn default() -> Self {
        LemmaConfig {
            hidden_units: 32,
            srb_nums: 5,
            stn: true,
            guidance: GuidanceConfig {
                nhead: 4,
                d_inner: 64,
                encoder_layers: 2,
                decoder_layers: 3,
                select_num: 500,
                attn_conv: [32, 64, 64],
                feature_selection: true,
                location_attention: true,
                expansion_conv: true,
                pixel_to_region: true,
                alignment: Alignment::Bi,
            },
            fusion: Fusion::Adaptive,
            prior: PriorKind::Abinet,
            position_prior: AbinetConfig::default(),
        }
    }
}

impl LemmaConfig {
    /// The sizes of the small model that ships.
    pub fn nano() -> Self {
        let official = LemmaConfig::default();
        LemmaConfig {
            hidden_units: 16,
            srb_nums: 3,
            guidance: GuidanceConfig {
                d_inner: 32,
                decoder_layers: 2,
                attn_conv: [16, 32, 32],
                ..official.guidance
            },
            position_prior: AbinetConfig::nano(),
            ..official
        }
    }

    /// How class scores of the recognizer inside are read, and how many classes they have.
    pub fn reading(&self) -> AbinetConfig {
        match self.prior {
            PriorKind::Abinet => self.position_prior.clone(),
            PriorKind::Crnn => AbinetConfig {
                charset_chars: crnn::ALPHABET.into(),
                num_classes: crnn::CLASSES,
                ..AbinetConfig::default()
            },
        }
    }

    /// Channels of the trunk and of the guidance.
    pub fn channels(&self) -> usize {
        2 * self.hidden_units
    }

    /// Sizes of the layers that the network has in common with TSRN.
    pub(crate) fn trunk(&self) -> TrunkConfig {
        let LemmaConfig { hidden_units, srb_nums, stn, .. } = *self;
        TrunkConfig { planes: super::PLANES, hidden_units, srb_nums, stn }
    }

    /// Checks that the sizes make a network: they may come from a file.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Format`] naming the size that does not.
    pub fn check(&self) -> Result<()> {
        let g = &self.guidance;
        let expanded = g.attn_conv.iter().map(|n| ("attn_conv", *n));
        within(
            expanded.chain([("hidden_units", self.hidden_units), ("d_inner", g.d_inner)]),
            1,
            WIDEST,
        )?;
        within([("srb_nums", self.srb_nums), ("decoder_layers", g.decoder_layers)], 1, DEEPEST)?;
        within([("encoder_layers", g.encoder_layers)], 0, DEEPEST)?;
        within([("select_num", g.select_num)], 1, PIXELS)?;
        within([("hidden_units", self.hidden_units)], 1, MOST_UNITS)?;
        divides("nhead", g.nhead, self.channels())?;
        if g.expands() && g.attn_conv[2] != self.channels() {
            return Err(Error::new(ErrorKind::Format, "configuration", "attn_conv")
                .expected(format!("{} channels at its end", self.channels()))
                .got(g.attn_conv[2]));
        }
        self.position_prior.check()
    }

    /// Reads the sizes off the tensors of a state dict. Head counts leave no mark there, and are known for the released widths
    /// alone; K and the switches are taken to be the released ones.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Format`] when a tensor that tells a size is absent.
    pub fn from_shapes(state: &StateDict) -> Result<Shaped<Self>> {
        let shape = Shapes { state, prefix: "" };
        let official = LemmaConfig::default();
        let (channels, heads, k) =
            (official.channels(), official.guidance.nhead, official.guidance.select_num);
        let guidance = |name: &str| format!("guidanceGen.{name}");
        let blocks =
            (2..).take_while(|k| state.tensors.contains_key(&format!("block{k}.conv1.weight")));
        let of_crnn = state.tensors.contains_key("position_prior.rnn.1.embedding.weight");
        let prior = match of_crnn {
            true => Shaped::new(AbinetConfig::default()),
            false => AbinetConfig::from_shapes(state, "position_prior.")?,
        };
        let inside = |key: String| format!("position_prior.{key}");
        let mut shaped = Shaped::new(LemmaConfig {
            hidden_units: shape.of("block2.gru1.gru.weight_hh_l0", 1)?,
            srb_nums: blocks.count(),
            stn: state.tensors.contains_key("stn_head.stn_fc2.weight"),
            guidance: GuidanceConfig {
                d_inner: shape.of(&guidance("text_Encoder.layers.0.linear1.weight"), 0)?,
                encoder_layers: shape.count(&guidance("text_Encoder.layers"), "linear1.weight"),
                decoder_layers: shape.count(&guidance("text_decoder.layers"), "linear1.weight"),
                attn_conv: [
                    shape.of(&guidance("attn_conv.0.weight"), 0)?,
                    shape.of(&guidance("attn_conv.3.weight"), 0)?,
                    shape.of(&guidance("attn_conv.6.weight"), 0)?,
                ],
                ..official.guidance
            },
            prior: if of_crnn { PriorKind::Crnn } else { PriorKind::Abinet },
            position_prior: prior.config,
            fusion: Fusion::Adaptive,
        });
        shaped.size("guidance.nhead", heads, shaped.config.channels() == channels);
        shaped.size("guidance.select_num", k, true);
        let assumed = prior.assumed.into_iter().map(|(key, value)| (inside(key), value));
        shaped.assumed.extend(assumed);
        shaped.unknown.extend(prior.unknown.into_iter().map(inside));
        Ok(shaped)
    }
}
