//! The matrix core: one product behind linear layers, batched products and convolutions (as implicit GEMM).
//!
//! A row of A is a window of a channels-last image, read in place; see `shaders/shared/gemm.wgsl`. Knows no layer and no
//! layout other than that; which kernel and tile serve a shape on an adapter is decided here and nowhere else.

use super::epilogue::Epilogue;
use super::row::KernelUse;
use crate::gpu::{Bind, Gpu, Grid, IMAGE_WIDTH, Kernel, Variant};
use crate::shape::{Shape, Window};
use crate::tensor::{Cx, Tensor};
use crate::{Result, kernel, params};

kernel!(TILED = "matmul/gemm_tiled", Params);
kernel!(SUBGROUP = "matmul/gemm_subgroup", Params);
kernel!(NARROW = "matmul/gemm_narrow", Params);
kernel!(OUTER_TILED = "matmul/outer_tiled", Params);
kernel!(OUTER_SUBGROUP = "matmul/outer_subgroup", Params);
kernel!(SPLIT_SUM = "matmul/split_sum", Params);
params! {
    struct Params {
        rows: u32, cols: u32, segments: u32, segment: u32, b_stride: u32, b_first: u32,
        height: u32, run: u32, step: u32, out_height: u32, out_width: u32,
        stride_y: u32, pad_y: u32, pad_x: u32,
        a_batch: u32, b_batch: u32, splits: u32, epilogue: u32,
    }
}

/// One product: what A's rows are, which columns of B are used, and how many such products there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gemm {
    p: Params,
    batch: usize,
    /// Whether neighbouring rows of A are windows one pixel apart.
    sliding: bool,
    /// Whether it is Aᵀ that is multiplied by B.
    transposed: bool,
}

impl Gemm {
    /// `[m, k]` times `[k, n]`.
    pub(super) fn matrix(m: usize, k: usize, n: usize) -> Self {
        let p = Params {
            rows: m as u32,
            cols: n as u32,
            segments: 1,
            segment: k as u32,
            b_stride: n as u32,
            height: 1,
            run: k as u32,
            step: 0,
            out_height: 1,
            out_width: 1,
            stride_y: 1,
            splits: 1,
            ..Default::default()
        };
        Gemm { p, batch: 1, sliding: false, transposed: false }
    }

    /// Only `n` columns of a B with `stride` columns, from `first` on.
    pub(super) fn columns(mut self, first: usize, stride: usize) -> Self {
        (self.p.b_first, self.p.b_stride) = (first as u32, stride as u32);
        self
    }

    /// `batch` products of consecutive matrices.
    pub(super) fn batch(mut self, batch: usize) -> Self {
        self.batch = batch;
        self.p.a_batch = self.p.rows * self.p.segment;
        self.p.b_batch = self.p.segment * self.p.b_stride;
        self
    }

    /// Windows of an image `[n, h, w, c]` with `(oh, ow)` outputs each, times `[kh·kw·c, cout]`.
    pub(super) fn windows(
        [n, h, w, c]: [usize; 4],
        (oh, ow): (usize, usize),
        window: Window,
        cout: usize,
    ) -> Self {
        let p = Params {
            rows: (n * oh * ow) as u32,
            cols: cout as u32,
            segments: window.kernel.0 as u32,
            segment: (window.kernel.1 * c) as u32,
            b_stride: cout as u32,
            height: h as u32,
            run: (w * c) as u32,
            step: (window.stride.1 * c) as u32,
            out_height: oh as u32,
            out_width: ow as u32,
            stride_y: window.stride.0 as u32,
            pad_y: window.pad.0 as u32,
            pad_x: (window.pad.1 * c) as u32,
            splits: 1,
            ..Default::default()
        };
        Gemm { p, batch: 1, sliding: window.stride.1 == 1, transposed: false }
    }

    /// The same windows, the first of which begins so many (rows, pixels) before the image: inside it where negative.
    pub(super) fn starting(mut self, (rows, pixels): (isize, isize)) -> Self {
        (self.p.pad_y, self.p.pad_x) = (rows as u32, (pixels * self.p.step as isize) as u32);
        self
    }

    /// Aᵀ, for a weight's gradient: `[k, m]` times a B `[m, n]` that has a row for each of A's.
    pub(super) fn transposed(mut self) -> Self {
        self.transposed = true;
        if self.batch > 1 {
            self.p.b_batch = self.p.rows * self.p.b_stride;
        }
        self
    }

    /// Rows of the product.
    fn height(&self) -> u32 {
        if self.transposed { self.p.segments * self.p.segment } else { self.p.rows }
    }

    /// Length of the sums.
    fn depth(&self) -> u32 {
        if self.transposed { self.p.rows } else { self.p.segments * self.p.segment }
    }

    /// Multiply-adds.
    fn work(&self) -> usize {
        [self.height(), self.p.cols, self.depth()].map(|n| n as usize).iter().product::<usize>()
            * self.batch
    }

    /// Records the product into a new tensor of `shape`, which has one element for each of batch · rows · columns.
    pub(super) fn run(
        self,
        cx: &Cx,
        a: &Tensor,
        b: &Tensor,
        ep: &Epilogue,
        shape: Shape,
    ) -> Result<Tensor> {
        let y = cx.out(shape);
        if y.is_empty() {
            return Ok(y);
        }
        let fit = [a, b].iter().all(|t| t.buffer().fits_image());
        let images = cx.gpu().image_reads() && fit && self.work() >= IMAGE_WORK;
        self.run_as(cx, Plan::choose(cx.gpu(), &self, images), a, b, ep, y)
    }

    fn run_as(
        self,
        cx: &Cx,
        plan: Plan,
        a: &Tensor,
        b: &Tensor,
        ep: &Epilogue,
        y: Tensor,
    ) -> Result<Tensor> {
        let [a, b] = if plan.tile.images() { [a.image(), b.image()] } else { [a.read(), b.read()] };
        let run = |splits: usize, ep: &Epilogue, binds: &[Bind]| {
            let p = Params { splits: splits as u32, epilogue: ep.word(), ..self.p };
            let grid = Grid::planes(plan.tile.count(&p), self.batch * splits);
            cx.run(plan.tile.kernel(), &ep.on(plan.tile.variant()), grid, &p, binds)
        };
        if plan.splits == 1 {
            run(1, ep, &operands(a, b, ep, &y))?;
            return Ok(y);
        }
        let parts = cx.out([plan.splits, y.len()]);
        let nothing = Epilogue::default();
        run(plan.splits, &nothing, &operands(a, b, &nothing, &parts))?;
        let rows = self.height();
        let p = Params { rows, splits: plan.splits as u32, epilogue: ep.word(), ..self.p };
        let grid = Grid::linear(y.len().div_ceil(SUM_GROUP));
        let binds = operands(parts.read(), Bind::Absent, ep, &y);
        cx.run(&SPLIT_SUM, &ep.on(Variant::new()), grid, &p, &binds)?;
        Ok(y)
    }
}

/// The operands of a product that its gradient needs: each where that of the other is wanted.
pub(super) fn kept(cx: &Cx, a: &Tensor, b: &Tensor) -> [Option<Tensor>; 2] {
    [(a, b), (b, a)].map(|(operand, other)| cx.tracks(&[other]).then(|| operand.clone()))
}

/// Outputs of one workgroup of [`SPLIT_SUM`].
const SUM_GROUP: usize = 64;

fn operands<'a>(a: Bind<'a>, b: Bind<'a>, ep: &'a Epilogue, y: &'a Tensor) -> [Bind<'a>; 7] {
    let optional = Tensor::read_or_absent;
    let (scale, shift, residual) = (optional(ep.scale), optional(ep.shift), optional(ep.residual));
    [a, b, scale, shift, residual, ep.act.slope(), y.write()]
}

/// A kernel with its tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tile {
    /// Tiles in workgroup memory: `ty·rows·4` by `tx·4` outputs, `depth` along K at a time.
    Workgroup { rows: u32, tx: u32, ty: u32, depth: u32 },
    /// A subgroup for `groups·lanes` by `lanes·4·vecs` outputs; A, or B and y, are moved in fours where all offsets allow it,
    /// and these as 64-bit words where that is cheaper.
    Subgroup { groups: u32, vecs: u32, lanes: u32, moves: Moves },
    /// A subgroup for sixteen neighbouring windows of an image and at most four columns.
    Narrow { lanes: u32, moves: Moves },
    /// For Aᵀ: tiles in workgroup memory, `side·fours·4` square.
    OuterWorkgroup { side: u32, fours: u32 },
    /// For Aᵀ: a subgroup for `lanes·4` by `lanes·4·vecs` outputs.
    OuterSubgroup { vecs: u32, lanes: u32, moves: Moves },
}

/// Whether A, and whether B and y, are moved in fours, which takes offsets that are multiples of four; whether these fours
/// are moved as two 64-bit words; and whether those of A and B are fetched through images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moves {
    a_fours: bool,
    b_fours: bool,
    words: bool,
    images: bool,
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
    fn of(gpu: &Gpu, p: &Params, vecs: u32) -> Moves {
        let multiples = |n: u32, all: &[u32]| all.iter().all(|v| v % n == 0);
        let b = [p.cols, p.b_first, p.b_stride];
        Moves {
            a_fours: multiples(4, &[p.segment, p.run, p.step, p.pad_x]),
            b_fours: multiples(4, &b),
            words: multiples(4 * vecs, &b) && gpu.wide_words(),
            images: false,
        }
    }

    fn all_fours(self) -> bool {
        self.a_fours && self.b_fours
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

/// Tiles of workgroups: for large products, for those with few rows or columns, and for at most four columns.
const WORKGROUPS: [Tile; 3] = [
    Tile::Workgroup { rows: 2, tx: 16, ty: 8, depth: 16 },
    Tile::Workgroup { rows: 1, tx: 8, ty: 8, depth: 16 },
    Tile::Workgroup { rows: 1, tx: 1, ty: 64, depth: 4 },
];

/// Rows (in subgroups) and columns (in fours for each lane) of the tiles of [`Tile::Subgroup`]: for large products, for
/// those with few columns, and for what is small or oddly laid out.
const SUBGROUPS: [(u32, u32); 3] = [(4, 2), (6, 1), (2, 1)];

/// Subgroups that [`Tile::Subgroup`] serves; with more lanes, tiles in workgroup memory win.
const LANES: [u32; 2] = [4, 8];

/// The tile of workgroups for Aᵀ, and fours of columns for each lane of a subgroup's: of many columns, and of few.
const OUTER: Tile = Tile::OuterWorkgroup { side: 8, fours: 2 };
const OUTER_VECS: [u32; 2] = [2, 1];

/// Multiply-adds, and length of the sums, from which the larger tiles pay: a driver on the CPU takes seconds to compile each
/// of them, and a tile that is soon summed up gains little by its size.
const LARGE_WORK: usize = 1 << 27;
const LARGE_DEPTH: u32 = 512;

/// Multiply-adds from which reading A and B through images pays for filling them.
const IMAGE_WORK: usize = 9_000_000;

/// Windows and taps in a row that [`Tile::Narrow`] serves.
const WINDOWS: u32 = 16;
const TAPS: u32 = 3;

impl Tile {
    fn kernel(self) -> &'static Kernel {
        match self {
            Tile::Workgroup { .. } => &TILED,
            Tile::Subgroup { .. } => &SUBGROUP,
            Tile::Narrow { .. } => &NARROW,
            Tile::OuterWorkgroup { .. } => &OUTER_TILED,
            Tile::OuterSubgroup { .. } => &OUTER_SUBGROUP,
        }
    }

    fn variant(self) -> Variant {
        let v = Variant::new();
        match self {
            Tile::Workgroup { rows, tx, ty, depth } => v
                .tile("ROWS", rows)
                .tile("TX", tx)
                .tile("TY", ty)
                .tile("DEPTH", depth)
                .tile("LOADS_A", rows * depth / tx)
                .tile("LOADS_B", depth.div_ceil(ty)),
            Tile::Subgroup { groups, vecs, lanes, moves } => {
                moves.on(v.tile("GROUPS", groups).tile("LANES", lanes), vecs)
            }
            Tile::Narrow { lanes, moves } => {
                let v = v.tile("ROWS", WINDOWS).tile("TAPS", TAPS);
                moves.on(v.tile("REACH", WINDOWS + TAPS - 1).tile("LANES", lanes), 1)
            }
            Tile::OuterWorkgroup { side, fours } => v.tile("SIDE", side).tile("FOURS", fours),
            Tile::OuterSubgroup { vecs, lanes, moves } => moves.on(v.tile("LANES", lanes), vecs),
        }
    }

    /// Whether A and B are fetched through images.
    fn images(self) -> bool {
        match self {
            Tile::Workgroup { .. } | Tile::OuterWorkgroup { .. } => false,
            Tile::Subgroup { moves, .. }
            | Tile::Narrow { moves, .. }
            | Tile::OuterSubgroup { moves, .. } => moves.images,
        }
    }

    /// Tiles of a product.
    fn count(self, p: &Params) -> usize {
        let across = |n: u32| p.cols.div_ceil(n) as usize;
        let outer = |m: u32| (p.segments * p.segment.div_ceil(m)) as usize;
        let (m, n) = match self {
            Tile::Workgroup { rows, tx, ty, .. } => (rows * ty * 4, tx * 4),
            Tile::Subgroup { groups, vecs, lanes, .. } => (groups * lanes, lanes * 4 * vecs),
            Tile::Narrow { .. } => {
                return (p.rows / p.out_width) as usize * p.out_width.div_ceil(WINDOWS) as usize;
            }
            Tile::OuterWorkgroup { side, fours } => {
                let side = side * fours * 4;
                return outer(side) * across(side);
            }
            Tile::OuterSubgroup { vecs, lanes, .. } => {
                return outer(lanes * 4) * across(lanes * 4 * vecs);
            }
        };
        p.rows.div_ceil(m) as usize * across(n)
    }
}

/// How a product is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    tile: Tile,
    splits: usize,
}

impl Plan {
    /// The table: adapter and shape to kernel, tile and parts along K; and whether A and B may be read through images.
    fn choose(gpu: &Gpu, g: &Gemm, images: bool) -> Plan {
        let p = &g.p;
        let few = |lanes: u32| {
            let wide = lanes * 8;
            usize::from((p.cols + wide - 1) % wide < wide / 2)
        };
        let moves = |vecs| {
            let m = Moves::of(gpu, p, vecs);
            Moves { images: images && m.all_fours(), ..m }
        };
        let tile = match gpu.subgroup().filter(|lanes| LANES.contains(lanes)) {
            Some(lanes) if g.transposed => {
                let vecs = OUTER_VECS[few(lanes)];
                Tile::OuterSubgroup { vecs, lanes, moves: moves(vecs) }
            }
            Some(lanes) => {
                let one = moves(1);
                let taps = p.segment.is_multiple_of(TAPS * p.step);
                if g.sliding && p.cols <= 4 && one.a_fours && taps {
                    return Plan { tile: Tile::Narrow { lanes, moves: one }, splits: 1 };
                }
                let large = g.work() >= LARGE_WORK && g.depth() >= LARGE_DEPTH;
                let shape = if large && one.all_fours() { few(lanes) } else { 2 };
                let (groups, vecs) = SUBGROUPS[shape];
                Tile::Subgroup { groups, vecs, lanes, moves: moves(vecs) }
            }
            None if g.transposed => OUTER,
            None if p.cols <= 4 => WORKGROUPS[2],
            None => WORKGROUPS[usize::from(p.rows < 64 || p.cols < 48)],
        };
        // Enough workgroups for every core: two on a CPU, hundreds on a GPU.
        let wanted = if gpu.summary().software { 8 } else { 256 };
        let tiles = tile.count(p) * g.batch;
        let depth = g.depth() as usize;
        let splits = if g.batch == 1 { (wanted / tiles).min(depth / 256).clamp(1, 64) } else { 1 };
        Plan { tile, splits }
    }
}

/// The kernels and variants behind every matrix operation.
pub(super) const KERNELS: &[KernelUse] = &[
    KernelUse { kernel: &TILED, variants: || variants(WORKGROUPS.to_vec()) },
    KernelUse { kernel: &SUBGROUP, variants: || variants(subgroup_tiles()) },
    KernelUse { kernel: &NARROW, variants: || variants(narrow_tiles()) },
    KernelUse { kernel: &OUTER_TILED, variants: || vec![Epilogue::default().on(OUTER.variant())] },
    KernelUse { kernel: &OUTER_SUBGROUP, variants: outer_variants },
    KernelUse { kernel: &SPLIT_SUM, variants: || Epilogue::all(Variant::new()).to_vec() },
];

fn subgroup_tiles() -> Vec<Tile> {
    let mut all = Vec::new();
    for (lanes, (groups, vecs)) in LANES.into_iter().flat_map(|l| SUBGROUPS.map(|s| (l, s))) {
        let small = (groups, vecs) == SUBGROUPS[2];
        let moves = Moves::ALL.into_iter().filter(|m| small || m.all_fours());
        all.extend(moves.map(|moves| Tile::Subgroup { groups, vecs, lanes, moves }));
    }
    all
}

fn narrow_tiles() -> Vec<Tile> {
    let moves = |lanes| {
        Moves::ALL.into_iter().filter(|m| m.a_fours).map(move |moves| Tile::Narrow { lanes, moves })
    };
    LANES.into_iter().flat_map(moves).collect()
}

fn outer_variants() -> Vec<Variant> {
    let tile = |lanes, vecs, moves| Tile::OuterSubgroup { vecs, lanes, moves };
    let all = LANES.into_iter().flat_map(|l| OUTER_VECS.map(|v| (l, v)));
    all.flat_map(|(lanes, vecs)| Moves::ALL.map(|moves| tile(lanes, vecs, moves)))
        .map(|tile| Epilogue::default().on(tile.variant()))
        .collect()
}

fn variants(tiles: Vec<Tile>) -> Vec<Variant> {
    tiles.into_iter().flat_map(|t| Epilogue::all(t.variant())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::GpuOptions;
    use crate::tensor::Seeded;

    #[test]
    fn images_change_no_bit() {
        let adapter = std::env::var("LEMMA_GPU_ADAPTER").ok();
        let options = GpuOptions { adapter, checked: true, poison: true, ..Default::default() };
        let gpu = Gpu::new(options).unwrap();
        let window = Window { kernel: (3, 3), stride: (1, 1), pad: (1, 1) };
        let [n, h, w, c] = [2, 7, 19, 12];
        let conv = |cout| {
            (Gemm::windows([n, h, w, c], (h, w), window, cout), [n * h * w * c, 9 * c * cout])
        };
        let products = [
            (Gemm::matrix(70, 36, 84), [70 * 36, 36 * 84]),
            (Gemm::matrix(33, 1028, 64), [33 * 1028, 1028 * 64]),
            (Gemm::matrix(5, 8, 24).columns(4, 32), [5 * 8, 8 * 32]),
            (Gemm::matrix(40, 12, 20).batch(3), [3 * 40 * 12, 3 * 12 * 20]),
            conv(64),
            conv(4),
            (Gemm::matrix(70, 36, 84).transposed(), [70 * 36, 70 * 84]),
            (Gemm::matrix(40, 12, 20).batch(3).transposed(), [3 * 40 * 12, 3 * 40 * 20]),
            (conv(64).0.transposed(), [n * h * w * c, n * h * w * 64]),
        ];
        for (i, (gemm, sizes)) in products.into_iter().enumerate() {
            let mut random = Seeded::new("images");
            let [a, b] = sizes.map(|s| random.uniform([s], -1.0, 1.0).upload(&gpu));
            let [plain, images] = [false, true].map(|images| {
                let cx = Cx::new(&gpu);
                let plan = Plan::choose(&gpu, &gemm, images);
                let lanes = gpu.subgroup().filter(|l| LANES.contains(l));
                assert_eq!(plan.tile.images(), images && lanes.is_some(), "product {i}");
                let outputs = gemm.batch * (gemm.height() * gemm.p.cols) as usize;
                let y = cx.out([outputs]);
                let y = gemm.run_as(&cx, plan, &a, &b, &Epilogue::default(), y).unwrap();
                cx.submit().unwrap();
                y.to_host(&gpu).unwrap()
            });
            assert!(plain.data.iter().all(|v| v.is_finite()), "product {i}");
            assert_eq!(plain.data, images.data, "product {i}");
        }
    }
}
