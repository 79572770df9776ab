//! A subgroup for neighboring windows of an image and at most four columns: the last layer of a super-resolver.
//!
//! A tile is `[taps, lanes, 0, 0]`: `lanes` windows in each of [`LINES`] lines, `taps` pixels of a window's row at a time.

use super::super::{Gemm, Operands, Params};
use super::{AccessMode, Adapter, LANES, LoadPaths, MatrixKernel, Size, Tile, stored};
use crate::gpu::Variant;
use crate::kernel;

kernel!(NARROW = "matmul/gemm_narrow", Params, Operands);

pub(super) const KERNEL: MatrixKernel = MatrixKernel {
    kernel: &NARROW,
    tiles: |adapter, g, paths| tile(adapter, g, paths).into_iter().collect(),
    heuristic: tile,
    outputs: |[_, lanes, ..]| [LINES * lanes, 4],
    // Tiles do not cross output rows.
    down: |[_, lanes, ..], p| (p.rows / p.out_width).div_ceil(LINES) * p.out_width.div_ceil(lanes),
    variant,
    name: |[_, lanes, ..]| format!("subgroup for {} windows", LINES * lanes),
    variants,
    split_k: false,
};

const LINES: u32 = 4;
const TAPS: [u32; 3] = [9, 5, 3];

fn tile(adapter: &Adapter, g: &Gemm, paths: LoadPaths) -> Option<Tile> {
    let lanes = adapter.lanes().filter(|_| !g.transposed)?;
    let access = AccessMode::of(&g.p, 1, paths);
    let taps = TAPS.into_iter().find(|taps| g.p.segment.is_multiple_of(taps * g.p.step))?;
    let serves = g.sliding && g.batch == 1 && g.p.cols <= 4 && access.a_vec4;
    serves.then_some(Tile { of: &KERNEL, size: [taps, lanes, 0, 0], access })
}

fn variant([taps, lanes, ..]: Size, access: AccessMode) -> Variant {
    let v = Variant::new().tile("LINES", LINES).tile("TAPS", taps).tile("LANES", lanes);
    let v = v.tile("PIXELS", (lanes + taps - 1).div_ceil(lanes));
    access.on(v.tile("WEIGHTS", (4 * taps).div_ceil(lanes)), 1)
}

fn variants() -> Vec<Variant> {
    let sizes = LANES.into_iter().flat_map(|lanes| TAPS.map(|taps| [taps, lanes, 0, 0]));
    let each = |size| {
        let asked = AccessMode::ALL.into_iter().filter(|a| a.a_vec4);
        asked.flat_map(move |a| stored(variant(size, a)))
    };
    sizes.flat_map(each).collect()
}
