//! Where a run begins: from nothing, from weights, or from a checkpoint, whose settings hold unless others are given.

use super::{TrainArgs, stage_name, watch};
use crate::cli::Global;
use crate::cli::weights::WeightsArgs;
use crate::data::checkpoint::StateDict;
use crate::models::{abinet, lemma};
use crate::train::checkpoint::{self, BEST, EMA, LAST, Position};
use crate::train::{Preset, Stage, TrainConfig};
use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What a run begins with.
pub struct Begin {
    /// Weights, with the optimizer's state where the run goes on.
    pub weights: Option<StateDict>,
    /// The settings.
    pub config: TrainConfig,
    /// Where the run stood that goes on.
    pub stored: Option<Position>,
    /// What the user is told of all this.
    pub notes: Vec<String>,
}

/// Reads what the arguments name; changes nothing.
///
/// # Errors
/// A run in the folder that nobody asked to go on with; settings that do not fit, or would make another network of the weights;
/// files that cannot be read.
pub fn begin(global: &Global, args: &TrainArgs) -> Result<Begin> {
    let mut notes = Vec::new();
    let from = WeightsArgs { key: args.key.clone(), ..Default::default() };
    let found = checkpoint(args, &mut notes)?;
    let (weights, stored) = match found {
        Some((state, position)) => (Some(state), Some(position)),
        None => (args.init.as_ref().map(|file| file.and(&from).open(global)).transpose()?, None),
    };
    let base = base(args, weights.as_ref(), stored.as_ref())?;
    let text = match &args.config {
        None => String::new(),
        Some(path) => std::fs::read_to_string(path)
            .map_err(|e| Error::io(path.display(), "cannot be read", e))?,
    };
    let config = base.with(&text, &args.set)?;
    if weights.is_some() {
        same_network(&config, &base)?;
    }
    if let Some(position) = &stored {
        let changed = differences(&config, &position.config);
        notes.extend(
            changed.map(|(key, now, then)| format!("{key} is {now}, in the checkpoint {then}")),
        );
    }
    Ok(Begin { weights, config, stored, notes })
}

/// The checkpoint to go on from, if any.
fn checkpoint(args: &TrainArgs, notes: &mut Vec<String>) -> Result<Option<(StateDict, Position)>> {
    let there = checkpoint::list(&args.output)?;
    let weights = [BEST, LAST, EMA].iter().any(|name| args.output.join(name).exists());
    let occupied = || {
        Error::new(ErrorKind::Argument, args.output.display(), "a run is there already")
            .hint("--resume goes on with it; another --output starts anew")
    };
    let candidates: Vec<PathBuf> = match args.resume.as_deref() {
        None if there.is_empty() && !weights => Vec::new(),
        None => return Err(occupied()),
        Some("auto") => there.into_iter().map(|(_, path)| path).collect(),
        Some(file) => {
            let file = PathBuf::from(file);
            // Checkpoints of two runs in one folder would be taken for one.
            if (weights || !there.is_empty()) && !lies_in(&file, &args.output) {
                return Err(occupied());
            }
            vec![file]
        }
    };
    let mut failure = None;
    for path in &candidates {
        match checkpoint::load(path) {
            Ok(found) => {
                notes.extend(
                    failure.map(|e| format!("{e}; the run goes on from {}", path.display())),
                );
                return Ok(Some(found));
            }
            Err(e) => failure = failure.or(Some(e)),
        }
    }
    failure.map_or(Ok(None), Err)
}

fn lies_in(file: &Path, folder: &Path) -> bool {
    let parent = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (parent.canonicalize(), folder.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// What configuration file and single settings go over: the settings of the checkpoint, or the preset, in the sizes of the
/// weights.
fn base(
    args: &TrainArgs,
    weights: Option<&StateDict>,
    stored: Option<&Position>,
) -> Result<TrainConfig> {
    let asked = args.stage.map(Stage::from);
    let preset = args.preset.map(Preset::from);
    if let Some(position) = stored {
        let then = &position.config;
        if let Some(stage) = asked.filter(|stage| *stage != then.stage) {
            return Err(Error::new(ErrorKind::Argument, "--resume", "stage of the checkpoint")
                .expected(stage_name(stage))
                .got(stage_name(then.stage)));
        }
        return Ok(match preset {
            None => then.clone(),
            Some(preset) => TrainConfig {
                lemma: then.lemma.clone(),
                abinet: then.abinet.clone(),
                bicubic_init: then.bicubic_init,
                ..TrainConfig::preset(preset, then.stage)
            },
        });
    }
    let stage = asked.ok_or_else(|| missing("--stage"))?;
    let config = TrainConfig::preset(preset.unwrap_or(Preset::Nano), stage);
    Ok(match (weights, stage) {
        (None, _) | (_, Stage::Recognizer) => config,
        (Some(state), stage) if stage.is_compared() => {
            stage.expect(state, "--init")?;
            config
        }
        (Some(state), Stage::Lemma) => {
            TrainConfig { lemma: lemma::Network::config_of(state)?, bicubic_init: false, ..config }
        }
        (Some(state), _) => TrainConfig { abinet: abinet::Network::config_of(state)?, ..config },
    })
}

/// The error of an argument that a new run cannot do without.
pub fn missing(argument: &str) -> Error {
    Error::new(ErrorKind::Argument, argument, "needed to begin a run")
        .got("none")
        .hint("a run that goes on takes it from its checkpoint; there is none to go on from")
}

/// Refuses settings that ask for another network than the weights are of.
fn same_network(config: &TrainConfig, base: &TrainConfig) -> Result<()> {
    let part = match config.stage {
        _ if config.stage != base.stage => "stage",
        Stage::Lemma => "lemma.",
        stage if stage == Stage::Recognizer || stage.is_compared() => return Ok(()),
        _ => "abinet.",
    };
    match differences(config, base).find(|(key, ..)| key.starts_with(part)) {
        Some((key, now, then)) => {
            Err(Error::new(ErrorKind::Argument, key, "what the weights are of")
                .expected(then)
                .got(now)
                .hint("weights keep their sizes: leave the setting out"))
        }
        None => Ok(()),
    }
}

/// Settings that are others: key, value and the value before.
fn differences(
    now: &TrainConfig,
    then: &TrainConfig,
) -> impl Iterator<Item = (String, String, String)> {
    let [now, then] =
        [now, then].map(|config| watch::rows(config).into_iter().collect::<BTreeMap<_, _>>());
    let keys: BTreeSet<String> = now.keys().chain(then.keys()).cloned().collect();
    let value =
        |of: &BTreeMap<String, String>, key: &str| of.get(key).cloned().unwrap_or("none".into());
    keys.into_iter().filter_map(move |key| {
        let (now, then) = (value(&now, &key), value(&then, &key));
        (now != then).then_some((key, now, then))
    })
}
