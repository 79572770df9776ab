//! The adapters of a machine, and the choice of one.

use crate::{Error, ErrorKind, Result};

/// An adapter as it presents itself.
#[derive(Debug, Clone)]
pub struct AdapterSummary {
    /// Index for [`GpuOptions::adapter`](super::GpuOptions::adapter).
    pub index: usize,
    /// Name.
    pub name: String,
    /// `DiscreteGpu`, `IntegratedGpu`, `VirtualGpu`, `Cpu` or `Other`.
    pub kind: String,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// Driver name and version.
    pub driver: String,
    /// PCI number of its vendor; Apple's for Metal, which tells none.
    pub vendor: u32,
    /// Whether it computes on the CPU.
    pub software: bool,
    /// Features of interest that it has.
    pub features: Vec<&'static str>,
    /// Limits of interest, in bytes or counts.
    pub limits: Vec<(&'static str, u64)>,
    /// Smallest and largest subgroup.
    pub subgroup: (u32, u32),
}

const BACKENDS: wgpu::Backends =
    wgpu::Backends::VULKAN.union(wgpu::Backends::METAL).union(wgpu::Backends::DX12);

const APPLE: u32 = 0x106b;

fn instance() -> wgpu::Instance {
    let mut desc = wgpu::InstanceDescriptor::new_without_display_handle();
    desc.backends = BACKENDS;
    desc.flags = wgpu::InstanceFlags::from_env_or_default();
    wgpu::Instance::new(desc)
}

fn all_adapters(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    let mut all = pollster::block_on(instance.enumerate_adapters(BACKENDS));
    let rank = |a: &wgpu::Adapter| match a.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    };
    all.sort_by_key(rank);
    all
}

pub(super) fn summary(index: usize, adapter: &wgpu::Adapter) -> AdapterSummary {
    let info = adapter.get_info();
    let has = adapter.features();
    let l = adapter.limits();
    let known = [
        (wgpu::Features::SUBGROUP, "subgroup"),
        (wgpu::Features::SHADER_F16, "shader-f16"),
        (wgpu::Features::TIMESTAMP_QUERY, "timestamp-query"),
        (wgpu::Features::PIPELINE_CACHE, "pipeline-cache"),
    ];
    AdapterSummary {
        index,
        name: info.name.clone(),
        kind: format!("{:?}", info.device_type),
        backend: info.backend.to_string(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
        vendor: if info.backend == wgpu::Backend::Metal { APPLE } else { info.vendor },
        software: info.device_type == wgpu::DeviceType::Cpu,
        features: known.iter().filter(|(f, _)| has.contains(*f)).map(|(_, n)| *n).collect(),
        limits: vec![
            ("max_buffer_size", l.max_buffer_size),
            ("max_storage_buffer_binding_size", l.max_storage_buffer_binding_size),
            ("max_storage_buffers_per_shader_stage", l.max_storage_buffers_per_shader_stage.into()),
            ("max_compute_workgroup_storage_size", l.max_compute_workgroup_storage_size.into()),
            (
                "max_compute_invocations_per_workgroup",
                l.max_compute_invocations_per_workgroup.into(),
            ),
            ("max_compute_workgroups_per_dimension", l.max_compute_workgroups_per_dimension.into()),
        ],
        subgroup: (info.subgroup_min_size, info.subgroup_max_size),
    }
}

/// The adapter that `want` names by index or by a part of its name, else the fastest kind present.
pub(super) fn choose(want: Option<&str>) -> Result<(wgpu::Adapter, AdapterSummary)> {
    let mut all = all_adapters(&instance());
    let index = match want {
        None => 0,
        Some(want) => match want.parse::<usize>() {
            Ok(i) => i,
            Err(_) => all
                .iter()
                .position(|a| a.get_info().name.to_lowercase().contains(&want.to_lowercase()))
                .unwrap_or(usize::MAX),
        },
    };
    if index < all.len() {
        let adapter = all.swap_remove(index);
        let summary = summary(index, &adapter);
        return Ok((adapter, summary));
    }
    let names: Vec<String> =
        all.iter().enumerate().map(|(i, a)| format!("{i}: {}", a.get_info().name)).collect();
    Err(Error::new(ErrorKind::NoAdapter, "gpu", "no such adapter")
        .expected(want.unwrap_or("any Vulkan, Metal or DX12 adapter"))
        .got(if names.is_empty() { "no adapter at all".to_string() } else { names.join(", ") }))
}

/// The adapters of this machine, fastest kind first.
pub(super) fn list() -> Vec<AdapterSummary> {
    all_adapters(&instance()).iter().enumerate().map(|(i, a)| summary(i, a)).collect()
}
