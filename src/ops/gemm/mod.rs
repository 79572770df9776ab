//! The matrix core: one product behind linear layers, batched products and convolutions (as implicit GEMM).
//!
//! A row of A is a window of a channels-last image, read in place; see `shaders/shared/gemm.wgsl`. Knows no layer and no
//! layout other than that; which kernel and tile serve a shape on an adapter is decided here and nowhere else: `kernels/`
//! has what there is, `plan.rs` chooses, `vendor_defaults.rs` says what a vendor's GPUs begin with, `tune.rs` measures.

mod kernels;
mod plan;
mod product;
mod tune;
mod vendor_defaults;

use super::epilogue::{Act, Epilogue};
use super::pointwise::activate_into;
use crate::gpu::{Gpu, Grid, Variant};
use crate::shape::{Shape, Window, to_u32};
use crate::tensor::{Bind, Cx, Dtype, Kernels, Tensor};
use crate::{Result, kernel, params};
pub(super) use kernels::KERNELS;
use kernels::LoadPaths;
use plan::{IMAGE_WORK, PLAIN_WORK, Plan};
pub(crate) use product::Product;

kernel!(
    SPLIT_SUM = "matmul/split_sum",
    Params,
    Operands { a, b, scale, shift, residual, slope, y }
);
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
    /// Whether neighboring rows of A are windows one pixel apart.
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
            rows: to_u32(m),
            cols: to_u32(n),
            segments: 1,
            segment: to_u32(k),
            b_stride: to_u32(n),
            height: 1,
            run: to_u32(k),
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
        (self.p.b_first, self.p.b_stride) = (to_u32(first), to_u32(stride));
        self
    }

    /// Rows of A as those of a matrix with `stride` columns, from `first` on.
    pub(super) fn rows_of(mut self, first: usize, stride: usize) -> Self {
        let p = &mut self.p;
        (p.out_width, p.step, p.run) = (p.rows, to_u32(stride), p.rows * to_u32(stride));
        p.pad_x = to_u32(first).wrapping_neg();
        self
    }

    /// The same rows as so many products with one B, which one residual serves.
    fn in_parts(mut self, parts: usize) -> Self {
        let p = &mut self.p;
        p.rows /= to_u32(parts);
        let [rows, windows, image] =
            [p.rows, p.out_height * p.out_width, p.height * p.run].map(|n| n as usize);
        (p.a_batch, p.b_batch) = (to_u32(rows * image / windows), 0);
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
            rows: to_u32(n * oh * ow),
            cols: to_u32(cout),
            segments: to_u32(window.kernel.0),
            segment: to_u32(window.kernel.1 * c),
            b_stride: to_u32(cout),
            height: to_u32(h),
            run: to_u32(w * c),
            step: to_u32(window.stride.1 * c),
            out_height: to_u32(oh),
            out_width: to_u32(ow),
            stride_y: to_u32(window.stride.0),
            pad_y: to_u32(window.pad.0),
            pad_x: to_u32(window.pad.1 * c),
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
        // Negative ones wrap, in the kernel as here.
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

    /// Appends the product, into a new tensor of `shape`, which has one element for each of batch · rows · columns. A residual
    /// of one image of a single product is repeated for all.
    pub(super) fn run(
        self,
        cx: &Cx,
        a: &Tensor,
        b: &Tensor,
        ep: &Epilogue,
        shape: Shape,
    ) -> Result<Tensor> {
        self.run_by(cx, None, a, b, ep, shape)
    }

    /// The same by this plan, if it is given.
    fn run_by(
        self,
        cx: &Cx,
        plan: Option<Plan>,
        a: &Tensor,
        b: &Tensor,
        ep: &Epilogue,
        shape: Shape,
    ) -> Result<Tensor> {
        let y = cx.out(shape);
        if !y.is_empty() {
            let (a, b, tail) = (a.detached(), b.detached(), ep.into());
            cx.push(Product { gemm: self, a, b, tail, y: y.clone(), plan });
        }
        Ok(y)
    }

    /// Dispatches the product into `y`.
    fn lower(
        mut self,
        k: &Kernels,
        a: &Tensor,
        b: &Tensor,
        ep: &Epilogue,
        y: &Tensor,
    ) -> Result<()> {
        if ep.curved() && k.gpu().traits().compiles_slowly && self.work() <= PLAIN_WORK {
            let sum = k.between_as(y.shape(), y);
            self.lower(k, a, b, &Epilogue { act: Act::None, ..*ep }, &sum)?;
            return activate_into(k, &sum, ep.act, y);
        }
        let repeats = ep.residual.map_or(1, |r| y.len() / r.len());
        if repeats > 1 {
            self = self.in_parts(repeats);
        }
        let means = self.means(k.gpu(), [Some(a), Some(b), ep.residual, Some(y)]);
        self.run_as(k, Plan::choose(k.gpu(), &self, means), a, b, ep, y)
    }

    /// How A, B, residual and result may be loaded and stored.
    fn means(&self, gpu: &Gpu, operands: [Option<&Tensor>; 4]) -> LoadPaths {
        let floats = operands.iter().flatten().all(|t| t.dtype() == Dtype::F32);
        let fit = operands[..2].iter().flatten().all(|t| t.fits_image(gpu));
        LoadPaths {
            u64s: floats && gpu.traits().loads_cost_by_component,
            textures: floats
                && fit
                && gpu.traits().prefers_texture_loads
                && self.work() >= IMAGE_WORK,
        }
    }

    fn run_as(
        self,
        k: &Kernels,
        plan: Plan,
        a: &Tensor,
        b: &Tensor,
        ep: &Epilogue,
        y: &Tensor,
    ) -> Result<()> {
        let [a, b] = if plan.tile.images() { [a.image(), b.image()] } else { [a.read(), b.read()] };
        let shuffles = |v: Variant| if self.shuffled { kernels::shuffled(v) } else { v };
        let run = |splits: usize, ep: &Epilogue, variant: Variant, binds: Operands<Bind>| {
            let p = Params { splits: to_u32(splits), epilogue: ep.word(), ..self.p };
            let grid = Grid::planes(plan.tile.count(&p), self.batch * splits);
            k.run(plan.tile.kernel(), &ep.on(variant), grid, &p, binds)
        };
        if plan.splits == 1 {
            return run(1, ep, shuffles(plan.tile.variant()), operands(a, b, ep, y));
        }
        let parts = k.between([plan.splits, y.len()]);
        let nothing = Epilogue::default();
        run(plan.splits, &nothing, plan.tile.variant(), operands(a, b, &nothing, &parts))?;
        let (rows, splits) = (self.height(), to_u32(plan.splits));
        let p = Params { rows, splits, epilogue: ep.word(), ..self.p };
        let grid = Grid::linear(y.len().div_ceil(SUM_GROUP));
        let binds = operands(parts.read(), Bind::Absent, ep, y);
        k.run(&SPLIT_SUM, &ep.on(shuffles(Variant::new())), grid, &p, binds)
    }
}

/// The operands of a product that its gradient needs: each where that of the other is wanted.
pub(super) fn kept(cx: &Cx, a: &Tensor, b: &Tensor) -> [Option<Tensor>; 2] {
    [(a, b), (b, a)].map(|(operand, other)| cx.tracks(&[other]).then(|| operand.clone()))
}

/// Outputs of one workgroup of [`SPLIT_SUM`].
const SUM_GROUP: usize = 64;

fn operands<'a>(a: Bind<'a>, b: Bind<'a>, ep: &'a Epilogue, y: &'a Tensor) -> Operands<Bind<'a>> {
    let optional = Tensor::read_or_absent;
    let (scale, shift, residual) = (optional(ep.scale), optional(ep.shift), optional(ep.residual));
    Operands { a, b, scale, shift, residual, slope: ep.act.slope(), y: y.write() }
}

#[cfg(test)]
mod tests;
