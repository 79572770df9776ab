//! A product as a node of a pass, and what rules make of it.

use super::plan::Plan;
use super::{Gemm, tune};
use crate::Result;
use crate::gpu::Gpu;
use crate::ops::epilogue::{Residual, Tail, Tailed};
use crate::shape::to_u32;
use crate::tensor::{Kernels, Op, Tensor};
use std::ops::Range;

/// A product as a node of a pass.
pub(crate) struct Product {
    pub(super) gemm: Gemm,
    pub(super) a: Tensor,
    pub(super) b: Tensor,
    pub(super) tail: Tail,
    pub(super) y: Tensor,
    /// Kernel and tile, where they are not to be chosen.
    pub(super) plan: Option<Plan>,
}

impl Op for Product {
    fn reads<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.a);
        see(&self.b);
        self.tail.see(see);
    }

    fn writes<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.y);
    }

    fn lower(&self, k: &Kernels) -> Result<()> {
        let Product { gemm, a, b, tail, y, plan } = self;
        match plan {
            Some(plan) => gemm.run_as(k, *plan, a, b, &tail.epilogue(), y),
            None => gemm.lower(k, a, b, &tail.epilogue(), y),
        }
    }

    fn tune(&self, gpu: &Gpu) -> Result<()> {
        if self.plan.is_some() {
            return Ok(());
        }
        let operands = [Some(&self.a), Some(&self.b), self.tail.residual.as_ref(), Some(&self.y)];
        let means = self.gemm.means(gpu, operands);
        tune::measure(gpu, &self.gemm, means, [self.a.len(), self.b.len(), self.y.len()])
    }
}

impl Product {
    /// The same with its columns stored as four pixels each, as a pixel shuffle would move them, by a constant
    /// weight and constants behind it; none for other products.
    ///
    /// # Errors
    /// A device that does not give a constant back.
    pub(crate) fn shuffled(&self, gpu: &Gpu, tail: Tail, y: Tensor) -> Result<Option<Self>> {
        let columns = self.gemm.p.cols as usize;
        let vectors = [&tail.scale, &tail.shift];
        let constant =
            self.b.is_constant() && vectors.iter().copied().flatten().all(Tensor::is_constant);
        if !self.gemm.sliding
            || !columns.is_multiple_of(16)
            || !self.has_channels(columns)
            || !constant
            || tail.residual.is_some()
        {
            return Ok(None);
        }
        // By row, column and channel of the four pixels rather than by channel, row and column.
        let reorder = |t: &Tensor| {
            t.derived(gpu, "by pixels", &[], t.shape(), |values| {
                let channels = columns / 4;
                let mut out = vec![0.0; values[0].len()];
                for (row, from) in
                    out.chunks_exact_mut(columns).zip(values[0].chunks_exact(columns))
                {
                    from.iter().enumerate().for_each(|(o, v)| row[o % 4 * channels + o / 4] = *v);
                }
                out
            })
        };
        let scale = tail.scale.as_ref().map(reorder).transpose()?;
        let shift = tail.shift.as_ref().map(reorder).transpose()?;
        let (gemm, a, b) = (self.gemm.shuffled(), self.a.clone(), reorder(&self.b)?);
        Ok(Some(Product { gemm, a, b, tail: Tail { scale, shift, ..tail }, y, plan: None }))
    }

    /// The columns of B that it takes, if it is a product of a matrix with these.
    pub(crate) fn columns(&self) -> Option<(&Tensor, &Tensor, Range<usize>)> {
        let p = &self.gemm.p;
        let plain = p.step == 0 && p.segments == 1 && self.gemm.batch == 1 && !self.gemm.transposed;
        let first = p.b_first as usize;
        plain.then(|| (&self.a, &self.b, first..first + p.cols as usize))
    }

    /// Its result, where A, B and all behind them are constants; none for other products.
    ///
    /// # Errors
    /// A device that does not give a constant back.
    pub(crate) fn constant(&self, gpu: &Gpu) -> Result<Option<Tensor>> {
        let Some((a, b, columns)) = self.columns() else { return Ok(None) };
        let Tail { scale, shift, residual, act, .. } = &self.tail;
        let vectors: Vec<&Tensor> = [scale, shift].into_iter().flatten().collect();
        let constant = [a, b].iter().chain(&vectors).all(|t| t.is_constant());
        let (depth, rows) =
            (b.shape().rows_by_last().0, a.len() / b.shape().rows_by_last().0.max(1));
        if !constant || residual.is_some() || *act != 0 || rows * depth != a.len() {
            return Ok(None);
        }
        let others: Vec<&Tensor> = std::iter::once(b).chain(vectors).collect();
        let (stride, width) = (b.shape().last(), columns.len());
        let (scaled, shifted) = (scale.is_some(), shift.is_some());
        let value =
            a.derived_by(gpu, ("product", columns.clone()), &others, self.y.shape(), |v| {
                let mut vectors = v[2..].iter();
                let scale = scaled.then(|| vectors.next().expect("a scale"));
                let shift = shifted.then(|| vectors.next().expect("a shift"));
                let of = |row: usize, col: usize| {
                    let at = |i: usize| {
                        f64::from(v[0][row * depth + i])
                            * f64::from(v[1][i * stride + columns.start + col])
                    };
                    let sum: f64 = (0..depth).map(at).sum();
                    let scale = scale.map_or(1.0, |s| f64::from(s[col]));
                    (sum * scale + shift.map_or(0.0, |s| f64::from(s[col]))) as f32
                };
                (0..rows * width).map(|i| of(i / width, i % width)).collect()
            })?;
        Ok(Some(value))
    }

    /// Whether its kernels do more to a sum than store it: those that sum over the rows of A, for the gradients of weights, do not.
    pub(crate) fn has_epilogue(&self) -> bool {
        !self.gemm.transposed
    }

    /// B.
    pub(crate) fn weight(&self) -> &Tensor {
        &self.b
    }

    /// The same of a whole A that is the columns from `first` on of `a`.
    pub(crate) fn of_rows(&self, a: Tensor, first: usize) -> Self {
        let gemm = self.gemm.rows_of(first, a.shape().last());
        let (b, tail, y) = (self.b.clone(), self.tail.clone(), self.y.clone());
        Product { gemm, a, b, tail, y, plan: None }
    }

    /// The same with another B, all of whose columns it takes.
    pub(crate) fn by(&self, b: Tensor, tail: Tail, y: Tensor) -> Self {
        let columns = b.shape().last();
        let mut gemm = self.gemm.columns(0, columns);
        gemm.p.cols = to_u32(columns);
        Product { gemm, a: self.a.clone(), b, tail, y, plan: None }
    }
}

impl Tailed for Product {
    fn tail(&self) -> &Tail {
        &self.tail
    }

    fn result(&self) -> &Tensor {
        &self.y
    }

    fn has_channels(&self, channels: usize) -> bool {
        let p = &self.gemm.p;
        p.b_first == 0 && p.cols == p.b_stride && p.cols as usize == channels
    }

    fn takes(&self, residual: &Residual) -> bool {
        let images = self.y.dims().first().is_some_and(|n| *n == residual.copies);
        let one = self.gemm.batch == 1 && !self.gemm.shuffled;
        one && (residual.copies == 1 || images && self.y.shape().rank() > 2)
    }

    fn with(&self, tail: Tail, y: Tensor) -> Self {
        Product { gemm: self.gemm, a: self.a.clone(), b: self.b.clone(), tail, y, plan: self.plan }
    }
}
