//! Moving values: concatenation and slices along the last axis, and axes in another order.

use super::reorder::{self, read_by};
use super::strided::{View, strides};
use super::{Case, KernelUse, Row, element};
use crate::shape::{Shape, to_u32};
use crate::tensor::{Bind, Cx, Host, Kernels, Op, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};
use std::ops::Range;

kernel!(COPY = "layout/copy_columns_fwd", ColumnParams, CopyBinds { x, y });
kernel!(PLACE = "layout/place_columns_fwd", PlaceParams, PlaceBinds { x, y });
params! { struct ColumnParams {
    n: u32, cols: u32, from_cols: u32, from_first: u32, to_cols: u32, to_first: u32,
} }
params! { struct PlaceParams { n: u32, cols: u32, to_cols: u32, to_first: u32 } }

/// Tensors that differ in the last axis only, side by side along it: `[.., A]`, `[.., B]` → `[.., A + B]`.
///
/// # Errors
/// No tensor at all, or other axes that differ.
pub fn concat_last(cx: &Cx, parts: &[&Tensor]) -> Result<Tensor> {
    let wrong = |what: &str| Error::new(ErrorKind::Shape, "concat_last", what);
    let first = parts.first().ok_or_else(|| wrong("tensors").expected("at least one"))?;
    if first.shape().rank() == 0 {
        return Err(wrong("axes of the first tensor").expected("at least one").got("a scalar"));
    }
    for (i, part) in parts.iter().enumerate() {
        let shape = first.shape().with_last(part.shape().last());
        cx.expect("concat_last", &format!("tensor {i}"), part, shape)?;
    }
    match *parts {
        _ if !cx.tracks(parts) => side_by_side(cx, parts),
        [one] => Ok(one.clone()),
        [a, b] => recorded(cx, [a, b]),
        [a, b, c] => recorded(cx, [a, b, c]),
        [ref others @ .., last] => recorded(cx, [&concat_last(cx, others)?, last]),
        [] => unreachable!("there is a first"),
    }
}

/// `parts` side by side; the gradient of each is a slice.
fn recorded<const N: usize>(cx: &Cx, parts: [&Tensor; N]) -> Result<Tensor> {
    let y = side_by_side(cx, &parts)?;
    let widths = parts.map(|p| p.shape().last());
    Ok(cx.record("concat_last", parts, y, move |cx, dy, need| {
        let mut grads = [const { None }; N];
        let mut from = 0;
        for ((grad, need), cols) in grads.iter_mut().zip(need).zip(widths) {
            *grad = need.then(|| slice_last(cx, &dy, from..from + cols)).transpose()?;
            from += cols;
        }
        Ok(grads)
    }))
}

fn side_by_side(cx: &Cx, parts: &[&Tensor]) -> Result<Tensor> {
    let total = parts.iter().map(|p| p.shape().last()).sum();
    let y = cx.out(parts[0].shape().with_last(total));
    let mut to = 0;
    for part in parts {
        let cols = part.shape().last();
        copy_columns(cx, part, 0, &y, to, cols)?;
        to += cols;
    }
    Ok(y)
}

/// Some columns of the last axis: `[.., C]` → `[.., range.len()]`.
///
/// # Errors
/// A range beyond the last axis.
pub fn slice_last(cx: &Cx, x: &Tensor, range: Range<usize>) -> Result<Tensor> {
    if x.shape().rank() == 0 || range.start > range.end || range.end > x.shape().last() {
        return Err(Error::new(ErrorKind::Shape, "slice_last", "range of the last axis")
            .expected(format!("within that of {}", x.shape()))
            .got(format!("{range:?}")));
    }
    let y = cx.out(x.shape().with_last(range.len()));
    copy_columns(cx, x, range.start, &y, 0, range.len())?;
    let total = x.shape().last();
    Ok(cx.record("slice_last", [x], y, move |cx, dy, _| {
        Ok([Some(place_columns(cx, &dy, range.start, total)?)])
    }))
}

/// The columns of `x` as the columns from `first` on of `total`, all others 0: the adjoint of [`slice_last`].
pub(super) fn place_columns(cx: &Cx, x: &Tensor, first: usize, total: usize) -> Result<Tensor> {
    let cols = x.shape().last();
    let y = cx.out(x.shape().with_last(total));
    let width = element::width(&[cols, total, first]);
    let n = y.len() / width;
    let unit = |floats: usize| to_u32(floats / width);
    let p =
        PlaceParams { n: to_u32(n), cols: unit(cols), to_cols: unit(total), to_first: unit(first) };
    let from = if x.is_empty() { Bind::Absent } else { x.read() };
    let binds = PlaceBinds { x: from, y: y.write() };
    cx.run(&PLACE, &element::variant(width), element::grid(n), &p, binds)?;
    Ok(y)
}

/// Copies `cols` columns of every row, from the columns of `x` at `from` to those of `y` at `to`.
fn copy_columns(
    cx: &Cx,
    x: &Tensor,
    from: usize,
    y: &Tensor,
    to: usize,
    cols: usize,
) -> Result<()> {
    if x.shape().rows_by_last().0 * cols == 0 {
        return Ok(());
    }
    let (x, y) = (x.detached(), y.detached());
    cx.push(CopyColumns { x, from, y, to, cols });
    Ok(())
}

/// The copy of some columns as a node of a pass.
pub(crate) struct CopyColumns {
    pub(crate) x: Tensor,
    from: usize,
    pub(crate) y: Tensor,
    pub(crate) to: usize,
    cols: usize,
}

impl CopyColumns {
    /// The first column that it takes, if these are all that `y` has.
    pub(crate) fn slice(&self) -> Option<usize> {
        (self.to == 0 && self.cols == self.y.shape().last()).then_some(self.from)
    }

    /// Whether all columns of x are copied.
    pub(crate) fn is_of_all(&self) -> bool {
        self.from == 0 && self.cols == self.x.shape().last()
    }
}

impl Op for CopyColumns {
    fn reads<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.x);
    }

    fn writes<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.y);
    }

    fn lower(&self, k: &Kernels) -> Result<()> {
        let CopyColumns { x, from, y, to, cols } = self;
        let (rows, from_cols) = x.shape().rows_by_last();
        let to_cols = y.shape().last();
        let width = element::width(&[*cols, from_cols, *from, to_cols, *to]);
        let n = rows * cols / width;
        let unit = |floats: usize| to_u32(floats / width);
        let p = ColumnParams {
            n: to_u32(n),
            cols: unit(*cols),
            from_cols: unit(from_cols),
            from_first: unit(*from),
            to_cols: unit(to_cols),
            to_first: unit(*to),
        };
        k.run(
            &COPY,
            &element::variant(width),
            element::grid(n),
            &p,
            CopyBinds { x: x.read(), y: y.write() },
        )
    }
}

/// Axes in another order: axis `i` of the result is axis `order[i]` of `x`, as `torch.permute`.
///
/// # Errors
/// An `order` that is not a permutation of the axes.
pub fn permute(cx: &Cx, x: &Tensor, order: &[usize]) -> Result<Tensor> {
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    if sorted != (0..x.shape().rank()).collect::<Vec<_>>() {
        return Err(Error::new(ErrorKind::Shape, "permute", "order of the axes")
            .expected(format!("a permutation of the axes of {}", x.shape()))
            .got(format!("{order:?}")));
    }
    let strides = strides(x.shape());
    let axes: Vec<_> = order.iter().map(|&o| (x.dims()[o], strides[o])).collect();
    let sizes: Vec<_> = axes.iter().map(|(size, _)| *size).collect();
    let y = read_by(cx, x, &View::new(&axes), Shape::new(&sizes))?;
    let mut back = vec![0; order.len()];
    order.iter().enumerate().for_each(|(to, from)| back[*from] = to);
    Ok(cx.record("permute", [x], y, move |cx, dy, _| Ok([Some(permute(cx, &dy, &back)?)])))
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "layout",
    kernels: &[
        KernelUse { kernel: &COPY, variants: element::variants },
        KernelUse { kernel: &PLACE, variants: element::variants },
        reorder::PERMUTE_USE,
        reorder::TRANSPOSE_USE,
    ],
    tolerance: 0.0,
    gradient: 1e-6,
    cases,
};

fn cases() -> Vec<Case> {
    let concat = |why: &str, rows: [usize; 2], cols: &[usize]| {
        let label = format!("concat {rows:?} x {cols:?}: {why}");
        let mut s = Seeded::new(&label);
        let inputs = cols.iter().map(|c| s.signed([rows[0], rows[1], *c])).collect();
        Case::new(
            label,
            inputs,
            |cx, t| Ok(vec![concat_last(cx, &t.iter().collect::<Vec<_>>())?]),
            |h| vec![concat_oracle(h)],
        )
    };
    let slice = |why: &str, shape: [usize; 3], range: Range<usize>| {
        let label = format!("slice {shape:?} at {range:?}: {why}");
        let inputs = vec![Seeded::new(&label).signed(shape)];
        let columns = range.clone();
        Case::new(
            label,
            inputs,
            move |cx, t| Ok(vec![slice_last(cx, &t[0], columns.clone())?]),
            move |h| vec![slice_oracle(&h[0], range.clone())],
        )
    };
    let axes = |why: &str, shape: &[usize], order: &[usize]| {
        let label = format!("permute {shape:?} by {order:?}: {why}");
        let inputs = vec![Seeded::new(&label).signed(shape)];
        let (order, same) = (order.to_vec(), order.to_vec());
        Case::new(
            label,
            inputs,
            move |cx, t| Ok(vec![permute(cx, &t[0], &order)?]),
            move |h| vec![h[0].permute(&same)],
        )
    };
    vec![
        concat("block and guidance", [16, 64], &[64, 64]).bench(0.0),
        concat("three odd parts", [3, 7], &[3, 1, 5]),
        concat("mask channel", [16, 64], &[3, 1]),
        concat("one part", [2, 3], &[4]),
        concat("more parts than one step back", [2, 3], &[4, 1, 3, 2, 5]),
        concat("an empty part", [2, 3], &[4, 0]),
        slice("the picture of an image with mask", [2, 1024, 4], 0..3),
        slice("by fours", [2, 26, 192], 64..128).bench(0.0),
        slice("one column", [1, 1, 5], 4..5),
        slice("nothing", [2, 3, 5], 2..2),
        axes("scalar", &[], &[]),
        axes("identity", &[3, 5, 7], &[0, 1, 2]),
        axes("maps to channels", &[2, 26, 16, 64], &[0, 2, 3, 1]).bench(0.0),
        axes("heads", &[2, 26, 4, 16], &[0, 2, 1, 3]).bench(0.0),
        axes("transpose of a weight", &[64, 36], &[1, 0]).bench(0.0),
        axes("two axes kept before", &[3, 2, 12, 8], &[0, 1, 3, 2]),
        axes("six reversed, in blocks", &[4, 2, 3, 2, 2, 8], &[5, 4, 3, 2, 1, 0]),
        axes("transpose of primes", &[31, 67], &[1, 0]),
        axes("all six reversed", &[2, 3, 4, 3, 2, 5], &[5, 4, 3, 2, 1, 0]),
        axes("six with the last kept", &[2, 3, 2, 3, 2, 4], &[4, 3, 2, 1, 0, 5]),
    ]
}

fn concat_oracle(parts: &[Host]) -> Host {
    let (rows, _) = parts[0].shape.rows_by_last();
    let mut data = Vec::new();
    for r in 0..rows {
        for part in parts {
            let cols = part.shape.last();
            data.extend_from_slice(&part.data[r * cols..(r + 1) * cols]);
        }
    }
    let total = parts.iter().map(|p| p.shape.last()).sum();
    Host::new(parts[0].shape.with_last(total), data)
}

fn slice_oracle(x: &Host, range: Range<usize>) -> Host {
    let rows = x.data.chunks_exact(x.shape.last());
    let data = rows.flat_map(|row| row[range.clone()].to_vec()).collect();
    Host::new(x.shape.with_last(range.len()), data)
}
