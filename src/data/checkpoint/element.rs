//! Types of elements as PyTorch names them, and which of them are read.

use super::host::Dtype;

/// The type of a storage's or tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    /// One that is read.
    Read(Dtype),
    /// One that is not: its place in [`NOT_READ`].
    Other(u8),
}

/// Types that are not read: of the elements, of their storages where these are typed, and bytes of an element.
const NOT_READ: &[(&str, &str, usize)] = &[
    ("complex32", "", 4),
    ("complex64", "ComplexFloatStorage", 8),
    ("complex128", "ComplexDoubleStorage", 16),
    ("qint8", "QInt8Storage", 1),
    ("quint8", "QUInt8Storage", 1),
    ("qint32", "QInt32Storage", 4),
    ("quint4x2", "QUInt4x2Storage", 1),
    ("quint2x4", "QUInt2x4Storage", 1),
    ("float8_e4m3fn", "", 1),
    ("float8_e4m3fnuz", "", 1),
    ("float8_e5m2", "", 1),
    ("float8_e5m2fnuz", "", 1),
    ("float8_e8m0fnu", "", 1),
    ("float4_e2m1fn_x2", "", 1),
];

/// Types that are read: their name in PyTorch and the storage of elements of this type, if there is a typed one.
const READ: &[(&str, &str, Dtype)] = &[
    ("float64", "DoubleStorage", Dtype::F64),
    ("float32", "FloatStorage", Dtype::F32),
    ("float16", "HalfStorage", Dtype::F16),
    ("bfloat16", "BFloat16Storage", Dtype::Bf16),
    ("int64", "LongStorage", Dtype::I64),
    ("int32", "IntStorage", Dtype::I32),
    ("int16", "ShortStorage", Dtype::I16),
    ("int8", "CharStorage", Dtype::I8),
    ("uint64", "", Dtype::U64),
    ("uint32", "", Dtype::U32),
    ("uint16", "", Dtype::U16),
    ("uint8", "ByteStorage", Dtype::U8),
    ("bool", "BoolStorage", Dtype::Bool),
];

impl Element {
    /// Bytes of one.
    pub(super) fn size(self) -> usize {
        match self {
            Element::Read(dtype) => dtype.size(),
            Element::Other(i) => NOT_READ[usize::from(i)].2,
        }
    }

    /// Its name, as safetensors or else PyTorch has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Element::Read(dtype) => dtype.name(),
            Element::Other(i) => NOT_READ[usize::from(i)].0,
        }
    }

    /// The type `torch.NAME`.
    pub(super) fn named(name: &str) -> Option<Self> {
        let read = READ.iter().find(|t| t.0 == name).map(|t| Element::Read(t.2));
        let other = || NOT_READ.iter().position(|t| t.0 == name);
        read.or_else(|| other().map(|i| Element::Other(i as u8)))
    }

    /// The type of the elements of a `torch.STORAGE`.
    pub(super) fn stored(storage: &str) -> Option<Self> {
        if !storage.ends_with("Storage") {
            return None;
        }
        let read = READ.iter().find(|t| t.1 == storage).map(|t| Element::Read(t.2));
        let other = || NOT_READ.iter().position(|t| t.1 == storage);
        read.or_else(|| other().map(|i| Element::Other(i as u8)))
    }
}
