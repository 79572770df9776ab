//! The guidance (`guidanceGen`): where characters are (location enhancement, paper §3.2) and what they say, brought
//! together (multi-modal alignment, paper §3.3).

use super::config::{Alignment, LemmaConfig};
use crate::Result;
use crate::nn::{Conv, ConvNorm, DecoderLayer, EncoderLayer, Linear, Scope, TransformerConfig};
use crate::ops::{
    Act, Epilogue, Mask, activate, add, batched_matmul, dropout, gather_rows, instance_norm,
    keep_rows, linear, masked_max, mul, repeat, softmax, sort_descending,
};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// Pixels of the low-resolution image.
const PIXELS: usize = 16 * 64;
const INSTANCE_NORM_EPS: f32 = 1e-5;

/// What the guidance is made from.
pub struct Evidence<'a> {
    /// Attention maps `[N, T, 16·64]` of the characters.
    pub maps: &'a Tensor,
    /// Class scores `[N, T, classes]` of the language model.
    pub text: &'a Tensor,
    /// Lengths `[N]` of its reading, the end included.
    pub lengths: &'a Tensor,
}

/// The guidance and what it was located by.
pub struct Guidance {
    /// `[N, 16, 64, C]`.
    pub map: Tensor,
    /// `[N, 16·64]`: the largest valid attention at each pixel.
    pub score: Tensor,
    /// `[N, 16·64]`: pixels by descending score.
    pub order: Tensor,
}

/// The expansion of one attention channel into one for each feature channel (`attn_conv`).
struct Expansion {
    path: String,
    stages: [ConvNorm; 2],
    slopes: [Tensor; 2],
    last: Conv,
}

impl Expansion {
    fn load(s: &Scope, widths: [usize; 3]) -> Self {
        let [a, b, c] = widths;
        let same = Window::same(3);
        let stage = |i: usize, input, output| {
            ConvNorm::load(&s.at(i), &s.at(i + 1), input, output, same, false)
        };
        Expansion {
            path: s.path().into(),
            stages: [stage(0, 1, a), stage(3, a, b)],
            slopes: [2, 5].map(|i| s.at(i).param("weight", &[1])),
            last: Conv::load(&s.at(6), b, c, same, false),
        }
    }

    fn forward(&self, cx: &Cx, score: &Tensor) -> Result<Tensor> {
        let mut x = score.clone();
        for ((stage, slope), name) in self.stages.iter().zip(&self.slopes).zip(["2", "5"]) {
            x = activate(cx, &stage.forward(cx, &x)?, Act::Prelu(slope))?;
            cx.tap(&self.path, name, &x, Axes::Image);
        }
        let y = self.last.forward(cx, &x)?;
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }
}

/// The layers of the guidance.
pub struct GuidanceModel {
    path: String,
    config: LemmaConfig,
    expansion: Option<Expansion>,
    region: Option<Conv>,
    positions: Tensor,
    text_project: Linear,
    text_encoder: Vec<EncoderLayer>,
    image_to_text: Vec<DecoderLayer>,
    text_to_image: Vec<DecoderLayer>,
}

impl GuidanceModel {
    /// Loads `guidanceGen`.
    pub fn load(s: &Scope, config: &LemmaConfig) -> Self {
        let g = &config.guidance;
        let d = config.channels();
        let layer = TransformerConfig { width: d, heads: g.nhead, inner: g.d_inner };
        let decoder = |name: &str, wanted: bool| -> Vec<DecoderLayer> {
            let layers = if wanted { g.decoder_layers } else { 0 };
            (0..layers)
                .map(|i| DecoderLayer::load(&s.at(format!("{name}.layers.{i}")), layer))
                .collect()
        };
        let aligned = g.alignment != Alignment::None;
        // Tables that stand in every file and take no part.
        s.leave("text_pos.pe");
        s.leave("select_pos.pe");
        GuidanceModel {
            path: s.path().into(),
            expansion: g.expands().then(|| Expansion::load(&s.at("attn_conv"), g.attn_conv)),
            region: (g.locates() && g.pixel_to_region)
                .then(|| Conv::load(&s.at("DWC"), d, d, Window::same(3), true)),
            positions: s.buffer("vision_pos.pe", &[PIXELS, 1, d]),
            text_project: Linear::load(&s.at("text_proj"), config.reading().num_classes, d, false),
            text_encoder: (0..g.encoder_layers)
                .map(|i| EncoderLayer::load(&s.at(format!("text_Encoder.layers.{i}")), layer))
                .collect(),
            image_to_text: decoder("text_decoder", g.alignment == Alignment::Bi),
            text_to_image: decoder("sematic_decoder", aligned),
            config: config.clone(),
        }
    }

    /// Guidance for the image feature `[N, 16, 64, C]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, evidence: &Evidence, feature: &Tensor) -> Result<Guidance> {
        let _scope = cx.scope(&self.path);
        let [n, h, w, d] = feature.shape().nhwc(&self.path)?;
        let g = &self.config.guidance;
        let (score, _) = masked_max(cx, evidence.maps, evidence.lengths)?;
        cx.value("lem", "h_score", &score.reshape([n, 1, h, w])?, Axes::Same);
        let table = self.positions.reshape([PIXELS, d])?;
        for name in ["vision_pos.dropout", "vision_pos"] {
            let positions = self.positions.reshape([1, PIXELS, d])?;
            cx.tap_copies(&self.path, name, &positions, Axes::Sequence, n);
        }
        // One table for the batch, or, where it is dropped from at random, one for each image: for both of its uses.
        let table = match cx.mode().dropout {
            Some(_) => dropout(cx, &repeat(cx, &table.reshape([1, PIXELS, d])?, n)?)?,
            None => table,
        };
        let sorted = sort_descending(cx, &score)?;
        cx.value("lem", "order", &sorted.order, Axes::Same);
        let map = if g.locates() {
            let located = self.locate(cx, &score, feature)?;
            let tokens = self.place(cx, &located, &table)?.reshape([n, PIXELS, d])?;
            let k = if g.feature_selection { g.select_num } else { PIXELS };
            let (selected, kept) = match k {
                PIXELS => (tokens.clone(), tokens),
                _ => (
                    gather_rows(cx, &tokens, &sorted.order, k)?,
                    keep_rows(cx, &tokens, &sorted.rank, k)?,
                ),
            };
            self.align(cx, evidence, &table, &selected, kept)?
        } else {
            let positions = match table.shape().rank() {
                2 => repeat(cx, &table.reshape([1, PIXELS, d])?, n)?,
                _ => table.clone(),
            };
            self.align(cx, evidence, &table, &positions, positions.clone())?
        };
        let map = map.reshape([n, h, w, d])?;
        cx.tap(&self.path, "", &map, Axes::Image);
        cx.value("", "tp_map", &map, Axes::Image);
        Ok(Guidance { map, score, order: sorted.order })
    }

    /// The image feature where characters are (paper eq. 1-3), before it is spread: `[N, 16, 64, C]`.
    fn locate(&self, cx: &Cx, score: &Tensor, feature: &Tensor) -> Result<Tensor> {
        let [n, h, w, d] = feature.shape().nhwc(&self.path)?;
        let weights = if !self.config.guidance.location_attention {
            None
        } else if let Some(expansion) = &self.expansion {
            let expanded = expansion.forward(cx, &score.reshape([n, h, w, 1])?)?;
            let weights = softmax(cx, &expanded.reshape([n, PIXELS, d])?, 1)?;
            Some(weights.reshape([n, h, w, d])?)
        } else {
            let one = softmax(cx, score, 1)?.reshape([n, h, w, 1])?;
            let channels = vec![&one; d];
            Some(crate::ops::concat_last(cx, &channels)?)
        };
        let normalized = instance_norm(cx, feature, None, INSTANCE_NORM_EPS)?;
        cx.tap(&self.path, "IN", &normalized, Axes::Image);
        match &weights {
            Some(weights) => mul(cx, &normalized, weights),
            None => Ok(normalized),
        }
    }

    /// The located feature `[N, 16, 64, C]`, spread over the region around each pixel, with the positions
    /// `[16·64, C]` or `[N, 16·64, C]`.
    fn place(&self, cx: &Cx, located: &Tensor, table: &Tensor) -> Result<Tensor> {
        let [_, h, w, d] = located.shape().nhwc(&self.path)?;
        let positions = match table.shape().rank() {
            2 => table.reshape([h, w, d])?,
            _ => table.reshape(located.shape())?,
        };
        let region = match &self.region {
            Some(conv) => conv.forward(cx, located)?,
            None => located.clone(),
        };
        cx.value("lem", "x_region", &region, Axes::Image);
        add(cx, &region, &positions)
    }

    /// Both cross attentions (paper eq. 4-6): `[N, 16·64, C]`.
    fn align(
        &self,
        cx: &Cx,
        evidence: &Evidence,
        table: &Tensor,
        selected: &Tensor,
        kept: Tensor,
    ) -> Result<Tensor> {
        if self.text_to_image.is_empty() {
            return Ok(kept);
        }
        let words = self.text_project.forward(cx, evidence.text, Axes::Same)?;
        let places = match table.shape().rank() {
            2 => linear(cx, evidence.maps, table, &Epilogue::default())?,
            _ => batched_matmul(cx, evidence.maps, table)?,
        };
        let mut text = add(cx, &places, &words)?;
        for layer in &self.text_encoder {
            text = layer.forward(cx, &text)?;
        }
        cx.tap(&self.path, "text_Encoder", &text, Axes::Sequence);
        cx.value("mam", "text_in", &text, Axes::Same);
        let mut key = text.clone();
        for layer in &self.image_to_text {
            key = layer.forward(cx, &key, selected, selected, Mask::None)?;
        }
        if !self.image_to_text.is_empty() {
            cx.tap(&self.path, "text_decoder", &key, Axes::Sequence);
        }
        cx.value("mam", "text_key", &key, Axes::Same);
        let mut image = kept;
        for layer in &self.text_to_image {
            image = layer.forward(cx, &image, &key, &text, Mask::None)?;
        }
        cx.tap(&self.path, "sematic_decoder", &image, Axes::Sequence);
        Ok(image)
    }
}
