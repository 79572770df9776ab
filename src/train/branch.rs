//! Going back: what a run did behind the checkpoint that it goes on from is another branch, which is kept.

use super::checkpoint::{BEST, EMA, LAST, list, load_position};
use crate::data::part::sync_folder;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The log, which both branches need: what is before the fork is in both.
pub const METRICS: &str = "metrics.jsonl";
/// The curves of a run.
pub const CURVES: &str = "curves.svg";
/// The report of a run.
pub const REPORT: &str = "report.html";

/// Moves what the run in `folder` did behind `step` into a folder of its own there, where there are checkpoints behind it, and
/// returns that folder: those checkpoints, weights and sheets of such steps, the report, and a copy of the log.
///
/// # Errors
/// A folder or file that cannot be made or moved.
pub fn leave(folder: &Path, step: usize) -> Result<Option<PathBuf>> {
    let newer: Vec<PathBuf> =
        list(folder)?.into_iter().filter(|(s, _)| *s > step).map(|(_, path)| path).collect();
    if newer.is_empty() {
        return Ok(None);
    }
    let aside = fresh(folder, step)?;
    let metrics = folder.join(METRICS);
    if metrics.is_file() {
        let to = aside.join(METRICS);
        std::fs::copy(&metrics, &to)
            .map_err(|e| Error::io(to.display(), "cannot be written", e))?;
    }
    let mut moved: Vec<PathBuf> = [CURVES, REPORT].iter().map(|name| folder.join(name)).collect();
    let behind = |path: &PathBuf| load_position(path).is_ok_and(|p| p.step > step);
    moved.extend([BEST, LAST, EMA].iter().map(|name| folder.join(name)).filter(behind));
    moved.extend(sheets(folder, step));
    // The newest last: until they are gone, a run that is told to take the newest goes on where it was.
    moved.extend(newer.into_iter().rev());
    for path in moved.iter().filter(|path| path.is_file()) {
        let name = path.file_name().unwrap_or_default();
        std::fs::rename(path, aside.join(name))
            .map_err(|e| Error::io(path.display(), "cannot be moved aside", e))?;
    }
    for synced in [&aside, folder] {
        sync_folder(synced).map_err(|e| Error::io(synced.display(), "cannot be synced", e))?;
    }
    Ok(Some(aside))
}

/// A new folder for what is behind `step`.
fn fresh(folder: &Path, step: usize) -> Result<PathBuf> {
    let mut number = 1;
    loop {
        let more = if number > 1 { format!("-{number}") } else { String::new() };
        let aside = folder.join(format!("behind-{step:08}{more}"));
        match std::fs::create_dir(&aside) {
            Ok(()) => return Ok(aside),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(e) => return Err(Error::io(aside.display(), "cannot be made", e)),
        }
    }
}

/// Sheets of evaluations behind `step`.
fn sheets(folder: &Path, step: usize) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let of = |name: &str| name.strip_prefix("sheet-")?.strip_suffix(".png")?.parse::<usize>().ok();
    let behind = entries.filter(|e| e.file_name().to_str().and_then(of).is_some_and(|s| s > step));
    behind.map(|e| e.path()).collect()
}
