//! What a dispatch is bound to and how many workgroups it has: values, no device.

use super::buffer::Buffer;
use super::kernel::Kernel;
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;

/// A part of a buffer.
#[derive(Clone, Copy)]
pub struct BufferSlice<'a> {
    /// The buffer.
    pub buffer: &'a Arc<Buffer>,
    /// Where the part begins, a multiple of [`BufferSlice::ALIGN`] bytes.
    pub offset: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Whether what kernels take for floats are f16 there.
    pub half: bool,
}

impl<'a> BufferSlice<'a> {
    /// The first `bytes` of a buffer.
    pub fn first(buffer: &'a Arc<Buffer>, bytes: u64) -> Self {
        BufferSlice { buffer, offset: 0, bytes, half: false }
    }

    /// Bytes that every device can begin a part at a multiple of.
    pub const ALIGN: u64 = 256;
}

/// A buffer as a kernel sees it.
#[derive(Clone, Copy)]
pub enum Bind<'a> {
    /// What the kernel reads.
    Read(BufferSlice<'a>),
    /// What the kernel writes, or reads and writes.
    Write(BufferSlice<'a>),
    /// What the kernel reads through an image, as fours of floats in rows of [`IMAGE_WIDTH`](super::IMAGE_WIDTH); it is copied
    /// before the dispatch.
    Image(BufferSlice<'a>),
    /// An optional input that is absent; the kernel must not read it.
    Absent,
}

impl<'a> Bind<'a> {
    pub(super) fn part(&self) -> Option<BufferSlice<'a>> {
        match self {
            Bind::Read(part) | Bind::Write(part) | Bind::Image(part) => Some(*part),
            Bind::Absent => None,
        }
    }
}

/// Workgroups of a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Workgroups in x, y and z, each at most 65 535 where it is dispatched.
    pub size: [u32; 3],
}

const MOST_GROUPS: usize = 65_535;

impl Grid {
    /// `n` workgroups, folded into x and y; the kernel's index is `wid.x + wid.y * groups.x` and it must test it against its
    /// bound, since the fold rounds up.
    pub fn linear(n: usize) -> Self {
        Self::planes(n, 1)
    }

    /// `n` workgroups folded into x and y for each of `z` planes.
    pub fn planes(n: usize, z: usize) -> Self {
        let y = n.div_ceil(MOST_GROUPS).max(1);
        let x = n.div_ceil(y).max(1);
        Grid::xyz(x, y, z)
    }

    /// A grid as given.
    pub fn xyz(x: usize, y: usize, z: usize) -> Self {
        Grid { size: [x, y, z].map(|n| u32::try_from(n).unwrap_or(u32::MAX)) }
    }

    /// # Errors
    /// [`ErrorKind::Shape`] for more workgroups along an axis than WebGPU allows.
    pub(crate) fn check(self, kernel: &Kernel) -> Result<()> {
        if self.size.iter().all(|n| *n as usize <= MOST_GROUPS) {
            return Ok(());
        }
        let [x, y, z] = self.size;
        Err(Error::new(ErrorKind::Shape, kernel.name(), "workgroups of a dispatch")
            .expected(format!("at most {MOST_GROUPS} along each axis"))
            .got(format!("{x}×{y}×{z}"))
            .hint("fewer images at once"))
    }

    /// Workgroups in all.
    pub fn groups(self) -> u64 {
        self.size.iter().map(|n| u64::from(*n)).product()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::kernel!(ANY = "elementwise/activate_fwd", Nothing, AnyBinds { x, slope, y });
    crate::params! { struct Nothing { n: u32 } }

    #[test]
    fn a_grid_that_webgpu_does_not_allow_is_an_error() {
        for grid in [Grid::linear(1 << 31), Grid::planes(1 << 20, 65_535), Grid::xyz(0, 1, 1)] {
            assert!(grid.check(&ANY).is_ok(), "{grid:?}");
        }
        for grid in [Grid::planes(1, 65_536), Grid::linear(1 << 33), Grid::xyz(usize::MAX, 1, 1)] {
            let e = grid.check(&ANY).expect_err("too many");
            assert_eq!(e.kind(), ErrorKind::Shape, "{e}");
        }
    }
}
