//! The elements of a tensor in the order of a view of it.

use super::strided::{self, View};
use super::{KernelUse, element};
use crate::gpu::Variant;
use crate::shape::{MAX_RANK, Shape, to_u32};
use crate::tensor::{Cx, Tensor};
use crate::{Result, kernel};

kernel!(PERMUTE = "layout/permute_fwd", strided::Params, ReorderBinds { x, y });
kernel!(TRANSPOSE = "layout/transpose_fwd", strided::BlockParams, ReorderBinds);

/// The elements of `x` in the order of a view of it.
pub(super) fn read_by(cx: &Cx, x: &Tensor, view: &View, shape: Shape) -> Result<Tensor> {
    let y = cx.out(shape);
    if let Some(blocks) = view.blocks() {
        let (variant, grid) = (transpose_variant(blocks.inner()), element::grid(blocks.count()));
        cx.run(
            &TRANSPOSE,
            &variant,
            grid,
            &blocks.params(),
            ReorderBinds { x: x.read(), y: y.write() },
        )?;
        return Ok(y);
    }
    let fours = view.by_four().filter(|fours| !fours.repeats());
    let (width, view) = fours.map_or((1, view.clone()), |fours| (4, fours));
    let n = y.len() / width;
    let variant = permute_variant(width, view.inner());
    cx.run(
        &PERMUTE,
        &variant,
        element::grid(n),
        &view.params(n),
        ReorderBinds { x: x.read(), y: y.write() },
    )?;
    Ok(y)
}

fn transpose_variant(inner: u32) -> Variant {
    element::scalar().tile("INNER", inner)
}

fn permute_variant(width: usize, inner: u32) -> Variant {
    element::variant(width).tile("INNER", inner)
}

/// The kernels, for rows of the table.
pub(super) const PERMUTE_USE: KernelUse =
    KernelUse { kernel: &PERMUTE, variants: permute_variants };
pub(super) const TRANSPOSE_USE: KernelUse = KernelUse {
    kernel: &TRANSPOSE,
    variants: || (1..to_u32(MAX_RANK)).map(transpose_variant).collect(),
};

fn permute_variants() -> Vec<Variant> {
    (0..to_u32(MAX_RANK)).flat_map(|i| [1, 4].map(|width| permute_variant(width, i))).collect()
}
