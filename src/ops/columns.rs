//! The tile of kernels that reduce columns of channels-last tensors (`shaders/shared/columns.wgsl`).

use super::element;
use crate::gpu::{Gpu, Variant};
use crate::shape::to_u32;

/// Neighboring columns of a workgroup.
pub(super) const LANES: usize = 8;

/// Eight columns, one memory sector wide, and many invocations down each, so that few channels still fill a GPU. On a CPU a
/// subgroup is a loop of one thread: splitting a column there only adds barriers.
pub(super) fn tile(gpu: &Gpu) -> Variant {
    let [split, whole] = tiles();
    if serial(gpu) { whole } else { split }
}

/// Every tile that [`tile`] gives.
pub(super) fn tiles() -> [Variant; 2] {
    [256u32, 8].map(|workgroup| of(to_u32(LANES), workgroup))
}

/// [`tile`] for columns of elements of `width` floats.
pub(super) fn by(gpu: &Gpu, width: usize) -> Variant {
    element::of(tile(gpu), width)
}

/// Every tile that [`by`] gives.
pub(super) fn by_all() -> Vec<Variant> {
    tiles().into_iter().flat_map(|t| [1, 4].map(|width| element::of(t.clone(), width))).collect()
}

/// A tile by hand.
pub(super) fn of(lanes: u32, workgroup: u32) -> Variant {
    Variant::new().set("LANES", lanes).set("WG", workgroup)
}

/// Whether workgroups wider than a subgroup add no parallelism (CPU adapters).
pub(super) fn serial(gpu: &Gpu) -> bool {
    gpu.traits().barriers_are_costly && gpu.subgroup().is_some()
}
