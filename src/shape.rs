//! Shapes, in plain integers.
//!
//! Activations are channels-last: images `[N, H, W, C]`, sequences `[N, L, C]`. A word image flattened in raster order is a
//! sequence without moving a byte, and the channel axis, which matrix products and convolutions walk, is contiguous.

use crate::{Error, ErrorKind, Result};
use std::fmt;

/// Most axes a tensor has.
pub const MAX_RANK: usize = 6;

/// A size or a number of things as kernels take it. This is the one place where such numbers become narrower.
///
/// # Panics
/// On 2³² and more: no tensor has so many elements, which is checked before one gets memory.
pub const fn to_u32(n: usize) -> u32 {
    assert!(n <= u32::MAX as usize, "a size beyond 32 bits");
    n as u32
}

/// Sizes of a tensor's axes, slowest first.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    dims: [usize; MAX_RANK],
    rank: usize,
}

impl Shape {
    /// A shape of at most [`MAX_RANK`] axes.
    ///
    /// # Panics
    /// On more axes: shapes of files are checked before they become one.
    pub fn new(dims: &[usize]) -> Self {
        assert!(dims.len() <= MAX_RANK, "a shape of {} axes", dims.len());
        let mut all = [1; MAX_RANK];
        all[..dims.len()].copy_from_slice(dims);
        Shape { dims: all, rank: dims.len() }
    }

    /// Sizes of the axes.
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank]
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Number of elements; the largest number there is where they are more.
    pub fn len(&self) -> usize {
        match self.dims().contains(&0) {
            true => 0,
            false => self.dims().iter().fold(1, |n, d| n.saturating_mul(*d)),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size of the last axis; 1 for a scalar.
    pub fn last(&self) -> usize {
        self.dims().last().copied().unwrap_or(1)
    }

    /// Everything before the last axis as rows, and the last axis.
    pub fn rows_by_last(&self) -> (usize, usize) {
        let last = self.last();
        (self.len().checked_div(last).unwrap_or(0), last)
    }

    /// The same with another last axis.
    pub fn with_last(mut self, last: usize) -> Self {
        assert!(self.rank > 0, "a scalar has no last axis");
        self.dims[self.rank - 1] = last;
        self
    }

    /// Four axes, by name for an error: `[N, H, W, C]`.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when there are not four.
    pub fn nhwc(&self, place: &str) -> Result<[usize; 4]> {
        self.dims().try_into().map_err(|_| {
            Error::new(ErrorKind::Shape, place, "axes of an image")
                .expected("[N, H, W, C]")
                .got(self)
        })
    }

    /// Three axes: `[N, L, C]`.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when there are not three.
    pub fn nlc(&self, place: &str) -> Result<[usize; 3]> {
        self.dims().try_into().map_err(|_| {
            Error::new(ErrorKind::Shape, place, "axes of a sequence")
                .expected("[N, L, C]")
                .got(self)
        })
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Shape::new(&dims)
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Shape::new(dims)
    }
}

impl<const N: usize> PartialEq<[usize; N]> for Shape {
    fn eq(&self, other: &[usize; N]) -> bool {
        self.dims() == other
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.dims())
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Kernel, stride and padding of a convolution or pooling, as (height, width).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// Size of the kernel.
    pub kernel: (usize, usize),
    /// Step between outputs.
    pub stride: (usize, usize),
    /// Padding on each side.
    pub pad: (usize, usize),
}

impl Window {
    /// A square kernel with stride 1 and padding `k / 2`.
    pub const fn same(k: usize) -> Self {
        Window { kernel: (k, k), stride: (1, 1), pad: (k / 2, k / 2) }
    }

    /// The same with another stride.
    pub const fn strided(mut self, y: usize, x: usize) -> Self {
        self.stride = (y, x);
        self
    }

    /// A window without padding whose stride is its size.
    pub const fn pool(y: usize, x: usize) -> Self {
        Window { kernel: (y, x), stride: (y, x), pad: (0, 0) }
    }

    /// Output height and width for an input of `h` by `w`.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when the kernel does not fit the padded input.
    pub fn output(&self, place: &str, h: usize, w: usize) -> Result<(usize, usize)> {
        let one = |size: usize, k: usize, s: usize, p: usize| {
            (size + 2 * p).checked_sub(k).map(|room| room / s + 1)
        };
        match (
            one(h, self.kernel.0, self.stride.0, self.pad.0),
            one(w, self.kernel.1, self.stride.1, self.pad.1),
        ) {
            (Some(y), Some(x)) => Ok((y, x)),
            _ => Err(Error::new(ErrorKind::Shape, place, "kernel larger than the padded input")
                .expected(format!("at least {:?} less padding {:?}", self.kernel, self.pad))
                .got(format!("{h} by {w}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_the_usual_formula() {
        assert_eq!(Window::same(3).output("", 16, 64).unwrap(), (16, 64));
        assert_eq!(Window::same(3).strided(2, 2).output("", 32, 128).unwrap(), (16, 64));
        assert_eq!(Window::same(3).strided(1, 2).output("", 8, 32).unwrap(), (8, 16));
        assert_eq!(Window::pool(2, 2).output("", 7, 9).unwrap(), (3, 4));
        assert!(Window::pool(16, 64).output("x", 8, 64).is_err());
    }
}
