//! What a pickle may hold, and the globals it may name. Nothing here does anything.

use super::host::Dtype;

/// Index of a value in [`super::pickle::Pickle::values`].
pub(super) type Id = u32;

/// A value of a pickle.
#[derive(Debug)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 64 bits, little-endian two's complement.
    Long(&'a [u8]),
    Float(f64),
    Str(&'a str),
    Bytes(&'a [u8]),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage),
    Tensor(View),
    /// Something harmless that is of no use here: a numpy scalar, a set, a device.
    Opaque(&'static str),
}

/// A run of elements that tensors look at: `count` elements of storage `key`, after the first `first`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage {
    pub dtype: Dtype,
    pub key: Id,
    pub first: u64,
    pub count: u64,
}

/// A tensor as pickled: sizes and strides (tuples) over a storage, in elements.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub storage: Id,
    pub offset: u64,
    pub size: Id,
    pub stride: Id,
}

/// A global that may be named.
#[derive(Debug, Clone, Copy)]
pub(super) enum Global {
    Tensor,
    Parameter,
    Dict,
    Size,
    Storage(Dtype),
    Inert(&'static str),
}

/// Globals that make a value nobody looks into.
const INERT: &[(&str, &str, &str)] = &[
    ("numpy.core.multiarray", "scalar", "numpy scalar"),
    ("numpy.core.multiarray", "_reconstruct", "numpy array"),
    ("numpy", "ndarray", "numpy array"),
    ("numpy", "dtype", "numpy dtype"),
    ("_codecs", "encode", "bytes"),
    ("builtins", "set", "set"),
    ("builtins", "frozenset", "frozenset"),
    ("builtins", "complex", "complex number"),
    ("builtins", "bytearray", "bytes"),
    ("builtins", "list", "list"),
    ("builtins", "int", "int"),
    ("builtins", "long", "int"),
    ("builtins", "float", "float"),
    ("torch", "device", "device"),
    ("torch", "float64", "dtype"),
    ("torch", "float32", "dtype"),
    ("torch", "float16", "dtype"),
    ("torch", "bfloat16", "dtype"),
    ("torch", "int64", "dtype"),
    ("torch", "int32", "dtype"),
    ("torch", "int16", "dtype"),
    ("torch", "int8", "dtype"),
    ("torch", "uint8", "dtype"),
    ("torch", "bool", "dtype"),
];

impl Global {
    /// The fixed list.
    pub(super) fn find(module: &str, name: &str) -> Option<Self> {
        // Names of Python 2 (and of Python 3 in its protocol) and of numpy 2.
        let module = match module {
            "__builtin__" => "builtins",
            "numpy._core.multiarray" => "numpy.core.multiarray",
            module => module,
        };
        Some(match (module, name) {
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Global::Tensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Global::Parameter
            }
            ("collections", "OrderedDict" | "defaultdict") => Global::Dict,
            ("builtins", "dict") => Global::Dict,
            ("torch", "Size") => Global::Size,
            ("torch", "DoubleStorage") => Global::Storage(Dtype::F64),
            ("torch", "FloatStorage") => Global::Storage(Dtype::F32),
            ("torch", "HalfStorage") => Global::Storage(Dtype::F16),
            ("torch", "BFloat16Storage") => Global::Storage(Dtype::Bf16),
            ("torch", "LongStorage") => Global::Storage(Dtype::I64),
            ("torch", "IntStorage") => Global::Storage(Dtype::I32),
            ("torch", "ShortStorage") => Global::Storage(Dtype::I16),
            ("torch", "CharStorage") => Global::Storage(Dtype::I8),
            ("torch", "ByteStorage") => Global::Storage(Dtype::U8),
            ("torch.storage", "UntypedStorage") => Global::Storage(Dtype::U8),
            ("torch", "BoolStorage") => Global::Storage(Dtype::Bool),
            _ => {
                let (.., label) = INERT.iter().find(|(m, n, _)| (*m, *n) == (module, name))?;
                Global::Inert(label)
            }
        })
    }
}
