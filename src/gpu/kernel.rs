//! A kernel: its file, its variants, and what reflection says of its bindings.

use super::flatten::{Flat, flatten};
use super::half::{of_floats, store_as_halves};
use crate::{Error, ErrorKind, Result};

/// The type of a field of a kernel's parameters.
#[allow(non_camel_case_types, reason = "the names are those of the Rust and WGSL types")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// 32-bit unsigned.
    u32,
    /// 32-bit signed.
    i32,
    /// 32-bit float.
    f32,
}

/// One field of a kernel's parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name on both sides.
    pub name: &'static str,
    /// Its type.
    pub ty: FieldType,
    /// Byte offset.
    pub offset: u32,
}

/// The uniform parameters of a kernel; made by [`params!`](crate::params).
pub trait Params: bytemuck::Pod {
    /// Its fields in order.
    const FIELDS: &'static [Field];
}

/// What a kernel is bound to, a field for each of its buffers; made by [`kernel!`](crate::kernel).
pub trait Bindings<B> {
    /// The names of the buffers in the order of the shader.
    const NAMES: &'static [&'static str];

    /// The fields in that order.
    fn in_order(self) -> Vec<B>;
}

/// A kernel of this crate: one WGSL file with one entry point `main`; made by [`kernel!`](crate::kernel).
#[derive(Debug)]
#[non_exhaustive]
pub struct Kernel {
    /// Path below `shaders/` without the extension.
    pub path: &'static str,
    /// The file's content.
    pub source: &'static str,
    /// Fields of the uniform at binding 0.
    pub params: &'static [Field],
    /// Names of the buffers at bindings 1, 2, …
    pub buffers: &'static [&'static str],
}

impl Kernel {
    /// The file stem, the kernel's name everywhere.
    pub fn name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }

    /// The WGSL of a variant.
    ///
    /// # Errors
    /// A malformed directive, with file and line.
    pub fn flatten(&self, variant: &Variant) -> Result<Flat> {
        flatten(self.path, self.source, &variant.tiles)
    }
}

/// What distinguishes two pipelines of one kernel: values of `override`s and of tile constants, and which of its buffers hold
/// halves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Variant {
    overrides: Vec<(&'static str, u32)>,
    tiles: Vec<(&'static str, u32)>,
    halves: u32,
}

impl Variant {
    /// The kernel as it stands in its file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets an `override` (a number or, as 0 and 1, a flag).
    pub fn set(mut self, name: &'static str, value: impl Into<u32>) -> Self {
        self.overrides.push((name, value.into()));
        self.overrides.sort_unstable();
        self
    }

    /// Sets a tile constant.
    pub fn tile(mut self, name: &'static str, value: u32) -> Self {
        self.tiles.push((name, value));
        self.tiles.sort_unstable();
        self
    }

    /// Stores the buffers of these bindings as f16: bit `i` for binding `i`.
    pub fn halves(mut self, bindings: u32) -> Self {
        self.halves = bindings;
        self
    }

    /// Values of the `override`s in force, sorted by name.
    pub fn overrides(&self) -> &[(&'static str, u32)] {
        &self.overrides
    }

    /// Values of the tile constants in force, sorted by name.
    pub fn tiles(&self) -> &[(&'static str, u32)] {
        &self.tiles
    }
}

impl std::fmt::Display for Variant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut first = true;
        for (name, value) in self.overrides.iter().chain(&self.tiles) {
            write!(f, "{}{name}={value}", if first { "" } else { " " })?;
            first = false;
        }
        for binding in (0..u32::BITS).filter(|i| self.halves >> i & 1 == 1) {
            write!(f, "{}f16@{binding}", if first { "" } else { " " })?;
            first = false;
        }
        Ok(())
    }
}

/// How a kernel uses a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// `var<storage, read>`
    Read,
    /// `var<storage, read_write>`
    Write,
    /// `texture_storage_2d<rgba32float, read>`, a copy of a buffer
    Image,
}

/// What the text of a kernel says of its interface.
#[derive(Debug, Clone)]
pub struct Reflection {
    /// Names and access of the buffers at bindings 1, 2, …
    pub buffers: Vec<(String, Access)>,
    /// Name, WGSL type name and byte offset of each parameter.
    pub params: Vec<(String, String, u32)>,
    /// Size of the parameter struct in bytes; 0 without one.
    pub params_size: u32,
    /// Whether it uses subgroup operations or built-ins.
    pub subgroups: bool,
    /// Whether it stores halves.
    pub halves: bool,
    /// Bindings that hold floats, which may be stored as f16: bit `i` for binding `i`.
    pub floats: u32,
}

/// Parses flattened WGSL, stores buffers as f16 where the variant says so, and reads off its interface.
///
/// # Errors
/// A syntax error, or an interface outside this engine's rules (uniform at binding 0, buffers from 1 without gaps, group 0,
/// entry point `main`), with kernel, variant, file and line.
pub fn reflect(path: &str, variant: &Variant, flat: &Flat) -> Result<(naga::Module, Reflection)> {
    let mut module = naga::front::wgsl::parse_str(&flat.text).map_err(|e| {
        let line = e.location(&flat.text).map_or(1, |l| l.line_number as usize);
        shader_error(path, variant, flat, line, e.message())
    })?;
    let wrong = |what: &str| Error::new(ErrorKind::Device, format!("shaders/{path}.wgsl"), what);
    let floats = of_floats(&module);
    store_as_halves(&mut module, variant.halves)
        .map_err(|name| wrong("a buffer of halves").expected("one of floats").got(name))?;
    if module.entry_points.len() != 1 || module.entry_points[0].name != "main" {
        return Err(wrong("entry points").expected("exactly one, named main"));
    }
    let mut buffers = Vec::new();
    let mut params = Vec::new();
    let mut params_size = 0;
    for (_, var) in module.global_variables.iter() {
        let Some(binding) = &var.binding else { continue };
        let name = var.name.clone().unwrap_or_default();
        match var.space {
            naga::AddressSpace::Uniform if binding.binding == 0 => {
                if let naga::TypeInner::Struct { members, span } = &module.types[var.ty].inner {
                    params_size = *span;
                    for m in members {
                        let ty = match module.types[m.ty].inner {
                            naga::TypeInner::Scalar(naga::Scalar::U32) => "u32",
                            naga::TypeInner::Scalar(naga::Scalar::I32) => "i32",
                            naga::TypeInner::Scalar(naga::Scalar::F32) => "f32",
                            _ => "other",
                        };
                        params.push((m.name.clone().unwrap_or_default(), ty.to_string(), m.offset));
                    }
                }
            }
            naga::AddressSpace::Storage { access } => {
                let access = if access.contains(naga::StorageAccess::STORE) {
                    Access::Write
                } else {
                    Access::Read
                };
                buffers.push((binding.binding, name, access));
            }
            naga::AddressSpace::Handle if is_image(&module.types[var.ty].inner) => {
                buffers.push((binding.binding, name, Access::Image));
            }
            _ => {
                return Err(wrong("a binding")
                    .expected("a uniform at 0, storage, or an image of fours to read")
                    .got(name));
            }
        }
    }
    buffers.sort_by_key(|(b, ..)| *b);
    for (i, (binding, name, _)) in buffers.iter().enumerate() {
        if *binding as usize != i + 1 {
            return Err(wrong("bindings without gaps from 1").got(format!("{name} at {binding}")));
        }
    }
    let buffers = buffers.into_iter().map(|(_, n, a)| (n, a)).collect();
    let subgroups = flat.text.contains("subgroup");
    let halves = variant.halves != 0;
    Ok((module, Reflection { buffers, params, params_size, subgroups, halves, floats }))
}

fn is_image(ty: &naga::TypeInner) -> bool {
    let (format, access) = (naga::StorageFormat::Rgba32Float, naga::StorageAccess::LOAD);
    *ty == naga::TypeInner::Image {
        dim: naga::ImageDimension::D2,
        arrayed: false,
        class: naga::ImageClass::Storage { format, access },
    }
}

/// A message of the shader compiler with the flattened line, the file it came from and the variant in force.
pub(super) fn shader_error(
    path: &str,
    variant: &Variant,
    flat: &Flat,
    line: usize,
    message: &str,
) -> Error {
    let (file, number) =
        flat.origin.get(line.saturating_sub(1)).cloned().unwrap_or((path.to_string(), 0));
    let text = flat.text.lines().nth(line.saturating_sub(1)).unwrap_or("").trim();
    Error::new(ErrorKind::Device, format!("shaders/{file}.wgsl:{number}"), message)
        .detail(format!("{text}\nin kernel {path}, variant [{variant}]"))
}
