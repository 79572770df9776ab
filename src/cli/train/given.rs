//! What a run is given besides settings and weights: from the arguments, or as its checkpoint says.

use super::TrainArgs;
use super::begin::missing;
use crate::cli::Global;
use crate::cli::tables::confusion_table;
use crate::cli::weights_file::WeightsFile;
use crate::data::checkpoint::StateDict;
use crate::data::words::Mix;
use crate::engine::shipped_reader;
use crate::train::checkpoint::Position;
use crate::train::{Content, Given, Stage, TextFocus, TrainConfig};
use crate::{Error, ErrorKind, Result};
use std::path::PathBuf;
use std::sync::Arc;

/// What was read.
pub struct Inputs {
    /// Samples to train on.
    pub mix: Arc<Mix>,
    /// Samples to evaluate on.
    pub valid: Option<Arc<Mix>>,
    /// The recognizer that the loss asks.
    pub recognizer: Option<StateDict>,
    /// Weights `[37, 37]` of the text-focus loss's cross entropy.
    pub confusion: Vec<f32>,
    /// What all this is.
    pub given: Given,
}

impl Inputs {
    /// Opens what the arguments name, or else the checkpoint of the run that goes on.
    ///
    /// # Errors
    /// Files that cannot be read or hold something else; no data at all.
    pub fn read(
        global: &Global,
        args: &TrainArgs,
        config: &TrainConfig,
        stored: Option<&Position>,
    ) -> Result<Self> {
        let then = stored.map(|s| s.given.clone()).unwrap_or_default();
        let data = if args.data.is_empty() { then.data } else { args.data.clone() };
        if data.is_empty() {
            return Err(missing("--data"));
        }
        let mix = Arc::new(Mix::open(&data)?);
        let evaluated = args.val_data.clone().or(then.valid);
        let valid = evaluated.as_ref().map(|name| Mix::open(&[name])).transpose()?.map(Arc::new);
        let critics = config.stage.networks().iter().filter_map(|kind| kind.critic());
        let looks = match config.stage {
            Stage::Lemma => config.text_focus != TextFocus::Off,
            _ => critics.count() > 0,
        };
        let confuses = looks && matches!(config.stage, Stage::Lemma | Stage::Tbsrn);
        let reader = match (&args.recognizer, then.recognizer.and_then(|c| c.file)) {
            (Some(file), _) => Some(file.clone()),
            (None, stored) => stored.map(|file| file.parse::<WeightsFile>()).transpose()?,
        };
        let file = reader.as_ref().map(WeightsFile::to_string);
        let recognizer = reader.map(|file| file.open(global)).transpose()?;
        let what = match (&recognizer, config.text_focus) {
            _ if !looks => None,
            (Some(state), _) => Some(Content::of_state(file, state)),
            (None, TextFocus::Abinet) if config.stage == Stage::Lemma => {
                Some(Content::of_state(None, &shipped_reader()?))
            }
            (None, _) => None,
        };
        let stored = then.confusion.and_then(|c| c.file).map(PathBuf::from);
        let path = args.confusion.clone().or(stored);
        let confusion = confusion_table(path.as_deref(), None)?.weights;
        let file = path.map(|p| p.display().to_string());
        let given = Given {
            sources: mix.identities(),
            data,
            valid: evaluated,
            valid_sources: valid.as_deref().map(Mix::identities).unwrap_or_default(),
            freeze: if args.freeze.is_empty() { then.freeze } else { args.freeze.clone() },
            recognizer: what,
            confusion: confuses.then(|| Content::of_values(file, &confusion)),
        };
        Ok(Inputs { mix, valid, recognizer, confusion, given })
    }
}

/// Compares what a run goes on with, in `position`, to what it was begun with; returns what is to be said of it.
///
/// # Errors
/// [`ErrorKind::Argument`] naming what is not the same, unless changes are accepted.
pub fn compare(position: &mut Position, stored: &Position, accept: bool) -> Result<Vec<String>> {
    let (now, then) = (&position.given, &stored.given);
    let mut notes = now.changes(then);
    if let (false, false) = (notes.is_empty(), accept) {
        return Err(Error::new(ErrorKind::Argument, "--resume", "what the run is given")
            .expected("what the checkpoint was made with")
            .got("something else")
            .detail(notes.join("\n"))
            .hint("--accept-changes goes on all the same, with other numbers"));
    }
    if now.freeze != then.freeze {
        notes.push(format!("frozen are {:?}, in the checkpoint {:?}", now.freeze, then.freeze));
    }
    let others = now.evaluated_on_others(then);
    if let (false, Some(_)) = (others.is_empty(), position.best) {
        let others = others.join("; ");
        notes
            .push(format!("evaluated on other images, the best weights are chosen anew: {others}"));
        position.best = None;
    }
    Ok(notes)
}
