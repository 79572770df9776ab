//! Times of dispatches by the GPU's own clock.

use super::bind::BufferSlice;
use super::buffer::Buffer;
use super::context::Context;
use super::readback::Readback;
use crate::Result;
use std::sync::Arc;

/// One timed dispatch.
#[derive(Debug, Clone)]
pub struct Timing {
    /// Scope in force when it was recorded, `block2.conv1`.
    pub scope: String,
    /// The kernel's name.
    pub kernel: &'static str,
    /// Duration in seconds.
    pub seconds: f64,
}

/// A pair of timestamps for every dispatch, in sets of at most 4096 queries.
pub(super) struct TimestampPairs {
    sets: Vec<wgpu::QuerySet>,
    dispatches: usize,
    resolved: Arc<Buffer>,
}

const QUERIES: usize = 4096;

impl TimestampPairs {
    pub(super) fn new(context: &Context, dispatches: usize) -> Result<Self> {
        let bytes = ((2 * dispatches).next_multiple_of(QUERIES) * 8).max(256) as u64;
        context.driver.make(bytes, || Self::made(context.device(), dispatches, bytes))
    }

    fn made(device: &wgpu::Device, dispatches: usize, bytes: u64) -> Self {
        let sets = (0..(2 * dispatches).div_ceil(QUERIES))
            .map(|_| {
                device.create_query_set(&wgpu::QuerySetDescriptor {
                    label: None,
                    ty: wgpu::QueryType::Timestamp,
                    count: QUERIES as u32,
                })
            })
            .collect();
        let raw = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size: bytes,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        TimestampPairs { sets, dispatches, resolved: Buffer::imported(raw) }
    }

    pub(super) fn writes(&self, dispatch: usize) -> wgpu::ComputePassTimestampWrites<'_> {
        let first = 2 * dispatch;
        let index = (first % QUERIES) as u32;
        wgpu::ComputePassTimestampWrites {
            query_set: &self.sets[first / QUERIES],
            beginning_of_pass_write_index: Some(index),
            end_of_pass_write_index: Some(index + 1),
        }
    }

    pub(super) fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        for (i, set) in self.sets.iter().enumerate() {
            let count = (2 * self.dispatches - i * QUERIES).min(QUERIES) as u32;
            let offset = (i * QUERIES * 8) as u64;
            encoder.resolve_query_set(set, 0..count, self.resolved.raw(), offset);
        }
    }

    pub(super) fn seconds(&self, context: &Arc<Context>) -> Result<Vec<f64>> {
        let bytes = Readback::start(
            context,
            &[BufferSlice::first(&self.resolved, self.dispatches as u64 * 16)],
        )
        .wait()?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&bytes[0]);
        let period = f64::from(context.queue().get_timestamp_period()) * 1e-9;
        Ok(ticks.chunks_exact(2).map(|p| p[1].saturating_sub(p[0]) as f64 * period).collect())
    }
}
