//! Compiled pipelines that outlive an engine, in a folder.

use crate::data::picture::write_file;
use crate::gpu::Gpu;
use std::path::{Path, PathBuf};

/// Writes what the driver remembers of its pipelines when the last engine that shares it goes.
#[derive(Debug)]
pub(super) struct Kept {
    gpu: Gpu,
    file: PathBuf,
    read: Vec<u8>,
}

impl Kept {
    /// Begins with what the folder has for this adapter; none where the device hands nothing out.
    pub(super) fn open(gpu: &Gpu, folder: &Path) -> Option<Self> {
        let file = folder.join(gpu.pipeline_cache_name()?);
        let read = std::fs::read(&file).unwrap_or_default();
        gpu.recall_pipelines(&read);
        Some(Kept { gpu: gpu.clone(), file, read })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(bytes) = self.gpu.compiled_pipelines()
            && bytes != self.read
        {
            let folder = self.file.parent().expect("a file in a folder");
            // A folder that is full or read-only costs the next run some time, and this one nothing.
            let _ = std::fs::create_dir_all(folder);
            let _ = write_file(&self.file, &bytes, true);
        }
    }
}
