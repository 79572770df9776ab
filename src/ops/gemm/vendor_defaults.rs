//! Default workgroup tiles for each GPU vendor, used until `tune` has run.
//!
//! The table follows what is published of the processors: registers for each invocation, width of their subgroups, how many
//! tiles they need to be busy. It was not measured with these kernels; what `tune` finds goes before it.

/// Places among the sizes of the tiled kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    /// For products of many tiles.
    pub(super) large: usize,
    /// For those that would leave processors idle with it.
    pub(super) middle: usize,
    /// For few rows or columns.
    pub(super) small: usize,
}

/// By PCI number of the vendor; the last row is for all others.
const VENDORS: [(u32, Places); 7] = [
    // NVIDIA, AMD: many registers, and hundreds of tiles at once.
    (0x10de, Places { large: 5, middle: 0, small: 1 }),
    (0x1002, Places { large: 5, middle: 0, small: 1 }),
    // Apple: as many registers, fewer tiles at once.
    (0x106b, Places { large: 0, middle: 0, small: 1 }),
    // Intel: half of the registers.
    (0x8086, Places { large: 0, middle: 4, small: 1 }),
    // Qualcomm Adreno, Arm Mali: mobile GPUs.
    (0x5143, Places { large: 4, middle: 4, small: 1 }),
    (0x13b5, Places { large: 4, middle: 1, small: 1 }),
    (0, Places { large: 0, middle: 0, small: 1 }),
];

/// The defaults of `vendor`, by its PCI number.
pub(super) fn vendor_defaults(vendor: u32) -> Places {
    let row = VENDORS.iter().find(|(id, _)| *id == vendor);
    row.unwrap_or(&VENDORS[VENDORS.len() - 1]).1
}

#[cfg(test)]
mod tests {
    use super::super::kernels::{FEW_COLUMNS, TILED_SIZES};
    use super::*;

    #[test]
    fn every_vendor_has_tiles_that_there_are() {
        for (id, Places { large, middle, small }) in VENDORS {
            assert!(
                [large, middle, small].iter().all(|i| *i < TILED_SIZES.len() && *i != FEW_COLUMNS)
            );
            assert_eq!(vendor_defaults(id), Places { large, middle, small });
        }
        assert_eq!(vendor_defaults(0x1234), VENDORS[6].1);
    }
}
