//! The matrix core: one product behind linear layers, batched products and convolutions (as implicit GEMM).
//!
//! A row of A is a window of a channels-last image, read in place; see `shaders/shared/gemm.wgsl`. Knows no layer and no
//! layout other than that; which kernel and tile serve a shape on an adapter is decided here and nowhere else: `tile.rs`
//! has what there is, `plan.rs` chooses, `known.rs` says where a vendor's GPUs begin, `tune.rs` measures.

mod known;
mod plan;
mod tile;
mod tune;

use super::epilogue::{Act, Epilogue};
use super::pointwise::activate;
use crate::gpu::{Bind, Gpu, Grid, Variant};
use crate::shape::{Shape, Window};
use crate::tensor::{Cx, Dtype, Tensor};
use crate::{Result, kernel, params};
use plan::{IMAGE_WORK, PLAIN_WORK, Plan};
pub(super) use tile::KERNELS;
use tile::Means;

kernel!(TILED = "matmul/gemm_tiled", Params);
kernel!(SUBGROUP = "matmul/gemm_subgroup", Params);
kernel!(REGISTERS = "matmul/gemm_registers", Params);
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
    /// Whether the columns of a window are four pixels of an image of twice the size.
    shuffled: bool,
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
        Gemm { p, batch: 1, sliding: false, transposed: false, shuffled: false }
    }

    /// Only `n` columns of a B with `stride` columns, from `first` on.
    pub(super) fn columns(mut self, first: usize, stride: usize) -> Self {
        (self.p.b_first, self.p.b_stride) = (first as u32, stride as u32);
        self
    }

    /// Rows of A as those of a matrix with `stride` columns, from `first` on.
    pub(super) fn rows_of(mut self, first: usize, stride: usize) -> Self {
        let p = &mut self.p;
        (p.out_width, p.step, p.run) = (p.rows, stride as u32, p.rows * stride as u32);
        p.pad_x = (first as u32).wrapping_neg();
        self
    }

    /// The same rows as so many products with one B, which one residual serves.
    fn in_parts(mut self, parts: usize) -> Self {
        let p = &mut self.p;
        p.rows /= parts as u32;
        let [rows, windows, image] =
            [p.rows, p.out_height * p.out_width, p.height * p.run].map(u64::from);
        (p.a_batch, p.b_batch) = ((rows * image / windows) as u32, 0);
        self.batch = parts;
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
        Gemm { p, batch: 1, sliding: window.stride.1 == 1, transposed: false, shuffled: false }
    }

    /// Stores columns, of which there is a multiple of four for each pixel, as four pixels: the upper two and the lower two.
    pub(super) fn shuffled(mut self) -> Self {
        self.shuffled = true;
        self
    }

    /// The same windows, the first of which begins so many (rows, pixels) before the image: inside it where negative.
    pub(super) fn starting(mut self, (rows, pixels): (isize, isize)) -> Self {
        (self.p.pad_y, self.p.pad_x) = (rows as u32, (pixels * self.p.step as isize) as u32);
        self
    }

    /// Aᵀ, for a weight's gradient: `[k, m]` times a B `[m, n]` that has a row for each of A's.
    pub(super) fn transposed(mut self) -> Self {
        self.transposed = true;
        let p = &mut self.p;
        if self.batch > 1 {
            p.b_batch = p.rows * p.b_stride;
        }
        if p.step == 0 {
            // The rows of a matrix as the windows of one line, which is walked in larger steps than lines of one window.
            (p.out_width, p.step, p.run) = (p.rows, p.segment, p.rows * p.segment);
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

    /// Records the product into a new tensor of `shape`, which has one element for each of batch · rows · columns. A residual
    /// may be that of an image of a single product's, for all.
    pub(super) fn run(
        mut self,
        cx: &Cx,
        a: &Tensor,
        b: &Tensor,
        ep: &Epilogue,
        shape: Shape,
    ) -> Result<Tensor> {
        if ep.curved() && cx.gpu().traits().compiles_slowly && self.work() <= PLAIN_WORK {
            let sum = self.run(cx, a, b, &Epilogue { act: Act::None, ..*ep }, shape)?;
            return activate(cx, &sum, ep.act);
        }
        let y = cx.out(shape);
        if y.is_empty() {
            return Ok(y);
        }
        let repeats = ep.residual.map_or(1, |r| y.len() / r.len());
        if repeats > 1 {
            self = self.in_parts(repeats);
        }
        let means = self.means(cx.gpu(), [Some(a), Some(b), ep.residual, Some(&y)]);
        if cx.gpu().measures_choices() {
            tune::measure(cx.gpu(), &self, means, [a.len(), b.len(), y.len()])?;
        }
        self.run_as(cx, Plan::choose(cx.gpu(), &self, means), a, b, ep, y)
    }

    /// What A, B, residual and result may be moved as.
    fn means(&self, gpu: &Gpu, operands: [Option<&Tensor>; 4]) -> Means {
        let floats = operands.iter().flatten().all(|t| t.dtype() == Dtype::F32);
        let fit = operands[..2].iter().flatten().all(|t| gpu.fits_image(t.buffer()));
        Means {
            words: floats && gpu.traits().loads_cost_by_component,
            images: floats
                && fit
                && gpu.traits().prefers_texture_loads
                && self.work() >= IMAGE_WORK,
        }
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
        let shuffles = |v: Variant| if self.shuffled { tile::shuffled(v) } else { v };
        let run = |splits: usize, ep: &Epilogue, variant: Variant, binds: &[Bind]| {
            let p = Params { splits: splits as u32, epilogue: ep.word(), ..self.p };
            let grid = Grid::planes(plan.tile.count(&p), self.batch * splits);
            cx.run(plan.tile.kernel(), &ep.on(variant), grid, &p, binds)
        };
        if plan.splits == 1 {
            run(1, ep, shuffles(plan.tile.variant()), &operands(a, b, ep, &y))?;
            return Ok(y);
        }
        let parts = cx.out_f32([plan.splits, y.len()]);
        let nothing = Epilogue::default();
        run(plan.splits, &nothing, plan.tile.variant(), &operands(a, b, &nothing, &parts))?;
        let (rows, splits) = (self.height(), plan.splits as u32);
        let p = Params { rows, splits, epilogue: ep.word(), ..self.p };
        let grid = Grid::linear(y.len().div_ceil(SUM_GROUP));
        let binds = operands(parts.read(), Bind::Absent, ep, &y);
        cx.run(&SPLIT_SUM, &ep.on(shuffles(Variant::new())), grid, &p, &binds)?;
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

#[cfg(test)]
mod tests {
    use super::plan::{by_rule, candidates};
    use super::tile::{LANES, Tile};
    use super::*;
    use crate::gpu::GpuOptions;
    use crate::ops::Act;
    use crate::tensor::Seeded;

    fn open(no_subgroups: bool) -> Gpu {
        let adapter = std::env::var("LEMMA_GPU_ADAPTER").ok();
        let options =
            GpuOptions { no_subgroups, adapter, checked: true, poison: true, ..Default::default() };
        Gpu::new(options).unwrap()
    }

    fn means(gpu: &Gpu) -> Means {
        Means { words: gpu.traits().loads_cost_by_component, images: true }
    }

    /// Products of every kind, with the elements of A and B.
    fn products() -> Vec<(Gemm, [usize; 2])> {
        let window = Window { kernel: (3, 3), stride: (1, 1), pad: (1, 1) };
        let [n, h, w, c] = [2, 7, 19, 12];
        let conv = |cout| {
            (Gemm::windows([n, h, w, c], (h, w), window, cout), [n * h * w * c, 9 * c * cout])
        };
        vec![
            (Gemm::matrix(70, 36, 84), [70 * 36, 36 * 84]),
            (Gemm::matrix(33, 1028, 64), [33 * 1028, 1028 * 64]),
            (Gemm::matrix(5, 8, 24).columns(4, 32), [5 * 8, 8 * 32]),
            (Gemm::matrix(40, 12, 20).batch(3), [3 * 40 * 12, 3 * 12 * 20]),
            conv(64),
            conv(4),
            (Gemm::matrix(33, 37, 21), [33 * 37, 37 * 21]),
            (Gemm::matrix(9, 37, 5).transposed(), [9 * 37, 9 * 5]),
            (Gemm::matrix(70, 36, 84).transposed(), [70 * 36, 70 * 84]),
            (Gemm::matrix(40, 12, 20).batch(3).transposed(), [3 * 40 * 12, 3 * 40 * 20]),
            (conv(64).0.transposed(), [n * h * w * c, n * h * w * 64]),
        ]
    }

    fn outputs(g: &Gemm) -> usize {
        g.batch * (g.height() * g.p.cols) as usize
    }

    /// The product with everything behind it that a kernel does.
    fn computed(gpu: &Gpu, g: &Gemm, plan: Plan, sizes: [usize; 2]) -> Vec<f64> {
        let mut random = Seeded::new("products");
        let [a, b] = sizes.map(|s| random.uniform([s], -1.0, 1.0).upload(gpu));
        let channels = g.p.b_stride as usize;
        let parts = [channels, channels, outputs(g), 1].map(|n| random.signed([n]).upload(gpu));
        let ep = match g.transposed {
            // A weight's gradient has nothing behind it.
            true => Epilogue::default(),
            false => Epilogue::affine(&parts[0], &parts[1])
                .residual(&parts[2])
                .act(Act::Prelu(&parts[3])),
        };
        let cx = Cx::new(gpu);
        let y = cx.out([outputs(g)]);
        let y = g.run_as(&cx, plan, &a, &b, &ep, y).unwrap();
        cx.submit().unwrap();
        let y = y.to_host(gpu).unwrap().data;
        assert!(y.iter().all(|v| v.is_finite()), "{g:?} with {plan:?}");
        y
    }

    #[test]
    fn images_change_no_bit() {
        let gpu = open(false);
        for (g, sizes) in products().into_iter().filter(|(g, _)| g.p.segment % 4 == 0) {
            let [plain, images] = [false, true].map(|images| {
                let plan = Plan::choose(&gpu, &g, Means { images, ..means(&gpu) });
                let lanes = gpu.subgroup().filter(|l| LANES.contains(l));
                assert_eq!(plan.tile.images(), images && lanes.is_some(), "{g:?}");
                computed(&gpu, &g, plan, sizes)
            });
            assert_eq!(plain, images, "{g:?}");
        }
    }

    #[test]
    fn every_candidate_computes_the_same_and_has_a_name_of_its_own() {
        for gpu in [open(false), open(true)] {
            for (g, sizes) in products() {
                let tiles = candidates(&gpu, &g, means(&gpu));
                assert!(tiles.contains(&by_rule(&gpu, &g, means(&gpu))), "{g:?}");
                let mut names: Vec<String> = tiles.iter().map(Tile::to_string).collect();
                names.sort();
                names.dedup();
                assert_eq!(names.len(), tiles.len(), "{names:?}");
                let all =
                    tiles.into_iter().map(|t| computed(&gpu, &g, Plan::with(&gpu, &g, t), sizes));
                let all: Vec<Vec<f64>> = all.collect();
                let largest = all[0].iter().fold(0.0, |most: f64, v| most.max(v.abs()));
                for other in &all[1..] {
                    for (a, b) in all[0].iter().zip(other) {
                        assert!((a - b).abs() <= 2e-6 * largest, "{g:?}: {a} and {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_was_measured_is_taken_and_what_is_unknown_is_not() {
        let gpu = open(true);
        let g = Gemm::matrix(70, 36, 84);
        let means = means(&gpu);
        let (rule, tiles) = (by_rule(&gpu, &g, means), candidates(&gpu, &g, means));
        let other = tiles.into_iter().find(|t| *t != rule).unwrap();
        gpu.choose(g.class(), other.to_string());
        assert_eq!(Plan::choose(&gpu, &g, means).tile, other);
        gpu.choose(g.class(), "a tile of another version".into());
        assert_eq!(Plan::choose(&gpu, &g, means).tile, rule);
    }

    #[test]
    fn measuring_notes_a_candidate_for_each_class() {
        let gpu = open(true);
        let (g, sizes) = products().remove(0);
        let [a, b] = sizes.map(|n| Seeded::new("measured").signed([n]).upload(&gpu));
        gpu.measuring_choices(|| {
            let cx = Cx::new(&gpu);
            let shape = [outputs(&g)].into();
            g.run(&cx, &a, &b, &Epilogue::default(), shape).map(drop)
        })
        .unwrap();
        let choices = gpu.choices();
        let names: Vec<String> =
            candidates(&gpu, &g, means(&gpu)).iter().map(Tile::to_string).collect();
        assert_eq!(choices.keys().collect::<Vec<_>>(), ["matrix 128 36 84 1"]);
        assert!(names.contains(&choices["matrix 128 36 84 1"]), "{choices:?}");
    }
}
