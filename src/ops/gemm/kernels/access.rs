//! How kernels of the matrix core load and store their operands.

use super::super::Params;
use crate::gpu::{IMAGE_WIDTH, Variant};

/// Access of each operand: as vec4, which takes offsets that are divisible by four, A apart from B and the result; these as
/// two `u64`; and A and B through storage textures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct AccessMode {
    pub(super) a_vec4: bool,
    b_vec4: bool,
    u64s: bool,
    textures: bool,
}

/// Load paths that are available for vec4 operands besides plain loads of `vec4<f32>` from buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct LoadPaths {
    /// As two `u64`.
    pub(in super::super) u64s: bool,
    /// Through storage textures.
    pub(in super::super) textures: bool,
}

impl LoadPaths {
    /// Plain loads alone.
    pub(super) const PLAIN: LoadPaths = LoadPaths { u64s: false, textures: false };
}

impl AccessMode {
    pub(super) const ALL: [AccessMode; 8] = [
        AccessMode { a_vec4: true, b_vec4: true, u64s: true, textures: true },
        AccessMode { a_vec4: true, b_vec4: true, u64s: false, textures: true },
        AccessMode { a_vec4: true, b_vec4: true, u64s: true, textures: false },
        AccessMode { a_vec4: true, b_vec4: true, u64s: false, textures: false },
        AccessMode { a_vec4: false, b_vec4: true, u64s: true, textures: false },
        AccessMode { a_vec4: false, b_vec4: true, u64s: false, textures: false },
        AccessMode { a_vec4: true, b_vec4: false, u64s: false, textures: false },
        AccessMode { a_vec4: false, b_vec4: false, u64s: false, textures: false },
    ];

    /// The best access to the operands of a product for lanes of `vecs` vec4 of columns.
    pub(super) fn of(p: &Params, vecs: u32, paths: LoadPaths) -> Self {
        let multiples = |n: u32, all: &[u32]| all.iter().all(|v| v % n == 0);
        let b = [p.cols, p.b_first, p.b_stride];
        let a_vec4 = multiples(4, &[p.segment, p.run, p.step, p.pad_x]);
        let b_vec4 = multiples(4, &b);
        AccessMode {
            a_vec4,
            b_vec4,
            u64s: multiples(4 * vecs, &b) && paths.u64s,
            textures: a_vec4 && b_vec4 && paths.textures,
        }
    }

    /// Those of plain loads.
    pub(super) fn plain() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|m| !m.u64s && !m.textures)
    }

    /// The same, or scalars for all: a driver on the CPU takes a third of a second to compile each kernel, and few products
    /// have vec4 access to one operand alone.
    pub(super) fn uniform(self) -> Self {
        let scalar = AccessMode { a_vec4: false, b_vec4: false, u64s: false, textures: false };
        if self.all_vec4() { self } else { scalar }
    }

    pub(super) fn all_vec4(self) -> bool {
        self.a_vec4 && self.b_vec4
    }

    /// Whether A and B are read through storage textures.
    pub(super) fn textures(self) -> bool {
        self.textures
    }

    /// A kernel's variant with this access, for lanes of `vecs` vec4 of columns.
    pub(super) fn on(self, variant: Variant, vecs: u32) -> Variant {
        variant
            .tile("VECS", vecs)
            .tile("A_FOURS", self.a_vec4.into())
            .tile("B_FOURS", self.b_vec4.into())
            .tile("WORDS", self.u64s.into())
            .tile("EIGHTS", (self.u64s && vecs == 2 && !self.textures).into())
            .tile("IMAGES", self.textures.into())
            .tile("IMAGE_WIDTH", IMAGE_WIDTH)
    }
}
