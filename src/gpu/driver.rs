//! A device and its queue, and the bad news of the driver.
//!
//! wgpu tells them by four ways: scopes of errors, which belong to a thread; a call of ours where the device is lost; what a
//! wait returns; and a panic, where a wait finds the device lost and in a dozen places that it takes for impossible. Every call
//! that may fail goes through [`Driver::watched`] or [`Driver::wait`], which listen to all of them, so that whatever happens is
//! an [`Error`].

use crate::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

/// Bytes of a buffer or of what a kernel binds of one, whatever a backend offers: kernels compute places of elements in 31
/// bits, and Metal offers all memory there is.
const MOST: u64 = i32::MAX as u64;

/// A device and its queue.
pub(super) struct Driver {
    /// There until they are dropped.
    handles: Option<(wgpu::Device, wgpu::Queue)>,
    name: String,
    news: Arc<News>,
    /// Bytes of the largest buffer.
    pub(super) most: u64,
    /// What offsets of parameters are multiples of.
    pub(super) align: usize,
    /// Rows and columns of the largest image.
    pub(super) image: u32,
}

/// What the driver said when nobody had asked.
#[derive(Default)]
struct News {
    /// Why the device is lost.
    lost: OnceLock<String>,
    /// An error that no scope was open for.
    stray: Mutex<Option<wgpu::Error>>,
}

impl Driver {
    /// A device of this crate's own.
    pub(super) fn own(device: wgpu::Device, queue: wgpu::Queue, name: &str) -> Self {
        let driver = Self::of_host(device, queue, name);
        let news = driver.news.clone();
        driver.device().set_device_lost_callback(move |reason, why| {
            let _ = news.lost.set(match (reason, why.as_str()) {
                (wgpu::DeviceLostReason::Destroyed, _) => "it was destroyed".into(),
                (_, "" | "Device is lost") => "the driver gave it up".into(),
                _ => why.to_lowercase(),
            });
        });
        let news = driver.news.clone();
        driver.device().on_uncaptured_error(Arc::new(move |e| {
            news.stray.lock().get_or_insert(e);
        }));
        driver
    }

    /// A device of the host's, whose handlers stay the host's.
    pub(super) fn of_host(device: wgpu::Device, queue: wgpu::Queue, name: &str) -> Self {
        let limits = device.limits();
        Driver {
            most: largest(&limits),
            align: limits.min_uniform_buffer_offset_alignment as usize,
            image: limits.max_texture_dimension_2d,
            handles: Some((device, queue)),
            name: name.into(),
            news: Arc::default(),
        }
    }

    pub(super) fn device(&self) -> &wgpu::Device {
        &self.handles().0
    }

    pub(super) fn queue(&self) -> &wgpu::Queue {
        &self.handles().1
    }

    fn handles(&self) -> &(wgpu::Device, wgpu::Queue) {
        self.handles.as_ref().expect("a device until it is dropped")
    }

    /// Runs `f`; what the driver has against it is an error.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`] when the driver has none left, [`ErrorKind::Device`] for what it refuses and when the device is
    /// lost; those of `f`.
    pub(super) fn watched<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        self.alive()?;
        let scope = |filter| self.device().push_error_scope(filter);
        let memory = scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = scope(wgpu::ErrorFilter::Internal);
        let validation = scope(wgpu::ErrorFilter::Validation);
        let result = quietly(f);
        // In the reverse order, as wgpu wants it.
        let [validation, internal, memory] =
            [validation, internal, memory].map(|scope| pollster::block_on(scope.pop()));
        if memory.is_some() {
            return Err(no_memory("no more from the driver"));
        }
        // What is made on a lost device is refused wherever it is used: the loss is what to tell of.
        self.alive()?;
        match (validation.or(internal), result) {
            (Some(e), _) => Err(self.error(e)),
            (None, Ok(result)) => result,
            (None, Err(panic)) => Err(self.lose(panic)),
        }
    }

    /// [`Driver::watched`] of what asks for about `bytes`.
    ///
    /// # Errors
    /// As [`Driver::watched`].
    pub(super) fn make<T>(&self, bytes: u64, f: impl FnOnce() -> T) -> Result<T> {
        self.watched(|| Ok(f())).map_err(|e| match e.kind() {
            ErrorKind::Memory => e.expected(mib(bytes)),
            _ => e,
        })
    }

    /// Submits commands; to be called within [`Driver::watched`].
    ///
    /// # Errors
    /// [`ErrorKind::Device`] where the device did not take them.
    pub(super) fn submit(&self, commands: wgpu::CommandBuffer) -> Result<wgpu::SubmissionIndex> {
        let index = self.queue().submit([commands]);
        // A device that is lost takes nothing, and tells only who looks. No wait without patience for this very submission: where
        // another thread sees its end meanwhile, wgpu 30.0.2 panics, and drops the call-backs of everybody.
        match self.device().poll(wgpu::PollType::Poll) {
            Ok(_) => Ok(index),
            Err(e) => Err(self.error(e)),
        }
    }

    /// Waits until a submission is done, or all of them.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] when the device is lost.
    pub(super) fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        self.alive()?;
        let wait = wgpu::PollType::Wait { submission_index: submission, timeout: None };
        let waited = quietly(|| self.device().poll(wait));
        self.alive()?;
        match waited {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) => Err(self.error(e)),
            Err(panic) => Err(self.lose(panic)),
        }
    }

    /// Gives the device up: what it is like behind a panic is not known.
    fn lose(&self, panic: String) -> Error {
        let why = self.news.lost.get_or_init(|| panic);
        self.error(format!("the device is lost: {why}"))
    }

    /// # Errors
    /// [`ErrorKind::Device`] when the device is lost, or for news that came when nobody asked.
    pub(super) fn alive(&self) -> Result<()> {
        if let Some(why) = self.news.lost.get() {
            return Err(self.error(format!("the device is lost: {why}")));
        }
        match self.news.stray.lock().take() {
            Some(e) => Err(self.error(e)),
            None => Ok(()),
        }
    }

    fn error(&self, what: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::Device, &self.name, what)
    }
}

impl Drop for Driver {
    /// wgpu waits for the queue here, too, and panics where it cannot.
    fn drop(&mut self) {
        let handles = self.handles.take();
        let _ = quietly(|| drop(handles));
    }
}

/// Bytes of the largest buffer on a device of these limits.
fn largest(limits: &wgpu::Limits) -> u64 {
    limits.max_buffer_size.min(limits.max_storage_buffer_binding_size).min(MOST)
}

/// A limit that is too small for the kernels, which keep to WebGPU's defaults: its name, what is wanted and what there is.
pub(super) fn too_small(limits: &wgpu::Limits) -> Option<(&'static str, u64, u64)> {
    let wanted = wgpu::Limits::default();
    macro_rules! compare {
        ($($limit:ident),+ $(,)?) => {
            [$((stringify!($limit), u64::from(wanted.$limit), u64::from(limits.$limit))),+]
        };
    }
    compare![
        max_bind_groups,
        max_bindings_per_bind_group,
        max_uniform_buffers_per_shader_stage,
        max_dynamic_uniform_buffers_per_pipeline_layout,
        max_storage_buffers_per_shader_stage,
        max_storage_textures_per_shader_stage,
        max_compute_workgroup_storage_size,
        max_compute_invocations_per_workgroup,
        max_compute_workgroup_size_x,
        max_compute_workgroup_size_y,
        max_compute_workgroup_size_z,
        max_compute_workgroups_per_dimension,
    ]
    .into_iter()
    .find(|(_, want, got)| got < want)
}

pub(super) fn no_memory(got: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Memory, "gpu", "memory of the device").got(got)
}

pub(super) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in a call of wgpu's whose panic is caught and returned as an [`Error`]. For programs with a panic
/// hook, which has nothing to report then.
pub fn panic_is_caught() -> bool {
    QUIET.get()
}

/// Runs `f`; a panic is returned as its text.
pub(super) fn quietly<T>(f: impl FnOnce() -> T) -> std::result::Result<T, String> {
    let before = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    QUIET.set(before);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text =
            text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_buffer_is_larger_than_kernels_can_count() {
        let metal = wgpu::Limits {
            max_buffer_size: 1 << 37,
            max_storage_buffer_binding_size: 1 << 37,
            ..Default::default()
        };
        assert_eq!(largest(&metal), (1 << 31) - 1);
        let llvmpipe = wgpu::Limits { max_storage_buffer_binding_size: 1 << 27, ..metal.clone() };
        assert_eq!(largest(&llvmpipe), 1 << 27);
        assert_eq!(largest(&wgpu::Limits { max_buffer_size: 1 << 26, ..llvmpipe }), 1 << 26);
    }

    #[test]
    fn a_host_has_to_ask_for_what_kernels_need() {
        assert_eq!(too_small(&wgpu::Limits::default()), None);
        let (name, want, got) = too_small(&wgpu::Limits::downlevel_defaults()).expect("a limit");
        assert_eq!((name, want, got), ("max_storage_buffers_per_shader_stage", 8, 4));
    }

    #[test]
    fn a_panic_of_a_wait_is_its_text() {
        assert_eq!(quietly(|| quietly(|| 7).map(|n| (n, panic_is_caught()))), Ok(Ok((7, true))));
        let text = quietly(|| -> () { panic!("caught: {}:\n  lost", panic_is_caught()) });
        assert_eq!(text, Err("caught: true: lost".into()));
        assert!(!panic_is_caught());
    }
}
