//! Bringing results to the host: the only call that waits for a pass to end.

use super::awaiting::{Later, Waiting, later};
use super::bind::BufferSlice;
use super::context::Context;
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;

/// Copies on their way to the host, or why there are none.
pub struct Readback(Result<Copies>);

struct Copies {
    context: Arc<Context>,
    staging: wgpu::Buffer,
    submission: wgpu::SubmissionIndex,
    parts: Vec<(u64, u64)>,
    mapped: Later<Result<(), wgpu::BufferAsyncError>>,
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
        pollster::block_on(self.bytes(Waiting::Blocking))
    }

    /// The same, waited for in either way.
    pub(crate) async fn bytes(self, waiting: Waiting) -> Result<Vec<Vec<u8>>> {
        self.0?.bytes(waiting).await
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
        let (promise, mapped) = later();
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
            staging.slice(..).map_async(wgpu::MapMode::Read, move |r| promise.keep(r));
            Ok(submission)
        })?;
        Ok(Copies { context: context.clone(), staging, submission, parts: offsets, mapped })
    }

    async fn bytes(self, waiting: Waiting) -> Result<Vec<Vec<u8>>> {
        let lost = |what: String| Error::new(ErrorKind::Device, &self.context.summary.name, what);
        self.context.done(self.submission, waiting).await?;
        // The copy is done, but another thread that polls may be the one that says so, a moment later.
        match self.mapped.await {
            Some(Ok(())) => {}
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

impl Context {
    /// Waits until a submission is done.
    async fn done(
        self: &Arc<Self>,
        submission: wgpu::SubmissionIndex,
        waiting: Waiting,
    ) -> Result<()> {
        if waiting == Waiting::Blocking {
            return self.driver.wait(Some(submission));
        }
        let (done, start) = self.watch.add(submission);
        if start {
            let this = self.clone();
            let thread = std::thread::Builder::new().name("lemma-gpu waits".into());
            if thread.spawn(move || this.wait_for_tasks()).is_err() {
                // Where the system has no thread to give, this one does its work.
                self.wait_for_tasks();
            }
        }
        let given_up = || Error::new(ErrorKind::Device, &self.summary.name, "a wait was given up");
        done.await.unwrap_or_else(|| Err(given_up()))
    }

    fn wait_for_tasks(&self) {
        while let Some((submission, promise)) = self.watch.next() {
            promise.keep(self.driver.wait(Some(submission)));
        }
    }
}
