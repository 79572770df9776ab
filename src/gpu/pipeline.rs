//! Kernels compiled for a device.
//!
//! A pass is recorded with what a pipeline binds; the driver compiles the pipelines that a pass lacks when it is submitted,
//! several at a time: they are what the first pass waits for.

use super::cache::DriverCache;
use super::device::Gpu;
use super::kernel::{Access, Kernel, Variant, reflect};
use crate::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};

/// A kernel's variant on a device: what it binds, and the driver's pipeline from the first pass on that runs it.
pub(super) struct Pipeline {
    kernel: &'static Kernel,
    variant: Variant,
    pub(super) layout: wgpu::BindGroupLayout,
    pub(super) buffers: Vec<(String, Access)>,
    pub(super) params_size: u32,
    pipeline_layout: wgpu::PipelineLayout,
    shader: wgpu::ShaderModule,
    compiled: OnceLock<std::result::Result<wgpu::ComputePipeline, String>>,
}

/// The pipelines of a device, and what the driver remembers of earlier ones.
#[derive(Default)]
pub(super) struct Pipelines {
    made: Mutex<HashMap<(&'static str, Variant), Arc<Pipeline>>>,
    driver: OnceLock<DriverCache>,
}

impl Pipelines {
    /// Has the driver begin with what it remembers; only the first call counts.
    pub(super) fn recall(&self, driver: DriverCache) {
        self.driver.get_or_init(|| driver);
    }

    /// What the driver remembers, if it was asked to.
    pub(super) fn driver(&self) -> Option<&DriverCache> {
        self.driver.get()
    }

    /// The pipeline of a kernel's variant, made at first use.
    pub(super) fn get(
        &self,
        gpu: &Gpu,
        kernel: &'static Kernel,
        variant: &Variant,
    ) -> Result<Arc<Pipeline>> {
        let key = (kernel.path, variant.clone());
        if let Some(p) = self.made.lock().expect("pipelines").get(&key) {
            return Ok(p.clone());
        }
        let made = Arc::new(Pipeline::new(gpu, kernel, variant)?);
        Ok(self.made.lock().expect("pipelines").entry(key).or_insert(made).clone())
    }

    /// The kernels and variants that have been made so far.
    pub(super) fn list(&self) -> Vec<(&'static str, Variant)> {
        self.made.lock().expect("pipelines").keys().cloned().collect()
    }

    /// Compiles those of `wanted` that are not, on all threads.
    pub(super) fn compile<'a>(
        &self,
        device: &wgpu::Device,
        wanted: impl Iterator<Item = &'a Arc<Pipeline>>,
    ) -> Result<()> {
        let missing: HashMap<*const Pipeline, &Arc<Pipeline>> =
            wanted.filter(|p| p.compiled.get().is_none()).map(|p| (Arc::as_ptr(p), p)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing: Vec<&Arc<Pipeline>> = missing.into_values().collect();
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(pipeline) = missing.get(next.fetch_add(1, Relaxed)) {
                pipeline.compile(device, self.driver());
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        std::thread::scope(|scope| {
            for _ in 1..threads.min(missing.len()) {
                scope.spawn(work);
            }
            work();
        });
        missing.iter().try_for_each(|p| p.raw().map(|_| ()))
    }
}

impl Pipeline {
    fn new(gpu: &Gpu, kernel: &'static Kernel, variant: &Variant) -> Result<Self> {
        let device = gpu.device();
        let flat = kernel.flatten(variant)?;
        let (module, seen) = reflect(kernel.path, variant, &flat)?;
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty,
            count: None,
        };
        let buffer = |ty, has_dynamic_offset, size| wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset,
            min_binding_size: std::num::NonZeroU64::new(size),
        };
        let storage = |read_only| buffer(wgpu::BufferBindingType::Storage { read_only }, false, 0);
        let mut entries = Vec::new();
        if seen.params_size > 0 {
            let size = u64::from(seen.params_size);
            entries.push(entry(0, buffer(wgpu::BufferBindingType::Uniform, true, size)));
        }
        for (i, (_, access)) in seen.buffers.iter().enumerate() {
            let ty = match access {
                Access::Read => storage(true),
                Access::Write => storage(false),
                Access::Image => wgpu::BindingType::StorageTexture {
                    access: wgpu::StorageTextureAccess::ReadOnly,
                    format: wgpu::TextureFormat::Rgba32Float,
                    view_dimension: wgpu::TextureViewDimension::D2,
                },
            };
            entries.push(entry(i as u32 + 1, ty));
        }
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(kernel.path),
            entries: &entries,
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(kernel.path),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let desc = wgpu::ShaderModuleDescriptor {
            label: Some(kernel.path),
            source: wgpu::ShaderSource::Naga(std::borrow::Cow::Owned(module)),
        };
        let shader = if gpu.options().checked {
            device.create_shader_module(desc)
        } else {
            // SAFETY: no kernel of this crate reads or writes outside its bindings (tests run them with checks compiled in
            // against the same oracles and with guard words behind every buffer), every loop ends, no divisor is zero.
            unsafe {
                device.create_shader_module_trusted(desc, wgpu::ShaderRuntimeChecks::unchecked())
            }
        };
        if let Some(e) = pollster::block_on(scope.pop()) {
            return Err(refused(kernel, variant, e));
        }
        Ok(Pipeline {
            kernel,
            variant: variant.clone(),
            layout,
            buffers: seen.buffers,
            params_size: seen.params_size,
            pipeline_layout,
            shader,
            compiled: OnceLock::new(),
        })
    }

    fn compile(&self, device: &wgpu::Device, driver: Option<&DriverCache>) {
        self.compiled.get_or_init(|| {
            let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
            let constants: Vec<(&str, f64)> =
                self.variant.overrides().iter().map(|(n, v)| (*n, f64::from(*v))).collect();
            let raw = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(self.kernel.path),
                layout: Some(&self.pipeline_layout),
                module: &self.shader,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &constants,
                    // Every kernel that reads workgroup memory writes it first.
                    zero_initialize_workgroup_memory: false,
                },
                cache: driver.map(DriverCache::raw),
            });
            match pollster::block_on(scope.pop()) {
                Some(e) => Err(e.to_string()),
                None => Ok(raw),
            }
        });
    }

    /// The driver's pipeline, of a pipeline that has been compiled.
    pub(super) fn raw(&self) -> Result<&wgpu::ComputePipeline> {
        let compiled = self.compiled.get().expect("a compiled pipeline");
        compiled.as_ref().map_err(|e| refused(self.kernel, &self.variant, e))
    }
}

fn refused(kernel: &Kernel, variant: &Variant, e: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Device, format!("shaders/{}.wgsl", kernel.path), e)
        .detail(format!("variant [{variant}]"))
}
