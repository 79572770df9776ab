//! Checkpoints of a run: everything that the next step depends on, in one safetensors file.
//!
//! A file is written to a temporary name, synced and renamed, so that a process killed at any instant leaves whole files only.

use super::config::TrainConfig;
use super::optimizer::Optimizer;
use super::trainee::Trainee;
use crate::data::checkpoint::StateDict;
use crate::gpu::Gpu;
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Steps done.
    pub step: usize,
    /// The best value of the chosen metric so far.
    pub best: Option<f64>,
    /// The run's settings.
    pub config: TrainConfig,
}

const KEY: &str = "train";
/// The best weights by the chosen metric, without the optimiser's state.
pub const BEST: &str = "best.safetensors";
/// The last weights, without the optimiser's state.
pub const LAST: &str = "last.safetensors";

fn name(step: usize) -> String {
    format!("checkpoint-{step:08}.safetensors")
}

/// Checkpoints in a folder, by step, the newest first.
///
/// # Errors
/// A folder that cannot be listed.
pub fn list(folder: &Path) -> Result<Vec<(usize, PathBuf)>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io(folder.display(), "cannot be listed", e)),
    };
    let mut found: Vec<(usize, PathBuf)> = entries
        .flatten()
        .filter_map(|e| {
            let step = e
                .file_name()
                .to_str()?
                .strip_prefix("checkpoint-")?
                .strip_suffix(".safetensors")?
                .parse()
                .ok()?;
            Some((step, e.path()))
        })
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Writes a checkpoint and removes all but the last `keep` ones.
///
/// # Errors
/// A file that cannot be written; a lost device.
pub fn save(gpu: &Gpu, folder: &Path, trainee: &Trainee, position: &Position) -> Result<PathBuf> {
    let mut state = weights(gpu, trainee, position)?;
    trainee.optimizer().save(gpu, trainee.parameters(), &mut state)?;
    let path = folder.join(name(position.step));
    state.write_safetensors(&path)?;
    for (_, old) in list(folder)?.into_iter().skip(position.config.keep.max(1)) {
        // One that is in use elsewhere is left; the next checkpoint tries again.
        let _ = std::fs::remove_file(old);
    }
    Ok(path)
}

/// Writes the weights alone, as every other command takes them.
///
/// # Errors
/// As [`save`].
pub fn save_weights(gpu: &Gpu, path: &Path, trainee: &Trainee, position: &Position) -> Result<()> {
    weights(gpu, trainee, position)?.write_safetensors(path)
}

fn weights(gpu: &Gpu, trainee: &Trainee, position: &Position) -> Result<StateDict> {
    let mut state = trainee.parameters().state_dict(gpu)?;
    let json = |e| Error::new(ErrorKind::Format, "checkpoint", format!("metadata: {e}"));
    if let Some(config) = trainee.model_config() {
        state.metadata.insert("config".into(), config.map_err(json)?);
    }
    state.metadata.insert(KEY.into(), serde_json::to_string(position).map_err(json)?);
    Ok(state)
}

/// Reads a checkpoint: weights and the optimiser's state, and where the run stood.
///
/// # Errors
/// A file that cannot be read, or is none that [`save`] wrote.
pub fn load(path: &Path) -> Result<(StateDict, Position)> {
    let state = StateDict::read(path)?;
    let wrong = |what: String| Error::new(ErrorKind::Format, path.display(), what);
    let text = state.metadata.get(KEY).ok_or_else(|| {
        wrong("where the run stood".into()).expected(format!("the metadata key {KEY}")).got("none")
    })?;
    let position =
        serde_json::from_str(text).map_err(|e| wrong(format!("metadata key {KEY}: {e}")))?;
    if !state.tensors.keys().any(|k| Optimizer::owns(k)) {
        return Err(wrong("the optimiser's state".into()).got("weights alone"));
    }
    Ok((state, position))
}
