//! Which kernel, tile and parts along K serve a product on a device.

use super::Gemm;
use super::kernels::{Adapter, LoadPaths, Tile, candidates, heuristic};
use crate::gpu::Gpu;

/// Multiply-adds up to which a curved activation stands alone where kernels are compiled slowly.
pub(super) const PLAIN_WORK: usize = 1 << 24;

/// Multiply-adds from which reading A and B through textures pays for filling them.
pub(super) const IMAGE_WORK: usize = 9_000_000;

/// Workgroups that fill an adapter of few cores, and a GPU.
const FILLED: [usize; 2] = [8, 256];

/// How a product is computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plan {
    pub(super) tile: Tile,
    /// Parts along K.
    pub(super) splits: usize,
}

impl Plan {
    /// The tile that was measured to be the fastest for products of this kind, else that of the heuristic.
    pub(super) fn choose(gpu: &Gpu, g: &Gemm, paths: LoadPaths) -> Plan {
        let adapter = Adapter::from(gpu);
        let found = gpu.chosen(|| g.problem_key()).and_then(|name| {
            candidates(&adapter, g, paths).into_iter().find(|tile| tile.to_string() == name)
        });
        Plan::with(&adapter, g, found.unwrap_or_else(|| heuristic(&adapter, g, paths)))
    }

    /// A tile, with K in enough parts for workgroups for every core.
    pub(super) fn with(adapter: &Adapter, g: &Gemm, tile: Tile) -> Plan {
        let [few, many] = FILLED;
        let wanted = if adapter.traits.few_workgroups_fill_it { few } else { many };
        let parts = wanted / (tile.count(&g.p) * g.batch).max(1);
        let one = g.batch > 1 || !tile.split_k();
        let splits = if one { 1 } else { parts.min(g.depth() as usize / 256).clamp(1, 64) };
        Plan { tile, splits }
    }
}
