//! Opening an adapter, and what lives as long as the device.

use super::adapter::{self, AdapterSummary};
use super::buffer::{Buffer, Kind, MemoryUse, Shelf, Workspace};
use super::cache::DriverCache;
use super::choices::Choices;
use super::driver::{Driver, mib, quietly, too_small};
use super::interrupt::Interrupts;
use super::kernel::{Kernel, Variant};
use super::pace::Pace;
use super::pipeline::{Pipeline, Pipelines};
use super::readback;
use super::record::{Part, Recorder};
use crate::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::sync::Arc;

/// How a device is chosen and used.
#[derive(Debug, Clone, Default)]
pub struct GpuOptions {
    /// An index into [`Gpu::adapters`], or a part of an adapter's name in any case. Default: the fastest kind present.
    pub adapter: Option<String>,
    /// Leave subgroup operations unused even where they exist.
    pub no_subgroups: bool,
    /// Compile bounds and loop checks into every kernel.
    pub checked: bool,
    /// For tests: every buffer is handed out full of NaN, with guard words before and behind the tensor.
    pub poison: bool,
    /// Record and count bytes only: no buffer is allocated and nothing is computed.
    pub planning: bool,
    /// Time every dispatch (needs the adapter's timestamp queries).
    pub profile: bool,
    /// How weights and activations are stored.
    pub precision: Precision,
    /// Bytes of tensors that may be held from the driver at once; an allocation beyond fails as one of the driver's does,
    /// with [`ErrorKind::Memory`]. A device that plans counts on.
    pub memory: Option<u64>,
}

/// How weights and activations are stored. Kernels compute in 32 bits whatever it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// Halves, where a network says nothing else: weights of two and more axes, and activations. Needs the adapter's
    /// `shader-f16`. For inference.
    F16,
}

struct Inner {
    driver: Driver,
    summary: AdapterSummary,
    options: GpuOptions,
    subgroup: Option<u32>,
    timestamps: bool,
    pool: Arc<Shelf>,
    arenas: Mutex<Vec<wgpu::Buffer>>,
    pace: Pace,
    interrupts: Interrupts,
    pipelines: Pipelines,
    choices: Choices,
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

impl Gpu {
    /// The adapters of this machine, fastest kind first.
    pub fn adapters() -> Vec<AdapterSummary> {
        adapter::list()
    }

    /// Opens a device.
    ///
    /// # Errors
    /// [`ErrorKind::NoAdapter`] when no adapter fits `options.adapter`, [`ErrorKind::Device`] when it does not open.
    pub fn new(options: GpuOptions) -> Result<Self> {
        let (adapter, summary) = adapter::choose(options.adapter.as_deref())?;
        Self::from_adapter(&adapter, summary, options)
    }

    fn from_adapter(
        adapter: &wgpu::Adapter,
        summary: AdapterSummary,
        options: GpuOptions,
    ) -> Result<Self> {
        let useful = wgpu::Features::SUBGROUP
            | wgpu::Features::TIMESTAMP_QUERY
            | wgpu::Features::SHADER_INT64
            | wgpu::Features::SHADER_F16
            | wgpu::Features::PIPELINE_CACHE;
        let offered = adapter.limits();
        let limits = wgpu::Limits {
            max_buffer_size: offered.max_buffer_size,
            max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
            ..wgpu::Limits::default()
        };
        let desc = wgpu::DeviceDescriptor {
            label: Some("lemma-gpu"),
            required_features: adapter.features() & useful,
            required_limits: limits,
            ..Default::default()
        };
        let opened = quietly(|| pollster::block_on(adapter.request_device(&desc)));
        let (device, queue) =
            opened.and_then(|opened| opened.map_err(|e| e.to_string())).map_err(|e| {
                Error::new(ErrorKind::Device, &summary.name, format!("cannot open: {e}"))
            })?;
        let driver = Driver::own(device, queue, &summary.name);
        Self::with_driver(driver, summary, options)
    }

    /// Uses the device and queue of a host program. Features and limits are those the host asked for.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] for a device of another adapter, for limits below WebGPU's defaults and for a precision that needs
    /// a feature which the host did not ask for.
    pub fn from_wgpu(
        adapter: &wgpu::Adapter,
        device: wgpu::Device,
        queue: wgpu::Queue,
        options: GpuOptions,
    ) -> Result<Self> {
        let summary = adapter::summary(0, adapter);
        let [mine, of] = [adapter.get_info(), device.adapter_info()]
            .map(|info| format!("{} ({}, {:#x})", info.name, info.backend, info.device));
        if mine != of {
            let what = "adapter of the device";
            return Err(Error::new(ErrorKind::Device, "gpu", what).expected(mine).got(of));
        }
        if let Some((limit, want, got)) = too_small(&device.limits()) {
            return Err(Error::new(ErrorKind::Device, &summary.name, format!("limit {limit}"))
                .expected(format!("{want}, WebGPU's default"))
                .got(got)
                .hint("the host asks for limits when it opens the device"));
        }
        Self::with_driver(Driver::of_host(device, queue, &summary.name), summary, options)
    }

    fn with_driver(driver: Driver, summary: AdapterSummary, options: GpuOptions) -> Result<Self> {
        let device = driver.device();
        let halves = device.features().contains(wgpu::Features::SHADER_F16);
        if options.precision == Precision::F16 && !halves {
            return Err(Error::new(ErrorKind::Device, &summary.name, "halves in kernels")
                .expected("the feature shader-f16")
                .got("an adapter, or a driver, without it")
                .hint("f32 works on every adapter"));
        }
        let subgroup = (device.features().contains(wgpu::Features::SUBGROUP)
            && !options.no_subgroups
            && summary.subgroup.0 == summary.subgroup.1)
            .then_some(summary.subgroup.0);
        let timestamps =
            options.profile && device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let buffer = |label, size, usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        let null = driver.make(256, || buffer("null", 256, wgpu::BufferUsages::STORAGE))?;
        let null = Buffer::foreign(null);
        let poison = options.poison.then(|| {
            driver.make(POISON_BYTES, || {
                let usage = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
                let raw = buffer("poison", POISON_BYTES, usage);
                let words = vec![POISON; POISON_BYTES as usize / 4];
                driver.queue().write_buffer(&raw, 0, bytemuck::cast_slice(&words));
                Buffer::foreign(raw)
            })
        });
        let poison = poison.transpose()?;
        Ok(Gpu(Arc::new(Inner {
            pipelines: Pipelines::default(),
            choices: Choices::default(),
            driver,
            summary,
            pool: Shelf::pool(options.planning, options.memory),
            options,
            subgroup,
            timestamps,
            arenas: Mutex::default(),
            pace: Pace::default(),
            interrupts: Interrupts::default(),
            null,
            poison,
        })))
    }

    /// The adapter behind this device.
    pub fn summary(&self) -> &AdapterSummary {
        &self.0.summary
    }

    /// The wgpu device, for hosts that share it.
    pub fn device(&self) -> &wgpu::Device {
        self.0.driver.device()
    }

    /// The wgpu queue, for hosts that share it.
    pub fn queue(&self) -> &wgpu::Queue {
        self.0.driver.queue()
    }

    pub(super) fn driver(&self) -> &Driver {
        &self.0.driver
    }

    /// Lanes of a subgroup, where subgroup operations are available and all subgroups have one size.
    pub fn subgroup(&self) -> Option<u32> {
        self.0.subgroup
    }

    /// Whether a kernel should move data as 64-bit integers: the device has them, and computes on the CPU, where a load
    /// costs by its components rather than its bytes.
    pub fn wide_words(&self) -> bool {
        self.0.summary.software && self.device().features().contains(wgpu::Features::SHADER_INT64)
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

    /// Bytes of the largest buffer that kernels can bind.
    pub fn largest_buffer(&self) -> u64 {
        self.driver().most
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
        Recorder::new(self.clone(), self.0.pool.open())
    }

    /// Starts recording a pass in the memory of a workspace.
    pub fn record_in(&self, workspace: &Workspace) -> Recorder {
        Recorder::new(self.clone(), workspace.0.open())
    }

    /// Memory for passes that are kept; what it has goes back to the device when it and they are dropped.
    pub fn workspace(&self) -> Workspace {
        Workspace(self.0.pool.open())
    }

    /// A buffer that outlives passes (a parameter, an input), with `bytes` copied in by the queue before later submissions.
    /// Where there is no memory for it, whatever is to use it fails.
    pub fn upload(&self, bytes: &[u8]) -> Arc<Buffer> {
        let buffer = self.0.pool.take(self.driver(), Kind::Buffer, bytes.len() as u64);
        self.upload_to(&buffer, 0, bytes)
    }

    /// [`Gpu::upload`] of a tensor, and where it begins: on a poisoned device behind guard words.
    pub(crate) fn upload_guarded(&self, bytes: &[u8]) -> (Arc<Buffer>, u64) {
        let guard = self.guard();
        if guard == 0 {
            return (self.upload(bytes), 0);
        }
        let size = guard + bytes.len() as u64 + guard;
        let buffer = self.0.pool.take(self.driver(), Kind::Buffer, size);
        let mut all: Vec<u8> =
            POISON.to_le_bytes().into_iter().cycle().take(buffer.bytes() as usize).collect();
        all[guard as usize..][..bytes.len()].copy_from_slice(bytes);
        (self.upload_to(&buffer, 0, &all), guard)
    }

    /// `buffer`, which outlives passes, with `bytes` copied in from `offset` on as by [`Gpu::upload`].
    pub fn upload_to(&self, buffer: &Arc<Buffer>, offset: u64, bytes: &[u8]) -> Arc<Buffer> {
        match self.write(buffer, offset, bytes) {
            Err(e) if buffer.there().is_ok() => Buffer::refused(Kind::Buffer, buffer.bytes(), e),
            _ => buffer.clone(),
        }
    }

    /// Writes `bytes` over those of a buffer that outlives passes, from `offset` on, before later submissions and behind
    /// earlier ones.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`] where the driver has none for them on their way.
    pub fn write(&self, buffer: &Buffer, offset: u64, bytes: &[u8]) -> Result<()> {
        buffer.there()?;
        if self.0.options.planning {
            return Ok(());
        }
        buffer.write(self.driver(), offset, bytes)
    }

    /// Wraps a storage buffer of the host's own device.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] for a buffer that kernels cannot read, or of more bytes than they can bind at once.
    pub fn adopt(&self, raw: wgpu::Buffer) -> Result<Arc<Buffer>> {
        let wrong = |what| Error::new(ErrorKind::Argument, "gpu", what);
        if !raw.usage().contains(wgpu::BufferUsages::STORAGE) {
            return Err(wrong("usage of the buffer")
                .expected("STORAGE among it")
                .got(format!("{:?}", raw.usage())));
        }
        if raw.size() > self.driver().most {
            return Err(wrong("size of the buffer")
                .expected(format!("{} at most", mib(self.driver().most)))
                .got(mib(raw.size())));
        }
        Ok(Buffer::foreign(raw))
    }

    /// Whether kernels can read a buffer through an image: it may be copied, and is not too large.
    pub fn fits_image(&self, buffer: &Buffer) -> bool {
        buffer.fits_image(self.driver(), self.guard())
    }

    /// Bytes before and behind each tensor that tests watch.
    pub(super) fn guard(&self) -> u64 {
        if self.options().poison { GUARD_BYTES } else { 0 }
    }

    /// Reads parts of buffers back. Waits for the queue.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] when the device is lost, [`ErrorKind::Memory`] when it has no room for the results.
    pub fn read(&self, parts: &[Part<'_>]) -> Result<Vec<Vec<u8>>> {
        readback::Readback::start(self, parts).wait()
    }

    /// Where [`GpuOptions::poison`] is on: the buffer full of poison that new buffers are filled from.
    pub(super) fn poison(&self) -> Option<&Arc<Buffer>> {
        self.0.poison.as_ref()
    }

    pub(super) fn interrupts(&self) -> &Interrupts {
        &self.0.interrupts
    }

    pub(super) fn pace(&self) -> &Pace {
        &self.0.pace
    }

    pub(super) fn choices_made(&self) -> &Choices {
        &self.0.choices
    }

    pub(super) fn null(&self) -> &Arc<Buffer> {
        &self.0.null
    }

    pub(super) fn timestamps(&self) -> bool {
        self.0.timestamps
    }

    /// A uniform buffer for parameters, at least `ARENA` bytes; comes back by [`Gpu::return_arena`].
    pub(super) fn take_arena(&self) -> Result<wgpu::Buffer> {
        if let Some(arena) = self.0.arenas.lock().pop() {
            return Ok(arena);
        }
        let desc = wgpu::BufferDescriptor {
            label: Some("params"),
            size: ARENA,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        self.driver().make(ARENA, || self.device().create_buffer(&desc))
    }

    pub(super) fn return_arena(&self, arena: wgpu::Buffer) {
        self.0.arenas.lock().push(arena);
    }

    /// The pipeline of a kernel's variant, made at first use.
    pub(super) fn pipeline(
        &self,
        kernel: &'static Kernel,
        variant: &Variant,
    ) -> Result<Arc<Pipeline>> {
        self.0.pipelines.get(self, kernel, variant)
    }

    /// Compiles those of `wanted` that are not.
    pub(super) fn compile<'a>(
        &self,
        wanted: impl Iterator<Item = &'a Arc<Pipeline>>,
    ) -> Result<()> {
        self.0.pipelines.compile(self.driver(), self.interrupts(), wanted)
    }

    /// What [`Gpu::compiled_pipelines`] is called on this adapter; none where the device hands nothing out.
    pub fn pipeline_cache_name(&self) -> Option<String> {
        DriverCache::name(self.device())
    }

    /// Begins with the pipelines that another run's [`Gpu::compiled_pipelines`] gave: before the first pass, and once. Bytes
    /// that are damaged or of another driver count as none.
    ///
    /// # Safety
    /// What is whole goes to the driver as it is: nobody else may have written it.
    pub(crate) unsafe fn recall_pipelines(&self, bytes: &[u8]) {
        if self.pipeline_cache_name().is_some() {
            // Without it the driver compiles what it would have remembered.
            // SAFETY: the caller's promise.
            let new = || unsafe { DriverCache::new(self.device(), bytes) };
            let made = self.driver().watched(|| Ok(new()));
            if let Ok(cache) = made {
                self.0.pipelines.recall(cache);
            }
        }
    }

    /// What the driver remembers of the pipelines that this device has made.
    pub fn compiled_pipelines(&self) -> Option<Vec<u8>> {
        let cache = self.0.pipelines.driver()?;
        self.driver().watched(|| Ok(cache.bytes())).ok().flatten()
    }

    /// The kernels and variants that have been made so far.
    pub fn pipelines(&self) -> Vec<(&'static str, Variant)> {
        self.0.pipelines.list()
    }
}

/// A quiet NaN that no computation makes, and two of them as halves: buffers of a poisoned device are handed out full of it.
pub const POISON: u32 = 0x7fc0_7eef;
/// Guard bytes before and behind each tensor of a poisoned device.
pub const GUARD_BYTES: u64 = 256;
pub(super) const POISON_BYTES: u64 = 1 << 20;

/// Bytes of one parameter arena.
pub(super) const ARENA: u64 = 64 << 10;
