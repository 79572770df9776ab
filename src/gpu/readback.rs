//! Bringing results to the host: the only call that waits for a pass to end.

use super::bind::BufferSlice;
use super::context::Context;
use crate::{Error, ErrorKind, Result};
use std::sync::{Arc, mpsc};

/// Copies on their way to the host, or why there are none.
pub struct Readback(Result<Copies>);

struct Copies {
    context: Arc<Context>,
    staging: wgpu::Buffer,
    submission: wgpu::SubmissionIndex,
    parts: Vec<(u64, u64)>,
    mapped: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
}

impl Readback {
    /// Queues the copy of `parts` behind everything submitted so far; does not wait.
    pub(super) fn start(context: &Arc<Context>, parts: &[BufferSlice<'_>]) -> Self {
        Readback(Copies::start(context, parts))
    }

    /// Waits and returns the bytes of each part. What was submitted later is not waited for.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] when the device is lost, [`ErrorKind::Memory`] when it has no room for the copies.
    pub fn wait(self) -> Result<Vec<Vec<u8>>> {
        self.0?.wait()
    }
}

impl Copies {
    fn start(context: &Arc<Context>, parts: &[BufferSlice<'_>]) -> Result<Self> {
        let mut offsets = Vec::new();
        let mut total = 0;
        for part in parts {
            part.buffer.check_allocated()?;
            offsets.push((total, part.bytes));
            total += part.bytes.next_multiple_of(8);
        }
        let desc = wgpu::BufferDescriptor {
            label: Some("readback"),
            size: total.max(8),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        let device = context.device();
        let staging = context.driver.make(total, || device.create_buffer(&desc))?;
        let (send, mapped) = mpsc::channel();
        let submission = context.driver.watched(|| {
            let mut encoder = device.create_command_encoder(&Default::default());
            for (part, (offset, _)) in parts.iter().zip(&offsets) {
                encoder.copy_buffer_to_buffer(
                    part.buffer.raw(),
                    part.offset,
                    &staging,
                    *offset,
                    part.bytes.next_multiple_of(4),
                );
            }
            let submission = context.driver.submit(encoder.finish())?;
            staging.slice(..).map_async(wgpu::MapMode::Read, move |r| {
                // The receiver is gone only when nobody wants the result any more.
                let _ = send.send(r);
            });
            Ok(submission)
        })?;
        Ok(Copies { context: context.clone(), staging, submission, parts: offsets, mapped })
    }

    fn wait(self) -> Result<Vec<Vec<u8>>> {
        let lost = |what: String| Error::new(ErrorKind::Device, &self.context.summary.name, what);
        self.context.driver.wait(Some(self.submission))?;
        // The copy is done, but another thread that polls may be the one that says so, a moment later.
        match self.mapped.recv() {
            Ok(Ok(())) => {}
            other => return Err(lost(format!("results cannot be mapped: {other:?}"))),
        }
        let view = self
            .staging
            .slice(..)
            .get_mapped_range()
            .map_err(|e| lost(format!("results cannot be mapped: {e}")))?;
        Ok(self
            .parts
            .iter()
            .map(|(offset, bytes)| view[*offset as usize..(offset + bytes) as usize].to_vec())
            .collect())
    }
}
