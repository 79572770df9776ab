//! Sending commands to the device in short submissions, at most two of them in flight.

use super::context::Context;
use crate::Result;
use std::time::Instant;

/// A pass on its way to the device, in chunks of a bounded number of workgroups.
pub(super) struct Chunks<'a> {
    context: &'a Context,
    encoder: wgpu::CommandEncoder,
    groups: u64,
    most: u64,
}

impl<'a> Chunks<'a> {
    pub(super) fn new(context: &'a Context) -> Self {
        let encoder = context.device().create_command_encoder(&Default::default());
        Chunks { context, encoder, groups: 0, most: context.throttle.groups() }
    }

    /// Where the commands of this chunk go.
    pub(super) fn encoder(&mut self) -> &mut wgpu::CommandEncoder {
        &mut self.encoder
    }

    /// Workgroups that this chunk has room for; the dispatch that exceeds them is its last.
    pub(super) fn room(&self) -> u64 {
        self.most.saturating_sub(self.groups)
    }

    /// Counts workgroups that were encoded, and submits what is enough for a chunk, unless the work is broken off.
    pub(super) fn add(&mut self, groups: u64) -> Result<()> {
        self.groups += groups;
        if self.groups < self.most { Ok(()) } else { self.send() }
    }

    /// Submits what is left; does not wait for it.
    pub(super) fn finish(mut self) -> Result<()> {
        self.send()
    }

    fn send(&mut self) -> Result<()> {
        let Context { driver, throttle, interrupts, .. } = self.context;
        interrupts.check()?;
        let fresh = driver.device().create_command_encoder(&Default::default());
        let commands = std::mem::replace(&mut self.encoder, fresh).finish();
        let groups = std::mem::take(&mut self.groups);
        if let Some(oldest) = throttle.oldest() {
            let asked = Instant::now();
            driver.wait(Some(oldest.index()))?;
            throttle.done(&oldest, asked);
        }
        let sent = Instant::now();
        throttle.sent(driver.submit(commands)?, groups, sent);
        self.most = throttle.groups();
        Ok(())
    }
}
