//! The kernels of the matrix core and their tiles.

use super::super::epilogue::Epilogue;
use super::super::row::KernelUse;
use super::{NARROW, OUTER_SUBGROUP, OUTER_TILED, Params, REGISTERS, SPLIT_SUM, SUBGROUP, TILED};
use crate::gpu::{IMAGE_WIDTH, Kernel, Variant};

/// A kernel with its tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tile {
    /// Tiles in workgroup memory.
    Workgroup { size: Workgroup, moves: Moves },
    /// Eight by eight invocations that share nothing, each for `rows` by `4·vecs` outputs; moves as below.
    Registers { rows: u32, vecs: u32, moves: Moves },
    /// A subgroup for `groups·lanes` by `lanes·4·vecs` outputs; A, B and y are moved in fours where all offsets allow it, and
    /// these as 64-bit words where that is cheaper.
    Subgroup { groups: u32, vecs: u32, lanes: u32, moves: Moves },
    /// A subgroup for neighbouring windows of an image, in each of [`LINES`], and at most four columns, of `taps` in a row at a
    /// time.
    Narrow { taps: u32, lanes: u32, moves: Moves },
    /// For Aᵀ: tiles in workgroup memory, `side·fours·4` square.
    OuterWorkgroup { side: u32, fours: u32, moves: Moves },
    /// For Aᵀ: a subgroup for `lanes·4` by `lanes·4·vecs` outputs.
    OuterSubgroup { vecs: u32, lanes: u32, moves: Moves },
}

/// `tx·ty` invocations for `ty·rows·4` by `tx·4` outputs, `depth` along K at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Workgroup {
    rows: u32,
    tx: u32,
    ty: u32,
    depth: u32,
}

/// Whether A, and whether B and y, are moved in fours, which takes offsets that are multiples of four; whether these fours
/// are moved as two 64-bit words; and whether those of A and B are fetched through images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moves {
    pub(super) a_fours: bool,
    b_fours: bool,
    words: bool,
    images: bool,
}

/// What fours of A and B may be moved as besides fours of floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Means {
    /// Two 64-bit words.
    pub(super) words: bool,
    /// Fetched through images.
    pub(super) images: bool,
}

impl Moves {
    const ALL: [Moves; 8] = [
        Moves { a_fours: true, b_fours: true, words: true, images: true },
        Moves { a_fours: true, b_fours: true, words: false, images: true },
        Moves { a_fours: true, b_fours: true, words: true, images: false },
        Moves { a_fours: true, b_fours: true, words: false, images: false },
        Moves { a_fours: false, b_fours: true, words: true, images: false },
        Moves { a_fours: false, b_fours: true, words: false, images: false },
        Moves { a_fours: true, b_fours: false, words: false, images: false },
        Moves { a_fours: false, b_fours: false, words: false, images: false },
    ];

    /// The best moves for lanes of `vecs` fours of columns.
    pub(super) fn of(p: &Params, vecs: u32, means: Means) -> Moves {
        let multiples = |n: u32, all: &[u32]| all.iter().all(|v| v % n == 0);
        let b = [p.cols, p.b_first, p.b_stride];
        let a_fours = multiples(4, &[p.segment, p.run, p.step, p.pad_x]);
        let b_fours = multiples(4, &b);
        Moves {
            a_fours,
            b_fours,
            words: multiples(4 * vecs, &b) && means.words,
            images: a_fours && b_fours && means.images,
        }
    }

    /// The same, or one by one altogether: a driver on the CPU takes a third of a second to compile each kernel, and few products
    /// are moved partly in fours.
    pub(super) fn alike(self) -> Self {
        let none = Moves { a_fours: false, b_fours: false, words: false, images: false };
        if self.all_fours() { self } else { none }
    }

    pub(super) fn all_fours(self) -> bool {
        self.a_fours && self.b_fours
    }

    /// The same out of buffers, as floats.
    pub(super) fn plain(self) -> Self {
        Moves { words: false, images: false, ..self }
    }

    fn on(self, variant: Variant, vecs: u32) -> Variant {
        variant
            .tile("VECS", vecs)
            .tile("A_FOURS", self.a_fours.into())
            .tile("B_FOURS", self.b_fours.into())
            .tile("WORDS", self.words.into())
            .tile("EIGHTS", (self.words && vecs == 2 && !self.images).into())
            .tile("IMAGES", self.images.into())
            .tile("IMAGE_WIDTH", IMAGE_WIDTH)
    }
}

/// Tiles of workgroups: for large products, for those with few rows or columns, for at most four columns; and others that
/// only a measurement, or the table of a vendor, chooses.
pub(super) const WORKGROUPS: [Workgroup; 6] = [
    Workgroup { rows: 2, tx: 16, ty: 8, depth: 8 },
    Workgroup { rows: 1, tx: 8, ty: 8, depth: 16 },
    Workgroup { rows: 1, tx: 1, ty: 64, depth: 4 },
    Workgroup { rows: 1, tx: 16, ty: 16, depth: 8 },
    Workgroup { rows: 2, tx: 8, ty: 8, depth: 8 },
    Workgroup { rows: 4, tx: 16, ty: 8, depth: 8 },
];

/// Rows and columns (in fours) of an invocation of [`Tile::Registers`].
pub(super) const REGISTER_TILE: (u32, u32) = (8, 2);

/// Rows (in subgroups) and columns (in fours for each lane) of the tiles of [`Tile::Subgroup`]: for large products, for
/// those with few columns, and for what is small or oddly laid out.
pub(super) const SUBGROUPS: [(u32, u32); 3] = [(4, 2), (6, 1), (2, 1)];

/// Subgroups that [`Tile::Subgroup`] serves; with more lanes, tiles in workgroup memory win.
pub(super) const LANES: [u32; 2] = [4, 8];

/// Side and fours of the tile of workgroups for Aᵀ, and fours of columns for each lane of a subgroup's: of many columns, and
/// of few.
pub(super) const OUTER: (u32, u32) = (8, 2);
pub(super) const OUTER_VECS: [u32; 2] = [2, 1];

/// Lines of windows of [`Tile::Narrow`], and how many taps of a window's row it takes at a time.
pub(super) const LINES: u32 = 4;
pub(super) const TAPS: [u32; 2] = [9, 3];

impl Tile {
    pub(super) fn kernel(self) -> &'static Kernel {
        match self {
            Tile::Workgroup { .. } => &TILED,
            Tile::Registers { .. } => &REGISTERS,
            Tile::Subgroup { .. } => &SUBGROUP,
            Tile::Narrow { .. } => &NARROW,
            Tile::OuterWorkgroup { .. } => &OUTER_TILED,
            Tile::OuterSubgroup { .. } => &OUTER_SUBGROUP,
        }
    }

    pub(super) fn variant(self) -> Variant {
        let v = Variant::new();
        match self {
            Tile::Workgroup { size: Workgroup { rows, tx, ty, depth }, moves } => {
                let v = v.tile("ROWS", rows).tile("TX", tx).tile("TY", ty).tile("DEPTH", depth);
                let v = v.tile("BLOCKS_A", (rows * depth / 4).div_ceil(tx));
                moves.on(v.tile("LOADS_B", depth.div_ceil(ty)), 1)
            }
            Tile::Registers { rows, vecs, moves } => moves.on(v.tile("ROWS", rows), vecs),
            Tile::Subgroup { groups, vecs, lanes, moves } => {
                moves.on(v.tile("GROUPS", groups).tile("LANES", lanes), vecs)
            }
            Tile::Narrow { taps, lanes, moves } => {
                let v = v.tile("LINES", LINES).tile("TAPS", taps).tile("LANES", lanes);
                let v = v.tile("PIXELS", (lanes + taps - 1).div_ceil(lanes));
                moves.on(v.tile("WEIGHTS", (4 * taps).div_ceil(lanes)), 1)
            }
            Tile::OuterWorkgroup { side, fours, moves } => {
                moves.on(v.tile("SIDE", side).tile("FOURS", fours), 1)
            }
            Tile::OuterSubgroup { vecs, lanes, moves } => moves.on(v.tile("LANES", lanes), vecs),
        }
    }

    /// Whether A and B are fetched through images.
    pub(super) fn images(self) -> bool {
        match self {
            Tile::Workgroup { moves, .. }
            | Tile::OuterWorkgroup { moves, .. }
            | Tile::Registers { moves, .. }
            | Tile::Subgroup { moves, .. }
            | Tile::Narrow { moves, .. }
            | Tile::OuterSubgroup { moves, .. } => moves.images,
        }
    }

    /// Rows and columns of its outputs.
    fn size(self) -> (u32, u32) {
        match self {
            Tile::Workgroup { size: Workgroup { rows, tx, ty, .. }, .. } => (rows * ty * 4, tx * 4),
            Tile::Registers { rows, vecs, .. } => (8 * rows, 32 * vecs),
            Tile::Subgroup { groups, vecs, lanes, .. } => (groups * lanes, lanes * 4 * vecs),
            Tile::Narrow { lanes, .. } => (LINES * lanes, 4),
            Tile::OuterWorkgroup { side, fours, .. } => (side * fours * 4, side * fours * 4),
            Tile::OuterSubgroup { vecs, lanes, .. } => (lanes * 4, lanes * 4 * vecs),
        }
    }

    /// Tiles of a product.
    pub(super) fn count(self, p: &Params) -> usize {
        let (m, n) = self.size();
        let down = match self {
            Tile::Workgroup { .. } | Tile::Registers { .. } | Tile::Subgroup { .. } => {
                p.rows.div_ceil(m)
            }
            // Each begins anew with a line of windows,
            Tile::Narrow { lanes, .. } => {
                (p.rows / p.out_width).div_ceil(LINES) * p.out_width.div_ceil(lanes)
            }
            // or with a row of the window.
            Tile::OuterWorkgroup { .. } | Tile::OuterSubgroup { .. } => {
                p.segments * p.segment.div_ceil(m)
            }
        };
        down as usize * p.cols.div_ceil(n) as usize
    }
}

/// Its name in a table of choices, unlike that of every other tile for the same product.
impl std::fmt::Display for Tile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (m, n) = self.size();
        match self {
            Tile::Workgroup { size: Workgroup { tx, ty, .. }, .. } => {
                write!(f, "workgroup of {} for {m}×{n}", tx * ty)
            }
            Tile::OuterWorkgroup { side, .. } => {
                write!(f, "workgroup of {} for {m}×{n}", side * side)
            }
            Tile::Subgroup { .. } | Tile::OuterSubgroup { .. } => write!(f, "subgroup for {m}×{n}"),
            Tile::Registers { .. } => write!(f, "registers for {m}×{n}"),
            Tile::Narrow { .. } => write!(f, "subgroup for {m} windows"),
        }
    }
}

/// The kernels and variants behind every matrix operation.
pub(in super::super) const KERNELS: &[KernelUse] = &[
    KernelUse { kernel: &TILED, variants: || variants(workgroup_tiles()) },
    KernelUse { kernel: &REGISTERS, variants: || variants(register_tiles()) },
    KernelUse { kernel: &SUBGROUP, variants: || variants(subgroup_tiles()) },
    KernelUse { kernel: &NARROW, variants: || variants(narrow_tiles()) },
    KernelUse { kernel: &OUTER_TILED, variants: outer_workgroup_variants },
    KernelUse { kernel: &OUTER_SUBGROUP, variants: outer_variants },
    KernelUse { kernel: &SPLIT_SUM, variants: || placed(Variant::new()) },
];

fn plain_moves() -> impl Iterator<Item = Moves> {
    Moves::ALL.into_iter().filter(|m| *m == m.plain())
}

fn workgroup_tiles() -> Vec<Tile> {
    let tiles = |size| plain_moves().map(move |moves| Tile::Workgroup { size, moves });
    WORKGROUPS.into_iter().flat_map(tiles).collect()
}

fn outer_workgroup_variants() -> Vec<Variant> {
    let (side, fours) = OUTER;
    let tiles = plain_moves().map(|moves| Tile::OuterWorkgroup { side, fours, moves });
    tiles.map(|tile| Epilogue::default().on(tile.variant())).collect()
}

fn register_tiles() -> Vec<Tile> {
    let (rows, vecs) = REGISTER_TILE;
    plain_moves().map(|moves| Tile::Registers { rows, vecs, moves }).collect()
}

fn subgroup_tiles() -> Vec<Tile> {
    let mut all = Vec::new();
    for (lanes, (groups, vecs)) in LANES.into_iter().flat_map(|l| SUBGROUPS.map(|s| (l, s))) {
        let small = (groups, vecs) == SUBGROUPS[2];
        let alike = |m: &Moves| *m == m.alike() && (small || m.all_fours());
        let moves = Moves::ALL.into_iter().filter(alike);
        all.extend(moves.map(|moves| Tile::Subgroup { groups, vecs, lanes, moves }));
    }
    all
}

fn narrow_tiles() -> Vec<Tile> {
    let fours = || Moves::ALL.into_iter().filter(|m| m.a_fours);
    let sizes = LANES.into_iter().flat_map(|lanes| TAPS.map(|taps| (lanes, taps)));
    let tiles = |(lanes, taps)| fours().map(move |moves| Tile::Narrow { taps, lanes, moves });
    sizes.flat_map(tiles).collect()
}

fn outer_variants() -> Vec<Variant> {
    let tile = |lanes, vecs, moves| Tile::OuterSubgroup { vecs, lanes, moves };
    let all = LANES.into_iter().flat_map(|l| OUTER_VECS.map(|v| (l, v)));
    all.flat_map(|(lanes, vecs)| Moves::ALL.map(|moves| tile(lanes, vecs, moves)))
        .map(|tile| Epilogue::default().on(tile.variant()))
        .collect()
}

/// The variant that stores columns as four pixels.
pub(super) fn shuffled(variant: Variant) -> Variant {
    variant.set("SHUFFLES", true)
}

/// Every epilogue, in place and shuffled.
fn placed(variant: Variant) -> Vec<Variant> {
    [Epilogue::all(variant.clone()), Epilogue::all(shuffled(variant))].concat()
}

fn variants(tiles: Vec<Tile>) -> Vec<Variant> {
    tiles.into_iter().flat_map(|t| placed(t.variant())).collect()
}
