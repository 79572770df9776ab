//! An open device as all parts of this floor see it: the driver, what was asked for, memory, and what the adapter is like.
//! It knows nobody who works with it.

use super::awaiting::Watch;
use super::buffer::{Buffer, BufferPool};
use super::driver::Driver;
use super::interrupt::Interrupts;
use super::summary::AdapterSummary;
use super::throttle::SubmitThrottle;
use super::traits::Traits;
use crate::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::sync::Arc;

/// How a device is chosen and used.
#[derive(Debug, Clone, Default)]
pub struct GpuOptions {
    /// An index into [`Gpu::adapters`](super::Gpu::adapters), a part of an adapter's name in any case, its address as in
    /// `pci:0000:3b:00.0`, or `rank`: the rank that a launcher gave this process on its machine, modulo the adapters of the
    /// best kind in PCI order. Default: the fastest kind present, and of NVIDIA's what `CUDA_VISIBLE_DEVICES` shows, where its
    /// numbers can be told ([`AdapterSummary::remark`]).
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

/// What lives as long as the device.
pub(super) struct Context {
    pub(super) driver: Driver,
    pub(super) summary: AdapterSummary,
    pub(super) options: GpuOptions,
    pub(super) traits: Traits,
    /// Whether dispatches are timed.
    pub(super) timestamps: bool,
    pub(super) pool: Arc<BufferPool>,
    pub(super) throttle: SubmitThrottle,
    pub(super) interrupts: Interrupts,
    pub(super) watch: Watch,
    /// What is bound for an optional input that is absent.
    pub(super) null: Arc<Buffer>,
    /// Where [`GpuOptions::poison`] is on: the buffer full of poison that new buffers are filled from.
    pub(super) poison: Option<Arc<Buffer>>,
    arenas: Mutex<Vec<wgpu::Buffer>>,
}

impl Context {
    pub(super) fn new(
        driver: Driver,
        summary: AdapterSummary,
        options: GpuOptions,
    ) -> Result<Self> {
        let device = driver.device();
        let halves = device.features().contains(wgpu::Features::SHADER_F16);
        if options.precision == Precision::F16 && !halves {
            return Err(Error::new(ErrorKind::Device, &summary.name, "halves in kernels")
                .expected("the feature shader-f16")
                .got("an adapter, or a driver, without it")
                .hint("f32 works on every adapter"));
        }
        let traits = Traits::of(&summary, device.features(), options.no_subgroups);
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
        let null = Buffer::imported(null);
        let poison = options.poison.then(|| {
            driver.make(POISON_BYTES, || {
                let usage = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
                let raw = buffer("poison", POISON_BYTES, usage);
                let words = vec![POISON; POISON_BYTES as usize / 4];
                driver.queue().write_buffer(&raw, 0, bytemuck::cast_slice(&words));
                Buffer::imported(raw)
            })
        });
        let poison = poison.transpose()?;
        Ok(Context {
            driver,
            summary,
            pool: BufferPool::root(options.planning, options.memory),
            options,
            traits,
            timestamps,
            arenas: Mutex::default(),
            throttle: SubmitThrottle::default(),
            interrupts: Interrupts::default(),
            watch: Watch::default(),
            null,
            poison,
        })
    }

    pub(super) fn device(&self) -> &wgpu::Device {
        self.driver.device()
    }

    pub(super) fn queue(&self) -> &wgpu::Queue {
        self.driver.queue()
    }

    /// Bytes before and behind each tensor that tests watch.
    pub(super) fn guard(&self) -> u64 {
        if self.options.poison { GUARD_BYTES } else { 0 }
    }

    /// A uniform buffer for parameters, at least `ARENA` bytes; comes back by [`Context::return_arena`].
    pub(super) fn take_arena(&self) -> Result<wgpu::Buffer> {
        if let Some(arena) = self.arenas.lock().pop() {
            return Ok(arena);
        }
        let desc = wgpu::BufferDescriptor {
            label: Some("params"),
            size: ARENA,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        self.driver.make(ARENA, || self.device().create_buffer(&desc))
    }

    pub(super) fn return_arena(&self, arena: wgpu::Buffer) {
        self.arenas.lock().push(arena);
    }
}

/// A quiet NaN that no computation makes, and two of them as f16: buffers of a poisoned device are handed out full of it.
pub const POISON: u32 = 0x7fc0_7eef;
/// Guard bytes before and behind each tensor of a poisoned device.
pub const GUARD_BYTES: u64 = 256;
pub(super) const POISON_BYTES: u64 = 1 << 20;

/// Bytes of one parameter arena.
pub(super) const ARENA: u64 = 64 << 10;
