//! What is behind a tensor: memory of the device, a value that a pass is yet to compute, or a constant whose values stay on the
//! host until a pass reads them.

use super::{Dtype, Tensor};
use crate::gpu::{Buffer, Gpu};
use crate::{Error, ErrorKind, Result};
use half::f16;
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Memory that several tensors may share, as soon as there is any.
pub(super) struct Storage {
    elements: usize,
    /// What elements are, unless they become f16.
    dtype: Dtype,
    /// Whether they may be stored as f16: floats that are yet to be computed, of which nobody knows where they lie.
    narrows: AtomicBool,
    narrow: AtomicBool,
    place: OnceLock<Place>,
    constant: Option<Constant>,
}

/// A part of a buffer.
pub(super) struct Place {
    pub(super) buffer: Arc<Buffer>,
    /// Where it begins, in bytes.
    pub(super) offset: u64,
}

/// Values that never change.
struct Constant {
    /// Its number among all constants of the process.
    number: u64,
    half: bool,
    /// On the host, until they are uploaded.
    values: Mutex<Option<Arc<Vec<f32>>>>,
    derived: Mutex<Vec<(Key, Tensor)>>,
}

/// What was made of a constant, of which part of it, and the numbers of the others that went into it.
type Key = (&'static str, Range<usize>, Vec<u64>);

impl Storage {
    /// Memory that is there.
    pub(super) fn placed(
        buffer: Arc<Buffer>,
        offset: u64,
        elements: usize,
        dtype: Dtype,
    ) -> Arc<Self> {
        let place = OnceLock::from(Place { buffer, offset });
        Arc::new(Storage { place, ..Self::empty(elements, dtype) })
    }

    /// A value to be computed; whether it may be stored as f16 where the pass is lowered so.
    pub(super) fn awaited(elements: usize, dtype: Dtype, narrows: bool) -> Arc<Self> {
        Arc::new(Storage { narrows: narrows.into(), ..Self::empty(elements, dtype) })
    }

    fn empty(elements: usize, dtype: Dtype) -> Self {
        Storage {
            elements,
            dtype,
            narrows: false.into(),
            narrow: false.into(),
            place: OnceLock::new(),
            constant: None,
        }
    }

    /// A constant, stored as halves if `half`.
    pub(super) fn constant(values: Vec<f32>, half: bool) -> Arc<Self> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let (elements, dtype) = (values.len(), if half { Dtype::F16 } else { Dtype::F32 });
        let constant = Constant {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            half,
            values: Mutex::new(Some(Arc::new(values))),
            derived: Mutex::default(),
        };
        Arc::new(Storage { constant: Some(constant), ..Self::empty(elements, dtype) })
    }

    /// What elements are.
    pub(super) fn dtype(&self) -> Dtype {
        if self.narrow.load(Ordering::Relaxed) { Dtype::F16 } else { self.dtype }
    }

    /// Number of elements.
    pub(super) fn elements(&self) -> usize {
        self.elements
    }

    /// Bytes of all elements.
    pub(super) fn bytes(&self) -> u64 {
        (self.elements as u64).saturating_mul(self.dtype().bytes())
    }

    /// Whether it may yet be stored as f16.
    pub(super) fn narrows(&self) -> bool {
        self.narrows.load(Ordering::Relaxed)
    }

    /// Stores floats as f16 where that is still open.
    pub(super) fn narrow(&self) {
        if self.narrows() && self.place.get().is_none() {
            self.narrow.store(true, Ordering::Relaxed);
        }
    }

    /// Leaves elements as they are: somebody knows where each lies.
    pub(super) fn pin(&self) {
        self.narrows.store(false, Ordering::Relaxed);
    }

    /// Where it lies, if it does.
    pub(super) fn place(&self) -> Option<&Place> {
        self.place.get()
    }

    /// Where it lies, by `allocate` if it does not yet.
    pub(super) fn place_or(&self, allocate: impl FnOnce(u64) -> (Arc<Buffer>, u64)) -> &Place {
        self.place.get_or_init(|| {
            let (buffer, offset) = allocate(self.bytes());
            Place { buffer, offset }
        })
    }

    /// Uploads a constant that does not lie on the device yet, and gives what has no elements a place. What can be read back
    /// from the device need not stay on the host.
    pub(super) fn upload(&self, gpu: &Gpu) {
        if self.elements == 0 {
            self.place_or(|_| gpu.upload_guarded(&[]));
        }
        let Some(constant) = self.constant.as_ref().filter(|_| self.place.get().is_none()) else {
            return;
        };
        let mut values = constant.values.lock();
        if let Some(host) = values.as_ref().filter(|_| self.place.get().is_none()) {
            let (buffer, offset) = match constant.half {
                false => gpu.upload_guarded(bytemuck::cast_slice(host)),
                true => {
                    let halves = host.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes());
                    gpu.upload_guarded(&halves.collect::<Vec<u8>>())
                }
            };
            let _ = self.place.set(Place { buffer, offset });
            if !gpu.options().planning {
                *values = None;
            }
        }
    }
}

impl Tensor {
    /// A constant, which is uploaded when a pass first reads it, or never where passes read only what rules made of it. Stored
    /// as [`Tensor::upload_weight`] does.
    ///
    /// # Panics
    /// When `values` does not have one for each element of `shape`.
    pub fn constant(gpu: &Gpu, shape: impl Into<crate::shape::Shape>, values: Vec<f32>) -> Self {
        let shape = shape.into();
        assert_eq!(shape.len(), values.len(), "values for a tensor of shape {shape}");
        let half = Self::weight_type(gpu, shape) == Dtype::F16;
        Tensor::of(Storage::constant(values, half), shape)
    }

    /// Whether it is a whole constant, so that others can be derived from it.
    pub fn is_constant(&self) -> bool {
        self.storage.constant.is_some() && self.is_whole()
    }

    /// What `make` makes of the values of this constant and of `others`, itself a constant: made once for each `name` and
    /// these others.
    ///
    /// # Errors
    /// A tensor among them that is no constant; a device that does not give a constant back.
    pub(crate) fn derived(
        &self,
        gpu: &Gpu,
        name: &'static str,
        others: &[&Tensor],
        shape: impl Into<crate::shape::Shape>,
        make: impl FnOnce(&[Arc<Vec<f32>>]) -> Vec<f32>,
    ) -> Result<Tensor> {
        self.derived_by(gpu, (name, 0..0), others, shape, make)
    }

    /// The same made for each name and range.
    ///
    /// # Errors
    /// As [`Tensor::derived`].
    pub(crate) fn derived_by(
        &self,
        gpu: &Gpu,
        (name, range): (&'static str, Range<usize>),
        others: &[&Tensor],
        shape: impl Into<crate::shape::Shape>,
        make: impl FnOnce(&[Arc<Vec<f32>>]) -> Vec<f32>,
    ) -> Result<Tensor> {
        let own = self.as_constant()?;
        let numbers = others.iter().map(|t| Ok(t.as_constant()?.number)).collect::<Result<_>>()?;
        let key = (name, range, numbers);
        if let Some((_, known)) = own.derived.lock().iter().find(|(k, _)| *k == key) {
            return Ok(known.clone());
        }
        let all = std::iter::once(self).chain(others.iter().copied());
        let values = all.map(|t| t.values(gpu)).collect::<Result<Vec<_>>>()?;
        let made = Tensor::constant(gpu, shape, make(&values));
        let mut derived = own.derived.lock();
        // Another thread may have been first.
        if let Some((_, known)) = derived.iter().find(|(k, _)| *k == key) {
            return Ok(known.clone());
        }
        derived.push((key, made.clone()));
        Ok(made)
    }

    fn as_constant(&self) -> Result<&Constant> {
        self.storage.constant.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Argument, "tensor", "what is derived")
                .expected("of constants")
                .got(format!("of {self:?}"))
        })
    }

    /// The values of a constant: from the host, or from the device where they were uploaded.
    fn values(&self, gpu: &Gpu) -> Result<Arc<Vec<f32>>> {
        if let Some(values) = &*self.as_constant()?.values.lock() {
            return Ok(values.clone());
        }
        Ok(Arc::new(self.to_host(gpu)?.to_f32()))
    }
}
