//! Tensors that outlive passes, side by side in few large buffers, so that one kernel can walk many of them.

use super::{Dtype, Tensor, Var};
use crate::gpu::{Buffer, Gpu, Part};
use crate::shape::Shape;
use std::sync::Arc;

/// Bytes of the first buffer, and of the largest: each is twice as large as the one before, so that a small network wastes
/// little. A tensor that is larger still has one of its own.
const FIRST: u64 = 1 << 20;
const LARGEST: u64 = 32 << 20;

/// Where such tensors are put, one behind the other.
#[derive(Default)]
pub struct Arena {
    current: Option<Arc<Buffer>>,
    used: u64,
    next: u64,
}

impl Arena {
    /// Copies values to the device before later submissions. What lies between two tensors is zero.
    ///
    /// # Panics
    /// When `data` does not have one value for each element of `shape`.
    pub fn upload(&mut self, gpu: &Gpu, shape: impl Into<Shape>, data: &[f32]) -> Tensor {
        let shape = shape.into();
        assert_eq!(shape.len(), data.len(), "values for a tensor of shape {shape}");
        let bytes = (4 * data.len() as u64).next_multiple_of(Part::ALIGN);
        let room = |b: &Arc<Buffer>| b.bytes() >= self.used + bytes;
        let home = self.current.take().filter(room).unwrap_or_else(|| {
            self.next = (2 * self.next).clamp(FIRST, LARGEST);
            self.used = 0;
            gpu.upload(&vec![0; self.next.max(bytes) as usize])
        });
        let buffer = gpu.upload_to(&home, self.used, bytemuck::cast_slice(data));
        let offset = self.used;
        self.used += bytes;
        self.current = Some(home);
        Tensor { buffer, offset, shape, dtype: Dtype::F32, var: Var::Constant }
    }
}
