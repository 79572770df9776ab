//! The kernels of the matrix core, one file each. A new one is a shader, a file and a row of [`ALL`].

mod access;
mod narrow;
mod registers;
mod subgroup;
mod tiled;
mod tn_subgroup;
mod tn_tiled;

use super::super::epilogue::Epilogue;
use super::super::row::KernelUse;
use super::{Gemm, Params, SPLIT_SUM};
use crate::gpu::{Gpu, Kernel, Traits, Variant};
pub(super) use access::{AccessMode, LoadPaths};
#[cfg(test)]
pub(super) use tiled::{FEW_COLUMNS, SIZES as TILED_SIZES};

/// In the order in which the plan asks them: the first with a heuristic for a product is expected to be its fastest.
const ALL: [MatrixKernel; 6] = [
    narrow::KERNEL,
    subgroup::KERNEL,
    tn_subgroup::KERNEL,
    registers::KERNEL,
    tiled::KERNEL,
    tn_tiled::KERNEL,
];

/// A kernel that computes products.
pub(super) struct MatrixKernel {
    kernel: &'static Kernel,
    /// Its tiles that can compute a product on an adapter; none where the kernel does not fit either.
    tiles: fn(&Adapter, &Gemm, LoadPaths) -> Vec<Tile>,
    /// The tile that costs least by what is known without measuring; none where a later kernel is expected to cost less.
    heuristic: fn(&Adapter, &Gemm, LoadPaths) -> Option<Tile>,
    /// Rows and columns of a tile's outputs.
    outputs: fn(Size) -> [u32; 2],
    /// Workgroups down the rows of a product.
    down: fn(Size, &Params) -> u32,
    /// The kernel's variant for a tile.
    variant: fn(Size, AccessMode) -> Variant,
    /// A tile's name in the autotuning cache, unlike that of every other tile for the same product.
    name: fn(Size) -> String,
    /// Every variant that may be asked for.
    variants: fn() -> Vec<Variant>,
    /// Whether sums may be split along K.
    split_k: bool,
}

/// What sizes a tile has; what each number is says the kernel's file.
type Size = [u32; 4];

/// A kernel with its tile.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    of: &'static MatrixKernel,
    size: Size,
    access: AccessMode,
}

/// What heuristics know of an adapter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Adapter {
    pub(super) traits: Traits,
    /// PCI number.
    pub(super) vendor: u32,
}

impl From<&Gpu> for Adapter {
    fn from(gpu: &Gpu) -> Self {
        Adapter { traits: *gpu.traits(), vendor: gpu.summary().vendor }
    }
}

/// Subgroups that kernels of subgroups serve; with more lanes, tiles in workgroup memory win.
pub(super) const LANES: [u32; 2] = [4, 8];

impl Adapter {
    /// Lanes of the subgroups, where kernels of subgroups serve.
    pub(super) fn lanes(&self) -> Option<u32> {
        self.traits.subgroup.filter(|lanes| LANES.contains(lanes))
    }
}

/// Everything that can compute a product on an adapter.
pub(super) fn candidates(adapter: &Adapter, g: &Gemm, paths: LoadPaths) -> Vec<Tile> {
    ALL.iter().flat_map(|k| (k.tiles)(adapter, g, paths)).collect()
}

/// The tile to take for a product before anything was measured.
pub(super) fn heuristic(adapter: &Adapter, g: &Gemm, paths: LoadPaths) -> Tile {
    let first = ALL.iter().find_map(|k| (k.heuristic)(adapter, g, paths));
    first.expect("a kernel for every product on every adapter")
}

impl Tile {
    pub(super) fn kernel(self) -> &'static Kernel {
        self.of.kernel
    }

    pub(super) fn variant(self) -> Variant {
        (self.of.variant)(self.size, self.access)
    }

    /// Whether A and B are read through storage textures.
    pub(super) fn images(self) -> bool {
        self.access.textures()
    }

    /// Whether the sums of a product may be split along K.
    pub(super) fn split_k(self) -> bool {
        self.of.split_k
    }

    /// Tiles of a product.
    pub(super) fn count(self, p: &Params) -> usize {
        let [_, columns] = (self.of.outputs)(self.size);
        (self.of.down)(self.size, p) as usize * p.cols.div_ceil(columns) as usize
    }
}

impl PartialEq for Tile {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.of.kernel, other.of.kernel)
            && (self.size, self.access) == (other.size, other.access)
    }
}

/// Its name in the autotuning cache.
impl std::fmt::Display for Tile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&(self.of.name)(self.size))
    }
}

impl std::fmt::Debug for Tile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self} {:?}", self.access)
    }
}

/// The kernels and variants behind every matrix operation.
pub(in super::super) const KERNELS: &[KernelUse] = &{
    let mut all = [KernelUse { kernel: &SPLIT_SUM, variants: sums }; ALL.len() + 1];
    let mut i = 0;
    while i < ALL.len() {
        all[i] = KernelUse { kernel: ALL[i].kernel, variants: ALL[i].variants };
        i += 1;
    }
    all
};

fn sums() -> Vec<Variant> {
    stored(Variant::new())
}

/// The variant that stores columns as four pixels.
pub(super) fn shuffled(variant: Variant) -> Variant {
    variant.set("SHUFFLES", true)
}

/// Every epilogue of a variant, with columns stored in place and as four pixels.
fn stored(variant: Variant) -> Vec<Variant> {
    [Epilogue::all(variant.clone()), Epilogue::all(shuffled(variant))].concat()
}

/// A weight's gradient, which has no epilogue.
fn bare(variant: Variant) -> Vec<Variant> {
    vec![Epilogue::default().on(variant)]
}
