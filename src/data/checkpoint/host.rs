//! Arrays on the host: contiguous bytes with an element type and a shape. Knows no file format.

use crate::{Error, ErrorKind, Result};
use half::{bf16, f16};
use std::fmt;

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE binary64.
    F64,
    /// IEEE binary32.
    F32,
    /// IEEE binary16.
    F16,
    /// The upper half of binary32 (`torch.bfloat16`).
    Bf16,
    /// Signed, 64 bits (`torch.long`).
    I64,
    /// Signed, 32 bits.
    I32,
    /// Signed, 16 bits.
    I16,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 64 bits.
    U64,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 8 bits.
    U8,
    /// One byte, 0 or 1.
    Bool,
}

impl Dtype {
    /// Every type, for searches by name.
    const ALL: [Dtype; 13] = [
        Dtype::F64,
        Dtype::F32,
        Dtype::F16,
        Dtype::Bf16,
        Dtype::I64,
        Dtype::I32,
        Dtype::I16,
        Dtype::I8,
        Dtype::U64,
        Dtype::U32,
        Dtype::U16,
        Dtype::U8,
        Dtype::Bool,
    ];

    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Dtype::F64 | Dtype::I64 | Dtype::U64 => 8,
            Dtype::F32 | Dtype::I32 | Dtype::U32 => 4,
            Dtype::F16 | Dtype::Bf16 | Dtype::I16 | Dtype::U16 => 2,
            Dtype::I8 | Dtype::U8 | Dtype::Bool => 1,
        }
    }

    /// Whether elements are floating point.
    pub fn is_float(self) -> bool {
        matches!(self, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::Bf16)
    }

    /// The name a safetensors header gives it: `F32`, `BF16`, `I64`.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F64 => "F64",
            Dtype::F32 => "F32",
            Dtype::F16 => "F16",
            Dtype::Bf16 => "BF16",
            Dtype::I64 => "I64",
            Dtype::I32 => "I32",
            Dtype::I16 => "I16",
            Dtype::I8 => "I8",
            Dtype::U64 => "U64",
            Dtype::U32 => "U32",
            Dtype::U16 => "U16",
            Dtype::U8 => "U8",
            Dtype::Bool => "BOOL",
        }
    }

    /// The type a safetensors header calls `name`.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Dtype::ALL.into_iter().find(|d| d.name() == name)
    }

    /// One little-endian element; `None` for an integer that a double cannot hold.
    fn decode(self, le: &[u8]) -> Option<f64> {
        fn at<const N: usize>(le: &[u8]) -> [u8; N] {
            le.try_into().expect("a whole element")
        }
        Some(match self {
            Dtype::F64 => f64::from_le_bytes(at(le)),
            Dtype::F32 => f32::from_le_bytes(at(le)).into(),
            Dtype::F16 => f16::from_le_bytes(at(le)).into(),
            Dtype::Bf16 => bf16::from_le_bytes(at(le)).into(),
            Dtype::I64 => {
                let x = i64::from_le_bytes(at(le));
                return (x.unsigned_abs() <= EXACT).then_some(x as f64);
            }
            Dtype::I32 => i32::from_le_bytes(at(le)).into(),
            Dtype::I16 => i16::from_le_bytes(at(le)).into(),
            Dtype::I8 => i8::from_le_bytes(at(le)).into(),
            Dtype::U64 => {
                let x = u64::from_le_bytes(at(le));
                return (x <= EXACT).then_some(x as f64);
            }
            Dtype::U32 => u32::from_le_bytes(at(le)).into(),
            Dtype::U16 => u16::from_le_bytes(at(le)).into(),
            Dtype::U8 => le[0].into(),
            Dtype::Bool => u8::from(le[0] != 0).into(),
        })
    }

    /// Appends `x` as one element and gives the value that arrived.
    fn encode(self, x: f64, out: &mut Vec<u8>) -> f64 {
        macro_rules! put {
            ($y:expr) => {{
                let y = $y;
                out.extend_from_slice(&y.to_le_bytes());
                y as f64
            }};
        }
        match self {
            Dtype::F64 => put!(x),
            Dtype::F32 => put!(x as f32),
            Dtype::F16 => {
                let y = f16::from_f64(x);
                out.extend_from_slice(&y.to_le_bytes());
                y.to_f64()
            }
            Dtype::Bf16 => {
                let y = bf16::from_f64(x);
                out.extend_from_slice(&y.to_le_bytes());
                y.to_f64()
            }
            Dtype::I64 => put!(x.clamp(-(EXACT as f64), EXACT as f64) as i64),
            Dtype::I32 => put!(x as i32),
            Dtype::I16 => put!(x as i16),
            Dtype::I8 => put!(x as i8),
            Dtype::U64 => put!(x.clamp(0.0, EXACT as f64) as u64),
            Dtype::U32 => put!(x as u32),
            Dtype::U16 => put!(x as u16),
            Dtype::U8 => put!(x as u8),
            Dtype::Bool => put!(u8::from(x != 0.0)),
        }
    }
}

/// Every integer up to here is a double.
const EXACT: u64 = 1 << 53;

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An array on the host: row-major, little-endian, without gaps.
#[derive(Clone, PartialEq, Eq)]
pub struct HostTensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl HostTensor {
    /// An array of `bytes`: row-major, little-endian.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] if there are more or fewer bytes than the shape holds.
    pub fn new(dtype: Dtype, shape: impl Into<Vec<usize>>, bytes: Vec<u8>) -> Result<Self> {
        let shape = shape.into();
        match byte_count(dtype, &shape) {
            Some(n) if n == bytes.len() => Ok(HostTensor { dtype, shape, bytes }),
            n => Err(Error::new(ErrorKind::Shape, "", format!("bytes of a {dtype} {shape:?}"))
                .expected(n.map_or("a size that fits in memory".into(), |n| n.to_string()))
                .got(bytes.len())),
        }
    }

    /// An F32 array.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] if `values` are not as many as the shape holds.
    ///
    /// ```
    /// use lemma_gpu::data::checkpoint::{Dtype, HostTensor};
    /// let t = HostTensor::from_f32([2, 2], &[1.0, 2.0, 3.0, 0.5])?;
    /// assert_eq!((t.dtype(), t.shape()), (Dtype::F32, &[2, 2][..]));
    /// assert_eq!(t.convert(Dtype::F16)?.to_f32()?, [1.0, 2.0, 3.0, 0.5]);
    /// # Ok::<(), lemma_gpu::Error>(())
    /// ```
    pub fn from_f32(shape: impl Into<Vec<usize>>, values: &[f32]) -> Result<Self> {
        Self::new(Dtype::F32, shape, values.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    /// An I64 array.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] if `values` are not as many as the shape holds.
    pub fn from_i64(shape: impl Into<Vec<usize>>, values: &[i64]) -> Result<Self> {
        Self::new(Dtype::I64, shape, values.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    /// The type of the elements.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Sizes of the axes, slowest first; none for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements: row-major, little-endian.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The elements as `f32`, by the rules of [`convert`](Self::convert).
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for a value that `f32` cannot stand for.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        let values = |bytes: &[u8]| {
            let one = |c: &[u8]| f32::from_le_bytes(c.try_into().expect("four bytes"));
            bytes.chunks_exact(4).map(one).collect()
        };
        match self.dtype {
            Dtype::F32 => Ok(values(&self.bytes)),
            _ => self.convert(Dtype::F32).map(|t| values(&t.bytes)),
        }
    }

    /// The same array in another type. A float becomes the nearest float (ties to even); to and from integers, values are kept
    /// exactly.
    ///
    /// # Errors
    /// [`ErrorKind::Format`], with the index, for a finite float that would become infinite and for a value that an integer
    /// type, or an integer that a float type, cannot hold.
    pub fn convert(&self, to: Dtype) -> Result<HostTensor> {
        if to == self.dtype {
            return Ok(self.clone());
        }
        let rounds = self.dtype.is_float() && to.is_float();
        let mut bytes = Vec::with_capacity(self.len() * to.size());
        for (i, le) in self.bytes.chunks_exact(self.dtype.size()).enumerate() {
            let kept = self.dtype.decode(le).is_some_and(|x| {
                let y = to.encode(x, &mut bytes);
                if rounds { y.is_finite() || !x.is_finite() } else { y == x }
            });
            if !kept {
                let what = format!("element {i} of {} {:?} is no {to}", self.dtype, self.shape);
                return Err(Error::new(ErrorKind::Format, "", what));
            }
        }
        Ok(HostTensor { dtype: to, shape: self.shape.clone(), bytes })
    }
}

impl fmt::Debug for HostTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostTensor({} {:?})", self.dtype, self.shape)
    }
}

/// Bytes of an array, unless they are more than can be counted.
pub(super) fn byte_count(dtype: Dtype, shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(dtype.size(), |n, &d| n.checked_mul(d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_round_and_stay_finite() {
        let t = HostTensor::from_f32([3], &[1.0 + 1.0 / 4096.0, f32::INFINITY, -0.0]).unwrap();
        let half = t.convert(Dtype::F16).unwrap().to_f32().unwrap();
        assert_eq!(half, [1.0, f32::INFINITY, 0.0]);
        assert!(half[2].is_sign_negative());
        let e = HostTensor::from_f32([2], &[1.0, 1e6]).unwrap().convert(Dtype::F16).unwrap_err();
        assert_eq!(e.to_string(), "element 1 of F32 [2] is no F16");
        let nan = HostTensor::from_f32([1], &[f32::NAN]).unwrap();
        assert!(nan.convert(Dtype::Bf16).unwrap().to_f32().unwrap()[0].is_nan());
    }

    #[test]
    fn integers_are_exact_or_refused() {
        let t = HostTensor::from_i64([2], &[-3, 255]).unwrap();
        assert_eq!(t.to_f32().unwrap(), [-3.0, 255.0]);
        assert_eq!(t.convert(Dtype::I32).unwrap().convert(Dtype::I64).unwrap(), t);
        assert!(t.convert(Dtype::U8).is_err());
        for x in [(1 << 24) + 1, i64::MAX, i64::MIN] {
            assert!(HostTensor::from_i64([], &[x]).unwrap().to_f32().is_err(), "{x}");
        }
        let half = HostTensor::from_f32([1], &[0.5]).unwrap();
        assert!(half.convert(Dtype::I64).is_err() && half.convert(Dtype::Bool).is_err());
        let huge = HostTensor::from_f32([1], &[2f32.powi(63)]).unwrap();
        assert!(huge.convert(Dtype::I64).is_err());
    }

    #[test]
    fn a_shape_and_its_bytes_agree() {
        let e = HostTensor::new(Dtype::F32, [2, 3], vec![0; 20]).unwrap_err();
        assert_eq!(e.to_string(), "bytes of a F32 [2, 3]: expected 24, got 20");
        assert!(HostTensor::new(Dtype::F32, [usize::MAX, 2], vec![]).is_err());
        assert_eq!(HostTensor::new(Dtype::F32, [0, 7], vec![]).unwrap().len(), 0);
    }
}
