//! Names of files that arguments give: standard input and output, and places for results.

use crate::{Error, ErrorKind, Result};
use std::path::Path;

/// Whether a path stands for standard input or output.
pub fn is_dash(path: &Path) -> bool {
    path == Path::new("-")
}

/// Refuses a result that is there, unless it may be written over.
pub fn refuse_existing(path: &Path, overwrite: bool) -> Result<()> {
    if overwrite || path.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Argument, path.display(), "the result exists already")
        .hint("--overwrite writes over what is there"))
}

/// Makes the folder that `path` lies in.
pub fn make_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => make_folder(folder),
        _ => Ok(()),
    }
}

/// Makes a folder and those above it, where they are missing.
pub fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .map_err(|e| Error::io(folder.display(), "the folder cannot be made", e))
}
