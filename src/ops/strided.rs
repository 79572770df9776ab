//! How one tensor is read in the order of another: a view by sizes and strides. Twin of `shaders/shared/strided.wgsl`.

use crate::params;
use crate::shape::{Shape, to_u32};
use crate::tensor::Host;

params! { struct Params {
    n: u32,
    d0: u32, d1: u32, d2: u32, d3: u32, d4: u32,
    s0: u32, s1: u32, s2: u32, s3: u32, s4: u32,
    outer: u32,
} }

params! { struct BlockParams {
    n: u32,
    d0: u32, d1: u32, d2: u32, d3: u32, d4: u32,
    x0: u32, x1: u32, x2: u32, x3: u32, x4: u32,
    y0: u32, y1: u32, y2: u32, y3: u32, y4: u32,
    x_outer: u32, y_outer: u32,
    x_row: u32, y_row: u32,
} }

/// Sizes and strides of a view, fastest axis first, neighbors merged where one stride covers both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View(Vec<(usize, usize)>);

/// Blocks of four rows of four floats: size and strides on both sides of each axis, fastest first, and strides of the rows; all
/// strides in vec4. Twin of `shaders/layout/transpose_fwd.wgsl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blocks {
    axes: Vec<(usize, usize, usize)>,
    rows: (usize, usize),
}

impl Blocks {
    /// Axes but the slowest.
    pub(super) fn inner(&self) -> u32 {
        to_u32(self.axes.len()) - 1
    }

    /// Their number.
    pub(super) fn count(&self) -> usize {
        self.axes.iter().map(|(size, ..)| size).product()
    }

    /// Parameters of the kernel.
    pub(super) fn params(&self) -> BlockParams {
        let (outer, inner) = self.axes.split_last().expect("at least two axes");
        let axis = |i: usize| inner.get(i).copied().unwrap_or((1, 0, 0));
        let [d, x, y] = [
            [0, 1, 2, 3, 4].map(|i| to_u32(axis(i).0)),
            [0, 1, 2, 3, 4].map(|i| to_u32(axis(i).1)),
            [0, 1, 2, 3, 4].map(|i| to_u32(axis(i).2)),
        ];
        BlockParams {
            n: to_u32(self.count()),
            d0: d[0],
            d1: d[1],
            d2: d[2],
            d3: d[3],
            d4: d[4],
            x0: x[0],
            x1: x[1],
            x2: x[2],
            x3: x[3],
            x4: x[4],
            y0: y[0],
            y1: y[1],
            y2: y[2],
            y3: y[3],
            y4: y[4],
            x_outer: to_u32(outer.1),
            y_outer: to_u32(outer.2),
            x_row: to_u32(self.rows.0),
            y_row: to_u32(self.rows.1),
        }
    }
}

/// Strides of a contiguous tensor.
pub(super) fn strides(shape: Shape) -> Vec<usize> {
    let mut strides = vec![1; shape.rank()];
    for i in (1..shape.rank()).rev() {
        strides[i - 1] = strides[i] * shape.dims()[i];
    }
    strides
}

impl View {
    /// A view from `(size, stride)` of its axes, slowest first.
    pub(super) fn new(axes: &[(usize, usize)]) -> Self {
        let mut merged: Vec<(usize, usize)> = Vec::new();
        for &(size, stride) in axes.iter().rev().filter(|(size, _)| *size != 1) {
            match merged.last_mut() {
                Some((s, inner)) if stride == *inner * *s => *s *= size,
                _ => merged.push((size, stride)),
            }
        }
        if merged.is_empty() {
            merged.push((1, 0));
        }
        View(merged)
    }

    /// Whether one value serves a whole run of the fastest axis.
    pub(super) fn repeats(&self) -> bool {
        self.0[0].1 == 0
    }

    /// The same view in units of four floats: of both sides, or, where one value serves a whole run, of the reader's side
    /// only. `None` where runs of four are not contiguous.
    pub(super) fn by_four(&self) -> Option<Self> {
        let ((size, stride), rest) = (self.0[0], &self.0[1..]);
        let unit = if stride == 0 { 1 } else { 4 };
        let fits = size.is_multiple_of(4)
            && stride <= 1
            && rest.iter().all(|(_, stride)| stride.is_multiple_of(unit));
        let rest = rest.iter().map(|(size, stride)| (*size, stride / unit));
        fits.then(|| View([(size / 4, stride)].into_iter().chain(rest).collect()))
    }

    /// The same view in blocks of four times four floats, that are contiguous runs of four on the reader's side one way and on
    /// the writer's the other. `None` where the fastest axis is the same on both sides, and where runs of four do not fit.
    pub(super) fn blocks(&self) -> Option<Blocks> {
        let along = self.0.iter().position(|(_, stride)| *stride == 1).filter(|i| *i > 0)?;
        let mut to = 1;
        let mut axes = Vec::new();
        for (i, &(size, from)) in self.0.iter().enumerate() {
            axes.push(match i {
                _ if i == along => (size / 4, 1, to),
                0 => (size / 4, from, 1),
                _ => (size, from / 4, to / 4),
            });
            to *= size;
        }
        let fits = |(i, (_, stride)): (usize, &(usize, usize))| i == along || stride % 4 == 0;
        let by_four = |i: usize| self.0[i].0.is_multiple_of(4);
        let rows = (axes[0].1 / 4, axes[along].2 / 4);
        (by_four(0) && by_four(along) && self.0.iter().enumerate().all(fits))
            .then_some(Blocks { axes, rows })
    }

    /// Axes but the slowest.
    pub(super) fn inner(&self) -> u32 {
        to_u32(self.0.len()) - 1
    }

    /// Parameters of a kernel that reads `n` elements by this view.
    pub(super) fn params(&self, n: usize) -> Params {
        let inner = self.0.len() - 1;
        let d = |i: usize| if i < inner { to_u32(self.0[i].0) } else { 1 };
        let s = |i: usize| if i < inner { to_u32(self.0[i].1) } else { 0 };
        Params {
            n: to_u32(n),
            d0: d(0),
            d1: d(1),
            d2: d(2),
            d3: d(3),
            d4: d(4),
            s0: s(0),
            s1: s(1),
            s2: s(2),
            s3: s(3),
            s4: s(4),
            outer: to_u32(self.0[inner].1),
        }
    }
}

/// Values of `b` in the order of `a`.
pub(super) fn repeated(b: &Host, a: &Host) -> Vec<f64> {
    let missing = a.shape.rank() - b.shape.rank();
    let value = |i: usize| {
        let (mut rest, mut at, mut stride) = (i, 0, 1);
        for axis in (0..a.shape.rank()).rev() {
            let own = if axis < missing { 1 } else { b.dims()[axis - missing] };
            at += rest % a.dims()[axis] % own * stride;
            stride *= own;
            rest /= a.dims()[axis];
        }
        b.data[at]
    };
    (0..a.data.len()).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbors_merge_and_units_of_four_are_found() {
        let same = View::new(&[(2, 60), (3, 20), (4, 5), (5, 1)]);
        assert_eq!(same, View(vec![(120, 1)]));
        let per_channel = View::new(&[(2, 8), (3, 0), (4, 0), (8, 1)]);
        assert_eq!(per_channel, View(vec![(8, 1), (12, 0), (2, 8)]));
        assert_eq!(per_channel.by_four(), Some(View(vec![(2, 1), (12, 0), (2, 2)])));
        let per_row = View::new(&[(2, 3), (3, 1), (8, 0)]);
        assert_eq!(per_row.by_four(), Some(View(vec![(2, 0), (6, 1)])));
        assert_eq!(View::new(&[(4, 1), (8, 4)]).by_four(), None, "the fastest axis is strided");
        assert_eq!(View::new(&[(1, 7)]).by_four(), None);
        assert_eq!(View::new(&[(2, 6), (4, 1)]).by_four(), None, "rows are not aligned");
    }

    #[test]
    fn blocks_lie_where_both_fastest_axes_cross() {
        // [8, 3, 12] as [12, 3, 8]: axis 0 of the view runs over rows of x, 36 floats apart.
        let view = View::new(&[(12, 1), (3, 12), (8, 36)]);
        let blocks = Blocks { axes: vec![(2, 36, 1), (3, 3, 2), (3, 1, 24)], rows: (9, 6) };
        assert_eq!(view.blocks(), Some(blocks));
        assert_eq!(View::new(&[(12, 8), (8, 1)]).blocks(), None, "the same fastest axis");
        assert_eq!(View::new(&[(6, 1), (8, 6)]).blocks(), None, "rows of six");
        assert_eq!(View::new(&[(8, 1), (6, 8)]).blocks(), None, "six rows");
        assert_eq!(View::new(&[(8, 1), (8, 0)]).blocks().map(|b| b.rows), Some((0, 2)));
    }

    /// `quotient` of `shaders/shared/index.wgsl`, with a reciprocal that is off by so many units in the last place.
    fn quotient(a: i32, d: i32, off: i32) -> i32 {
        let by = f32::from_bits((1.0 / d as f32).to_bits().wrapping_add_signed(off));
        let first = (a as f32 * by) as i32;
        let left = a - first * d;
        let second = first + (left as f32 * by).floor() as i32;
        let rest = a - second * d;
        second + i32::from(rest >= d) - i32::from(rest < 0)
    }

    #[test]
    fn quotients_of_floats_are_exact_with_the_reciprocal_that_wgsl_allows() {
        let most = 1 << 30;
        let mut a = 0i32;
        for d in (1..70).chain([255, 256, 257, 4095, 65_537, 1_000_003, most / 2 + 1, most - 1]) {
            for step in 0..20_000 {
                // Around multiples, and anywhere.
                a = a.wrapping_mul(747_796_405).wrapping_add(291_335_701_i32.wrapping_add(step));
                let anywhere = a & (most - 1);
                let near = (anywhere / d * d + step % 3 - 1).clamp(0, most - 1);
                for (a, off) in
                    [anywhere, near].into_iter().flat_map(|a| (-3..=3).map(move |o| (a, o)))
                {
                    assert_eq!(quotient(a, d, off), a / d, "{a} / {d}, off by {off}");
                }
            }
        }
    }
}
