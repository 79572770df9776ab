//! ABINet's vision model: ResNet-45, transformer encoder, position attention.

use super::config::AbinetConfig;
use super::position::{CELLS, PositionAttention};
use crate::models::prepare::Scaled;
use crate::nn::{ConvNorm, EncoderLayer, Linear, ResidualBlock, Scope, TransformerConfig};
use crate::ops::{Act, activate, add, dropout};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};
use crate::{Error, ErrorKind, Result};

/// Conv 1×1, norm, ReLU, conv 3×3 with the stride, norm, plus shortcut, ReLU.
fn block(s: &Scope, input: usize, output: usize, stride: usize, first: bool) -> ResidualBlock {
    let at = |conv: &str, norm: &str, input, window| {
        ConvNorm::load(&s.at(conv), &s.at(norm), input, output, window, false)
    };
    let step = |k| Window::same(k).strided(stride, stride);
    let shortcut = first.then(|| at("downsample.0", "downsample.1", input, step(1)));
    let [one, two] =
        [at("conv1", "bn1", input, Window::same(1)), at("conv2", "bn2", output, step(3))];
    ResidualBlock::new(s.path(), one, two, shortcut)
}

/// What the vision model says of a batch.
pub struct Vision {
    /// Class scores `[N, T, classes]`.
    pub logits: Tensor,
    /// Where each position looks: `[N, T, 8, 32]`, a soft-max over the cells.
    pub attention: Tensor,
    /// Attended features `[N, T, C]`.
    pub feature: Tensor,
    /// What they are of: the encoder's features `[N, 8, 32, C]`.
    pub image: Tensor,
}

/// The vision model's layers.
pub struct VisionModel {
    path: String,
    scaled: Scaled,
    stem: ConvNorm,
    stages: Vec<Vec<ResidualBlock>>,
    positions: Tensor,
    encoder: Vec<EncoderLayer>,
    attention: PositionAttention,
    classes: Linear,
    width: usize,
}

impl VisionModel {
    /// Loads `backbone`, `attention` and `cls`.
    pub fn load(s: &Scope, config: &AbinetConfig) -> Self {
        let c = &config.vision;
        let resnet = s.at("backbone.resnet");
        let mut input = c.resnet_planes[0];
        let stages = (0..5).map(|i| {
            let stage = resnet.at(format!("layer{}", i + 1));
            let output = c.resnet_planes[i];
            let blocks = (0..c.resnet_blocks[i]).map(|j| {
                let stride = if j == 0 { c.resnet_strides[i] } else { 1 };
                let next = block(&stage.at(j), input, output, stride, j == 0);
                input = output;
                next
            });
            blocks.collect()
        });
        let stages = stages.collect();
        let d = c.d_model;
        let layer = TransformerConfig { width: d, heads: c.nhead, inner: c.d_inner };
        VisionModel {
            path: s.path().into(),
            scaled: Scaled::imagenet(s.gpu()),
            stem: ConvNorm::load(
                &resnet.at("conv1"),
                &resnet.at("bn1"),
                3,
                c.resnet_planes[0],
                Window::same(3),
                false,
            ),
            stages,
            positions: s.buffer("backbone.pos_encoder.pe", &[CELLS.0 * CELLS.1, 1, d]),
            encoder: (0..c.encoder_layers)
                .map(|i| {
                    EncoderLayer::load(&s.at(format!("backbone.transformer.layers.{i}")), layer)
                })
                .collect(),
            attention: PositionAttention::load(&s.at("attention"), config),
            classes: Linear::load(&s.at("cls"), d, config.num_classes, true),
            width: d,
        }
    }

    /// Reads `image [N, 32, 128, 3]`, RGB in [0, 1].
    ///
    /// # Errors
    /// Another shape.
    pub fn forward(&self, cx: &Cx, image: &Tensor) -> Result<Vision> {
        let n = match image.dims() {
            [n, 32, 128, 3] => *n,
            _ => {
                return Err(Error::new(ErrorKind::Shape, &self.path, "image of the recognizer")
                    .expected("[N, 32, 128, 3]")
                    .got(image.shape()));
            }
        };
        let _scope = cx.scope(&self.path);
        let feature = self.backbone(cx, self.scaled.forward(cx, image)?, n)?;
        let (vector, attention) = self.attention.forward(cx, &feature)?;
        let logits = self.classes.forward(cx, &vector, Axes::Same)?;
        Ok(Vision { logits, attention, feature: vector, image: feature })
    }

    /// ResNet and encoder: `[N, 8, 32, C]`.
    fn backbone(&self, cx: &Cx, image: Tensor, n: usize) -> Result<Tensor> {
        let resnet = format!("{}.backbone.resnet", self.path);
        let mut x = activate(cx, &self.stem.forward(cx, &image)?, Act::Relu)?;
        cx.tap(&resnet, "relu", &x, Axes::Image);
        for (i, stage) in self.stages.iter().enumerate() {
            for block in stage {
                x = block.forward(cx, &x)?;
            }
            cx.tap(&resnet, &format!("layer{}", i + 1), &x, Axes::Image);
        }
        cx.tap(&resnet, "", &x, Axes::Image);
        let backbone = format!("{}.backbone", self.path);
        let _scope = cx.scope(&backbone);
        let cells = CELLS.0 * CELLS.1;
        let sequence = x.reshape([n, cells, self.width])?;
        let x = add(cx, &sequence, &self.positions.reshape([cells, self.width])?)?;
        let mut x = dropout(cx, &x)?;
        for name in ["pos_encoder.dropout", "pos_encoder"] {
            cx.tap(&backbone, name, &x, Axes::Sequence);
        }
        for layer in &self.encoder {
            x = layer.forward(cx, &x)?;
        }
        cx.tap(&backbone, "transformer", &x, Axes::Sequence);
        let x = x.reshape([n, CELLS.0, CELLS.1, self.width])?;
        cx.tap(&backbone, "", &x, Axes::Image);
        Ok(x)
    }
}
