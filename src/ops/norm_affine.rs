//! Gradients of the scale and the shift behind a normalization:  dγ = Σ dy·x̂,  dβ = Σ dy,  x̂ = (x + residual − μ)·r.
//!
//! Chunks of rows are summed side by side and the chunks in order.

use super::columns::{self, LANES};
use super::{element, sum_to};
use crate::gpu::{Grid, Variant};
use crate::shape::to_u32;
use crate::tensor::{Cx, Tensor};
use crate::{Result, kernel, params};

kernel!(
    AFFINE_BWD = "norm/norm_affine_bwd",
    Params,
    AffineBwdBinds { x, residual, dy, mean, rstd, shift, scale }
);
params! { struct Params { rows: u32, channels: u32, chunk: u32 } }

const MOST_CHUNKS: usize = 256;
const LEAST_CHUNK: usize = 256;

/// How many of `rows` rows are reduced at once: chunks long enough to be worth a workgroup, and few enough to combine.
pub(super) fn chunk(rows: usize) -> usize {
    rows.div_ceil(MOST_CHUNKS).max(LEAST_CHUNK)
}

/// What was normalized, and by what.
pub(super) struct Normalized<'a> {
    /// `[.., C]`.
    pub x: &'a Tensor,
    /// Added to `x` before.
    pub residual: Option<&'a Tensor>,
    /// Means: of each channel `[C]`, or of each row.
    pub mean: &'a Tensor,
    /// Inverse deviations, likewise.
    pub rstd: &'a Tensor,
    /// Whether they are those of the rows.
    pub by_row: bool,
}

impl Normalized<'_> {
    /// dγ and dβ, both `[C]`.
    pub(super) fn gradients(&self, cx: &Cx, dy: &Tensor) -> Result<[Tensor; 2]> {
        let (rows, channels) = self.x.shape().rows_by_last();
        let chunk = chunk(rows);
        let chunks = rows.div_ceil(chunk);
        let [shift, scale] = [(); 2].map(|()| cx.out_f32([chunks, channels]));
        let width = element::width(&[channels]);
        let elements = channels / width;
        let p = Params { rows: to_u32(rows), channels: to_u32(elements), chunk: to_u32(chunk) };
        let variant = with(columns::by(cx.gpu(), width), self.by_row, self.residual.is_some());
        let grid = Grid::xyz(elements.div_ceil(LANES), chunks, 1);
        let (residual, stats) = (Tensor::read_or_absent(self.residual), [self.mean, self.rstd]);
        let [mean, rstd] = stats.map(Tensor::read);
        let binds = AffineBwdBinds {
            x: self.x.read(),
            residual,
            dy: dy.read(),
            mean,
            rstd,
            shift: shift.write(),
            scale: scale.write(),
        };
        cx.run(&AFFINE_BWD, &variant, grid, &p, binds)?;
        Ok([sum_to(cx, &scale, [channels])?, sum_to(cx, &shift, [channels])?])
    }
}

fn with(tile: Variant, by_row: bool, residual: bool) -> Variant {
    tile.set("BY_ROW", by_row).set("HAS_RESIDUAL", residual)
}

/// Variants for statistics of channels.
pub(super) fn by_channel_variants() -> Vec<Variant> {
    columns::by_all().into_iter().map(|t| with(t, false, false)).collect()
}

/// Variants for statistics of rows.
pub(super) fn by_row_variants() -> Vec<Variant> {
    let both = |t: Variant| [false, true].map(|residual| with(t.clone(), true, residual));
    columns::by_all().into_iter().flat_map(both).collect()
}
