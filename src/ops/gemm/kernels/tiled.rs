//! Tiles of A and B in workgroup memory: for GPUs, and for few columns on every adapter without subgroups.
//!
//! A tile is `[rows, tx, ty, depth]`: `tx·ty` invocations for `ty·rows·4` by `tx·4` outputs, `depth` along K at a time.

use super::super::vendor_defaults::vendor_defaults;
use super::super::{Gemm, Operands, Params};
use super::{AccessMode, Adapter, LoadPaths, MatrixKernel, Size, Tile, stored};
use crate::gpu::Variant;
use crate::kernel;

kernel!(TILED = "matmul/gemm_tiled", Params, Operands);

pub(super) const KERNEL: MatrixKernel = MatrixKernel {
    kernel: &TILED,
    tiles,
    heuristic,
    outputs,
    down: |size, p| p.rows.div_ceil(outputs(size)[0]),
    variant,
    name,
    variants,
    split_k: true,
};

/// For large products, for those with few rows or columns, for at most four columns; and others that only a measurement, or
/// the table of a vendor, chooses.
pub(in super::super) const SIZES: [Size; 6] =
    [[2, 16, 8, 8], [1, 8, 8, 16], [1, 1, 64, 4], [1, 16, 16, 8], [2, 8, 8, 8], [4, 16, 8, 8]];

/// The size for at most four columns.
pub(in super::super) const FEW_COLUMNS: usize = 2;

/// Tiles that keep every core of a GPU busy.
pub(in super::super) const GPU_TILES: usize = 256;

fn tile(g: &Gemm, place: usize) -> Tile {
    Tile { of: &KERNEL, size: SIZES[place], access: AccessMode::of(&g.p, 1, LoadPaths::PLAIN) }
}

fn tiles(adapter: &Adapter, g: &Gemm, _: LoadPaths) -> Vec<Tile> {
    match adapter.lanes() {
        None if !g.transposed => (0..SIZES.len()).map(|place| tile(g, place)).collect(),
        _ => Vec::new(),
    }
}

fn heuristic(adapter: &Adapter, g: &Gemm, _: LoadPaths) -> Option<Tile> {
    let p = &g.p;
    if adapter.lanes().is_some() || g.transposed {
        return None;
    }
    if p.cols <= 4 {
        return Some(tile(g, FEW_COLUMNS));
    }
    let places = vendor_defaults(adapter.vendor);
    let large = tile(g, places.large);
    Some(match large.count(p) * g.batch {
        _ if p.rows < 64 || p.cols < 48 => tile(g, places.small),
        tiles if tiles >= GPU_TILES => large,
        _ => tile(g, places.middle),
    })
}

fn outputs([rows, tx, ty, _]: Size) -> [u32; 2] {
    [rows * ty * 4, tx * 4]
}

fn variant([rows, tx, ty, depth]: Size, access: AccessMode) -> Variant {
    let v = Variant::new().tile("ROWS", rows).tile("TX", tx).tile("TY", ty).tile("DEPTH", depth);
    let v = v.tile("BLOCKS_A", (rows * depth / 4).div_ceil(tx));
    access.on(v.tile("LOADS_B", depth.div_ceil(ty)), 1)
}

fn name(size @ [_, tx, ty, _]: Size) -> String {
    let [m, n] = outputs(size);
    format!("workgroup of {} for {m}×{n}", tx * ty)
}

fn variants() -> Vec<Variant> {
    let all = SIZES.into_iter().flat_map(|size| AccessMode::plain().map(move |a| variant(size, a)));
    all.flat_map(stored).collect()
}
