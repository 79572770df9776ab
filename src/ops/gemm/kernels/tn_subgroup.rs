//! Aᵀ·B by a subgroup for a tile: gradients of weights, on adapters of four or eight lanes.
//!
//! A tile is `[vecs, lanes, 0, 0]`: `lanes·4` by `lanes·4·vecs` outputs.

use super::super::{Gemm, Operands, Params};
use super::{AccessMode, Adapter, LANES, LoadPaths, MatrixKernel, Size, Tile, bare, subgroup};
use crate::gpu::Variant;
use crate::kernel;

kernel!(TN_SUBGROUP = "matmul/gemm_tn_subgroup", Params, Operands);

pub(super) const KERNEL: MatrixKernel = MatrixKernel {
    kernel: &TN_SUBGROUP,
    tiles,
    heuristic,
    outputs,
    // Tiles do not cross the rows of a window.
    down: |size, p| p.segments * p.segment.div_ceil(outputs(size)[0]),
    variant,
    name: |size| {
        let [m, n] = outputs(size);
        format!("subgroup for {m}×{n}")
    },
    variants,
    split_k: true,
};

/// Vec4 of columns for each lane: of many columns, and of few.
const VECS: [u32; 2] = [2, 1];

fn tile(g: &Gemm, vecs: u32, lanes: u32, paths: LoadPaths) -> Tile {
    Tile { of: &KERNEL, size: [vecs, lanes, 0, 0], access: AccessMode::of(&g.p, vecs, paths) }
}

fn tiles(adapter: &Adapter, g: &Gemm, paths: LoadPaths) -> Vec<Tile> {
    match adapter.lanes().filter(|_| g.transposed) {
        Some(lanes) => VECS.map(|vecs| tile(g, vecs, lanes, paths)).into(),
        None => Vec::new(),
    }
}

fn heuristic(adapter: &Adapter, g: &Gemm, paths: LoadPaths) -> Option<Tile> {
    let lanes = adapter.lanes().filter(|_| g.transposed)?;
    Some(tile(g, VECS[subgroup::narrower(g, lanes)], lanes, paths))
}

fn outputs([vecs, lanes, ..]: Size) -> [u32; 2] {
    [lanes * 4, lanes * 4 * vecs]
}

fn variant([vecs, lanes, ..]: Size, access: AccessMode) -> Variant {
    access.on(Variant::new().tile("LANES", lanes), vecs)
}

fn variants() -> Vec<Variant> {
    let sizes = LANES.into_iter().flat_map(|lanes| VECS.map(|vecs| [vecs, lanes, 0, 0]));
    sizes
        .flat_map(|size| AccessMode::ALL.into_iter().flat_map(move |a| bare(variant(size, a))))
        .collect()
}
