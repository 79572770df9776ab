//! Arrays on the host, in f64: what oracles compute with and what read-back returns.

use super::{Dtype, Tensor};
use crate::gpu::{Gpu, Precision};
use crate::shape::Shape;
use half::f16;

/// A contiguous array on the host. Values are f64, so that every f32 and u32 is exact.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// Its shape.
    pub shape: Shape,
    /// Its element type on the device.
    pub dtype: Dtype,
    /// Its values in row-major order.
    pub data: Vec<f64>,
}

impl Host {
    /// Floats of a given shape.
    ///
    /// # Panics
    /// When `data` does not have one value for each element.
    pub fn new(shape: impl Into<Shape>, data: Vec<f64>) -> Self {
        let shape = shape.into();
        assert_eq!(shape.len(), data.len(), "values for an array of shape {shape}");
        Host { shape, dtype: Dtype::F32, data }
    }

    /// Zeros.
    pub fn zeros(shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        Host { shape, dtype: Dtype::F32, data: vec![0.0; shape.len()] }
    }

    /// The same values as unsigned integers.
    pub fn into_u32(mut self) -> Self {
        self.dtype = Dtype::U32;
        self
    }

    /// The same values rounded to halves.
    pub fn into_f16(mut self) -> Self {
        self.dtype = Dtype::F16;
        self.data.iter_mut().for_each(|v| *v = f16::from_f64(*v).to_f64());
        self
    }

    /// Sizes of its axes.
    pub fn dims(&self) -> &[usize] {
        self.shape.dims()
    }

    /// Values as f32.
    pub fn to_f32(&self) -> Vec<f32> {
        self.data.iter().map(|v| *v as f32).collect()
    }

    /// Values as u32.
    pub fn to_u32(&self) -> Vec<u32> {
        self.data.iter().map(|v| *v as u32).collect()
    }

    /// Copies to the device before later submissions, floats stored as `precision` says.
    pub fn upload_as(self, gpu: &Gpu, precision: Precision) -> Tensor {
        match (self.dtype, precision) {
            (Dtype::F32, Precision::F16) => self.into_f16().upload(gpu),
            _ => self.upload(gpu),
        }
    }

    /// Copies to the device before later submissions.
    pub fn upload(&self, gpu: &Gpu) -> Tensor {
        match self.dtype {
            Dtype::F32 => Tensor::upload(gpu, self.shape, &self.to_f32()),
            Dtype::F16 => Tensor::upload_halves(gpu, self.shape, &self.to_f32()),
            Dtype::U32 => Tensor::upload_u32(gpu, self.shape, &self.to_u32()),
        }
    }

    /// Axes in another order: axis `i` of the result is axis `order[i]` of this.
    ///
    /// # Panics
    /// When `order` is not a permutation of the axes.
    pub fn permute(&self, order: &[usize]) -> Self {
        let dims = self.dims();
        assert_eq!(order.len(), dims.len(), "axes to permute");
        let mut strides = vec![1; dims.len()];
        for i in (0..dims.len().saturating_sub(1)).rev() {
            strides[i] = strides[i + 1] * dims[i + 1];
        }
        let out: Vec<usize> = order.iter().map(|&o| dims[o]).collect();
        let mut data = Vec::with_capacity(self.data.len());
        let mut index = vec![0; dims.len()];
        for _ in 0..self.data.len() {
            let at: usize = index.iter().zip(order).map(|(i, &o)| i * strides[o]).sum();
            data.push(self.data[at]);
            for axis in (0..out.len()).rev() {
                index[axis] += 1;
                if index[axis] < out[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        Host { shape: Shape::new(&out), dtype: self.dtype, data }
    }

    /// Values from the bytes that were read back.
    pub fn from_bytes(shape: Shape, dtype: Dtype, bytes: &[u8]) -> Self {
        let words = bytes.chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]);
        let halves = bytes.chunks_exact(2).map(|b| [b[0], b[1]]);
        let data = match dtype {
            Dtype::F16 => halves.map(|b| f16::from_le_bytes(b).to_f64()).collect(),
            Dtype::F32 => words.map(|b| f64::from(f32::from_le_bytes(b))).collect(),
            Dtype::U32 => words.map(|b| f64::from(u32::from_le_bytes(b))).collect(),
        };
        Host { shape, dtype, data }
    }
}

/// Reproducible test values from a name: SplitMix64 seeded by the name's FNV-1a hash.
pub struct Seeded(u64);

impl Seeded {
    /// The stream of `name`.
    pub fn new(name: &str) -> Self {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
        });
        Seeded(hash)
    }

    /// A value in [0, 1) with 24 random bits, exact in f32.
    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 40) as f64 / f64::from(1 << 24)
    }

    /// Floats in [low, high), rounded to f32.
    pub fn uniform(&mut self, shape: impl Into<Shape>, low: f64, high: f64) -> Host {
        let shape = shape.into();
        let value = |s: &mut Self| f64::from((low + (high - low) * s.unit()) as f32);
        Host::new(shape, (0..shape.len()).map(|_| value(self)).collect())
    }

    /// Floats in [-1, 1).
    pub fn signed(&mut self, shape: impl Into<Shape>) -> Host {
        self.uniform(shape, -1.0, 1.0)
    }

    /// Unsigned integers in `low..high`.
    pub fn ints(&mut self, shape: impl Into<Shape>, low: u32, high: u32) -> Host {
        let shape = shape.into();
        let value = |s: &mut Self| (f64::from(low) + f64::from(high - low) * s.unit()).floor();
        Host::new(shape, (0..shape.len()).map(|_| value(self)).collect()).into_u32()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permute_moves_axes() {
        let h = Host::new([2, 3, 1], (0..6).map(f64::from).collect());
        let p = h.permute(&[1, 2, 0]);
        assert_eq!(p.shape, [3, 1, 2]);
        assert_eq!(p.data, [0., 3., 1., 4., 2., 5.]);
        assert_eq!(p.permute(&[2, 0, 1]), h);
    }
}
