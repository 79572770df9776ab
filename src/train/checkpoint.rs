//! Checkpoints of a run: everything that the next step depends on, in one safetensors file.
//!
//! A file is written to a temporary name, synced and renamed, so that a process killed at any instant leaves whole files only.

use super::config::TrainConfig;
use super::given::Given;
use super::memory::MicroBatch;
use super::optimizer::Optimizer;
use super::trainer::Trainer;
use crate::data::checkpoint::{Dtype, HostTensor, StateDict};
use crate::gpu::Gpu;
use crate::models::ARCH;
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Where a run stands, and what its next step depends on besides tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Steps done.
    pub step: usize,
    /// The best value of the chosen metric so far.
    pub best: Option<f64>,
    /// The run's settings.
    pub config: TrainConfig,
    /// How many images the device works on at once: batch normalization sees no more of a batch. None in checkpoints of
    /// earlier versions.
    #[serde(default)]
    pub micro: Option<MicroBatch>,
    /// Whether the evaluation that is due at this step did not come to its end.
    #[serde(default)]
    pub unevaluated: bool,
    /// What else the run was given.
    #[serde(default)]
    pub given: Given,
}

const KEY: &str = "train";
/// The best weights by the chosen metric, without the optimizer's state.
pub const BEST: &str = "best.safetensors";
/// The last weights, without the optimizer's state.
pub const LAST: &str = "last.safetensors";
/// The last averaged weights, where a run averages them, without the optimizer's state.
pub const EMA: &str = "ema.safetensors";

impl Position {
    /// Before the first step.
    pub fn begin(config: TrainConfig) -> Self {
        Position {
            step: 0,
            best: None,
            config,
            micro: None,
            unevaluated: false,
            given: Given::default(),
        }
    }
}

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

/// Writes a checkpoint and removes those before it but the last `keep` ones, this one included. Those of later steps, which
/// this run did not write, stay.
///
/// # Errors
/// [`ErrorKind::Result`] for weights or moments that are not finite, which are not written; a file that cannot be written; a
/// lost device.
pub fn save(gpu: &Gpu, folder: &Path, trainer: &Trainer, position: &Position) -> Result<PathBuf> {
    let mut state = weights(gpu, trainer, position)?;
    trainer.optimizer().save(gpu, trainer.parameters(), &mut state)?;
    if let Some(averages) = trainer.averages() {
        averages.save(gpu, trainer.parameters(), &mut state)?;
    }
    let path = folder.join(name(position.step));
    write(&state, &path)?;
    let before = list(folder)?.into_iter().filter(|(step, _)| *step <= position.step);
    for (_, old) in before.skip(position.config.keep.max(1)) {
        // One that is in use elsewhere is left; the next checkpoint tries again.
        let _ = std::fs::remove_file(old);
    }
    Ok(path)
}

/// Writes the weights alone, as every other command takes them.
///
/// # Errors
/// As [`save`].
pub fn save_weights(gpu: &Gpu, path: &Path, trainer: &Trainer, position: &Position) -> Result<()> {
    write(&weights(gpu, trainer, position)?, path)
}

/// Writes a state whose numbers are all finite.
fn write(state: &StateDict, path: &Path) -> Result<()> {
    // Of other types is only what a file carried along; the clock holds the norm of a step that was left out.
    let ours = |name: &str, t: &HostTensor| t.dtype() == Dtype::F32 && name != Optimizer::CLOCK;
    for (name, tensor) in state.tensors.iter().filter(|(name, t)| ours(name, t)) {
        let finite = tensor.to_f32()?.iter().all(|v| v.is_finite());
        if !finite {
            return Err(Error::new(ErrorKind::Result, path.display(), "numbers to save")
                .expected("finite ones")
                .got(format!("{name} with others; nothing was written")));
        }
    }
    state.write_safetensors(path)
}

fn weights(gpu: &Gpu, trainer: &Trainer, position: &Position) -> Result<StateDict> {
    let mut state = trainer.parameters().state_dict(gpu)?;
    let json = |e| Error::new(ErrorKind::Format, "checkpoint", format!("metadata: {e}"));
    if let Some(config) = trainer.model_config() {
        state.metadata.insert("config".into(), config.map_err(json)?);
    }
    if let Some(kind) = trainer.kind() {
        state.metadata.insert(ARCH.into(), kind.word().into());
    }
    state.metadata.insert(KEY.into(), serde_json::to_string(position).map_err(json)?);
    Ok(state)
}

/// Reads a checkpoint: weights and the optimizer's state, and where the run stood.
///
/// # Errors
/// A file that cannot be read, or is none that [`save`] wrote.
pub fn load(path: &Path) -> Result<(StateDict, Position)> {
    let state = StateDict::read(path)?;
    let position = position_of(&state, path)?;
    if !state.tensors.keys().any(|k| Optimizer::owns(k)) {
        return Err(Error::new(ErrorKind::Format, path.display(), "the optimizer's state")
            .got("weights alone"));
    }
    Ok((state, position))
}

/// Where the run stood that wrote a checkpoint, or weights alone.
///
/// # Errors
/// As [`load`].
pub(super) fn load_position(path: &Path) -> Result<Position> {
    position_of(&StateDict::read(path)?, path)
}

fn position_of(state: &StateDict, path: &Path) -> Result<Position> {
    let wrong = |what: String| Error::new(ErrorKind::Format, path.display(), what);
    let text = state.metadata.get(KEY).ok_or_else(|| {
        wrong("where the run stood".into()).expected(format!("the metadata key {KEY}")).got("none")
    })?;
    serde_json::from_str(text).map_err(|e| wrong(format!("metadata key {KEY}: {e}")))
}
