//! What is known of the globals that a pickle names. Nothing here does anything.

use super::element::Element;
use super::host::Dtype;

/// A global, by what a call of it makes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Global {
    /// A tensor over a typed storage.
    Tensor,
    /// A tensor over an untyped storage, whose type is told beside it.
    TypedTensor,
    /// A tensor of a subclass, by a function and its arguments.
    Retyped,
    /// The same with the class before the arguments, as fastai has it.
    Fastai,
    Parameter,
    Dict,
    Size,
    Storage(Element),
    Dtype(Element),
    Inert(&'static str),
    /// Anything else: its place in [`super::pickle::Pickle::foreign`].
    Foreign(u32),
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
    ("torch", "per_tensor_affine", "quantization scheme"),
    ("torch", "per_channel_affine", "quantization scheme"),
    ("torch.serialization", "_get_layout", "layout"),
    ("torch._utils", "_rebuild_sparse_tensor", "sparse tensor, which is not read"),
    ("torch._utils", "_rebuild_sparse_csr_tensor", "sparse tensor, which is not read"),
    ("torch._utils", "_rebuild_qtensor", "quantized tensor, which is not read"),
    ("torch._utils", "_rebuild_nested_tensor", "nested tensor, which is not read"),
    ("torch._utils", "_rebuild_meta_tensor_no_storage", "tensor without values (meta)"),
    ("torch._utils", "_rebuild_wrapper_subclass", "tensor without values (wrapper)"),
    (
        "torch._utils",
        "_rebuild_device_tensor_from_numpy",
        "tensor of another device, which is not read",
    ),
    (
        "torch._utils",
        "_rebuild_device_tensor_from_cpu_tensor",
        "tensor of another device, which is not read",
    ),
    ("fastai.torch_core", "_fa_rebuild_qtensor", "quantized tensor, which is not read"),
];

/// Modules whose functions a file names only to have something done.
const DOERS: &[&str] = &[
    "os",
    "posix",
    "nt",
    "sys",
    "subprocess",
    "pty",
    "popen2",
    "commands",
    "runpy",
    "importlib",
    "imp",
    "code",
    "codeop",
    "ctypes",
    "shutil",
    "socket",
    "webbrowser",
    "pickle",
    "_pickle",
    "marshal",
    "shelve",
    "pdb",
    "bdb",
    "timeit",
];

/// Functions of Python itself of the same sort.
const DOING: &[&str] = &[
    "eval",
    "exec",
    "execfile",
    "compile",
    "open",
    "input",
    "breakpoint",
    "__import__",
    "exit",
    "quit",
    "file",
];

/// Whether no checkpoint that anybody means well with names this global.
pub(super) fn does_something(module: &str, name: &str) -> bool {
    let package = module.split('.').next().unwrap_or_default();
    match package {
        "builtins" | "__builtin__" => DOING.contains(&name),
        _ => DOERS.contains(&package),
    }
}

impl Global {
    /// What is known of a global.
    pub(super) fn find(module: &str, name: &str) -> Option<Self> {
        // Names of Python 2 (and of Python 3 in its protocol) and of numpy 2.
        let module = match module {
            "__builtin__" => "builtins",
            "numpy._core.multiarray" => "numpy.core.multiarray",
            module => module,
        };
        Some(match (module, name) {
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Global::Tensor,
            ("torch._utils", "_rebuild_tensor_v3") => Global::TypedTensor,
            ("torch._tensor", "_rebuild_from_type" | "_rebuild_from_type_v2") => Global::Retyped,
            ("fastai.torch_core", "_fa_rebuild_tensor") => Global::Fastai,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Global::Parameter
            }
            ("collections", "OrderedDict" | "defaultdict") => Global::Dict,
            ("builtins", "dict") => Global::Dict,
            ("torch", "Size") => Global::Size,
            ("torch.storage", "UntypedStorage") => Global::Storage(Element::Read(Dtype::U8)),
            _ => {
                let known = |global: fn(Element) -> Global, element: Option<Element>| {
                    element.filter(|_| module == "torch").map(global)
                };
                let inert = || INERT.iter().find(|(m, n, _)| (*m, *n) == (module, name));
                return known(Global::Storage, Element::stored(name))
                    .or_else(|| known(Global::Dtype, Element::named(name)))
                    .or_else(|| inert().map(|(.., label)| Global::Inert(label)));
            }
        })
    }
}
