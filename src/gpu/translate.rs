//! A kernel's variant as the drivers will see it, worked out without an adapter: overrides in place, validated, and
//! translated by naga, the compiler inside wgpu, to what Vulkan, Metal and DX12 take.

use super::flatten::Flat;
use super::kernel::{Access, Kernel, Reflection, Variant, reflect, shader_error};
use crate::{Error, ErrorKind, Result};
use naga::back::{self, hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};

/// A shading language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// The kernel's own, flattened, as other front ends want it: with `enable subgroups;` where it has subgroup operations,
    /// which Tint requires and naga 30 refuses, and with a first line that says so where it needs naga's own `u64`.
    Wgsl,
    /// Metal's, version 2.4.
    Msl,
    /// Direct3D's: shader model 5.1, 6.0 for kernels with subgroup operations or 64-bit integers, 6.2 for those with halves.
    Hlsl,
    /// Vulkan's, version 1.3.
    SpirV,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 4] = [Target::Wgsl, Target::Msl, Target::Hlsl, Target::SpirV];
}

/// A kernel in a [`Target`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Translation {
    /// Source text.
    Text(String),
    /// SPIR-V words.
    Words(Vec<u32>),
}

impl Translation {
    /// What a file of it holds.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Translation::Text(text) => text.into_bytes(),
            Translation::Words(words) => words.iter().flat_map(|w| w.to_le_bytes()).collect(),
        }
    }

    /// Text to read: the source, or each SPIR-V instruction's name with its operands in their binary order as numbers and
    /// strings (a type's or result's number comes before the operands).
    pub fn listing(&self) -> String {
        match self {
            Translation::Text(text) => text.clone(),
            Translation::Words(words) => spirv_listing(words),
        }
    }
}

fn spirv_listing(words: &[u32]) -> String {
    let mut text = String::new();
    let mut rest = words.get(5..).unwrap_or_default();
    while let Some(first) = rest.first() {
        let (count, code) = ((first >> 16) as usize, first & 0xffff);
        let (instruction, after) = rest.split_at(count.clamp(1, rest.len()));
        let name = spirv::Op::from_u32(code).map_or(code.to_string(), |op| format!("Op{op:?}"));
        text.push_str(&name);
        let string_at = match spirv::Op::from_u32(code) {
            Some(spirv::Op::Extension) => 0,
            Some(spirv::Op::Name | spirv::Op::ExtInstImport | spirv::Op::String) => 1,
            Some(spirv::Op::MemberName | spirv::Op::EntryPoint) => 2,
            _ => usize::MAX,
        };
        let mut operands = instruction[1..].iter().enumerate();
        while let Some((i, word)) = operands.next() {
            if i == string_at {
                let mut bytes = word.to_le_bytes().to_vec();
                while !bytes.contains(&0) {
                    let Some((_, word)) = operands.next() else { break };
                    bytes.extend(word.to_le_bytes());
                }
                let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
                text.push_str(&format!(" {:?}", String::from_utf8_lossy(&bytes[..end])));
            } else {
                text.push_str(&format!(" {word}"));
            }
        }
        text.push('\n');
        rest = after;
    }
    text
}

/// What a variant asks of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Invocations of a workgroup along x, y and z.
    pub workgroup: [u32; 3],
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Storage buffers bound.
    pub storage_buffers: usize,
    /// Whether an atomic holds a float, whose sum would depend on the order of arrival.
    pub float_atomics: bool,
}

/// A kernel with one variant's values in place, valid by WGSL's rules.
pub struct Specialized {
    path: &'static str,
    flat: Flat,
    module: naga::Module,
    info: ModuleInfo,
    reflection: Reflection,
}

impl Specialized {
    /// Flattens, parses and validates `kernel`, then replaces its overrides by the values of `variant`.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] with file and line for a kernel that is not valid WGSL or a variant that it does not have.
    pub fn new(kernel: &Kernel, variant: &Variant) -> Result<Self> {
        let flat = kernel.flatten(variant)?;
        let (module, reflection) = reflect(kernel.path, variant, &flat)?;
        // Packing halves into words is a capability of its own in naga 30.
        let capabilities = Capabilities::SUBGROUP
            | Capabilities::SHADER_INT64
            | Capabilities::SHADER_FLOAT16
            | Capabilities::SHADER_FLOAT16_IN_FLOAT32;
        let mut validator = Validator::new(ValidationFlags::all(), capabilities);
        let info = validator.validate(&module).map_err(|e| {
            let line = e.location(&flat.text).map_or(1, |l| l.line_number as usize);
            shader_error(kernel.path, variant, &flat, line, &reasons(e.as_inner()))
        })?;
        let constants: back::PipelineConstants =
            variant.overrides().iter().map(|(n, v)| (n.to_string(), f64::from(*v))).collect();
        let entry = Some((naga::ShaderStage::Compute, "main"));
        let (module, info) =
            back::pipeline_constants::process_overrides(&module, &info, entry, &constants)
                .map_err(|e| refused(kernel.path, "overrides", &e).detail(variant))?;
        let (module, info) = (module.into_owned(), info.into_owned());
        Ok(Specialized { path: kernel.path, flat, module, info, reflection })
    }

    /// The kernel's interface.
    pub fn reflection(&self) -> &Reflection {
        &self.reflection
    }

    /// What it asks of the device.
    pub fn footprint(&self) -> Footprint {
        let module = &self.module;
        let uses = self.info.get_entry_point(0);
        let used = |space: naga::AddressSpace| {
            module
                .global_variables
                .iter()
                .filter(move |(h, v)| v.space == space && !uses[*h].is_empty())
        };
        let float_atomics = module.types.iter().any(|(_, t)| {
            matches!(t.inner, naga::TypeInner::Atomic(s) if s.kind == naga::ScalarKind::Float)
        });
        Footprint {
            workgroup: module.entry_points[0].workgroup_size,
            workgroup_bytes: used(naga::AddressSpace::WorkGroup)
                .map(|(_, v)| module.types[v.ty].inner.size(module.to_ctx()).next_multiple_of(16))
                .sum(),
            storage_buffers: self
                .reflection
                .buffers
                .iter()
                .filter(|(_, access)| *access != Access::Image)
                .count(),
            float_atomics,
        }
    }

    /// Writes it in `target`, without the run-time checks that the engine leaves out too.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] where the target cannot express the kernel.
    pub fn translate(&self, target: Target) -> Result<Translation> {
        match target {
            Target::Wgsl => Ok(Translation::Text(self.wgsl())),
            Target::Msl => self.msl().map(Translation::Text),
            Target::Hlsl => self.hlsl().map(Translation::Text),
            Target::SpirV => self.spirv().map(Translation::Words),
        }
    }

    fn wgsl(&self) -> String {
        let naga_only = if self.wide_integers() { NAGA_ONLY } else { "" };
        let enable = if self.reflection.subgroups { "enable subgroups;\n" } else { "" };
        format!("{naga_only}{enable}{}", self.flat.text)
    }

    fn wide_integers(&self) -> bool {
        self.flat.text.contains("u64")
    }

    fn msl(&self) -> Result<String> {
        let options = msl::Options {
            lang_version: (2, 4),
            bounds_check_policies: UNCHECKED,
            zero_initialize_workgroup_memory: false,
            force_loop_bounding: false,
            ..Default::default()
        };
        let (text, _) = msl::write_string(&self.module, &self.info, &options, &Default::default())
            .map_err(|e| refused(self.path, "translation to MSL", &e))?;
        Ok(text)
    }

    fn hlsl(&self) -> Result<String> {
        let shader_model = if self.reflection.halves {
            hlsl::ShaderModel::V6_2
        } else if self.reflection.subgroups || self.wide_integers() {
            hlsl::ShaderModel::V6_0
        } else {
            hlsl::ShaderModel::V5_1
        };
        let options = hlsl::Options {
            shader_model,
            restrict_indexing: false,
            zero_initialize_workgroup_memory: false,
            force_loop_bounding: false,
            ..Default::default()
        };
        let mut text = String::new();
        hlsl::Writer::new(&mut text, &options, &Default::default())
            .write(&self.module, &self.info, None)
            .map_err(|e| refused(self.path, "translation to HLSL", &e))?;
        Ok(text)
    }

    fn spirv(&self) -> Result<Vec<u32>> {
        let options = spv::Options {
            lang_version: (1, 6),
            flags: spv::WriterFlags::DEBUG,
            fake_missing_bindings: true,
            bounds_check_policies: UNCHECKED,
            zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
            force_loop_bounding: false,
            ..Default::default()
        };
        spv::write_vec(&self.module, &self.info, &options, None)
            .map_err(|e| refused(self.path, "translation to SPIR-V", &e))
    }
}

/// Writes `variant` of `kernel` in `target`.
///
/// # Errors
/// As [`Specialized::new`] and [`Specialized::translate`].
pub fn translate(kernel: &Kernel, variant: &Variant, target: Target) -> Result<Translation> {
    Specialized::new(kernel, variant)?.translate(target)
}

const NAGA_ONLY: &str = "// For naga only: u64 is an extension of its own.\n";

const UNCHECKED: naga::proc::BoundsCheckPolicies = naga::proc::BoundsCheckPolicies {
    index: naga::proc::BoundsCheckPolicy::Unchecked,
    buffer: naga::proc::BoundsCheckPolicy::Unchecked,
    image_load: naga::proc::BoundsCheckPolicy::Unchecked,
    binding_array: naga::proc::BoundsCheckPolicy::Unchecked,
};

fn refused(path: &str, what: &str, error: &dyn std::error::Error) -> Error {
    Error::new(ErrorKind::Device, format!("shaders/{path}.wgsl"), what).got(reasons(error))
}

/// An error of naga with the errors behind it: the innermost says what is wrong.
fn reasons(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |e| e.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "override WG: u32 = 64u;
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
var<workgroup> sh: array<f32, WG>;
@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lid: u32) {
    sh[lid] = BODY;
    workgroupBarrier();
    if (lid < p.n) { y[lid] = sh[WG - 1u - lid]; }
}
";

    fn kernel(body: &str) -> Kernel {
        let source = PLAIN.replace("BODY", body).leak();
        Kernel { path: "test/reverse", source, params: &[], buffers: &[] }
    }

    #[test]
    fn a_footprint_follows_the_overrides() {
        let kernel = kernel("f32(lid)");
        let one = Specialized::new(&kernel, &Variant::new().set("WG", 128u32)).unwrap();
        let want = Footprint {
            workgroup: [128, 1, 1],
            workgroup_bytes: 512,
            storage_buffers: 1,
            float_atomics: false,
        };
        assert_eq!(one.footprint(), want);
    }

    #[test]
    fn every_target_takes_subgroup_operations_and_wide_integers() {
        let kernel = kernel("subgroupAdd(f32(lid)) + f32(u32(u64(lid) >> 1u))");
        for target in Target::ALL {
            let made = translate(&kernel, &Variant::new(), target).unwrap();
            let text = made.listing();
            let bytes = made.into_bytes();
            if target == Target::SpirV {
                assert_eq!(bytes[..4], 0x0723_0203u32.to_le_bytes());
                assert!(text.contains("\nOpEntryPoint 5 "), "{text}");
                assert!(text.contains(" \"main\" ") && text.contains("OpGroupNonUniformFAdd "));
            } else {
                assert_eq!(bytes, text.into_bytes());
            }
        }
    }

    #[test]
    fn wgsl_is_for_other_front_ends_too() {
        let text =
            |body| translate(&kernel(body), &Variant::new(), Target::Wgsl).unwrap().listing();
        assert!(text("f32(lid)").starts_with("override WG"));
        assert!(text("subgroupAdd(f32(lid))").starts_with("enable subgroups;\noverride WG"));
        assert!(text("f32(u32(u64(lid) >> 1u))").starts_with("// For naga only"));
    }

    #[test]
    fn mistakes_name_file_line_and_variant() {
        let e = Specialized::new(&kernel("f32(lid"), &Variant::new()).err().unwrap().to_string();
        assert!(e.starts_with("shaders/test/reverse.wgsl:8: "), "{e}");
        let e = Specialized::new(&kernel("lid"), &Variant::new()).err().unwrap().to_string();
        assert!(e.starts_with("shaders/test/reverse.wgsl:"), "{e}");
        let unknown = Variant::new().set("NOT_THERE", 1u32);
        let e = Specialized::new(&kernel("f32(lid)"), &unknown).err().unwrap().to_string();
        assert!(e.contains("overrides") && e.contains("NOT_THERE"), "{e}");
    }
}
