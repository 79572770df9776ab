//! Recording dispatches into a pass.
//!
//! A recorded pass is a value: pipelines, bind groups, grids and parameter slots in order. Two traps are guarded here. A queue
//! write runs *before* the commands of the next submission, so contents for buffers that the pass itself recycles are copied
//! by commands, never written by the queue, and buffers from outside stay taken until the pass is submitted; and a parameter
//! slot is never reused inside a pass.

use super::buffer::{Buffer, Fill, Kind, Shelf};
use super::device::{ARENA, GUARD_BYTES, Gpu, POISON_BYTES};
use super::kernel::{Access, Kernel, Params, Variant};
use super::pass::{Command, Pass};
use super::pipeline::Pipeline;
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;

/// A part of a buffer.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// The buffer.
    pub buffer: &'a Arc<Buffer>,
    /// Where the part begins, a multiple of [`Part::ALIGN`] bytes.
    pub offset: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Whether what kernels take for floats are halves there.
    pub half: bool,
}

impl<'a> Part<'a> {
    /// The first `bytes` of a buffer.
    pub fn first(buffer: &'a Arc<Buffer>, bytes: u64) -> Self {
        Part { buffer, offset: 0, bytes, half: false }
    }

    /// Bytes that every device can begin a part at a multiple of.
    pub const ALIGN: u64 = 256;
}

/// A buffer as a kernel sees it.
#[derive(Clone, Copy)]
pub enum Bind<'a> {
    /// What the kernel reads.
    Read(Part<'a>),
    /// What the kernel writes, or reads and writes.
    Write(Part<'a>),
    /// What the kernel reads through an image, as fours of floats in rows of [`IMAGE_WIDTH`](super::IMAGE_WIDTH); it is copied
    /// before the dispatch.
    Image(Part<'a>),
    /// An optional input that is absent; the kernel must not read it.
    Absent,
}

impl<'a> Bind<'a> {
    fn part(&self) -> Option<Part<'a>> {
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
    fn check(self, kernel: &Kernel) -> Result<()> {
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

/// A pass in the making.
pub struct Recorder {
    gpu: Gpu,
    shelf: Arc<Shelf>,
    commands: Vec<Command>,
    arenas: Vec<(wgpu::Buffer, Vec<u8>)>,
    foreign: Vec<Arc<Buffer>>,
    scope: Arc<str>,
}

impl Recorder {
    pub(super) fn new(gpu: Gpu, shelf: Arc<Shelf>) -> Self {
        let (commands, arenas, foreign) = (Vec::new(), Vec::new(), Vec::new());
        Recorder { gpu, shelf, commands, arenas, foreign, scope: "".into() }
    }

    /// The device this pass is for.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Sets the path that labels what is recorded next.
    pub fn set_scope(&mut self, scope: &str) {
        self.scope = scope.into();
    }

    /// A buffer with room for `bytes` with unspecified content, and where they begin: on a poisoned device behind guard words.
    pub fn alloc(&mut self, bytes: u64) -> (Arc<Buffer>, u64) {
        let Some(poison) = self.gpu.poison().cloned() else {
            return (self.shelf.take(self.gpu.driver(), Kind::Buffer, bytes), 0);
        };
        let guarded = GUARD_BYTES + bytes.next_multiple_of(4) + GUARD_BYTES;
        let buffer = self.shelf.take(self.gpu.driver(), Kind::Buffer, guarded);
        let mut at = 0;
        while at < buffer.bytes() {
            let part = (buffer.bytes() - at).min(POISON_BYTES);
            let Ok(()) = self.copy(&poison, 0, &buffer, at, part) else { break };
            at += part;
        }
        (buffer, GUARD_BYTES)
    }

    /// Copies `bytes` between buffers, in order with the dispatches.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`](crate::ErrorKind::Memory) for a buffer that there was none for.
    pub fn copy(
        &mut self,
        from: &Arc<Buffer>,
        from_offset: u64,
        to: &Arc<Buffer>,
        to_offset: u64,
        bytes: u64,
    ) -> Result<()> {
        if self.gpu.options().planning {
            return Ok(());
        }
        self.hold(from)?;
        self.hold(to)?;
        self.commands.push(Command::Copy {
            from: from.clone(),
            from_offset,
            to: to.raw().clone(),
            to_offset,
            bytes: bytes.next_multiple_of(4),
        });
        Ok(())
    }

    /// Records one dispatch of a kernel's variant. Kernels are compiled without checks, so what is dispatched is this crate's:
    /// its kernels, and parameters that its operations have checked.
    ///
    /// # Errors
    /// A kernel that the device's compiler refuses; [`ErrorKind::Memory`](crate::ErrorKind::Memory) for a buffer that there was
    /// none for.
    ///
    /// # Panics
    /// When `binds` does not fit the kernel in number or access, or `params` in size: a mistake in this crate.
    pub(crate) fn dispatch<P: Params>(
        &mut self,
        kernel: &'static Kernel,
        variant: &Variant,
        grid: Grid,
        params: &P,
        binds: &[Bind<'_>],
    ) -> Result<()> {
        grid.check(kernel)?;
        let images = self.images(binds);
        if self.gpu.options().planning {
            return Ok(());
        }
        let half = |bind: &Bind<'_>| bind.part().is_some_and(|p| p.half);
        let halves = binds.iter().zip(1..).map(|(bind, i)| u32::from(half(bind)) << i).sum();
        let pipeline = match halves {
            0 => self.gpu.pipeline(kernel, variant)?,
            _ => self.gpu.pipeline(kernel, &variant.clone().halves(halves))?,
        };
        check_binds(kernel, &pipeline, binds, size_of::<P>());
        for part in binds.iter().filter_map(Bind::part) {
            self.hold(part.buffer)?;
        }
        let slot = self.params(bytemuck::bytes_of(params))?;
        let mut entries = Vec::with_capacity(binds.len() + 1);
        entries.push(wgpu::BindGroupEntry {
            binding: 0,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &self.arenas[slot.0].0,
                offset: 0,
                size: std::num::NonZeroU64::new(size_of::<P>() as u64),
            }),
        });
        let mut fills = Vec::new();
        let mut images = images.iter();
        for (i, bind) in binds.iter().enumerate() {
            let resource = match bind {
                Bind::Read(part) | Bind::Write(part) => resource(*part),
                Bind::Absent => self.gpu.null().raw().as_entire_binding(),
                Bind::Image(part) => {
                    let (to, view) = images.next().expect("an image of each").image()?;
                    let (from, offset) = (part.buffer.raw().clone(), part.offset);
                    let bytes = (part.bytes + self.gpu.guard()).min(part.buffer.bytes() - offset);
                    fills.push(Fill { from, offset, to: to.clone(), bytes });
                    wgpu::BindingResource::TextureView(view)
                }
            };
            entries.push(wgpu::BindGroupEntry { binding: i as u32 + 1, resource });
        }
        let group = self.gpu.driver().watched(|| {
            Ok(self.gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(kernel.path),
                layout: &pipeline.layout,
                entries: &entries,
            }))
        })?;
        self.commands.push(Command::Dispatch {
            pipeline,
            group,
            fills,
            params: Some(slot),
            grid,
            kernel: kernel.name(),
            scope: self.scope.clone(),
        });
        Ok(())
    }

    /// Images for what is read through one. They serve a single dispatch: commands run in order, so the next may have them.
    fn images(&self, binds: &[Bind<'_>]) -> Vec<Arc<Buffer>> {
        let image = |bind: &Bind<'_>| match bind {
            Bind::Image(part) => {
                Some(self.shelf.take(self.gpu.driver(), Kind::Image, part.bytes + self.gpu.guard()))
            }
            _ => None,
        };
        binds.iter().filter_map(image).collect()
    }

    /// Keeps a buffer from outside this pass until it is submitted: dropped before, it could go to an upload, whose write
    /// would overtake the pass.
    fn hold(&mut self, buffer: &Arc<Buffer>) -> Result<()> {
        if !buffer.is_of(&self.shelf) {
            self.foreign.push(buffer.clone());
        }
        buffer.there()
    }

    /// Puts parameters into the next slot: the arena's index and the byte offset.
    fn params(&mut self, bytes: &[u8]) -> Result<(usize, u32)> {
        let align = self.gpu.driver().align;
        let full = self.arenas.last().is_none_or(|(_, used)| {
            used.len().next_multiple_of(align) + bytes.len() > ARENA as usize
        });
        if full {
            self.arenas.push((self.gpu.take_arena()?, Vec::new()));
        }
        let index = self.arenas.len() - 1;
        let used = &mut self.arenas[index].1;
        used.resize(used.len().next_multiple_of(align), 0);
        let offset = used.len() as u32;
        used.extend_from_slice(bytes);
        Ok((index, offset))
    }

    /// Ends the recording.
    pub fn finish(self) -> Pass {
        let Recorder { gpu, shelf, commands, arenas, foreign, .. } = self;
        Pass::new(gpu, shelf, commands, arenas, foreign)
    }
}

fn resource(part: Part<'_>) -> wgpu::BindingResource<'_> {
    let bytes = part.bytes.next_multiple_of(16).min(part.buffer.bytes() - part.offset);
    wgpu::BindingResource::Buffer(wgpu::BufferBinding {
        buffer: part.buffer.raw(),
        offset: part.offset,
        size: std::num::NonZeroU64::new(bytes),
    })
}

fn check_binds(kernel: &Kernel, pipeline: &Pipeline, binds: &[Bind<'_>], params: usize) {
    assert_eq!(pipeline.params_size as usize, params, "{}: size of the parameters", kernel.path);
    assert_eq!(pipeline.buffers.len(), binds.len(), "{}: number of buffers", kernel.path);
    for ((name, access), bind) in pipeline.buffers.iter().zip(binds) {
        let fits = match bind {
            Bind::Read(..) | Bind::Absent => *access == Access::Read,
            Bind::Write(..) => *access == Access::Write,
            Bind::Image(..) => *access == Access::Image,
        };
        assert!(fits, "{}: access of buffer {name}", kernel.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::kernel!(ANY = "elementwise/activate_fwd", Nothing);
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
