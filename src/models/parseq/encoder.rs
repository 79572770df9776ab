//! PARSeq's encoder: a vision transformer, whose layers normalize before they look.

use super::WIDTH;
use crate::Result;
use crate::nn::{Conv, LayerNorm, Linear, Scope};
use crate::ops::{Act, Attention, Heads, Mask, activate, add, attention, permute, slice_last};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// Rows and columns of patches.
pub(super) const PATCHES: (usize, usize) = (8, 16);
const PATCH: (usize, usize) = (4, 8);
const LAYERS: usize = 12;
const HEADS: usize = 6;
const INNER: usize = 1536;
const EPS: f32 = 1e-6;

/// x ← x + proj(Attn(LN₁ x)); x ← x + fc₂(GELU(fc₁(LN₂ x))).
struct Layer {
    path: String,
    norms: [LayerNorm; 2],
    qkv: Linear,
    project: Linear,
    inner: Linear,
    outer: Linear,
}

impl Layer {
    fn load(s: &Scope) -> Self {
        Layer {
            path: s.path().into(),
            norms: ["norm1", "norm2"].map(|name| LayerNorm::load_with(&s.at(name), WIDTH, EPS)),
            qkv: Linear::load(&s.at("attn.qkv"), WIDTH, 3 * WIDTH, true),
            project: Linear::load(&s.at("attn.proj"), WIDTH, WIDTH, true),
            inner: Linear::load(&s.at("mlp.fc1"), WIDTH, INNER, true),
            outer: Linear::load(&s.at("mlp.fc2"), INNER, WIDTH, true),
        }
    }

    fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let tap = |names: &[&str], t: &Tensor| {
            names.iter().for_each(|name| cx.tap(&self.path, name, t, Axes::Same));
        };
        let qkv = self.qkv.forward(cx, &self.norms[0].alone(cx, x, Axes::Same)?, Axes::Same)?;
        for (i, name) in ["attn.q_norm", "attn.k_norm"].into_iter().enumerate() {
            tap(&[name], &heads(cx, &qkv, i)?);
        }
        let shape = Attention {
            heads: HEADS,
            width: WIDTH,
            scale: ((WIDTH / HEADS) as f32).sqrt().recip(),
        };
        let part = |i: usize| Heads::part(&qkv, i * WIDTH);
        let (mixed, _) = attention(cx, part(0), part(1), part(2), shape, Mask::None, false)?;
        tap(&["attn.norm"], &mixed);
        let a = self.project.forward(cx, &mixed, Axes::Same)?;
        tap(&["attn.proj_drop", "attn", "ls1", "drop_path1"], &a);
        let x = add(cx, &a, x)?;
        let h = self.inner.forward(cx, &self.norms[1].alone(cx, &x, Axes::Same)?, Axes::Same)?;
        let h = activate(cx, &h, Act::Gelu)?;
        tap(&["mlp.act", "mlp.drop1", "mlp.norm"], &h);
        let f = self.outer.forward(cx, &h, Axes::Same)?;
        tap(&["mlp.drop2", "mlp", "ls2", "drop_path2"], &f);
        let y = add(cx, &f, &x)?;
        tap(&[""], &y);
        Ok(y)
    }
}

/// Queries (0) or keys (1) of a packed projection by heads, `[N, heads, L, D]`: what a trace has of them.
fn heads(cx: &Cx, qkv: &Tensor, part: usize) -> Result<Tensor> {
    let [n, l, _] = qkv.shape().nlc("PARSeq")?;
    let own = slice_last(cx, qkv, part * WIDTH..(part + 1) * WIDTH)?;
    permute(cx, &own.reshape([n, l, HEADS, WIDTH / HEADS])?, &[0, 2, 1, 3])
}

/// The layers.
pub(super) struct Encoder {
    path: String,
    patches: Conv,
    positions: Tensor,
    layers: Vec<Layer>,
    norm: LayerNorm,
}

impl Encoder {
    /// Loads `patch_embed`, `pos_embed`, `blocks` and `norm`.
    pub(super) fn load(s: &Scope) -> Self {
        let window = Window::pool(PATCH.0, PATCH.1);
        Encoder {
            path: s.path().into(),
            patches: Conv::load(&s.at("patch_embed.proj"), 3, WIDTH, window, true),
            positions: s.param("pos_embed", &[1, PATCHES.0 * PATCHES.1, WIDTH]),
            layers: (0..LAYERS).map(|i| Layer::load(&s.at(format!("blocks.{i}")))).collect(),
            norm: LayerNorm::load_with(&s.at("norm"), WIDTH, EPS),
        }
    }

    /// `[N, 32, 128, 3]` to `[N, 128, 384]`.
    pub(super) fn forward(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let tap = |names: &[&str], t: &Tensor| {
            names.iter().for_each(|name| cx.tap(&self.path, name, t, Axes::Same));
        };
        let x = self.patches.forward(cx, image)?;
        let count = PATCHES.0 * PATCHES.1;
        let x = x.reshape([image.dims()[0], count, WIDTH])?;
        tap(&["patch_embed.norm", "patch_embed"], &x);
        cx.value("parseq", "patch", &x, Axes::Same);
        let mut x = add(cx, &x, &self.positions.reshape([count, WIDTH])?)?;
        tap(&["pos_drop", "patch_drop", "norm_pre"], &x);
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(cx, &x)?;
            if i == 0 {
                cx.value("parseq", "block0", &x, Axes::Same);
            }
        }
        tap(&["blocks"], &x);
        let x = self.norm.alone(cx, &x, Axes::Same)?;
        tap(&[""], &x);
        Ok(x)
    }
}
