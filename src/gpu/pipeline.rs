//! Kernels compiled for a device.
//!
//! A pass is recorded with what a pipeline binds; the driver compiles the pipelines that a pass lacks when it is submitted,
//! several at a time: they are what the first pass waits for.

use super::cache::DriverCache;
use super::context::Context;
use super::driver::Driver;
use super::kernel::{Access, Kernel, Variant, reflect};
use crate::{Error, Result};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// A kernel's variant on a device: what it binds, and the driver's pipeline from the first pass on that runs it.
pub(super) struct Pipeline {
    kernel: &'static Kernel,
    variant: Variant,
    pub(super) layout: wgpu::BindGroupLayout,
    pub(super) buffers: Vec<(String, Access)>,
    pub(super) params_size: u32,
    pipeline_layout: wgpu::PipelineLayout,
    shader: wgpu::ShaderModule,
    compiled: OnceLock<wgpu::ComputePipeline>,
    compiling: Mutex<()>,
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
        context: &Context,
        kernel: &'static Kernel,
        variant: &Variant,
    ) -> Result<Arc<Pipeline>> {
        let key = (kernel.path, variant.clone());
        if let Some(p) = self.made.lock().get(&key) {
            return Ok(p.clone());
        }
        let made = Arc::new(Pipeline::new(context, kernel, variant)?);
        Ok(self.made.lock().entry(key).or_insert(made).clone())
    }

    /// The kernels and variants that have been made so far.
    pub(super) fn list(&self) -> Vec<(&'static str, Variant)> {
        self.made.lock().keys().cloned().collect()
    }

    /// Compiles those of `wanted` that are not, on all threads.
    pub(super) fn compile<'a>(
        &self,
        context: &Context,
        wanted: impl Iterator<Item = &'a Arc<Pipeline>>,
    ) -> Result<()> {
        let missing: HashMap<*const Pipeline, &Arc<Pipeline>> =
            wanted.filter(|p| p.compiled.get().is_none()).map(|p| (Arc::as_ptr(p), p)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing: Vec<&Arc<Pipeline>> = missing.into_values().collect();
        let next = AtomicUsize::new(0);
        let failed = Mutex::new(None);
        let work = || {
            while let Some(pipeline) = missing.get(next.fetch_add(1, Relaxed)) {
                let compiled = context
                    .interrupts
                    .check()
                    .and_then(|()| pipeline.compile(&context.driver, self.driver()));
                if let Err(e) = compiled {
                    // What is told of is the first failure, and not what it had for others.
                    failed.lock().get_or_insert(e);
                    return;
                }
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        std::thread::scope(|scope| {
            for _ in 1..threads.min(missing.len()) {
                // Where the system has no thread to give, the others do its work.
                let _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        failed.into_inner().map_or(Ok(()), Err)
    }
}

impl Pipeline {
    fn new(context: &Context, kernel: &'static Kernel, variant: &Variant) -> Result<Self> {
        let device = context.device();
        let flat = kernel.flatten(variant)?;
        let (module, seen) = reflect(kernel.path, variant, &flat)?;
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
        let made = context.driver.watched(|| {
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
            let shader = if context.options.checked {
                device.create_shader_module(desc)
            } else {
                let unchecked = wgpu::ShaderRuntimeChecks::unchecked();
                // SAFETY: no kernel of this crate reads or writes outside its bindings (tests run them with checks compiled
                // in against the same oracles and with guard words around every buffer), every loop ends, no divisor is zero.
                unsafe { device.create_shader_module_trusted(desc, unchecked) }
            };
            Ok((layout, pipeline_layout, shader))
        });
        let (layout, pipeline_layout, shader) = made.map_err(|e| refused(kernel, variant, e))?;
        Ok(Pipeline {
            kernel,
            variant: variant.clone(),
            layout,
            buffers: seen.buffers,
            params_size: seen.params_size,
            pipeline_layout,
            shader,
            compiled: OnceLock::new(),
            compiling: Mutex::new(()),
        })
    }

    /// Compiles it unless that is done; a failure is not kept, so that it can be tried again.
    fn compile(&self, driver: &Driver, cache: Option<&DriverCache>) -> Result<()> {
        let _one = self.compiling.lock();
        if self.compiled.get().is_some() {
            return Ok(());
        }
        let constants: Vec<(&str, f64)> =
            self.variant.overrides().iter().map(|(n, v)| (*n, f64::from(*v))).collect();
        let desc = wgpu::ComputePipelineDescriptor {
            label: Some(self.kernel.path),
            layout: Some(&self.pipeline_layout),
            module: &self.shader,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                // Every kernel that reads workgroup memory writes it first.
                zero_initialize_workgroup_memory: false,
            },
            cache: cache.map(DriverCache::raw),
        };
        let raw = driver
            .watched(|| Ok(driver.device().create_compute_pipeline(&desc)))
            .map_err(|e| refused(self.kernel, &self.variant, e))?;
        self.compiled.get_or_init(|| raw);
        Ok(())
    }

    /// The driver's pipeline, of a pipeline that has been compiled.
    pub(super) fn raw(&self) -> &wgpu::ComputePipeline {
        self.compiled.get().expect("a compiled pipeline")
    }
}

/// An error of the driver over a kernel.
fn refused(kernel: &Kernel, variant: &Variant, e: Error) -> Error {
    e.within(format!("shaders/{}.wgsl", kernel.path)).detail(format!("variant [{variant}]"))
}
