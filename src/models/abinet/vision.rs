//! ABINet's vision model: ResNet-45, transformer encoder, position attention.

use super::config::AbinetConfig;
use crate::nn::{ConvNorm, EncoderLayer, Linear, Scope, TransformerConfig};
use crate::ops::{
    Act, Attention, Filter, Heads, Mask, activate, add, attention, channel_affine, dropout, resize,
};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};
use crate::{Error, ErrorKind, Result};

/// ResNet block: conv 1×1, norm, ReLU, conv 3×3 with the stride, norm, plus shortcut, ReLU.
struct Block {
    path: String,
    first: ConvNorm,
    second: ConvNorm,
    shortcut: Option<ConvNorm>,
}

impl Block {
    fn load(s: &Scope, input: usize, output: usize, stride: usize, first_of_stage: bool) -> Self {
        let at = |conv: &str, norm: &str, input, window| {
            ConvNorm::load(&s.at(conv), &s.at(norm), input, output, window, false)
        };
        let step = |k| Window::same(k).strided(stride, stride);
        Block {
            path: s.path().into(),
            first: at("conv1", "bn1", input, Window::same(1)),
            second: at("conv2", "bn2", output, step(3)),
            shortcut: first_of_stage.then(|| at("downsample.0", "downsample.1", input, step(1))),
        }
    }

    fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let h = activate(cx, &self.first.forward(cx, x)?, Act::Relu)?;
        cx.tap(&self.path, "relu", &h, Axes::Image);
        let h = self.second.forward(cx, &h)?;
        let r = match &self.shortcut {
            Some(shortcut) => {
                let r = shortcut.forward(cx, x)?;
                cx.tap(&self.path, "downsample", &r, Axes::Image);
                r
            }
            None => x.clone(),
        };
        let y = activate(cx, &add(cx, &h, &r)?, Act::Relu)?;
        cx.tap(&self.path, "relu", &y, Axes::Image);
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }
}

/// A stage of the mini U-Net: conv 3×3, norm, ReLU; upwards after a nearest enlargement, and then plus a skip connection.
struct UnetStage {
    path: String,
    conv: ConvNorm,
    /// Names of the enlargement, if any, and of the ReLU in the stage's list of modules.
    names: (Option<&'static str>, &'static str),
}

impl UnetStage {
    fn down(s: &Scope, input: usize, output: usize, window: Window) -> Self {
        let conv = ConvNorm::load(&s.at(0), &s.at(1), input, output, window, true);
        UnetStage { path: s.path().into(), conv, names: (None, "2") }
    }

    fn up(s: &Scope, input: usize, output: usize) -> Self {
        let conv = ConvNorm::load(&s.at(1), &s.at(2), input, output, Window::same(3), true);
        UnetStage { path: s.path().into(), conv, names: (Some("0"), "3") }
    }

    fn forward(&self, cx: &Cx, x: &Tensor, to: Option<(usize, usize)>) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let enlarged = match to {
            Some(size) => resize(cx, x, size, Filter::Nearest, false)?,
            None => x.clone(),
        };
        if let Some(name) = self.names.0 {
            cx.tap(&self.path, name, &enlarged, Axes::Image);
        }
        let y = activate(cx, &self.conv.forward(cx, &enlarged)?, Act::Relu)?;
        cx.tap(&self.path, self.names.1, &y, Axes::Image);
        cx.tap(&self.path, "", &y, Axes::Image);
        Ok(y)
    }
}

/// What the vision model says of a batch.
pub struct Vision {
    /// Class scores `[N, T, classes]`.
    pub logits: Tensor,
    /// Where each position looks: `[N, T, 8, 32]`, a soft-max over the cells.
    pub attention: Tensor,
    /// Attended features `[N, T, C]`.
    pub feature: Tensor,
}

/// The vision model's layers.
pub struct VisionModel {
    path: String,
    /// 1/std and −mean/std of ImageNet.
    input_scale: Tensor,
    input_shift: Tensor,
    stem: ConvNorm,
    stages: Vec<Vec<Block>>,
    positions: Tensor,
    encoder: Vec<EncoderLayer>,
    unet_down: Vec<UnetStage>,
    unet_up: Vec<UnetStage>,
    queries: Tensor,
    project: Linear,
    classes: Linear,
    width: usize,
    steps: usize,
}

/// Cells of the feature map.
const CELLS: (usize, usize) = (8, 32);

impl VisionModel {
    /// Loads `backbone`, `attention` and `cls`.
    pub fn load(s: &Scope, config: &AbinetConfig) -> Self {
        let c = &config.vision;
        let (mean, std) = ([0.485f32, 0.456, 0.406], [0.229f32, 0.224, 0.225]);
        let scale: Vec<f32> = std.iter().map(|v| 1.0 / v).collect();
        let shift: Vec<f32> = mean.iter().zip(std).map(|(m, v)| -m / v).collect();
        let resnet = s.at("backbone.resnet");
        let mut input = c.resnet_planes[0];
        let stages = (0..5).map(|i| {
            let stage = resnet.at(format!("layer{}", i + 1));
            let output = c.resnet_planes[i];
            let blocks = (0..c.resnet_blocks[i]).map(|j| {
                let stride = if j == 0 { c.resnet_strides[i] } else { 1 };
                let block = Block::load(&stage.at(j), input, output, stride, j == 0);
                input = output;
                block
            });
            blocks.collect()
        });
        let stages = stages.collect();
        let d = c.d_model;
        let layer = TransformerConfig { width: d, heads: c.nhead, inner: c.d_inner };
        let attention = s.at("attention");
        let u = c.unet_channels;
        let down = |i: usize, input, window| {
            UnetStage::down(&attention.at(format!("k_encoder.{i}")), input, u, window)
        };
        let same = Window::same(3);
        let up =
            |i: usize, output| UnetStage::up(&attention.at(format!("k_decoder.{i}")), u, output);
        VisionModel {
            path: s.path().into(),
            input_scale: Tensor::upload(s.gpu(), [3], &scale),
            input_shift: Tensor::upload(s.gpu(), [3], &shift),
            stem: ConvNorm::load(
                &resnet.at("conv1"),
                &resnet.at("bn1"),
                3,
                c.resnet_planes[0],
                same,
                false,
            ),
            stages,
            positions: s.buffer("backbone.pos_encoder.pe", &[CELLS.0 * CELLS.1, 1, d]),
            encoder: (0..c.encoder_layers)
                .map(|i| {
                    EncoderLayer::load(&s.at(format!("backbone.transformer.layers.{i}")), layer)
                })
                .collect(),
            unet_down: vec![
                down(0, d, same.strided(1, 2)),
                down(1, u, same.strided(2, 2)),
                down(2, u, same.strided(2, 2)),
                down(3, u, same.strided(2, 2)),
            ],
            unet_up: vec![up(0, u), up(1, u), up(2, u), up(3, d)],
            queries: attention.buffer("pos_encoder.pe", &[config.max_length, 1, d]),
            project: Linear::load(&attention.at("project"), d, d, true),
            classes: Linear::load(&s.at("cls"), d, config.num_classes, true),
            width: d,
            steps: config.max_length,
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
        let (scale, shift) = (&self.input_scale, &self.input_shift);
        let x = channel_affine(cx, image, scale, shift, None, Act::None)?;
        let feature = self.backbone(cx, x, n)?;
        let (vector, attention) = self.position_attention(cx, &feature, n)?;
        let logits = self.classes.forward(cx, &vector, Axes::Same)?;
        let attention = attention.reshape([n, self.steps, CELLS.0, CELLS.1])?;
        Ok(Vision { logits, attention, feature: vector })
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

    /// Keys of the position attention from the feature map `[N, 8, 32, C]`.
    fn keys(&self, cx: &Cx, feature: &Tensor) -> Result<Tensor> {
        let mut skips: Vec<Tensor> = Vec::new();
        let mut k = feature.clone();
        for stage in &self.unet_down {
            k = stage.forward(cx, &k, None)?;
            skips.push(k.clone());
        }
        skips.pop();
        for stage in &self.unet_up {
            let skip = skips.pop();
            let to = match &skip {
                Some(s) => (s.dims()[1], s.dims()[2]),
                None => CELLS,
            };
            k = stage.forward(cx, &k, Some(to))?;
            if let Some(s) = &skip {
                k = add(cx, &k, s)?;
            }
        }
        Ok(k)
    }

    /// Attended features `[N, T, C]` and the attention `[N, 1, T, cells]`.
    fn position_attention(&self, cx: &Cx, feature: &Tensor, n: usize) -> Result<(Tensor, Tensor)> {
        let path = format!("{}.attention", self.path);
        let _scope = cx.scope(&path);
        let cells = CELLS.0 * CELLS.1;
        let keys = self.keys(cx, feature)?.reshape([n, cells, self.width])?;
        let values = feature.reshape([n, cells, self.width])?;
        let queries = self.queries.reshape([1, self.steps, self.width])?;
        for name in ["pos_encoder.dropout", "pos_encoder"] {
            cx.tap_copies(&path, name, &queries, Axes::Sequence, n);
        }
        let queries = self.project.forward_shared(cx, &queries, n)?;
        let shape =
            Attention { heads: 1, width: self.width, scale: (self.width as f32).sqrt().recip() };
        let (q, k, v) = (Heads::whole(&queries), Heads::whole(&keys), Heads::whole(&values));
        // No dropout here, unlike in the transformers.
        let (vector, weights) =
            cx.evaluating(|cx| attention(cx, q, k, v, shape, Mask::None, true))?;
        cx.tap(&path, "", &vector, Axes::Same);
        Ok((vector, weights.expect("the weights that were asked for")))
    }
}
