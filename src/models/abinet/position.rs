//! Position attention: one query for each place of a word looks at a feature map, by keys that a mini U-Net makes of it.

use super::config::AbinetConfig;
use crate::Result;
use crate::nn::{ConvNorm, Linear, Scope};
use crate::ops::{Act, Attention, Filter, Heads, Mask, activate, add, attention, resize};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// Cells of the feature map.
pub(crate) const CELLS: (usize, usize) = (8, 32);

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

/// The layers.
pub(crate) struct PositionAttention {
    path: String,
    down: Vec<UnetStage>,
    up: Vec<UnetStage>,
    queries: Tensor,
    project: Linear,
    width: usize,
    steps: usize,
}

impl PositionAttention {
    /// Loads `k_encoder`, `k_decoder`, `pos_encoder` and `project`.
    pub(crate) fn load(s: &Scope, config: &AbinetConfig) -> Self {
        let (d, u) = (config.vision.d_model, config.vision.unet_channels);
        let down = |i: usize, input, window| {
            UnetStage::down(&s.at(format!("k_encoder.{i}")), input, u, window)
        };
        let up = |i: usize, output| UnetStage::up(&s.at(format!("k_decoder.{i}")), u, output);
        let same = Window::same(3);
        PositionAttention {
            path: s.path().into(),
            down: vec![
                down(0, d, same.strided(1, 2)),
                down(1, u, same.strided(2, 2)),
                down(2, u, same.strided(2, 2)),
                down(3, u, same.strided(2, 2)),
            ],
            up: vec![up(0, u), up(1, u), up(2, u), up(3, d)],
            queries: s.buffer("pos_encoder.pe", &[config.max_length, 1, d]),
            project: Linear::load(&s.at("project"), d, d, true),
            width: d,
            steps: config.max_length,
        }
    }

    /// Keys of the position attention from the feature map `[N, 8, 32, C]`.
    fn keys(&self, cx: &Cx, feature: &Tensor) -> Result<Tensor> {
        let mut skips: Vec<Tensor> = Vec::new();
        let mut k = feature.clone();
        for stage in &self.down {
            k = stage.forward(cx, &k, None)?;
            skips.push(k.clone());
        }
        skips.pop();
        for stage in &self.up {
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

    /// Attended features `[N, T, C]` of `feature [N, 8, 32, C]`, and the attention `[N, T, 8, 32]`.
    pub(crate) fn forward(&self, cx: &Cx, feature: &Tensor) -> Result<(Tensor, Tensor)> {
        let _scope = cx.scope(&self.path);
        let n = feature.dims()[0];
        let cells = CELLS.0 * CELLS.1;
        let keys = self.keys(cx, feature)?.reshape([n, cells, self.width])?;
        let values = feature.reshape([n, cells, self.width])?;
        let queries = self.queries.reshape([1, self.steps, self.width])?;
        for name in ["pos_encoder.dropout", "pos_encoder"] {
            cx.tap_copies(&self.path, name, &queries, Axes::Sequence, n);
        }
        let queries = self.project.forward_shared(cx, &queries, n)?;
        let shape =
            Attention { heads: 1, width: self.width, scale: (self.width as f32).sqrt().recip() };
        let (q, k, v) = (Heads::whole(&queries), Heads::whole(&keys), Heads::whole(&values));
        // No dropout here, unlike in the transformers.
        let (vector, weights) =
            cx.evaluating(|cx| attention(cx, q, k, v, shape, Mask::None, true))?;
        cx.tap(&self.path, "", &vector, Axes::Same);
        let weights = weights.expect("the weights that were asked for");
        Ok((vector, weights.reshape([n, self.steps, CELLS.0, CELLS.1])?))
    }
}
