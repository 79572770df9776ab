//! Pooled storage buffers.
//!
//! A buffer goes home when its last owner drops it and is handed out again in its size class. While a pass is being recorded,
//! buffers go to that recorder's own shelf: its commands are not on the queue yet, so nobody else may have them. When the pass
//! has been submitted the shelf is emptied into the device's pool: commands on one queue run in order, so the next owner may
//! have them at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// Bytes of buffers: held from the driver, in use by tensors, and the largest figure each has had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Held from the driver, in use or on a shelf.
    pub allocated: u64,
    /// In use by live tensors.
    pub live: u64,
    /// Largest `allocated` so far.
    pub peak_allocated: u64,
    /// Largest `live` so far.
    pub peak_live: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    allocated: AtomicU64,
    live: AtomicU64,
    peak_allocated: AtomicU64,
    peak_live: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self) -> MemoryUse {
        MemoryUse {
            allocated: self.allocated.load(Relaxed),
            live: self.live.load(Relaxed),
            peak_allocated: self.peak_allocated.load(Relaxed),
            peak_live: self.peak_live.load(Relaxed),
        }
    }

    pub(super) fn reset_peaks(&self) {
        self.peak_allocated.store(self.allocated.load(Relaxed), Relaxed);
        self.peak_live.store(self.live.load(Relaxed), Relaxed);
    }
}

/// A buffer of the driver; none on a device that only plans.
type Raw = Option<wgpu::Buffer>;

/// Where free buffers wait: the device's pool, or the shelf of a pass in the making.
pub(super) struct Shelf {
    free: Mutex<HashMap<u64, Vec<Raw>>>,
    planning: bool,
    pool: Option<Arc<Shelf>>,
    closed: AtomicBool,
    counters: Arc<Counters>,
}

impl Shelf {
    /// The device's pool; where `planning`, it counts bytes and asks the driver for none.
    pub(super) fn pool(planning: bool) -> Arc<Self> {
        Arc::new(Shelf {
            free: Mutex::default(),
            planning,
            pool: None,
            closed: AtomicBool::new(false),
            counters: Arc::default(),
        })
    }

    /// The shelf of a pass in the making, in front of `self`, the pool.
    pub(super) fn open(self: &Arc<Self>) -> Arc<Self> {
        Arc::new(Shelf {
            free: Mutex::default(),
            planning: self.planning,
            pool: Some(self.clone()),
            closed: AtomicBool::new(false),
            counters: self.counters.clone(),
        })
    }

    /// Empties the shelf into the pool; what comes home later goes there directly.
    pub(super) fn close(&self) {
        let Some(pool) = &self.pool else { return };
        let mut free = self.free.lock().expect("shelf");
        self.closed.store(true, Relaxed);
        let mut target = pool.free.lock().expect("pool");
        for (class, mut buffers) in free.drain() {
            target.entry(class).or_default().append(&mut buffers);
        }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Gives every free buffer of the pool back to the driver.
    pub(super) fn trim(&self) {
        let mut free = self.free.lock().expect("pool");
        for (class, buffers) in free.drain() {
            self.counters.allocated.fetch_sub(class * buffers.len() as u64, Relaxed);
        }
    }

    fn find(&self, class: u64) -> Option<Raw> {
        let own = self.free.lock().expect("shelf").get_mut(&class).and_then(Vec::pop);
        own.or_else(|| self.pool.as_ref().and_then(|p| p.find(class)))
    }

    /// A buffer of at least `bytes`.
    pub(super) fn take(self: &Arc<Self>, device: &wgpu::Device, bytes: u64) -> Arc<Buffer> {
        let class = size_class(bytes);
        let c = &self.counters;
        let raw = self.find(class).unwrap_or_else(|| {
            let now = c.allocated.fetch_add(class, Relaxed) + class;
            c.peak_allocated.fetch_max(now, Relaxed);
            let usage = wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST;
            let desc = wgpu::BufferDescriptor {
                label: None,
                size: class,
                usage,
                mapped_at_creation: false,
            };
            (!self.planning).then(|| device.create_buffer(&desc))
        });
        let live = c.live.fetch_add(class, Relaxed) + class;
        c.peak_live.fetch_max(live, Relaxed);
        Arc::new(Buffer { raw, class, home: Some(self.clone()) })
    }
}

/// Eight classes between powers of two: at most an eighth of a buffer is unused.
fn size_class(bytes: u64) -> u64 {
    let bytes = bytes.max(256);
    let step = (1u64 << (63 - bytes.leading_zeros())) / 8;
    bytes.div_ceil(step) * step
}

/// A storage buffer that goes home when dropped.
pub struct Buffer {
    raw: Raw,
    class: u64,
    home: Option<Arc<Shelf>>,
}

impl Buffer {
    /// A buffer of the host program, which stays the host's.
    pub(super) fn foreign(raw: wgpu::Buffer) -> Arc<Self> {
        let class = raw.size();
        Arc::new(Buffer { raw: Some(raw), class, home: None })
    }

    /// The wgpu buffer, for hosts that share the device.
    pub fn raw(&self) -> &wgpu::Buffer {
        self.raw.as_ref().expect("a wgpu buffer, which only devices that plan go without")
    }

    /// Whether it returns to `shelf` when dropped.
    pub(super) fn is_of(&self, shelf: &Arc<Shelf>) -> bool {
        self.home.as_ref().is_some_and(|h| Arc::ptr_eq(h, shelf))
    }

    /// Its size in bytes, at least that of its tensor.
    pub fn bytes(&self) -> u64 {
        self.class
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(home) = self.home.take() else { return };
        let raw = self.raw.take();
        home.counters.live.fetch_sub(self.class, Relaxed);
        let mut free = home.free.lock().expect("shelf");
        match &home.pool {
            Some(pool) if home.closed.load(Relaxed) => {
                pool.free.lock().expect("pool").entry(self.class).or_default().push(raw);
            }
            _ => free.entry(self.class).or_default().push(raw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::size_class;

    #[test]
    fn classes_are_close_and_multiples_of_32() {
        for bytes in (1..100_000).chain([1 << 20, (1 << 20) + 1, 123_456_789]) {
            let class = size_class(bytes);
            assert!(class >= bytes && class.is_multiple_of(32));
            assert!(bytes < 256 || class - bytes <= bytes / 8 + 1);
            assert_eq!(class, size_class(class));
        }
    }
}
