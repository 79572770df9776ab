//! A recorded pass, and submitting it.

use super::bind::Grid;
use super::buffer::{Buffer, BufferPool, BufferToTexture};
use super::context::Context;
use super::pipeline::{Pipeline, Pipelines};
use super::profile::{TimestampPairs, Timing};
use super::submit::Chunks;
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;

pub(super) enum Command {
    Dispatch {
        pipeline: Arc<Pipeline>,
        group: wgpu::BindGroup,
        fills: Vec<BufferToTexture>,
        params: Option<(usize, u32)>,
        grid: Grid,
        kernel: &'static str,
        scope: Arc<str>,
    },
    Copy {
        from: Arc<Buffer>,
        from_offset: u64,
        to: wgpu::Buffer,
        to_offset: u64,
        bytes: u64,
    },
}

/// A recorded pass.
pub struct Pass {
    pub(super) context: Arc<Context>,
    pub(super) pipelines: Arc<Pipelines>,
    pub(super) pool: Arc<BufferPool>,
    pub(super) commands: Vec<Command>,
    pub(super) arenas: Vec<Arena>,
    /// Buffers from outside, which stay taken until the pass is submitted.
    pub(super) _imported: Vec<Arc<Buffer>>,
}

/// A buffer of parameters and what it is to hold.
pub(super) type Arena = (wgpu::Buffer, Vec<u8>);

impl Pass {
    /// Number of dispatches.
    pub fn dispatches(&self) -> usize {
        self.commands.iter().filter(|c| matches!(c, Command::Dispatch { .. })).count()
    }

    /// Submits the pass. Its buffers are free for others from here on.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] with the driver's message when it is refused, [`ErrorKind::Memory`] when that has none left.
    pub fn submit(mut self) -> Result<()> {
        self.begin()?;
        self.send(None)?;
        self.end();
        Ok(())
    }

    /// Keeps the pass, with its buffers, to be submitted any number of times.
    ///
    /// # Errors
    /// A kernel that the device's compiler refuses.
    pub fn keep(self) -> Result<ReplayablePass> {
        self.begin()?;
        if self.pool.is_shared() {
            self.pool.close();
        }
        Ok(ReplayablePass(self))
    }

    /// Submits the pass, waits, and returns the time of each dispatch.
    ///
    /// # Errors
    /// As [`Pass::submit`]; also where the device has no timestamp queries or was not opened with profiling.
    pub fn submit_timed(mut self) -> Result<Vec<Timing>> {
        self.begin()?;
        let timings = self.send_timed();
        self.end();
        timings
    }

    /// What comes once before the first submission: pipelines, and parameters.
    fn begin(&self) -> Result<()> {
        self.pipelines.compile(
            &self.context,
            self.commands.iter().filter_map(|c| match c {
                Command::Dispatch { pipeline, .. } => Some(pipeline),
                Command::Copy { .. } => None,
            }),
        )?;
        self.context.driver.watched(|| {
            for (arena, bytes) in &self.arenas {
                self.context.queue().write_buffer(arena, 0, bytes);
            }
            Ok(())
        })
    }

    /// Gives everything back behind the last submission.
    fn end(&mut self) {
        self.pool.close();
        for (arena, _) in self.arenas.drain(..) {
            self.context.return_arena(arena);
        }
    }

    fn send_timed(&self) -> Result<Vec<Timing>> {
        if !self.context.timestamps {
            return Err(Error::new(
                ErrorKind::Device,
                &self.context.summary.name,
                "timestamp queries are not available",
            ));
        }
        let clock = TimestampPairs::new(&self.context, self.dispatches())?;
        self.send(Some(&clock))?;
        let seconds = clock.seconds(&self.context)?;
        let dispatches = self.commands.iter().filter_map(|c| match c {
            Command::Dispatch { kernel, scope, .. } => Some((*kernel, scope.to_string())),
            Command::Copy { .. } => None,
        });
        Ok(dispatches
            .zip(seconds)
            .map(|((kernel, scope), seconds)| Timing { scope, kernel, seconds })
            .collect())
    }

    fn send(&self, clock: Option<&TimestampPairs>) -> Result<()> {
        self.context.driver.watched(|| self.encode(clock))
    }

    fn encode(&self, clock: Option<&TimestampPairs>) -> Result<()> {
        let mut chunks = Chunks::new(&self.context);
        let mut at = 0;
        let mut query = 0;
        while at < self.commands.len() {
            match &self.commands[at] {
                Command::Copy { from, from_offset, to, to_offset, bytes } => {
                    let from = from.raw();
                    chunks.encoder().copy_buffer_to_buffer(
                        from,
                        *from_offset,
                        to,
                        *to_offset,
                        *bytes,
                    );
                    at += 1;
                }
                Command::Dispatch { fills, .. } => {
                    let room = chunks.room();
                    let encoder = chunks.encoder();
                    let mut times = clock.map(|c| c.writes(query));
                    if !fills.is_empty() {
                        // The time of a dispatch includes that of filling its images.
                        let start = times.as_mut().map(|t| wgpu::ComputePassTimestampWrites {
                            beginning_of_pass_write_index: t.beginning_of_pass_write_index.take(),
                            end_of_pass_write_index: None,
                            ..*t
                        });
                        if start.is_some() {
                            drop(begin(encoder, start));
                        }
                        fills.iter().for_each(|f| f.encode(encoder));
                    }
                    let mut pass = begin(encoder, times);
                    let (mut run, mut groups) = (0, 0);
                    while let Some(Command::Dispatch {
                        pipeline, group, fills, params, grid, ..
                    }) = self.commands.get(at + run)
                    {
                        if run > 0 && !fills.is_empty() {
                            break;
                        }
                        pass.set_pipeline(pipeline.raw());
                        let offset = params.map(|(_, o)| o);
                        pass.set_bind_group(0, group, offset.as_slice());
                        let [x, y, z] = grid.size;
                        pass.dispatch_workgroups(x, y, z);
                        run += 1;
                        groups += grid.groups();
                        if clock.is_some() || groups >= room {
                            break;
                        }
                    }
                    drop(pass);
                    chunks.add(groups)?;
                    at += run;
                    query += 1;
                }
            }
        }
        if let Some(c) = clock {
            c.resolve(chunks.encoder());
        }
        chunks.finish()
    }
}

/// A replayable pass: it reads the inputs' current contents ([`Gpu::write`](super::Gpu::write)) and overwrites its outputs. Its
/// buffers stay taken until it is dropped; those of a shared pool serve its other passes too.
pub struct ReplayablePass(Pass);

impl ReplayablePass {
    /// Number of dispatches.
    pub fn dispatches(&self) -> usize {
        self.0.dispatches()
    }

    /// Submits the pass. Nothing is recorded, bound or created for it.
    ///
    /// # Errors
    /// As [`Pass::submit`].
    pub fn submit(&self) -> Result<()> {
        self.0.send(None)
    }

    /// Submits the pass, waits, and returns the time of each dispatch.
    ///
    /// # Errors
    /// As [`Pass::submit_timed`].
    pub fn submit_timed(&self) -> Result<Vec<Timing>> {
        self.0.send_timed()
    }
}

impl Drop for ReplayablePass {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn begin<'a>(
    encoder: &'a mut wgpu::CommandEncoder,
    timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
) -> wgpu::ComputePass<'a> {
    encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes })
}
