//! Tensors: a pooled buffer with a shape and an element type, always contiguous, and the pass they are computed in.
//!
//! Knows buffers, shapes, transfers and the tape that leads back through a pass; knows no operation.

mod arena;
mod backward;
mod cx;
mod graph;
mod host;
mod kernels;
mod label;
mod lowering;
mod node;
mod scoped;
mod storage;
mod tape;
mod trace;

pub use arena::Arena;
pub use backward::{Add, Grads, Sink};
pub use cx::{Cx, Dropout, Mode};
pub(crate) use graph::{Graph, Rule};
pub use host::{Host, Seeded};
pub(crate) use kernels::Kernels;
pub(crate) use node::{Known, Op};
pub use scoped::Scoped;
pub use tape::Var;
pub use trace::{Axes, Tap};

use crate::gpu::{Buffer, BufferSlice, Gpu, Precision};
use crate::shape::Shape;
use crate::{Error, ErrorKind, Result};
use half::f16;
use std::sync::Arc;
use storage::Storage;

/// Element type of a tensor on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// 32-bit float.
    F32,
    /// 16-bit float, which every kernel takes where it takes 32-bit floats, and computes with in 32 bits.
    F16,
    /// 32-bit unsigned: indices, lengths, classes.
    U32,
}

impl Dtype {
    /// Bytes of an element.
    pub fn bytes(self) -> u64 {
        match self {
            Dtype::F32 | Dtype::U32 => 4,
            Dtype::F16 => 2,
        }
    }
}

impl From<Precision> for Dtype {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Dtype::F32,
            Precision::F16 => Dtype::F16,
        }
    }
}

/// A contiguous tensor on the device, or what a pass will make one. Cloning shares the memory; the last owner returns it to the
/// pool.
#[derive(Clone)]
pub struct Tensor {
    storage: Arc<Storage>,
    /// Where it begins in the storage, in elements.
    first: usize,
    shape: Shape,
    var: Var,
}

impl Tensor {
    /// A tensor over the first elements of `buffer`.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when the buffer is too small.
    pub fn from_buffer(buffer: Arc<Buffer>, shape: Shape, dtype: Dtype) -> Result<Self> {
        let bytes = (shape.len() as u64).saturating_mul(dtype.bytes());
        if buffer.bytes() < bytes {
            return Err(Error::new(ErrorKind::Shape, "tensor", "buffer too small for the shape")
                .expected(format!("{bytes} bytes for {shape}"))
                .got(format!("{} bytes", buffer.bytes())));
        }
        Ok(Tensor::placed(buffer, 0, shape, dtype))
    }

    fn placed(buffer: Arc<Buffer>, offset: u64, shape: Shape, dtype: Dtype) -> Self {
        Tensor::of(Storage::placed(buffer, offset, shape.len(), dtype), shape)
    }

    fn of(storage: Arc<Storage>, shape: Shape) -> Self {
        Tensor { storage, first: 0, shape, var: Var::Constant }
    }

    /// A tensor of nothing, in the place of those that are not there yet: nobody may read it.
    pub fn hollow(gpu: &Gpu) -> Self {
        Tensor::upload(gpu, [0], &[])
    }

    /// The same nothing under the shape of what it stands for.
    pub fn hollow_as(&self, shape: impl Into<Shape>) -> Self {
        Tensor { shape: shape.into(), ..self.clone() }
    }

    /// Copies values to the device before later submissions.
    ///
    /// # Panics
    /// When `data` does not have one value for each element of `shape`.
    pub fn upload(gpu: &Gpu, shape: impl Into<Shape>, data: &[f32]) -> Self {
        let shape = shape.into();
        assert_eq!(shape.len(), data.len(), "values for a tensor of shape {shape}");
        let (buffer, offset) = gpu.upload_guarded(bytemuck::cast_slice(data));
        Tensor::placed(buffer, offset, shape, Dtype::F32)
    }

    /// Rounds values to halves and copies them to the device before later submissions.
    ///
    /// # Panics
    /// As [`Tensor::upload`].
    pub fn upload_halves(gpu: &Gpu, shape: impl Into<Shape>, data: &[f32]) -> Self {
        let shape = shape.into();
        assert_eq!(shape.len(), data.len(), "values for a tensor of shape {shape}");
        let halves: Vec<u8> = data.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
        let (buffer, offset) = gpu.upload_guarded(&halves);
        Tensor::placed(buffer, offset, shape, Dtype::F16)
    }

    /// A weight, stored as the device's precision says: halves only for what has two and more axes.
    ///
    /// # Panics
    /// As [`Tensor::upload`].
    pub fn upload_weight(gpu: &Gpu, shape: impl Into<Shape>, data: &[f32]) -> Self {
        let shape = shape.into();
        match Self::weight_type(gpu, shape) {
            Dtype::F16 => Tensor::upload_halves(gpu, shape, data),
            _ => Tensor::upload(gpu, shape, data),
        }
    }

    fn weight_type(gpu: &Gpu, shape: Shape) -> Dtype {
        match gpu.options().precision {
            Precision::F16 if shape.rank() > 1 => Dtype::F16,
            _ => Dtype::F32,
        }
    }

    /// Copies indices to the device before later submissions.
    ///
    /// # Panics
    /// As [`Tensor::upload`].
    pub fn upload_u32(gpu: &Gpu, shape: impl Into<Shape>, data: &[u32]) -> Self {
        let shape = shape.into();
        assert_eq!(shape.len(), data.len(), "values for a tensor of shape {shape}");
        let (buffer, offset) = gpu.upload_guarded(bytemuck::cast_slice(data));
        Tensor::placed(buffer, offset, shape, Dtype::U32)
    }

    /// Copies other values into an uploaded tensor of floats, before later submissions and behind earlier ones.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`] where the driver has none for them on their way.
    ///
    /// # Panics
    /// As [`Tensor::upload`].
    pub fn write_values(&self, gpu: &Gpu, data: &[f32]) -> Result<()> {
        assert_eq!(self.len(), data.len(), "values for a tensor of shape {}", self.shape);
        let part = self.part();
        gpu.write(part.buffer, part.offset, bytemuck::cast_slice(data))
    }

    /// Copies other values into an uploaded tensor of unsigned integers, as [`Tensor::write_values`] does.
    ///
    /// # Errors
    /// As [`Tensor::write_values`].
    ///
    /// # Panics
    /// As [`Tensor::upload`].
    pub fn write_u32(&self, gpu: &Gpu, data: &[u32]) -> Result<()> {
        assert_eq!(self.len(), data.len(), "values for a tensor of shape {}", self.shape);
        let part = self.part();
        gpu.write(part.buffer, part.offset, bytemuck::cast_slice(data))
    }

    /// Its shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Sizes of its axes.
    pub fn dims(&self) -> &[usize] {
        self.shape.dims()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.len()
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.shape.is_empty()
    }

    /// Element type.
    pub fn dtype(&self) -> Dtype {
        self.storage.dtype()
    }

    /// The buffer behind it.
    ///
    /// # Panics
    /// As [`Tensor::part`].
    pub fn buffer(&self) -> &Arc<Buffer> {
        self.part().buffer
    }

    /// Bytes of its elements.
    pub fn bytes(&self) -> u64 {
        self.len() as u64 * self.dtype().bytes()
    }

    /// Whether it is the same memory as another.
    pub fn is(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.storage, &other.storage) && self.first == other.first
    }

    /// Whether it is all of the memory behind it.
    pub(crate) fn is_whole(&self) -> bool {
        self.len() == self.storage.elements()
    }

    /// The same elements under another shape; gradients find their way through it.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when the number of elements differs.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        if shape.len() != self.len() {
            return Err(Error::new(ErrorKind::Shape, "reshape", "number of elements")
                .expected(format!("{} of {}", self.len(), self.shape))
                .got(format!("{} of {shape}", shape.len())));
        }
        Ok(Tensor { shape, ..self.clone() })
    }

    /// Its elements from `first` on under another shape, as a constant.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when it has fewer elements, or when they do not begin at a multiple of [`BufferSlice::ALIGN`] bytes of its
    /// memory.
    pub fn view(&self, first: usize, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        let inside = first.checked_add(shape.len()).is_some_and(|end| end <= self.len());
        self.storage.pin();
        let begin = self.first + if inside { first } else { 0 };
        if !inside || !(begin as u64 * self.dtype().bytes()).is_multiple_of(BufferSlice::ALIGN) {
            return Err(Error::new(ErrorKind::Shape, "view", "elements")
                .expected(format!(
                    "some of {}, from a multiple of {} bytes on",
                    self.shape,
                    BufferSlice::ALIGN
                ))
                .got(format!("{shape} from {first} on")));
        }
        Ok(Tensor { shape, first: begin, ..self.detached() })
    }

    /// The bytes of its elements.
    ///
    /// # Panics
    /// For what no pass has computed: the pass of a value must be submitted or kept before others see it.
    pub fn part(&self) -> BufferSlice<'_> {
        self.part_if_there().expect("a tensor that was uploaded or computed")
    }

    fn part_if_there(&self) -> Option<BufferSlice<'_>> {
        let place = self.storage.place()?;
        let offset = place.offset + self.first as u64 * self.dtype().bytes();
        let half = self.dtype() == Dtype::F16;
        Some(BufferSlice { buffer: &place.buffer, offset, bytes: self.bytes(), half })
    }

    /// Whether kernels can read it through a texture.
    pub(crate) fn fits_image(&self, gpu: &Gpu) -> bool {
        match self.storage.place() {
            Some(place) => gpu.fits_image(&place.buffer),
            None => gpu.would_fit_image(self.storage.bytes()),
        }
    }

    /// As an input of a kernel.
    pub fn read(&self) -> Bind<'_> {
        Bind::Read(self)
    }

    /// As an input of a kernel that reads it through an image.
    pub fn image(&self) -> Bind<'_> {
        Bind::Image(self)
    }

    /// As an output of a kernel.
    pub fn write(&self) -> Bind<'_> {
        Bind::Write(self)
    }

    /// An optional input of a kernel.
    pub fn read_or_absent(tensor: Option<&Tensor>) -> Bind<'_> {
        tensor.map_or(Bind::Absent, Tensor::read)
    }

    /// Waits for the device and copies the values to the host.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] when the device is lost.
    pub fn to_host(&self, gpu: &Gpu) -> Result<Host> {
        Ok(Tensor::read_all(gpu, &[self])?.remove(0))
    }

    /// Waits once and copies the values of several tensors to the host.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] when the device is lost, [`ErrorKind::Argument`] for a value of a pass that was not submitted.
    pub fn read_all(gpu: &Gpu, tensors: &[&Tensor]) -> Result<Vec<Host>> {
        tensors.iter().for_each(|t| t.storage.upload(gpu));
        let parts = tensors.iter().map(|t| t.part_if_there().ok_or_else(|| t.not_there()));
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let bytes = gpu.read(&parts)?;
        Ok(tensors
            .iter()
            .zip(bytes)
            .map(|(t, b)| Host::from_bytes(t.shape, t.dtype(), &b))
            .collect())
    }
}

impl Tensor {
    fn not_there(&self) -> Error {
        Error::new(ErrorKind::Argument, "tensor", "values")
            .expected("of a pass that was submitted")
            .got(format!("{self:?} of one that was not"))
    }
}

/// A tensor as a kernel sees it.
#[derive(Clone, Copy)]
pub enum Bind<'a> {
    /// What the kernel reads.
    Read(&'a Tensor),
    /// What the kernel writes, or reads and writes.
    Write(&'a Tensor),
    /// What the kernel reads through a texture, as vec4 of floats.
    Image(&'a Tensor),
    /// An optional input that is absent; the kernel must not read it.
    Absent,
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}{}", self.dtype(), self.shape)
    }
}
