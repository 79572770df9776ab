//! Which tiles of workgroups the vendors of GPUs are known to like: where a device begins before `tune` has measured it.
//!
//! The table follows what is published of the processors: registers for each invocation, width of their subgroups, how many
//! tiles they need to be busy. It was not measured with these kernels; what `tune` finds goes before it.

/// Places among [`WORKGROUPS`](super::tile::WORKGROUPS).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    /// For products of many tiles.
    pub(super) large: usize,
    /// For those that would leave processors idle with it.
    pub(super) middle: usize,
    /// For few rows or columns.
    pub(super) small: usize,
}

/// By PCI number of the vendor; the last row is for all others.
const VENDORS: [(u32, Start); 7] = [
    // NVIDIA, AMD: many registers, and hundreds of tiles at once.
    (0x10de, Start { large: 5, middle: 0, small: 1 }),
    (0x1002, Start { large: 5, middle: 0, small: 1 }),
    // Apple: as many registers, fewer tiles at once.
    (0x106b, Start { large: 0, middle: 0, small: 1 }),
    // Intel: half of the registers.
    (0x8086, Start { large: 0, middle: 4, small: 1 }),
    // Qualcomm, Arm: telephones.
    (0x5143, Start { large: 4, middle: 4, small: 1 }),
    (0x13b5, Start { large: 4, middle: 1, small: 1 }),
    (0, Start { large: 0, middle: 0, small: 1 }),
];

/// Where a device of `vendor` begins.
pub(super) fn start(vendor: u32) -> Start {
    let row = VENDORS.iter().find(|(id, _)| *id == vendor);
    row.unwrap_or(&VENDORS[VENDORS.len() - 1]).1
}

#[cfg(test)]
mod tests {
    use super::super::tile::WORKGROUPS;
    use super::*;

    #[test]
    fn every_vendor_begins_with_tiles_that_there_are() {
        for (id, Start { large, middle, small }) in VENDORS {
            assert!([large, middle, small].iter().all(|i| *i < WORKGROUPS.len() && *i != 2));
            assert_eq!(start(id), Start { large, middle, small });
        }
        assert_eq!(start(0x1234), VENDORS[6].1);
    }
}
