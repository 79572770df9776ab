//! Where operations dispatch their kernels: values get memory when they are first written.

use super::{Bind, Dtype, Tensor};
use crate::Result;
use crate::gpu::{self, Bindings, BufferSlice, Gpu, Grid, Kernel, Params, Pass, Recorder, Variant};
use crate::shape::Shape;
use std::cell::RefCell;

/// Where the operations of a pass dispatch their kernels.
pub(crate) struct Kernels {
    gpu: Gpu,
    recorder: RefCell<Recorder>,
}

impl Kernels {
    pub(super) fn new(gpu: Gpu, recorder: Recorder) -> Self {
        Kernels { gpu, recorder: recorder.into() }
    }

    /// Labels what is dispatched next.
    pub(super) fn label(&self, scope: &str) {
        self.recorder.borrow_mut().set_scope(scope);
    }

    /// Ends the recording.
    pub(super) fn finish(self) -> Pass {
        self.recorder.into_inner().finish()
    }

    /// Copies all elements of one tensor into another, from the byte `at` on.
    ///
    /// # Errors
    /// As [`Kernels::run`].
    pub(super) fn copy(&self, from: &Tensor, to: &Tensor, at: u64) -> Result<()> {
        let (from, to) = (self.there(from)?, self.room(to));
        let mut recorder = self.recorder.borrow_mut();
        recorder.copy(from.buffer, from.offset, to.buffer, to.offset + at, from.bytes)
    }

    /// The device.
    pub(crate) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// A value of 32-bit floats between two kernels of one operation.
    pub(crate) fn between(&self, shape: impl Into<Shape>) -> Tensor {
        Tensor::awaited(shape.into(), Dtype::F32, false)
    }

    /// A value between two kernels of one operation, stored as `like`.
    pub(crate) fn between_as(&self, shape: impl Into<Shape>, like: &Tensor) -> Tensor {
        Tensor::awaited(shape.into(), like.dtype(), false)
    }

    /// Dispatches a kernel; what it writes gets memory if it has none.
    ///
    /// # Errors
    /// A kernel that the device's compiler refuses, and what it reads of a pass that was not submitted.
    pub(crate) fn run<'t, P: Params, B: Bindings<Bind<'t>>>(
        &self,
        kernel: &'static Kernel,
        variant: &Variant,
        grid: Grid,
        params: &P,
        binds: B,
    ) -> Result<()> {
        assert_eq!(kernel.buffers, B::NAMES, "the buffers of {}", kernel.path);
        self.dispatch(kernel, variant, grid, bytemuck::bytes_of(params), &binds.in_order())
    }

    /// The same with parameters as bytes and buffers in the order of the kernel's bindings from 1.
    pub(super) fn dispatch(
        &self,
        kernel: &'static Kernel,
        variant: &Variant,
        grid: Grid,
        params: &[u8],
        binds: &[Bind<'_>],
    ) -> Result<()> {
        let binds = binds.iter().map(|bind| {
            Ok(match bind {
                Bind::Read(t) => gpu::Bind::Read(self.there(t)?),
                Bind::Image(t) => gpu::Bind::Image(self.there(t)?),
                Bind::Write(t) => gpu::Bind::Write(self.room(t)),
                Bind::Absent => gpu::Bind::Absent,
            })
        });
        let binds = binds.collect::<Result<Vec<_>>>().map_err(|e| e.within(kernel.name()))?;
        self.recorder.borrow_mut().dispatch(kernel, variant, grid, params, &binds)
    }

    /// Gives `to` the memory of `of`, which nobody writes.
    ///
    /// # Errors
    /// As [`Kernels::run`].
    pub(super) fn share(&self, of: &Tensor, to: &Tensor) -> Result<()> {
        let part = self.there(of)?;
        to.storage.place_or(|_| (part.buffer.clone(), part.offset));
        Ok(())
    }

    fn there<'t>(&self, t: &'t Tensor) -> Result<BufferSlice<'t>> {
        t.storage.upload(&self.gpu);
        t.part_if_there().ok_or_else(|| t.not_there())
    }

    fn room<'t>(&self, t: &'t Tensor) -> BufferSlice<'t> {
        t.storage.place_or(|bytes| self.recorder.borrow_mut().alloc(bytes));
        t.part()
    }
}

impl Tensor {
    /// A value that a pass is to compute; whether it may be stored as f16.
    pub(super) fn awaited(shape: Shape, dtype: Dtype, narrows: bool) -> Self {
        Tensor::of(super::Storage::awaited(shape.len(), dtype, narrows), shape)
    }
}
