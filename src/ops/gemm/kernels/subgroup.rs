//! A subgroup for a tile, which shares A by broadcasts: for adapters of four or eight lanes.
//!
//! A tile is `[groups, vecs, lanes, 0]`: `groups·lanes` by `lanes·4·vecs` outputs.

use super::super::{Gemm, Operands, Params};
use super::{AccessMode, Adapter, LANES, LoadPaths, MatrixKernel, Size, Tile, stored};
use crate::gpu::Variant;
use crate::kernel;

kernel!(SUBGROUP = "matmul/gemm_subgroup", Params, Operands);

pub(super) const KERNEL: MatrixKernel = MatrixKernel {
    kernel: &SUBGROUP,
    tiles,
    heuristic,
    outputs,
    down: |size, p| p.rows.div_ceil(outputs(size)[0]),
    variant,
    name,
    variants,
    split_k: true,
};

/// Groups and vecs: for large products, for those with few columns, and for what is small or oddly laid out.
const SIZES: [(u32, u32); 3] = [(4, 2), (6, 1), (2, 1)];

/// Where the larger sizes pay: least multiply-adds and K. A driver on the CPU takes half a second to compile each of them, and
/// short sums gain little by a large tile. The first row is for columns that fill the widest tile, the second for others.
const LARGE: [&[(usize, u32)]; 2] = [&[(1 << 24, 320), (1 << 26, 128)], &[(1 << 27, 512)]];

fn tile(g: &Gemm, place: usize, lanes: u32, paths: LoadPaths) -> Tile {
    let (groups, vecs) = SIZES[place];
    let access = AccessMode::of(&g.p, vecs, paths).uniform();
    Tile { of: &KERNEL, size: [groups, vecs, lanes, 0], access }
}

fn all_vec4(g: &Gemm, paths: LoadPaths) -> bool {
    AccessMode::of(&g.p, 1, paths).all_vec4()
}

fn tiles(adapter: &Adapter, g: &Gemm, paths: LoadPaths) -> Vec<Tile> {
    let Some(lanes) = adapter.lanes().filter(|_| !g.transposed) else { return Vec::new() };
    let served = |place: &usize| *place == 2 || all_vec4(g, paths);
    (0..SIZES.len()).filter(served).map(|place| tile(g, place, lanes, paths)).collect()
}

/// 0 where the columns of a product fill tiles of two vec4 for each lane well, else 1.
pub(super) fn narrower(g: &Gemm, lanes: u32) -> usize {
    let wide = lanes * 8;
    usize::from((g.p.cols + wide - 1) % wide < wide / 2)
}

fn heuristic(adapter: &Adapter, g: &Gemm, paths: LoadPaths) -> Option<Tile> {
    let lanes = adapter.lanes().filter(|_| !g.transposed)?;
    let place = narrower(g, lanes);
    let large = LARGE[place].iter().any(|(work, k)| g.work() >= *work && g.depth() >= *k);
    Some(tile(g, if large && all_vec4(g, paths) { place } else { 2 }, lanes, paths))
}

fn outputs([groups, vecs, lanes, _]: Size) -> [u32; 2] {
    [groups * lanes, lanes * 4 * vecs]
}

fn variant([groups, vecs, lanes, _]: Size, access: AccessMode) -> Variant {
    access.on(Variant::new().tile("GROUPS", groups).tile("LANES", lanes), vecs)
}

fn name(size: Size) -> String {
    let [m, n] = outputs(size);
    format!("subgroup for {m}×{n}")
}

fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for (lanes, (place, (groups, vecs))) in
        LANES.into_iter().flat_map(|l| SIZES.into_iter().enumerate().map(move |s| (l, s)))
    {
        let asked = |a: &AccessMode| *a == a.uniform() && (place == 2 || a.all_vec4());
        let each = AccessMode::ALL.into_iter().filter(asked);
        all.extend(each.flat_map(|a| stored(variant([groups, vecs, lanes, 0], a))));
    }
    all
}
