//! Tensors that outlive passes, side by side in few large buffers, so that one kernel can walk many of them.

use super::{Dtype, Tensor};
use crate::gpu::{Buffer, BufferSlice, Gpu};
use crate::shape::Shape;
use std::sync::Arc;

/// Bytes of the largest buffer; a tensor that is larger still has one of its own.
const LARGEST: u64 = 32 << 20;

/// Where such tensors are put, one behind the other: each buffer is twice as large as the one before, so that a small network
/// wastes little.
pub struct Arena {
    current: Option<Arc<Buffer>>,
    used: u64,
    next: u64,
}

impl Arena {
    /// An empty one, whose first buffer has so many bytes.
    pub fn new(first: u64) -> Self {
        Arena { current: None, used: 0, next: first }
    }

    /// Copies values to the device before later submissions. What lies between two tensors is zero.
    ///
    /// # Panics
    /// When `data` does not have one value for each element of `shape`.
    pub fn upload(&mut self, gpu: &Gpu, shape: impl Into<Shape>, data: &[f32]) -> Tensor {
        let shape = shape.into();
        assert_eq!(shape.len(), data.len(), "values for a tensor of shape {shape}");
        let bytes = (4 * data.len() as u64).next_multiple_of(BufferSlice::ALIGN);
        let room = |b: &Arc<Buffer>| b.bytes() >= self.used + bytes;
        let home = self.current.take().filter(room).unwrap_or_else(|| {
            let room = self.next;
            self.next = (2 * room).min(LARGEST);
            self.used = 0;
            gpu.upload(&vec![0; room.max(bytes) as usize])
        });
        let buffer = gpu.upload_to(&home, self.used, bytemuck::cast_slice(data));
        let offset = self.used;
        self.used += bytes;
        self.current = Some(home);
        Tensor::placed(buffer, offset, shape, Dtype::F32)
    }
}
