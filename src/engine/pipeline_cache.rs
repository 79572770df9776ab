//! Compiled pipelines that outlive an engine, in a folder.

use crate::data::picture::write_file;
use crate::gpu::Gpu;
use std::fs::{DirBuilder, File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Writes what the driver remembers of its pipelines when the last engine that shares it goes.
#[derive(Debug)]
pub(super) struct PipelineCache {
    gpu: Gpu,
    file: PathBuf,
    read: Vec<u8>,
}

impl PipelineCache {
    /// Begins with what the folder has for this adapter; none where the device hands nothing out.
    pub(super) fn open(gpu: &Gpu, folder: &Path) -> Option<Self> {
        let file = folder.join(gpu.pipeline_cache_name()?);
        let read = written_by_this_user(&file).unwrap_or_default();
        // SAFETY: nobody else may write that file, and this crate writes nothing there but what the driver gave.
        unsafe { gpu.recall_pipelines(&read) };
        Some(PipelineCache { gpu: gpu.clone(), file, read })
    }
}

impl Drop for PipelineCache {
    fn drop(&mut self) {
        if let Some(bytes) = self.gpu.compiled_pipelines()
            && bytes != self.read
        {
            let folder = self.file.parent().expect("a file in a folder");
            // A folder that is full or read-only costs the next run some time, and this one nothing.
            let _ = private(folder);
            let _ = write_file(&self.file, &bytes, true);
        }
    }
}

/// Makes a folder, for this user alone, unless it is there.
fn private(folder: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// The bytes of a file that nobody but this user can have written.
fn written_by_this_user(path: &Path) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    // Of the file that is open, whatever lies at its path by now.
    if !is_own(&file.metadata().ok()?) {
        return None;
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(unix)]
fn is_own(file: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let by_others = 0o022;
    file.is_file()
        && file.uid() == rustix::process::geteuid().as_raw()
        && file.mode() & by_others == 0
}

/// Elsewhere a user's own folders are closed to others by the system.
#[cfg(not(unix))]
fn is_own(file: &Metadata) -> bool {
    file.is_file()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_that_others_can_write_counts_as_none() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("two/levels");
        private(&folder).expect("a folder");
        let mode = |path: &Path| path.metadata().expect("metadata").permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        let file = folder.join("pipelines");
        write_file(&file, b"kept", true).expect("a file");
        for (bits, trusted) in [(0o600, true), (0o644, true), (0o620, false), (0o602, false)] {
            std::fs::set_permissions(&file, PermissionsExt::from_mode(bits)).expect("a mode");
            assert_eq!(written_by_this_user(&file).is_some(), trusted, "{bits:o}");
        }
        assert_eq!(written_by_this_user(&folder), None, "a folder");
        assert_eq!(written_by_this_user(&folder.join("none")), None);
    }
}
