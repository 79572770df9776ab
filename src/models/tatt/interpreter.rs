//! The text interpreter (`infoGen`): a transformer whose pixels ask for text.

use super::queries::{Neighbors, Queries};
use crate::Result;
use crate::models::text_prior::{CLASSES, STEPS};
use crate::nn::{DecoderLayer, EncoderLayer, LayerNorm, Linear, Scope, TransformerConfig};
use crate::ops::{Act, Mask, activate, add, concat_last, dropout, mean_to, permute, repeat, scale};
use crate::tensor::{Axes, Cx, Tensor};

const HEADS: usize = 4;
const DECODER_LAYERS: usize = 2;
/// Rows of the position table in the state dict.
const POSITIONS: usize = 5000;

/// `infoGen`.
pub(super) struct Interpreter {
    path: String,
    text: Linear,
    slope: Tensor,
    positions: Tensor,
    encoder: EncoderLayer,
    queries: Queries,
    layers: Vec<DecoderLayer>,
    norm: LayerNorm,
}

impl Interpreter {
    pub(super) fn load(s: &Scope, channels: usize, neighbors: Neighbors) -> Self {
        let layer = TransformerConfig { width: channels, heads: HEADS, inner: channels };
        let transformer = s.at("transformer");
        let decoder = transformer.at("decoder");
        // A projection of the image and self attention of the decoder stand in every file and take no part.
        s.leave("fc_feature_in.");
        let layers = (0..DECODER_LAYERS).map(|i| {
            let s = decoder.at(format!("layers.{i}"));
            s.leave("self_attn.");
            s.leave("norm1.");
            DecoderLayer::load(&s, layer)
        });
        Interpreter {
            path: s.path().into(),
            text: Linear::load(&s.at("fc_in"), CLASSES, channels, true),
            slope: s.at("activation").param("weight", &[1]),
            positions: s.at("pe").buffer("pe", &[1, POSITIONS, channels]),
            encoder: EncoderLayer::load(&transformer.at("encoder.layers.0"), layer),
            queries: Queries::load(s, channels, neighbors),
            layers: layers.collect(),
            norm: LayerNorm::load(&decoder.at("norm"), channels),
        }
    }

    /// The feature `[N, 16, 64, C]` asks for the text of `prior [N, 26, 37]`: `[N, 16, 64, C]`.
    pub(super) fn forward(&self, cx: &Cx, feature: &Tensor, prior: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let [n, h, w, c] = feature.shape().nhwc(&self.path)?;
        let text = self.text.forward(cx, prior, Axes::Same)?;
        let text = activate(cx, &text, Act::Prelu(&self.slope))?;
        cx.tap(&self.path, "activation", &text, Axes::Same);
        let positions = repeat(cx, &self.positions.view(0, [1, STEPS, c])?, n)?;
        let positions = dropout(cx, &positions)?;
        for name in ["pe.dropout", "pe"] {
            cx.tap(&self.path, name, &positions, Axes::Same);
        }
        // The released encoder adds its input to itself.
        let memory = self.encoder.forward_at(cx, &scale(cx, &text, 2.0)?, &positions)?;
        cx.tap(&self.path, "transformer.encoder", &memory, Axes::Sequence);
        cx.value("", "text_memory", &memory, Axes::Sequence);
        let keys = add(cx, &memory, &positions)?;
        let queries = self.queries.forward(cx, n)?;
        let mut z = feature.reshape([n, h * w, c])?;
        let (mut said, mut seen) = (Vec::new(), None);
        for layer in &self.layers {
            let asked = add(cx, &z, &queries)?;
            let (next, weights) = layer.forward_from(cx, &z, &asked, &keys, &memory, Mask::None)?;
            said.push(self.norm.alone(cx, &next, Axes::Sequence)?);
            (z, seen) = (next, Some(weights));
        }
        // Of the last layer, the mean over its heads.
        let seen = mean_to(cx, &seen.expect("a layer"), [n, 1, h * w, STEPS])?;
        cx.value("", "attn", &seen.reshape([n, h * w, STEPS])?, Axes::Same);
        self.name_all(cx, &said)?;
        let mut sum = said[0].clone();
        for one in &said[1..] {
            sum = add(cx, &sum, one)?;
        }
        let map = scale(cx, &sum, 1.0 / said.len() as f32)?.reshape(feature.shape())?;
        cx.tap(&self.path, "", &map, Axes::Image);
        cx.value("", "tp_map", &map, Axes::Image);
        Ok(map)
    }

    /// Names what the decoder hands on, all layers in one; only a trace looks at it.
    fn name_all(&self, cx: &Cx, said: &[Tensor]) -> Result<()> {
        let decoder = format!("{}.transformer.decoder", self.path);
        let last = said.last().expect("a layer");
        cx.tap(&decoder, "norm", last, Axes::Sequence);
        let [n, l, c] = last.shape().nlc(&decoder)?;
        let turned = |t: &Tensor| permute(cx, &t.detached(), &[1, 0, 2])?.reshape([l * n * c]);
        let turned = said.iter().map(turned).collect::<Result<Vec<_>>>()?;
        let all = concat_last(cx, &turned.iter().collect::<Vec<_>>())?;
        let all = all.reshape([said.len(), l, n, c])?;
        for path in [&*decoder, &*format!("{}.transformer", self.path)] {
            cx.tap(path, "", &all, Axes::Same);
        }
        Ok(())
    }
}
