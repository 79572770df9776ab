//! Which kernel, tile and parts along K serve a product on a device.

use super::tile::{
    LANES, Means, Moves, OUTER, OUTER_VECS, REGISTER_TILE, SUBGROUPS, TAPS, Tile, WORKGROUPS,
};
use super::{Gemm, known};
use crate::gpu::Gpu;

/// Multiply-adds, and length of the sums, from which the larger tiles of subgroups pay: a driver on the CPU takes half a second to
/// compile each of them, and a tile that is soon summed up gains little by its size. For columns that fill the widest tile, and
/// for others, where another tile gains less.
const LARGE: [(usize, u32); 2] = [(1 << 24, 320), (1 << 26, 128)];
const LARGE_OF_FEW: [(usize, u32); 1] = [(1 << 27, 512)];

/// Multiply-adds up to which a curved activation stands alone on a CPU, whose driver would compile a kernel for it.
pub(super) const PLAIN_WORK: usize = 1 << 24;

/// Multiply-adds from which reading A and B through images pays for filling them.
pub(super) const IMAGE_WORK: usize = 9_000_000;

/// Tiles that keep every core of a GPU busy.
const GPU_TILES: usize = 256;

/// Fours of floats out of buffers, on every device.
const PLAIN: Means = Means { words: false, images: false };

/// How a product is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) tile: Tile,
    pub(super) splits: usize,
}

impl Plan {
    /// The tile that was measured to be the fastest for products of this class, else that of the rule.
    pub(super) fn choose(gpu: &Gpu, g: &Gemm, means: Means) -> Plan {
        let found = gpu.chosen(|| g.class()).and_then(|name| {
            candidates(gpu, g, means).into_iter().find(|tile| tile.to_string() == name)
        });
        Plan::with(gpu, g, found.unwrap_or_else(|| by_rule(gpu, g, means)))
    }

    /// A tile, with enough workgroups for every core: two on a CPU, hundreds on a GPU.
    pub(super) fn with(gpu: &Gpu, g: &Gemm, tile: Tile) -> Plan {
        let wanted = if gpu.traits().few_workgroups_fill_it { 8 } else { GPU_TILES };
        let parts = wanted / (tile.count(&g.p) * g.batch).max(1);
        let one = g.batch > 1 || matches!(tile, Tile::Narrow { .. });
        let splits = if one { 1 } else { parts.min(g.depth() as usize / 256).clamp(1, 64) };
        Plan { tile, splits }
    }
}

/// Everything that can compute a product on a device.
pub(super) fn candidates(gpu: &Gpu, g: &Gemm, means: Means) -> Vec<Tile> {
    let moves = |vecs| moves(g, means, vecs);
    match lanes(gpu) {
        Some(lanes) if g.transposed => {
            OUTER_VECS.map(|vecs| Tile::OuterSubgroup { vecs, lanes, moves: moves(vecs) }).into()
        }
        Some(lanes) => {
            let served = |i: usize| i == 2 || moves(1).all_fours();
            let tiles = SUBGROUPS.into_iter().enumerate().filter(|(i, _)| served(*i));
            let tile =
                |(groups, vecs)| Tile::Subgroup { groups, vecs, lanes, moves: moves(vecs).alike() };
            tiles.map(|(_, size)| tile(size)).chain(narrow(gpu, g, means)).collect()
        }
        None if g.transposed => vec![outer(g)],
        None => (0..WORKGROUPS.len()).map(|i| workgroup(g, i)).chain([registers(g)]).collect(),
    }
}

/// The table: adapter and shape to kernel and tile.
pub(super) fn by_rule(gpu: &Gpu, g: &Gemm, means: Means) -> Tile {
    let p = &g.p;
    let few = |lanes: u32| {
        let wide = lanes * 8;
        usize::from((p.cols + wide - 1) % wide < wide / 2)
    };
    match lanes(gpu) {
        Some(lanes) if g.transposed => {
            let vecs = OUTER_VECS[few(lanes)];
            Tile::OuterSubgroup { vecs, lanes, moves: moves(g, means, vecs) }
        }
        Some(lanes) => {
            if let Some(tile) = narrow(gpu, g, means) {
                return tile;
            }
            let few = few(lanes);
            let bounds: &[_] = if few == 0 { &LARGE } else { &LARGE_OF_FEW };
            let large = bounds.iter().any(|(w, d)| g.work() >= *w && g.depth() >= *d);
            let all_fours = moves(g, means, 1).all_fours();
            let (groups, vecs) = SUBGROUPS[if large && all_fours { few } else { 2 }];
            Tile::Subgroup { groups, vecs, lanes, moves: moves(g, means, vecs).alike() }
        }
        None if g.transposed => outer(g),
        None if p.cols <= 4 => workgroup(g, 2),
        // Memory that a workgroup shares is as far from a CPU as any other.
        None if gpu.traits().barriers_are_costly => registers(g),
        None => {
            let start = known::start(gpu.summary().vendor);
            let large = workgroup(g, start.large);
            match large.count(p) * g.batch {
                _ if p.rows < 64 || p.cols < 48 => workgroup(g, start.small),
                tiles if tiles >= GPU_TILES => large,
                _ => workgroup(g, start.middle),
            }
        }
    }
}

/// Lanes of the subgroups, where tiles of subgroups serve.
fn lanes(gpu: &Gpu) -> Option<u32> {
    gpu.subgroup().filter(|lanes| LANES.contains(lanes))
}

/// A tile of workgroups by its place among [`WORKGROUPS`].
fn workgroup(g: &Gemm, place: usize) -> Tile {
    Tile::Workgroup { size: WORKGROUPS[place], moves: moves(g, PLAIN, 1) }
}

/// The tile of workgroups for Aᵀ.
fn outer(g: &Gemm) -> Tile {
    let (side, fours) = OUTER;
    Tile::OuterWorkgroup { side, fours, moves: moves(g, PLAIN, 1) }
}

/// The tile of invocations that share nothing.
fn registers(g: &Gemm) -> Tile {
    let (rows, vecs) = REGISTER_TILE;
    Tile::Registers { rows, vecs, moves: moves(g, PLAIN, vecs) }
}

/// The tile for few columns, where it serves.
fn narrow(gpu: &Gpu, g: &Gemm, means: Means) -> Option<Tile> {
    let moves = moves(g, means, 1);
    let taps = TAPS.into_iter().find(|taps| g.p.segment.is_multiple_of(taps * g.p.step))?;
    let serves = g.sliding && g.batch == 1 && g.p.cols <= 4 && moves.a_fours;
    lanes(gpu).filter(|_| serves).map(|lanes| Tile::Narrow { taps, lanes, moves })
}

fn moves(g: &Gemm, means: Means, vecs: u32) -> Moves {
    Moves::of(&g.p, vecs, means)
}
