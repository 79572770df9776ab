//! Bringing results to the host: the only call that waits for a pass to end.

use super::device::Gpu;
use super::record::Part;
use crate::{Error, ErrorKind, Result};
use std::sync::mpsc;

/// Copies on their way to the host, or why there are none.
pub struct Readback(Result<Copies>);

struct Copies {
    gpu: Gpu,
    staging: wgpu::Buffer,
    submission: wgpu::SubmissionIndex,
    parts: Vec<(u64, u64)>,
    mapped: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
}

impl Readback {
    /// Queues the copy of `parts` behind everything submitted so far; does not wait.
    pub fn start(gpu: &Gpu, parts: &[Part<'_>]) -> Self {
        Readback(Copies::start(gpu, parts))
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
    fn start(gpu: &Gpu, parts: &[Part<'_>]) -> Result<Self> {
        let mut offsets = Vec::new();
        let mut total = 0;
        for part in parts {
            part.buffer.there()?;
            offsets.push((total, part.bytes));
            total += part.bytes.next_multiple_of(8);
        }
        let desc = wgpu::BufferDescriptor {
            label: Some("readback"),
            size: total.max(8),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        let device = gpu.device();
        let staging = gpu.driver().make(total, || device.create_buffer(&desc))?;
        let (send, mapped) = mpsc::channel();
        let submission = gpu.driver().watched(|| {
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
            let submission = gpu.driver().submit(encoder.finish())?;
            staging.slice(..).map_async(wgpu::MapMode::Read, move |r| {
                // The receiver is gone only when nobody wants the result any more.
                let _ = send.send(r);
            });
            Ok(submission)
        })?;
        Ok(Copies { gpu: gpu.clone(), staging, submission, parts: offsets, mapped })
    }

    fn wait(self) -> Result<Vec<Vec<u8>>> {
        let lost = |what: String| Error::new(ErrorKind::Device, &self.gpu.summary().name, what);
        self.gpu.driver().wait(Some(self.submission))?;
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
