//! The adapters of a machine, and the choice of one.

use super::choose::Surroundings;
use super::summary::{AdapterSummary, KINDS};
use crate::Result;

const BACKENDS: wgpu::Backends =
    wgpu::Backends::VULKAN.union(wgpu::Backends::METAL).union(wgpu::Backends::DX12);

const APPLE: u32 = 0x106b;

fn instance() -> wgpu::Instance {
    let mut desc = wgpu::InstanceDescriptor::new_without_display_handle();
    desc.backends = BACKENDS;
    desc.flags = wgpu::InstanceFlags::from_env_or_default();
    wgpu::Instance::new(desc)
}

async fn all_adapters(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    let mut all = instance.enumerate_adapters(BACKENDS).await;
    all.sort_by_key(|a| KINDS.iter().position(|kind| *kind == kind_of(&a.get_info())));
    all
}

fn kind_of(info: &wgpu::AdapterInfo) -> String {
    format!("{:?}", info.device_type)
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
        kind: kind_of(&info),
        backend: info.backend.to_string(),
        pci: info.device_pci_bus_id.to_lowercase(),
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
        remark: None,
    }
}

/// The adapter that `want` names, as [`GpuOptions::adapter`](super::GpuOptions::adapter) says.
pub(super) async fn choose(want: Option<&str>) -> Result<(wgpu::Adapter, AdapterSummary)> {
    let mut all = all_adapters(&instance()).await;
    let mut summaries = summaries(&all);
    let (index, remark) = Surroundings::of_process().choose(&summaries, want)?;
    Ok((all.swap_remove(index), AdapterSummary { remark, ..summaries.swap_remove(index) }))
}

fn summaries(all: &[wgpu::Adapter]) -> Vec<AdapterSummary> {
    all.iter().enumerate().map(|(i, a)| summary(i, a)).collect()
}

/// The adapters of this machine, fastest kind first.
pub(super) async fn list() -> Vec<AdapterSummary> {
    summaries(&all_adapters(&instance()).await)
}
