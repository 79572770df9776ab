//! The library's face: open an adapter, load a model, super-resolve and read images.
//!
//! Knows models and pictures; knows no terminal, prints nothing, keeps no global state.

mod enlarge;
mod memory;
mod pass_cache;
pub mod pipeline;
mod pipeline_cache;
mod recognize;
mod result;
mod settled;
mod side_by_side;
mod super_resolver;
pub mod trace;
mod tuning_file;
mod upscale;

pub use crate::models::{ARCH, Character, Head, ModelKind, Reading};
pub use enlarge::enlarge;
pub use memory::{MemoryPlan, plan_memory};
pub use recognize::{ReadOptions, Recognizer, shipped_reader};
pub use result::{Attention, Upscaled, Wanted, WindowResult};
pub use settled::{Given, configuration, settle};
pub use super_resolver::{Resolving, SuperResolver};
pub use upscale::{DeviceImages, Job, Lemma, Options, Pending};

use crate::Result;
use crate::data::checkpoint::StateDict;
use crate::gpu::{AdapterSummary, Gpu, GpuOptions, HostAdapter, HostDevice, HostQueue};
use pipeline_cache::PipelineCache;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open adapter, which models are loaded onto. Cheap to clone; `Send + Sync`.
#[derive(Debug, Clone)]
pub struct Engine {
    gpu: Gpu,
    _kept: Option<Arc<PipelineCache>>,
}

impl Engine {
    /// Opens an adapter; blocks until done.
    ///
    /// # Errors
    /// As [`Engine::new_async`].
    pub fn new(options: GpuOptions) -> Result<Self> {
        pollster::block_on(Self::new_async(options))
    }

    /// Opens an adapter.
    ///
    /// # Errors
    /// [`ErrorKind::NoAdapter`](crate::ErrorKind::NoAdapter) when none fits, [`ErrorKind::Argument`](crate::ErrorKind::Argument)
    /// for a rank that no launcher gave, [`ErrorKind::Device`](crate::ErrorKind::Device) when it does not open.
    pub async fn new_async(options: GpuOptions) -> Result<Self> {
        Ok(Engine { gpu: Gpu::new_async(options).await?, _kept: None })
    }

    /// Shares the device of a host program. Models then compute on it, and their images can stay there.
    ///
    /// # Errors
    /// [`ErrorKind::Device`](crate::ErrorKind::Device) for a precision that needs a feature which the host did not ask for.
    pub fn from_wgpu(
        adapter: &HostAdapter,
        device: HostDevice,
        queue: HostQueue,
        options: GpuOptions,
    ) -> Result<Self> {
        Ok(Engine { gpu: Gpu::from_wgpu(adapter, device, queue, options)?, _kept: None })
    }

    /// Keeps the driver's compiled pipelines in a folder, which is made if need be: they are read now and written when the
    /// last clone of this engine goes. Without effect where the driver hands none out, as outside Vulkan. To be called before
    /// the first pass. The cache is best-effort: files that are corrupt, or that others than this user can write, are ignored,
    /// and failures to write are silent.
    pub fn keep_pipelines(mut self, folder: &Path) -> Self {
        self._kept = PipelineCache::open(&self.gpu, folder).map(Arc::new);
        self
    }

    /// Takes the kernels that were measured to be the fastest on this adapter from a folder, to which
    /// [`Engine::keep_choices`] wrote them. Another driver's or version's are left, and so are damaged files.
    pub fn recall_choices(&self, folder: &Path) {
        tuning_file::recall(&self.gpu, folder);
    }

    /// Writes the choices that were measured ([`tune`](crate::bench::tune)) or recalled to a folder, which is made if need be;
    /// returns the file.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io).
    pub fn keep_choices(&self, folder: &Path) -> Result<PathBuf> {
        tuning_file::keep(&self.gpu, folder)
    }

    /// The adapters of this machine, fastest kind first.
    pub fn adapters() -> Vec<AdapterSummary> {
        Gpu::adapters()
    }

    /// The adapter behind this engine.
    pub fn adapter(&self) -> &AdapterSummary {
        self.gpu.summary()
    }

    /// The device floor, for measuring and for graphs of one's own.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }
}

/// Where weights come from.
#[derive(Debug, Clone)]
pub enum Source<'a> {
    /// The small trained model inside the library.
    Shipped,
    /// A file: safetensors or either of PyTorch's containers.
    File(PathBuf),
    /// A file's content.
    Bytes(&'a [u8]),
    /// A state dict in memory.
    State(StateDict),
}

impl From<&Path> for Source<'_> {
    fn from(path: &Path) -> Self {
        Source::File(path.into())
    }
}

impl From<PathBuf> for Source<'_> {
    fn from(path: PathBuf) -> Self {
        Source::File(path)
    }
}

impl From<&str> for Source<'_> {
    fn from(path: &str) -> Self {
        Source::File(path.into())
    }
}

impl From<StateDict> for Source<'_> {
    fn from(state: StateDict) -> Self {
        Source::State(state)
    }
}

impl Source<'_> {
    /// The state dict with its whole configuration, and what errors call it; `shipped` is the content of the shipped file.
    fn read(self, shipped: &[u8]) -> Result<(StateDict, String)> {
        let (state, place) = match self {
            Source::Shipped => {
                (StateDict::from_bytes("shipped weights", shipped), "shipped weights".into())
            }
            Source::File(path) => (StateDict::read(&path), path.display().to_string()),
            Source::Bytes(bytes) => (StateDict::from_bytes("weights", bytes), "weights".into()),
            Source::State(state) if state.source.place.is_empty() => (Ok(state), "weights".into()),
            Source::State(state) => {
                let place = state.source.place.clone();
                (Ok(state), place)
            }
        };
        let mut state = state?;
        settle(&mut state, &Given::default()).map_err(|e| e.within(&place))?;
        Ok((state, place))
    }
}
