//! The kernels of attention, their tiles, and which of them an adapter gets.

use crate::gpu::{Gpu, Kernel, Variant};
use crate::ops::KernelUse;
use crate::{kernel, params};

kernel!(FWD = "attention/attention_fwd", Scores, ScoresBinds { q, k, v, lengths, y, weights });
kernel!(SUBGROUP = "attention/attention_subgroup", Scores, ScoresBinds);
kernel!(VALUES = "attention/attention_values", Values, ValuesBinds { weights, v, y });
kernel!(VALUES_SUBGROUP = "attention/attention_values_subgroup", Values, ValuesBinds);
params! {
    struct Scores {
        images: u32, lq: u32, lk: u32, heads: u32, width: u32,
        q_image: u32, q_row: u32, q_first: u32,
        k_image: u32, k_row: u32, k_first: u32,
        v_image: u32, v_row: u32, v_first: u32,
        mask: u32, scale: f32,
    }
}
params! {
    struct Values {
        images: u32, lq: u32, lk: u32, heads: u32, width: u32,
        v_image: u32, v_row: u32, v_first: u32,
    }
}

/// A kernel with its tile constants, and the queries and channels of a head that one workgroup of it covers.
pub(super) struct Tile {
    pub(super) kernel: &'static Kernel,
    constants: &'static [(&'static str, u32)],
    pub(super) queries: usize,
    pub(super) channels: usize,
}

/// The tiles for one kind of adapter: for scores and values at once, by width; for the scores alone of wider heads; and for
/// the values of those.
pub(super) struct Plan {
    fused: &'static [Tile],
    scores: Tile,
    pub(super) values: Tile,
    /// Whether scores that are asked for are written on the way to the values; a driver on the CPU compiles two kernels
    /// sooner.
    together: bool,
}

/// Workgroup memory hands scores round: 64 lanes, COLS·ROWS, to hide latency, and few registers.
static WORKGROUP: Plan = Plan {
    fused: &[
        Tile {
            kernel: &FWD,
            constants: &[("COLS", 4), ("ROWS", 16), ("TQ", 2), ("TK", 4), ("TV", 1)],
            queries: 32,
            channels: 16,
        },
        Tile {
            kernel: &FWD,
            constants: &[("COLS", 8), ("ROWS", 8), ("TQ", 4), ("TK", 4), ("TV", 1)],
            queries: 32,
            channels: 32,
        },
        Tile {
            kernel: &FWD,
            constants: &[("COLS", 16), ("ROWS", 4), ("TQ", 4), ("TK", 4), ("TV", 1)],
            queries: 16,
            channels: 64,
        },
    ],
    scores: Tile {
        kernel: &FWD,
        constants: &[("COLS", 16), ("ROWS", 4), ("TQ", 4), ("TK", 4), ("TV", 0)],
        queries: 16,
        channels: 0,
    },
    values: Tile { kernel: &VALUES, constants: &[("TQ", 4), ("TV", 1)], queries: 4, channels: 256 },
    together: true,
};

/// Shuffles hand everything round: 8 lanes with large register tiles, for adapters where a load costs fifty times a
/// multiply-add.
static SHUFFLE: Plan = Plan {
    fused: &[
        Tile {
            kernel: &SUBGROUP,
            constants: &[("TG", 2), ("TK", 4), ("TV", 1)],
            queries: 16,
            channels: 32,
        },
        Tile {
            kernel: &SUBGROUP,
            constants: &[("TG", 2), ("TK", 4), ("TV", 2)],
            queries: 16,
            channels: 64,
        },
    ],
    scores: Tile {
        kernel: &SUBGROUP,
        constants: &[("TG", 2), ("TK", 4), ("TV", 0)],
        queries: 16,
        channels: 0,
    },
    values: Tile {
        kernel: &VALUES_SUBGROUP,
        constants: &[("TG", 2), ("TV", 2)],
        queries: 16,
        channels: 64,
    },
    together: false,
};

impl Plan {
    pub(super) fn of(gpu: &Gpu) -> &'static Plan {
        if gpu.traits().shuffles_are_cheap { &SHUFFLE } else { &WORKGROUP }
    }

    /// The tile for the scores of heads of `width` channels, which are asked for where `weights`; and whether it does the values
    /// too.
    pub(super) fn scores(&self, width: usize, weights: bool) -> (&Tile, bool) {
        let fits = |t: &&Tile| t.channels >= width && (self.together || !weights);
        match self.fused.iter().find(fits) {
            Some(tile) => (tile, true),
            None => (&self.scores, false),
        }
    }

    fn scores_variants(&self) -> Vec<Variant> {
        let both = [false, true];
        let given = &both[..1 + usize::from(self.together)];
        let fused = self
            .fused
            .iter()
            .flat_map(|t| given.iter().map(move |w| both.map(|a| t.scores(a, true, *w))));
        let wide = both.map(|a| self.scores.scores(a, false, true));
        fused.flatten().chain(wide).collect()
    }

    fn values_variants(&self) -> Vec<Variant> {
        [false, true].map(|aligned| self.values.variant(aligned)).into()
    }
}

impl Tile {
    pub(super) fn variant(&self, aligned: bool) -> Variant {
        let variant = Variant::new().set("ALIGNED", aligned);
        self.constants.iter().fold(variant, |v, (name, value)| v.tile(name, *value))
    }

    pub(super) fn scores(&self, aligned: bool, values: bool, weights: bool) -> Variant {
        self.variant(aligned).set("VALUES", values).set("WEIGHTS", weights)
    }
}

/// The kernels, for the row of the table.
pub(super) const KERNELS: &[KernelUse] = &[
    KernelUse { kernel: &FWD, variants: || WORKGROUP.scores_variants() },
    KernelUse { kernel: &SUBGROUP, variants: || SHUFFLE.scores_variants() },
    KernelUse { kernel: &VALUES, variants: || WORKGROUP.values_variants() },
    KernelUse { kernel: &VALUES_SUBGROUP, variants: || SHUFFLE.values_variants() },
];
