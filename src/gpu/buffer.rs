//! Pooled storage buffers, and pooled images that kernels read buffers through.
//!
//! A buffer returns to its pool when its last owner drops it and is handed out again in its size class. While a pass is being
//! recorded, buffers return to that recorder's own pool: its commands are not on the queue yet, so nobody else may have them.
//! When the pass has been submitted, that pool is emptied into the device's: commands on one queue run in order, so the next
//! owner may have them at once.
//!
//! An allocation failure, by the driver or by [`GpuOptions::memory`](super::GpuOptions::memory), is deferred: a placeholder is
//! handed out, and its first use in a dispatch, a copy or a read-back reports that the device is out of memory.

use super::driver::{Driver, mib, no_memory};
use crate::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Bytes of buffers: held from the driver, in use by tensors, and the largest figure each has had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Held from the driver, in use or free.
    pub allocated: u64,
    /// In use by live tensors.
    pub live: u64,
    /// Largest `allocated` so far.
    pub peak_allocated: u64,
    /// Largest `live` so far.
    pub peak_live: u64,
    /// The largest buffer so far.
    pub largest: u64,
    /// Largest `live` so far at the moment that a tape was about to be walked back: what there was before the pass, and what
    /// its forward left for the backward.
    pub peak_saved: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    allocated: AtomicU64,
    live: AtomicU64,
    peak_allocated: AtomicU64,
    peak_live: AtomicU64,
    largest: AtomicU64,
    peak_saved: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self) -> MemoryUse {
        MemoryUse {
            allocated: self.allocated.load(Relaxed),
            live: self.live.load(Relaxed),
            peak_allocated: self.peak_allocated.load(Relaxed),
            peak_live: self.peak_live.load(Relaxed),
            largest: self.largest.load(Relaxed),
            peak_saved: self.peak_saved.load(Relaxed),
        }
    }

    /// A forward pass is through, and its backward begins.
    pub(super) fn turn(&self) {
        self.peak_saved.fetch_max(self.live.load(Relaxed), Relaxed);
    }

    pub(super) fn reset_peaks(&self) {
        self.peak_allocated.store(self.allocated.load(Relaxed), Relaxed);
        self.peak_live.store(self.live.load(Relaxed), Relaxed);
        self.peak_saved.store(0, Relaxed);
        self.largest.store(0, Relaxed);
    }
}

/// Memory that the passes recorded in it share: they run one behind the other, and what one leaves in its buffers, but for
/// tensors that are still held, the next may write over. So many passes can be kept in the memory of the largest.
pub struct SharedPool(pub(super) Arc<BufferPool>);

/// What the driver gave.
enum Raw {
    /// Nothing: a device that only plans.
    Virtual,
    /// Nothing, and why.
    OutOfMemory(Error),
    Buffer(wgpu::Buffer),
    Image(wgpu::Texture, wgpu::TextureView),
}

/// A kind of memory and its size class.
type Class = (Kind, u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Buffer,
    Image,
}

/// Fours of floats in a row of an image.
pub const IMAGE_WIDTH: u32 = 1024;
/// Bytes in a row of an image.
pub(super) const IMAGE_ROW: u64 = 16 * IMAGE_WIDTH as u64;

/// A free list: the device's, that of a shared pool, or that of a pass being recorded.
pub(super) struct BufferPool {
    free: Mutex<HashMap<Class, Vec<Raw>>>,
    planning: bool,
    limit: Option<u64>,
    pool: Option<Arc<BufferPool>>,
    closed: AtomicBool,
    counters: Arc<Counters>,
}

impl BufferPool {
    /// The device's pool, of at most `limit` bytes; where `planning`, it counts bytes, however many, and asks the driver for
    /// none.
    pub(super) fn root(planning: bool, limit: Option<u64>) -> Arc<Self> {
        Arc::new(BufferPool {
            free: Mutex::default(),
            planning,
            limit,
            pool: None,
            closed: AtomicBool::new(false),
            counters: Arc::default(),
        })
    }

    /// The pool of a shared pool or of a pass being recorded, in front of `self`.
    pub(super) fn open(self: &Arc<Self>) -> Arc<Self> {
        Arc::new(BufferPool {
            free: Mutex::default(),
            planning: self.planning,
            limit: self.limit,
            pool: Some(self.clone()),
            closed: AtomicBool::new(false),
            counters: self.counters.clone(),
        })
    }

    /// Whether other passes may have its buffers while its own pass is kept.
    pub(super) fn is_shared(&self) -> bool {
        self.pool.as_ref().is_some_and(|p| p.pool.is_some())
    }

    /// The device's pool.
    fn device(&self) -> &BufferPool {
        self.pool.as_deref().map_or(self, BufferPool::device)
    }

    /// Empties this pool into the one behind it; what returns later goes there directly.
    pub(super) fn close(&self) {
        let Some(pool) = &self.pool else { return };
        let mut free = self.free.lock();
        self.closed.store(true, Relaxed);
        let mut target = pool.free.lock();
        for (class, mut buffers) in free.drain() {
            target.entry(class).or_default().append(&mut buffers);
        }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Gives every free buffer of the pool back to the driver.
    pub(super) fn trim(&self) {
        let mut free = self.free.lock();
        for ((_, class), buffers) in free.drain() {
            self.counters.allocated.fetch_sub(class * buffers.len() as u64, Relaxed);
        }
    }

    fn find(&self, class: Class) -> Option<Raw> {
        let own = self.free.lock().get_mut(&class).and_then(Vec::pop);
        own.or_else(|| self.pool.as_ref().and_then(|p| p.find(class)))
    }

    /// Makes a buffer or an image of a class. Where there is no room for it, free ones are given back to the driver first.
    fn make(&self, driver: &Driver, (kind, class): Class) -> Result<Raw> {
        if self.planning {
            self.grow(class)?;
            return Ok(Raw::Virtual);
        }
        self.ask(driver, kind, class).or_else(|e| match e.kind() {
            ErrorKind::Memory => {
                self.device().trim();
                // What the device still works with is the driver's again when that is done.
                driver.wait(None)?;
                self.ask(driver, kind, class)
            }
            _ => Err(e),
        })
    }

    /// Counts bytes that are about to be asked for.
    fn grow(&self, class: u64) -> Result<()> {
        let c = &self.counters;
        let before = c.allocated.fetch_add(class, Relaxed);
        if let Some(limit) = self.limit.filter(|limit| !self.planning && before + class > *limit) {
            c.allocated.fetch_sub(class, Relaxed);
            let taken = format!("{} of {} taken", mib(before), mib(limit));
            return Err(no_memory(taken).expected(mib(class)));
        }
        c.peak_allocated.fetch_max(before + class, Relaxed);
        Ok(())
    }

    fn ask(&self, driver: &Driver, kind: Kind, class: u64) -> Result<Raw> {
        self.grow(class)?;
        let made = match kind {
            Kind::Buffer => create_buffer(driver, class),
            Kind::Image => create_image(driver, class),
        };
        if made.is_err() {
            self.counters.allocated.fetch_sub(class, Relaxed);
        }
        made
    }

    /// A buffer, or an image, of at least `bytes`; one with nothing behind it where there is no memory.
    pub(super) fn take(self: &Arc<Self>, driver: &Driver, kind: Kind, bytes: u64) -> Arc<Buffer> {
        let class = match kind {
            Kind::Buffer => size_class(bytes),
            Kind::Image => image_class(bytes),
        };
        if kind == Kind::Buffer {
            self.counters.largest.fetch_max(class, Relaxed);
        }
        let found = self.find((kind, class)).map_or_else(|| self.make(driver, (kind, class)), Ok);
        let raw = match found {
            Ok(raw) => raw,
            Err(e) => return Buffer::out_of_memory(kind, class, e),
        };
        let c = &self.counters;
        let live = c.live.fetch_add(class, Relaxed) + class;
        c.peak_live.fetch_max(live, Relaxed);
        Arc::new(Buffer { raw, kind, class, pool: Some(self.clone()) })
    }
}

impl Drop for BufferPool {
    /// That of a pass which was given up: its commands never run, so anybody may have its buffers.
    fn drop(&mut self) {
        self.close();
    }
}

fn create_buffer(driver: &Driver, bytes: u64) -> Result<Raw> {
    if bytes > driver.most {
        let most = format!("{} at most in one buffer", mib(driver.most));
        return Err(no_memory(most).expected(mib(bytes)));
    }
    let usage =
        wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let desc =
        wgpu::BufferDescriptor { label: None, size: bytes, usage, mapped_at_creation: false };
    driver.make(bytes, || Raw::Buffer(driver.device().create_buffer(&desc)))
}

fn create_image(driver: &Driver, bytes: u64) -> Result<Raw> {
    let desc = wgpu::TextureDescriptor {
        label: None,
        size: wgpu::Extent3d {
            width: IMAGE_WIDTH,
            height: image_rows(bytes),
            depth_or_array_layers: 1,
        },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba32Float,
        usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    };
    driver.make(bytes, || {
        let texture = driver.device().create_texture(&desc);
        let view = texture.create_view(&Default::default());
        Raw::Image(texture, view)
    })
}

/// Rows of the image of a size class. None is a power of two: Mesa's llvmpipe compiles a kernel anew for images that differ in
/// this.
fn image_rows(bytes: u64) -> u32 {
    let rows = (bytes / IMAGE_ROW) as u32;
    rows + u32::from(rows.is_power_of_two())
}

/// Whether a device whose images have at most `most` rows and columns has one for so many bytes.
fn fits_image(bytes: u64, most: u32) -> bool {
    let class = image_class(bytes);
    IMAGE_WIDTH <= most && class / IMAGE_ROW < u64::from(most) && image_rows(class) <= most
}

/// The size class of an image: from eight rows on, classes are whole rows.
fn image_class(bytes: u64) -> u64 {
    size_class(bytes.max(8 * IMAGE_ROW))
}

/// Eight classes between powers of two: at most an eighth of a buffer is unused.
fn size_class(bytes: u64) -> u64 {
    let bytes = bytes.max(256);
    let step = (1u64 << (63 - bytes.leading_zeros())) / 8;
    bytes.div_ceil(step) * step
}

/// A storage buffer, or an image that one is read through; returns to its pool when dropped.
pub struct Buffer {
    raw: Raw,
    kind: Kind,
    class: u64,
    pool: Option<Arc<BufferPool>>,
}

impl Buffer {
    /// A buffer of the host program, which stays the host's.
    pub(super) fn imported(raw: wgpu::Buffer) -> Arc<Self> {
        let class = raw.size();
        Arc::new(Buffer { raw: Raw::Buffer(raw), kind: Kind::Buffer, class, pool: None })
    }

    /// One for which there was no memory.
    pub(super) fn out_of_memory(kind: Kind, class: u64, why: Error) -> Arc<Self> {
        Arc::new(Buffer { raw: Raw::OutOfMemory(why), kind, class, pool: None })
    }

    /// # Errors
    /// [`ErrorKind::Memory`] where there was none for it.
    pub(super) fn check_allocated(&self) -> Result<()> {
        match &self.raw {
            Raw::OutOfMemory(e) => Err(e.clone()),
            _ => Ok(()),
        }
    }

    /// The wgpu buffer, for hosts that share the device.
    ///
    /// # Panics
    /// On a device that plans, and for a buffer that there was no memory for.
    pub fn raw(&self) -> &wgpu::Buffer {
        match &self.raw {
            Raw::Buffer(buffer) => buffer,
            Raw::OutOfMemory(e) => panic!("{e}"),
            _ => panic!("a wgpu buffer, which only devices that plan go without"),
        }
    }

    /// Copies `bytes` in by the queue from `offset` on, before later submissions.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`] where the driver has none for them on their way, [`ErrorKind::Device`] for what lies outside.
    pub(super) fn write(&self, driver: &Driver, offset: u64, bytes: &[u8]) -> Result<()> {
        let queue = driver.queue();
        driver.make(bytes.len() as u64, || {
            let whole = bytes.len() & !3;
            queue.write_buffer(self.raw(), offset, &bytes[..whole]);
            if whole < bytes.len() {
                let mut last = [0; 4];
                last[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
                queue.write_buffer(self.raw(), offset + whole as u64, &last);
            }
        })
    }

    /// The texture and its view.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`] where there was none for it.
    pub(super) fn image(&self) -> Result<(&wgpu::Texture, &wgpu::TextureView)> {
        match &self.raw {
            Raw::Image(texture, view) => Ok((texture, view)),
            Raw::OutOfMemory(e) => Err(e.clone()),
            _ => panic!("an image, which only devices that plan go without"),
        }
    }

    /// Whether kernels of a device can read it through an image: it may be copied, and is not too large.
    pub(super) fn fits_image(&self, driver: &Driver, guard: u64) -> bool {
        let copies = match &self.raw {
            Raw::Buffer(buffer) => buffer.usage().contains(wgpu::BufferUsages::COPY_SRC),
            _ => true,
        };
        copies && fits_image(self.class + guard, driver.image)
    }

    /// The same of one that is yet to be made.
    pub(super) fn would_fit_image(bytes: u64, driver: &Driver, guard: u64) -> bool {
        fits_image(size_class(bytes + 2 * guard) + guard, driver.image)
    }

    /// Whether it returns to `pool` when dropped.
    pub(super) fn is_of(&self, pool: &Arc<BufferPool>) -> bool {
        self.pool.as_ref().is_some_and(|own| Arc::ptr_eq(own, pool))
    }

    /// Its size in bytes, at least that of its tensor.
    pub fn bytes(&self) -> u64 {
        self.class
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(own) = self.pool.take() else { return };
        let raw = std::mem::replace(&mut self.raw, Raw::Virtual);
        let class = (self.kind, self.class);
        own.counters.live.fetch_sub(self.class, Relaxed);
        let mut free = own.free.lock();
        match &own.pool {
            Some(pool) if own.closed.load(Relaxed) => {
                pool.free.lock().entry(class).or_default().push(raw);
            }
            _ => free.entry(class).or_default().push(raw),
        }
    }
}

/// A copy of `bytes` of a buffer into an image.
pub(super) struct BufferToTexture {
    pub(super) from: wgpu::Buffer,
    pub(super) offset: u64,
    pub(super) to: wgpu::Texture,
    pub(super) bytes: u64,
}

impl BufferToTexture {
    pub(super) fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        let (rows, rest) = ((self.bytes / IMAGE_ROW) as u32, self.bytes % IMAGE_ROW);
        let mut copy = |row: u32, width: u32, height: u32| {
            let layout = wgpu::TexelCopyBufferLayout {
                offset: self.offset + u64::from(row) * IMAGE_ROW,
                bytes_per_row: Some(IMAGE_ROW as u32),
                rows_per_image: None,
            };
            let origin = wgpu::Origin3d { x: 0, y: row, z: 0 };
            encoder.copy_buffer_to_texture(
                wgpu::TexelCopyBufferInfo { buffer: &self.from, layout },
                wgpu::TexelCopyTextureInfo { origin, ..self.to.as_image_copy() },
                wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            );
        };
        if rows > 0 {
            copy(0, IMAGE_WIDTH, rows);
        }
        if rest > 0 {
            copy(rows, rest.div_ceil(16) as u32, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{IMAGE_ROW, IMAGE_WIDTH, fits_image, image_class, image_rows, size_class};

    #[test]
    fn classes_are_close_and_multiples_of_32() {
        for bytes in (1..100_000).chain([1 << 20, (1 << 20) + 1, 123_456_789]) {
            let class = size_class(bytes);
            assert!(class >= bytes && class.is_multiple_of(32));
            assert!(bytes < 256 || class - bytes <= bytes / 8 + 1);
            assert_eq!(class, size_class(class));
            assert!(image_class(bytes).is_multiple_of(IMAGE_ROW));
        }
    }

    #[test]
    fn images_are_within_the_limits_of_a_device() {
        for most in [2048, 4096, 8192, 16384] {
            let largest =
                (1..u64::from(most) * 2).filter(|n| fits_image(n * IMAGE_ROW, most)).max();
            let rows = image_rows(image_class(largest.expect("an image") * IMAGE_ROW));
            assert!(rows <= most && rows > most / 2, "{rows} rows of {most}");
        }
        assert!(!fits_image(1, IMAGE_WIDTH - 1));
        assert!(!fits_image(u64::MAX / 4, u32::MAX));
    }
}
