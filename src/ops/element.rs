//! Kernels over elements of one or four floats: which width fits, the variant and the grid. Twin of
//! `shaders/shared/element.wgsl`.

use crate::gpu::{Grid, Variant};
use crate::shape::to_u32;

/// Invocations of a workgroup.
const WG: usize = 64;

/// Floats of an element: four where every length in `cols` is a multiple of four, else one.
pub(super) fn width(cols: &[usize]) -> usize {
    if cols.iter().all(|c| c.is_multiple_of(4)) { 4 } else { 1 }
}

/// The variant for elements of `width` floats.
pub(super) fn variant(width: usize) -> Variant {
    of(scalar(), width)
}

/// A kernel's variant for elements of `width` floats (`shaders/shared/four.wgsl`).
pub(super) fn of(variant: Variant, width: usize) -> Variant {
    variant.tile("VEC", u32::from(width == 4))
}

/// The variant of a kernel that always takes one float.
pub(super) fn scalar() -> Variant {
    Variant::new().set("WG", to_u32(WG))
}

/// Both widths.
pub(super) fn variants() -> Vec<Variant> {
    vec![variant(1), variant(4)]
}

/// One invocation per element.
pub(super) fn grid(elements: usize) -> Grid {
    Grid::linear(elements.div_ceil(WG))
}
