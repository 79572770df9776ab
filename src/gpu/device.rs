//! Opening an adapter, and what lives as long as the device.

use super::adapter;
use super::autotune::Choices;
use super::bind::BufferSlice;
use super::buffer::{Buffer, BufferPool, Kind, MemoryUse, SharedPool};
use super::cache::DriverCache;
use super::context::{Context, GpuOptions, POISON};
use super::driver::{Driver, mib, quietly, too_small};
use super::interrupt::Interrupt;
use super::kernel::Variant;
use super::pipeline::Pipelines;
use super::readback::Readback;
use super::record::Recorder;
use super::summary::AdapterSummary;
use super::traits::Traits;
use crate::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

struct Inner {
    context: Arc<Context>,
    pipelines: Arc<Pipelines>,
    choices: Choices,
}

/// An open device. Cheap to clone; `Send + Sync`.
#[derive(Clone)]
pub struct Gpu(Arc<Inner>);

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gpu({})", self.context().summary.name)
    }
}

impl Gpu {
    /// The adapters of this machine, fastest kind first.
    pub fn adapters() -> Vec<AdapterSummary> {
        pollster::block_on(adapter::list())
    }

    /// Opens a device; blocks until done.
    ///
    /// # Errors
    /// As [`Gpu::new_async`].
    pub fn new(options: GpuOptions) -> Result<Self> {
        pollster::block_on(Self::new_async(options))
    }

    /// Opens a device.
    ///
    /// # Errors
    /// [`ErrorKind::NoAdapter`] when no adapter fits `options.adapter`, [`ErrorKind::Argument`] for a rank that no launcher
    /// gave, [`ErrorKind::Device`] when it does not open.
    pub async fn new_async(options: GpuOptions) -> Result<Self> {
        let (adapter, summary) = adapter::choose(options.adapter.as_deref()).await?;
        Self::from_adapter(&adapter, summary, options).await
    }

    async fn from_adapter(
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
        let opened = match quietly(|| adapter.request_device(&desc)) {
            Ok(opening) => opening.await.map_err(|e| e.to_string()),
            Err(panic) => Err(panic),
        };
        let (device, queue) = opened.map_err(|e| {
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
        Ok(Gpu(Arc::new(Inner {
            context: Arc::new(Context::new(driver, summary, options)?),
            pipelines: Arc::default(),
            choices: Choices::default(),
        })))
    }

    fn context(&self) -> &Arc<Context> {
        &self.0.context
    }

    /// The adapter behind this device.
    pub fn summary(&self) -> &AdapterSummary {
        &self.context().summary
    }

    /// The wgpu device, for hosts that share it.
    pub fn device(&self) -> &wgpu::Device {
        self.context().driver.device()
    }

    /// The wgpu queue, for hosts that share it.
    pub fn queue(&self) -> &wgpu::Queue {
        self.context().driver.queue()
    }

    /// What the adapter is like, for whoever chooses between kernels.
    pub fn traits(&self) -> &Traits {
        &self.context().traits
    }

    /// Lanes of a subgroup, where subgroup operations are available and all subgroups have one size.
    pub fn subgroup(&self) -> Option<u32> {
        self.traits().subgroup
    }

    /// The options the device was opened with.
    pub fn options(&self) -> &GpuOptions {
        &self.context().options
    }

    /// Bytes held and in use.
    pub fn memory(&self) -> MemoryUse {
        self.context().pool.counters().read()
    }

    /// Bytes of the largest buffer that kernels can bind.
    pub fn largest_buffer(&self) -> u64 {
        self.context().driver.most
    }

    /// Starts the peaks of [`Gpu::memory`] anew.
    pub fn reset_memory_peaks(&self) {
        self.context().pool.counters().reset_peaks();
    }

    /// Marks the boundary between forward and backward for [`MemoryUse::peak_saved`].
    pub(crate) fn turn(&self) {
        self.context().pool.counters().turn();
    }

    /// Does `work`, which ends with [`ErrorKind::Cancelled`] soon after `interrupt` says so: what it has submitted then is done,
    /// and the rest is not. Whatever else this device is given meanwhile, from other threads, is broken off alike.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn unless<T>(
        &self,
        interrupt: Option<Interrupt>,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.context().interrupts.during(interrupt, work)
    }

    /// Does `work` that must not be broken off within what may be ([`Gpu::unless`]).
    ///
    /// # Errors
    /// Those of `work`.
    pub fn as_a_whole<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.unless(None, work)
    }

    /// Gives free buffers back to the driver.
    pub fn trim(&self) {
        self.context().pool.trim();
    }

    /// Starts recording a pass.
    pub fn record(&self) -> Recorder {
        self.recorder(self.context().pool.open())
    }

    /// Starts recording a pass in the memory of a shared pool.
    pub fn record_in(&self, shared_pool: &SharedPool) -> Recorder {
        self.recorder(shared_pool.0.open())
    }

    fn recorder(&self, pool: Arc<BufferPool>) -> Recorder {
        Recorder::new(self.context(), &self.0.pipelines, pool)
    }

    /// Memory for passes that are kept; what it has goes back to the device when it and they are dropped.
    pub fn shared_pool(&self) -> SharedPool {
        SharedPool(self.context().pool.open())
    }

    /// A buffer that outlives passes (a parameter, an input), with `bytes` copied in by the queue before later submissions.
    /// Where there is no memory for it, whatever is to use it fails.
    pub fn upload(&self, bytes: &[u8]) -> Arc<Buffer> {
        let buffer =
            self.context().pool.take(&self.context().driver, Kind::Buffer, bytes.len() as u64);
        self.upload_to(&buffer, 0, bytes)
    }

    /// [`Gpu::upload`] of a tensor, and where it begins: on a poisoned device behind guard words.
    pub(crate) fn upload_guarded(&self, bytes: &[u8]) -> (Arc<Buffer>, u64) {
        let guard = self.context().guard();
        if guard == 0 {
            return (self.upload(bytes), 0);
        }
        let size = guard + bytes.len() as u64 + guard;
        let buffer = self.context().pool.take(&self.context().driver, Kind::Buffer, size);
        let mut all: Vec<u8> =
            POISON.to_le_bytes().into_iter().cycle().take(buffer.bytes() as usize).collect();
        all[guard as usize..][..bytes.len()].copy_from_slice(bytes);
        (self.upload_to(&buffer, 0, &all), guard)
    }

    /// `buffer`, which outlives passes, with `bytes` copied in from `offset` on as by [`Gpu::upload`].
    pub fn upload_to(&self, buffer: &Arc<Buffer>, offset: u64, bytes: &[u8]) -> Arc<Buffer> {
        match self.write(buffer, offset, bytes) {
            Err(e) if buffer.check_allocated().is_ok() => {
                Buffer::out_of_memory(Kind::Buffer, buffer.bytes(), e)
            }
            _ => buffer.clone(),
        }
    }

    /// Writes `bytes` over those of a buffer that outlives passes, from `offset` on, before later submissions and behind
    /// earlier ones.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`] where the driver has none for them on their way.
    pub fn write(&self, buffer: &Buffer, offset: u64, bytes: &[u8]) -> Result<()> {
        buffer.check_allocated()?;
        if self.context().options.planning {
            return Ok(());
        }
        buffer.write(&self.context().driver, offset, bytes)
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
        if raw.size() > self.context().driver.most {
            return Err(wrong("size of the buffer")
                .expected(format!("{} at most", mib(self.context().driver.most)))
                .got(mib(raw.size())));
        }
        Ok(Buffer::imported(raw))
    }

    /// Whether kernels can read a buffer through an image: it may be copied, and is not too large.
    pub fn fits_image(&self, buffer: &Buffer) -> bool {
        buffer.fits_image(&self.context().driver, self.context().guard())
    }

    /// The same of a buffer of so many bytes that is yet to be made.
    pub fn would_fit_image(&self, bytes: u64) -> bool {
        Buffer::would_fit_image(bytes, &self.context().driver, self.context().guard())
    }

    /// Queues the copy of parts of buffers to the host behind everything submitted so far; does not wait.
    pub fn read_later(&self, parts: &[BufferSlice<'_>]) -> Readback {
        Readback::start(self.context(), parts)
    }

    /// Reads parts of buffers back. Waits for the queue.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] when the device is lost, [`ErrorKind::Memory`] when it has no room for the results.
    pub fn read(&self, parts: &[BufferSlice<'_>]) -> Result<Vec<Vec<u8>>> {
        self.read_later(parts).wait()
    }

    /// What [`Gpu::compiled_pipelines`] is called on this adapter; none where the device hands nothing out.
    pub fn pipeline_cache_name(&self) -> Option<String> {
        DriverCache::name(self.device())
    }

    /// Seeds the driver's pipeline cache with what another run's [`Gpu::compiled_pipelines`] gave. Call once, before the first
    /// pass; corrupt or foreign data is ignored.
    ///
    /// # Safety
    /// What is whole goes to the driver as it is: nobody else may have written it.
    pub(crate) unsafe fn recall_pipelines(&self, bytes: &[u8]) {
        if self.pipeline_cache_name().is_some() {
            // Without it the driver compiles what it would have remembered.
            // SAFETY: the caller's promise.
            let new = || unsafe { DriverCache::new(self.device(), bytes) };
            let made = self.context().driver.watched(|| Ok(new()));
            if let Ok(cache) = made {
                self.0.pipelines.recall(cache);
            }
        }
    }

    /// What the driver remembers of the pipelines that this device has made.
    pub fn compiled_pipelines(&self) -> Option<Vec<u8>> {
        let cache = self.0.pipelines.driver()?;
        self.context().driver.watched(|| Ok(cache.bytes())).ok().flatten()
    }

    /// The kernels and variants that have been made so far.
    pub fn pipelines(&self) -> Vec<(&'static str, Variant)> {
        self.0.pipelines.list()
    }

    /// The candidate to take for a choice, if that was measured. The name is asked for only where anything was.
    pub(crate) fn chosen(&self, name: impl FnOnce() -> String) -> Option<String> {
        self.0.choices.chosen(name)
    }

    /// Notes the candidate to take for a choice from now on.
    pub(crate) fn choose(&self, name: String, candidate: String) {
        self.0.choices.choose(name, candidate);
    }

    /// Whether an operation with a choice that was not made is to measure its candidates on the spot.
    pub(crate) fn measures_choices(&self) -> bool {
        self.0.choices.measuring()
    }

    /// Has operations measure while `f` records passes with them.
    #[cfg(any(test, feature = "train"))]
    pub(crate) fn measuring_choices<T>(&self, f: impl FnOnce() -> T) -> T {
        self.0.choices.measure_during(f)
    }

    /// The fastest candidate measured so far, for the name of each choice.
    pub fn choices(&self) -> BTreeMap<String, String> {
        self.0.choices.all()
    }

    /// Replaces all choices. A name that no operation knows, or a candidate that it does not have, is no choice.
    pub fn set_choices(&self, choices: BTreeMap<String, String>) {
        self.0.choices.replace(choices);
    }
}
