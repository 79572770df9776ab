//! Aᵀ·B by tiles in workgroup memory: gradients of weights, on adapters without subgroups.
//!
//! A tile is `[side, vecs, 0, 0]`: `side` by `side` invocations for `side·vecs·4` rows and as many columns.

use super::super::{Gemm, Operands, Params};
use super::{AccessMode, Adapter, LoadPaths, MatrixKernel, Size, Tile, bare};
use crate::gpu::Variant;
use crate::kernel;

kernel!(TN_TILED = "matmul/gemm_tn_tiled", Params, Operands);

pub(super) const KERNEL: MatrixKernel = MatrixKernel {
    kernel: &TN_TILED,
    tiles: |adapter, g, _| tile(adapter, g).into_iter().collect(),
    heuristic: |adapter, g, _| tile(adapter, g),
    outputs,
    // Tiles do not cross the rows of a window.
    down: |size, p| p.segments * p.segment.div_ceil(outputs(size)[0]),
    variant,
    name: |size @ [side, ..]| {
        let [m, n] = outputs(size);
        format!("workgroup of {} for {m}×{n}", side * side)
    },
    variants: || AccessMode::plain().flat_map(|a| bare(variant(SIZE, a))).collect(),
    split_k: true,
};

const SIZE: Size = [8, 2, 0, 0];

fn tile(adapter: &Adapter, g: &Gemm) -> Option<Tile> {
    let serves = adapter.lanes().is_none() && g.transposed;
    let access = AccessMode::of(&g.p, 1, LoadPaths::PLAIN);
    serves.then_some(Tile { of: &KERNEL, size: SIZE, access })
}

fn outputs([side, vecs, ..]: Size) -> [u32; 2] {
    [side * vecs * 4; 2]
}

fn variant([side, vecs, ..]: Size, access: AccessMode) -> Variant {
    access.on(Variant::new().tile("SIDE", side).tile("FOURS", vecs), 1)
}
