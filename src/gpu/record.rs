//! Recording dispatches into a pass.
//!
//! A recorded pass is a value: pipelines, bind groups, grids and parameter slots in order. Two traps are guarded here. A queue
//! write runs *before* the commands of the next submission, so contents for buffers that the pass itself recycles are copied
//! by commands, never written by the queue, and buffers from outside stay taken until the pass is submitted; and a parameter
//! slot is never reused inside a pass.

use super::bind::{Bind, BufferSlice, Grid};
use super::buffer::{Buffer, BufferPool, BufferToTexture, Kind};
use super::context::{ARENA, Context, GUARD_BYTES, POISON_BYTES};
use super::kernel::{Access, Kernel, Variant};
use super::pass::{Command, Pass};
use super::pipeline::{Pipeline, Pipelines};
use crate::Result;
use std::sync::Arc;

/// A pass in the making.
pub struct Recorder {
    context: Arc<Context>,
    pipelines: Arc<Pipelines>,
    pool: Arc<BufferPool>,
    commands: Vec<Command>,
    arenas: Vec<(wgpu::Buffer, Vec<u8>)>,
    imported: Vec<Arc<Buffer>>,
    scope: Arc<str>,
}

impl Recorder {
    pub(super) fn new(
        context: &Arc<Context>,
        pipelines: &Arc<Pipelines>,
        pool: Arc<BufferPool>,
    ) -> Self {
        Recorder {
            context: context.clone(),
            pipelines: pipelines.clone(),
            pool,
            commands: Vec::new(),
            arenas: Vec::new(),
            imported: Vec::new(),
            scope: "".into(),
        }
    }

    /// Sets the path that labels what is recorded next.
    pub fn set_scope(&mut self, scope: &str) {
        self.scope = scope.into();
    }

    /// A buffer with room for `bytes` with unspecified content, and where they begin: on a poisoned device behind guard words.
    pub fn alloc(&mut self, bytes: u64) -> (Arc<Buffer>, u64) {
        let Some(poison) = self.context.poison.clone() else {
            return (self.pool.take(&self.context.driver, Kind::Buffer, bytes), 0);
        };
        let guarded = GUARD_BYTES + bytes.next_multiple_of(4) + GUARD_BYTES;
        let buffer = self.pool.take(&self.context.driver, Kind::Buffer, guarded);
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
        if self.context.options.planning {
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
    pub(crate) fn dispatch(
        &mut self,
        kernel: &'static Kernel,
        variant: &Variant,
        grid: Grid,
        params: &[u8],
        binds: &[Bind<'_>],
    ) -> Result<()> {
        grid.check(kernel)?;
        let images = self.images(binds);
        if self.context.options.planning {
            return Ok(());
        }
        let half = |bind: &Bind<'_>| bind.part().is_some_and(|p| p.half);
        let halves = binds.iter().zip(1..).map(|(bind, i)| u32::from(half(bind)) << i).sum();
        let pipeline = match halves {
            0 => self.pipelines.get(&self.context, kernel, variant)?,
            _ => self.pipelines.get(&self.context, kernel, &variant.clone().halves(halves))?,
        };
        check_binds(kernel, &pipeline, binds, params.len());
        for part in binds.iter().filter_map(Bind::part) {
            self.hold(part.buffer)?;
        }
        let slot = self.params(params)?;
        let mut entries = Vec::with_capacity(binds.len() + 1);
        entries.push(wgpu::BindGroupEntry {
            binding: 0,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &self.arenas[slot.0].0,
                offset: 0,
                size: std::num::NonZeroU64::new(params.len() as u64),
            }),
        });
        let mut fills = Vec::new();
        let mut images = images.iter();
        for (i, bind) in binds.iter().enumerate() {
            let resource = match bind {
                Bind::Read(part) | Bind::Write(part) => resource(*part),
                Bind::Absent => self.context.null.raw().as_entire_binding(),
                Bind::Image(part) => {
                    let (to, view) = images.next().expect("an image of each").image()?;
                    let (from, offset) = (part.buffer.raw().clone(), part.offset);
                    let bytes =
                        (part.bytes + self.context.guard()).min(part.buffer.bytes() - offset);
                    fills.push(BufferToTexture { from, offset, to: to.clone(), bytes });
                    wgpu::BindingResource::TextureView(view)
                }
            };
            entries.push(wgpu::BindGroupEntry { binding: i as u32 + 1, resource });
        }
        let group = self.context.driver.watched(|| {
            Ok(self.context.device().create_bind_group(&wgpu::BindGroupDescriptor {
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
            Bind::Image(part) => Some(self.pool.take(
                &self.context.driver,
                Kind::Image,
                part.bytes + self.context.guard(),
            )),
            _ => None,
        };
        binds.iter().filter_map(image).collect()
    }

    /// Keeps a buffer from outside this pass until it is submitted: dropped before, it could go to an upload, whose write
    /// would overtake the pass.
    fn hold(&mut self, buffer: &Arc<Buffer>) -> Result<()> {
        if !buffer.is_of(&self.pool) {
            self.imported.push(buffer.clone());
        }
        buffer.check_allocated()
    }

    /// Puts parameters into the next slot: the arena's index and the byte offset.
    fn params(&mut self, bytes: &[u8]) -> Result<(usize, u32)> {
        let align = self.context.driver.align;
        let full = self.arenas.last().is_none_or(|(_, used)| {
            used.len().next_multiple_of(align) + bytes.len() > ARENA as usize
        });
        if full {
            self.arenas.push((self.context.take_arena()?, Vec::new()));
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
        let Recorder { context, pipelines, pool, commands, arenas, imported, .. } = self;
        Pass { context, pipelines, pool, commands, arenas, _imported: imported }
    }
}

fn resource(part: BufferSlice<'_>) -> wgpu::BindingResource<'_> {
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
