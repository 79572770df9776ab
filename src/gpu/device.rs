//! Choosing an adapter, opening it, and the caches that live as long as the device.

use super::buffer::{Buffer, Kind, MemoryUse, Shelf, within_memory};
use super::kernel::{Access, Kernel, Variant, reflect};
use super::pace::Pace;
use super::readback;
use super::record::Recorder;
use crate::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// How a device is chosen and used.
#[derive(Debug, Clone, Default)]
pub struct GpuOptions {
    /// An index into [`Gpu::adapters`], or a part of an adapter's name in any case. Default: the fastest kind present.
    pub adapter: Option<String>,
    /// Leave subgroup operations unused even where they exist.
    pub no_subgroups: bool,
    /// Compile bounds and loop checks into every kernel.
    pub checked: bool,
    /// For tests: every buffer is handed out full of NaN, with guard words behind the tensor.
    pub poison: bool,
    /// Record and count bytes only: no buffer is allocated and nothing is computed.
    pub planning: bool,
    /// Time every dispatch (needs the adapter's timestamp queries).
    pub profile: bool,
    /// Bytes of tensors that may be held from the driver at once; an allocation beyond fails as one of the driver's does,
    /// with [`ErrorKind::Memory`]. A device that plans counts on.
    pub memory: Option<u64>,
}

/// An adapter as it presents itself.
#[derive(Debug, Clone)]
pub struct AdapterSummary {
    /// Index for [`GpuOptions::adapter`].
    pub index: usize,
    /// Name.
    pub name: String,
    /// `DiscreteGpu`, `IntegratedGpu`, `VirtualGpu`, `Cpu` or `Other`.
    pub kind: String,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// Driver name and version.
    pub driver: String,
    /// Whether it computes on the CPU.
    pub software: bool,
    /// Features of interest that it has.
    pub features: Vec<&'static str>,
    /// Limits of interest, in bytes or counts.
    pub limits: Vec<(&'static str, u64)>,
    /// Smallest and largest subgroup.
    pub subgroup: (u32, u32),
}

pub(super) struct Pipeline {
    pub(super) raw: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
    pub(super) buffers: Vec<(String, Access)>,
    pub(super) params_size: u32,
}

struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    summary: AdapterSummary,
    options: GpuOptions,
    subgroup: Option<u32>,
    timestamps: bool,
    pool: Arc<Shelf>,
    arenas: Mutex<Vec<wgpu::Buffer>>,
    pace: Pace,
    pipelines: Mutex<HashMap<(&'static str, Variant), Arc<Pipeline>>>,
    null: Arc<Buffer>,
    poison: Option<Arc<Buffer>>,
}

/// An open device. Cheap to clone; `Send + Sync`.
#[derive(Clone)]
pub struct Gpu(Arc<Inner>);

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gpu({})", self.0.summary.name)
    }
}

const BACKENDS: wgpu::Backends =
    wgpu::Backends::VULKAN.union(wgpu::Backends::METAL).union(wgpu::Backends::DX12);

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

fn summary(index: usize, adapter: &wgpu::Adapter) -> AdapterSummary {
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

impl Gpu {
    /// The adapters of this machine, fastest kind first.
    pub fn adapters() -> Vec<AdapterSummary> {
        all_adapters(&instance()).iter().enumerate().map(|(i, a)| summary(i, a)).collect()
    }

    /// Opens a device.
    ///
    /// # Errors
    /// [`ErrorKind::NoAdapter`] when no adapter fits `options.adapter`, [`ErrorKind::Device`] when it does not open.
    pub fn new(options: GpuOptions) -> Result<Self> {
        let all = all_adapters(&instance());
        let names = || {
            let list: Vec<String> = all
                .iter()
                .enumerate()
                .map(|(i, a)| format!("{i}: {}", a.get_info().name))
                .collect();
            if list.is_empty() { "no adapter at all".to_string() } else { list.join(", ") }
        };
        let index = match &options.adapter {
            None => 0,
            Some(want) => match want.parse::<usize>() {
                Ok(i) => i,
                Err(_) => all
                    .iter()
                    .position(|a| a.get_info().name.to_lowercase().contains(&want.to_lowercase()))
                    .unwrap_or(usize::MAX),
            },
        };
        let Some(adapter) = all.get(index) else {
            let want = options.adapter.as_deref().unwrap_or("any Vulkan, Metal or DX12 adapter");
            return Err(Error::new(ErrorKind::NoAdapter, "gpu", "no such adapter")
                .expected(want)
                .got(names()));
        };
        Self::from_adapter(adapter, summary(index, adapter), options)
    }

    fn from_adapter(
        adapter: &wgpu::Adapter,
        summary: AdapterSummary,
        options: GpuOptions,
    ) -> Result<Self> {
        let useful = wgpu::Features::SUBGROUP
            | wgpu::Features::TIMESTAMP_QUERY
            | wgpu::Features::SHADER_INT64
            | wgpu::Features::PIPELINE_CACHE;
        let offered = adapter.limits();
        let limits = wgpu::Limits {
            max_buffer_size: offered.max_buffer_size,
            max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
            ..wgpu::Limits::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("lemma-gpu"),
            required_features: adapter.features() & useful,
            required_limits: limits,
            ..Default::default()
        }))
        .map_err(|e| Error::new(ErrorKind::Device, &summary.name, format!("cannot open: {e}")))?;
        // Tensors' memory is asked for within a scope that catches its lack. Elsewhere the lack of it loses the device, and
        // whoever waits for it next is told that.
        device.on_uncaptured_error(Arc::new(|e: wgpu::Error| match e {
            wgpu::Error::OutOfMemory { .. } => {}
            e => panic!("wgpu error: {e}"),
        }));
        Ok(Self::with_device(device, queue, summary, options))
    }

    /// Uses the device and queue of a host program. Features and limits are those the host asked for.
    pub fn from_wgpu(
        adapter: &wgpu::Adapter,
        device: wgpu::Device,
        queue: wgpu::Queue,
        options: GpuOptions,
    ) -> Self {
        Self::with_device(device, queue, summary(0, adapter), options)
    }

    fn with_device(
        device: wgpu::Device,
        queue: wgpu::Queue,
        summary: AdapterSummary,
        options: GpuOptions,
    ) -> Self {
        let subgroup = (device.features().contains(wgpu::Features::SUBGROUP)
            && !options.no_subgroups
            && summary.subgroup.0 == summary.subgroup.1)
            .then_some(summary.subgroup.0);
        let timestamps =
            options.profile && device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let null = Buffer::foreign(device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("null"),
            size: 256,
            usage: wgpu::BufferUsages::STORAGE,
            mapped_at_creation: false,
        }));
        let poison = options.poison.then(|| {
            let raw = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("poison"),
                size: POISON_BYTES,
                usage: wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let words = vec![POISON; POISON_BYTES as usize / 4];
            queue.write_buffer(&raw, 0, bytemuck::cast_slice(&words));
            Buffer::foreign(raw)
        });
        Gpu(Arc::new(Inner {
            device,
            queue,
            summary,
            pool: Shelf::pool(options.planning, options.memory),
            options,
            subgroup,
            timestamps,
            arenas: Mutex::default(),
            pace: Pace::default(),
            pipelines: Mutex::default(),
            null,
            poison,
        }))
    }

    /// The adapter behind this device.
    pub fn summary(&self) -> &AdapterSummary {
        &self.0.summary
    }

    /// The wgpu device, for hosts that share it.
    pub fn device(&self) -> &wgpu::Device {
        &self.0.device
    }

    /// The wgpu queue, for hosts that share it.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.0.queue
    }

    /// Lanes of a subgroup, where subgroup operations are available and all subgroups have one size.
    pub fn subgroup(&self) -> Option<u32> {
        self.0.subgroup
    }

    /// Whether a kernel should move data as 64-bit integers: the device has them, and computes on the CPU, where a load
    /// costs by its components rather than its bytes.
    pub fn wide_words(&self) -> bool {
        self.0.summary.software && self.0.device.features().contains(wgpu::Features::SHADER_INT64)
    }

    /// Whether kernels should read large operands through images: the device computes on the CPU, in lanes whose driver loads
    /// from an image three times as fast as from a buffer (measured on llvmpipe).
    pub fn image_reads(&self) -> bool {
        self.0.summary.software && self.0.subgroup == Some(8)
    }

    /// The options the device was opened with.
    pub fn options(&self) -> &GpuOptions {
        &self.0.options
    }

    /// Bytes held and in use.
    pub fn memory(&self) -> MemoryUse {
        self.0.pool.counters().read()
    }

    /// Starts the peaks of [`Gpu::memory`] anew.
    pub fn reset_memory_peaks(&self) {
        self.0.pool.counters().reset_peaks();
    }

    /// Notes that a forward pass is through and its backward begins, for [`MemoryUse::peak_saved`].
    pub(crate) fn turn(&self) {
        self.0.pool.counters().turn();
    }

    /// Gives free buffers back to the driver.
    pub fn trim(&self) {
        self.0.pool.trim();
    }

    /// Starts recording a pass.
    pub fn record(&self) -> Recorder {
        Recorder::new(self.clone())
    }

    /// A buffer that outlives passes (a parameter, an input), with `bytes` copied in by the queue before later submissions.
    /// Where there is no memory for it, whatever is to use it fails.
    pub fn upload(&self, bytes: &[u8]) -> Arc<Buffer> {
        let buffer = self.0.pool.take(&self.0.device, Kind::Buffer, bytes.len() as u64);
        if self.0.options.planning || buffer.there().is_err() {
            return buffer;
        }
        match buffer.write(&self.0.device, &self.0.queue, bytes) {
            Ok(()) => buffer,
            Err(e) => Buffer::refused(Kind::Buffer, buffer.bytes(), e),
        }
    }

    /// Wraps a storage buffer of the host's own device.
    pub fn adopt(&self, raw: wgpu::Buffer) -> Arc<Buffer> {
        Buffer::foreign(raw)
    }

    /// Reads buffers back: `(buffer, bytes)` each. Waits for the queue.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] when the device is lost, [`ErrorKind::Memory`] when it has no room for the results.
    pub fn read(&self, parts: &[(&Arc<Buffer>, u64)]) -> Result<Vec<Vec<u8>>> {
        readback::Readback::start(self, parts).wait()
    }

    pub(super) fn shelf(&self) -> Arc<Shelf> {
        self.0.pool.open()
    }

    /// Where [`GpuOptions::poison`] is on: the buffer full of poison that new buffers are filled from.
    pub(super) fn poison(&self) -> Option<&Arc<Buffer>> {
        self.0.poison.as_ref()
    }

    pub(super) fn pace(&self) -> &Pace {
        &self.0.pace
    }

    pub(super) fn null(&self) -> &Arc<Buffer> {
        &self.0.null
    }

    pub(super) fn timestamps(&self) -> bool {
        self.0.timestamps
    }

    /// A uniform buffer for parameters, at least `ARENA` bytes; comes back by [`Gpu::return_arena`].
    pub(super) fn take_arena(&self) -> Result<wgpu::Buffer> {
        if let Some(arena) = self.0.arenas.lock().expect("arenas").pop() {
            return Ok(arena);
        }
        let desc = wgpu::BufferDescriptor {
            label: Some("params"),
            size: ARENA,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        within_memory(&self.0.device, ARENA, || self.0.device.create_buffer(&desc))
    }

    pub(super) fn return_arena(&self, arena: wgpu::Buffer) {
        self.0.arenas.lock().expect("arenas").push(arena);
    }

    /// The pipeline of a kernel's variant, made at first use.
    pub(super) fn pipeline(
        &self,
        kernel: &'static Kernel,
        variant: &Variant,
    ) -> Result<Arc<Pipeline>> {
        let key = (kernel.path, variant.clone());
        if let Some(p) = self.0.pipelines.lock().expect("pipelines").get(&key) {
            return Ok(p.clone());
        }
        let made = Arc::new(self.make_pipeline(kernel, variant)?);
        self.0.pipelines.lock().expect("pipelines").insert(key, made.clone());
        Ok(made)
    }

    /// The kernels and variants that have been compiled so far.
    pub fn pipelines(&self) -> Vec<(&'static str, Variant)> {
        self.0.pipelines.lock().expect("pipelines").keys().cloned().collect()
    }

    fn make_pipeline(&self, kernel: &'static Kernel, variant: &Variant) -> Result<Pipeline> {
        let device = &self.0.device;
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
        let shader = if self.0.options.checked {
            device.create_shader_module(desc)
        } else {
            // SAFETY: no kernel of this crate reads or writes outside its bindings (tests run them with checks compiled in
            // against the same oracles and with guard words behind every buffer), every loop ends, no divisor is zero.
            unsafe {
                device.create_shader_module_trusted(desc, wgpu::ShaderRuntimeChecks::unchecked())
            }
        };
        let constants: Vec<(&str, f64)> =
            variant.overrides().iter().map(|(n, v)| (*n, f64::from(*v))).collect();
        let raw = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(kernel.path),
            layout: Some(&pipeline_layout),
            module: &shader,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                // Every kernel that reads workgroup memory writes it first.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        if let Some(e) = pollster::block_on(scope.pop()) {
            return Err(Error::new(ErrorKind::Device, format!("shaders/{}.wgsl", kernel.path), e)
                .detail(format!("variant [{variant}]")));
        }
        Ok(Pipeline { raw, layout, buffers: seen.buffers, params_size: seen.params_size })
    }
}

/// A quiet NaN that no computation makes: buffers of a poisoned device are handed out full of it.
pub const POISON: u32 = 0x7fc0_beef;
/// Guard bytes behind each tensor of a poisoned device.
pub const GUARD_BYTES: u64 = 256;
pub(super) const POISON_BYTES: u64 = 1 << 20;

/// Bytes of one parameter arena.
pub(super) const ARENA: u64 = 64 << 10;
