//! `lemma-gpu train`: a network from data to weights.

mod data;
mod memory;
mod valid;
mod watch;

use super::progress::{Mode, seconds};
use super::stop::Stop;
use super::tables::confusion_table;
use super::weights::{WeightsArgs, beside};
use super::{Global, Outcome};
use crate::cli::say::say;
use crate::data::checkpoint::{StateDict, name_fits};
use crate::data::words::Mix;
use crate::engine::shipped_reader;
use crate::gpu::GpuOptions;
use crate::models::{abinet, lemma};
use crate::train::checkpoint::{self, Position};
use crate::train::{
    Batches, Ended, MicroBatch, Preset, Stage, Start, TextFocus, TrainConfig, Trainee, run as train,
};
use crate::{Error, ErrorKind, Result};
use data::Data;
use memory::Planner;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use valid::Validation;
use watch::Watch;

/// Arguments of `train`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct TrainArgs {
    /// What is trained
    #[arg(short, long, value_enum)]
    stage: StageName,
    /// Sizes and schedule to start from
    #[arg(short, long, value_enum, default_value = "nano")]
    preset: PresetName,
    /// Settings in TOML, over the preset
    #[arg(short, long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// One setting over the file, as in TOML: batch=8, loss.finetune=0
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Data, each with a weight if wanted: an LMDB, a folder of pairs, a folder of images with labels, or synth:
    #[arg(short, long, value_name = "PATH[@WEIGHT]", required = true, num_args = 1..)]
    data: Vec<String>,
    /// Data to evaluate on, as --data; its first 64 images
    #[arg(long, value_name = "PATH")]
    valid: Option<String>,
    /// Folder for checkpoints, curves and the report
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Weights to start from, ours or an official .pth; `convert` gives them a configuration if they have lost theirs
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// Which part of that checkpoint holds the weights, where it has several: a key, or keys joined by dots
    #[arg(long, value_name = "NAME", requires = "init")]
    key: Option<String>,
    /// Recogniser that LEMMA starts with inside it: an ABINet, or its pre-trained halves; the small one that ships by default
    /// where it fits
    #[arg(long, value_name = "FILE", num_args = 1..)]
    prior: Vec<PathBuf>,
    /// Parameters that stay as they are: a part of their names, * for anything
    #[arg(long, value_name = "PATTERN")]
    freeze: Vec<String>,
    /// Weights of the text-focus recogniser, or of the ABINet in its place
    #[arg(long, value_name = "FILE")]
    recognizer: Option<PathBuf>,
    /// Distances between characters for the text-focus loss: the reference's file, our text, or safetensors with `weight37`
    /// or `matrix62`
    #[arg(long, value_name = "FILE")]
    confusion: Option<PathBuf>,
    /// Go on from the newest checkpoint in the folder, or from this one
    #[arg(long, value_name = "auto|FILE", num_args = 0..=1, default_missing_value = "auto")]
    resume: Option<String>,
    /// Images that the device works on at once
    #[arg(long, value_name = "auto|N", default_value = "auto", value_parser = micro)]
    micro_batch: AtOnce,
    /// Memory of the device that tensors may take, as 2GiB or 300MiB; micro-batches are planned within it
    #[arg(long, value_name = "LIMIT", value_parser = memory::parse)]
    memory: Option<u64>,
    /// Threads that make batches
    #[arg(short, long, value_name = "N")]
    jobs: Option<usize>,
    /// How progress is shown
    #[arg(long, value_enum, default_value = "auto")]
    progress: Mode,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum StageName {
    /// ABINet's vision model alone
    Vision,
    /// ABINet's language model alone
    Language,
    /// ABINet as a whole
    Abinet,
    /// LEMMA with the recogniser inside it
    Lemma,
    /// The transformer recogniser of the text-focus loss
    Recognizer,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum PresetName {
    /// The official sizes and schedule
    Paper,
    /// The small models that ship, in hours without a GPU
    Nano,
}

#[derive(Debug, Clone, Copy)]
enum AtOnce {
    Auto,
    Images(usize),
}

fn micro(text: &str) -> Result<AtOnce, String> {
    match text {
        "auto" => Ok(AtOnce::Auto),
        _ => match text.parse() {
            Ok(n) if n > 0 => Ok(AtOnce::Images(n)),
            _ => Err("expected auto or a number from 1 on".into()),
        },
    }
}

/// Trains until the steps are done or the user has had enough.
pub fn run(global: &Global, args: &TrainArgs) -> Result<Outcome> {
    let begun = Instant::now();
    let config = configuration(args)?;
    let mix = Arc::new(Mix::open(&args.data)?);
    std::fs::create_dir_all(&args.out)
        .map_err(|e| Error::io(args.out.display(), "cannot be made", e))?;
    let (weights, position) = begin(global, args, config)?;
    let config = position.config.clone();
    let frozen = |name: &str| args.freeze.iter().any(|pattern| name_fits(pattern, name));
    let start = Start {
        resume: position.step > 0,
        prior: prior(global, args, &config, weights.is_none())?,
        weights,
        frozen: Some(&frozen),
        recognizer: args.recognizer.as_ref().map(|path| beside(global, path)).transpose()?,
        confusion: confusion_table(args.confusion.as_deref(), None)?.weights,
    };
    let engine = global.engine_with(GpuOptions { memory: args.memory, ..Default::default() })?;
    let gpu = engine.gpu();
    if config.stage == Stage::Lemma && config.text_focus != TextFocus::Transformer && !global.quiet
    {
        say!(
            "note: {}",
            match config.text_focus {
                TextFocus::Abinet => "an ABINet takes the place of the text-focus transformer",
                _ => "no text-focus loss",
            }
        );
    }
    let trainee = Trainee::new(gpu, config.clone(), start)?;
    let jobs = args
        .jobs
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2)));
    let mut data = Data::new(&mix, &config, position.step, jobs.max(1))?;
    let planner = || Planner::new(&config, global.gpu.clone(), args.recognizer.as_deref(), &frozen);
    let mut micro = match args.micro_batch {
        AtOnce::Images(n) => MicroBatch::fixed(n.min(config.batch)),
        AtOnce::Auto => planner()?.micro_batch(args.memory)?,
    };
    micro.check(config.batch, &config)?;
    if micro.images < config.batch && !global.quiet {
        say!("note: the device works on {} of {} images at once", micro.images, config.batch);
    }
    if global.verbose {
        say!("{}", memory::described(micro.images, &planner()?.plan(micro.images)?));
    }
    let total = config.total_steps(data.per_epoch());
    let validation =
        args.valid.as_deref().map(|v| Validation::new(v, &config, micro.images)).transpose()?;
    let stop = Stop::on_signal("saving a checkpoint; Ctrl-C again stops at once")?;
    let mut watch = Watch::new(
        watch::Place { folder: &args.out, step: position.step, total },
        args.progress,
        global.quiet,
        stop.clone(),
        Box::new(|trainee| match &validation {
            Some(v) => v.evaluate(gpu, trainee),
            None => Ok(None),
        }),
        || gpu.memory().allocated,
    )?;
    let ended = train(gpu, &trainee, position, &mut micro, &mut data, &args.out, &mut watch);
    let mut rows = Vec::new();
    watch::flatten("", &serde_json::to_value(&config).unwrap_or_default(), &mut rows);
    watch.report(&format!("Training of {}", stage_name(config.stage)), &rows)?;
    if let (Some(faults), false) = (data.faults(), global.quiet) {
        say!("bad data:\n{}", faults.to_string().trim_end());
    }
    let ended = match ended {
        Err(e) if e.kind() == ErrorKind::Memory => Err(planner()?.explain(e, micro)),
        other => other,
    };
    match ended? {
        Ended::Complete => {
            if !global.quiet {
                say!(
                    "done in {}: {}",
                    seconds(begun.elapsed().as_secs_f64()),
                    args.out.join("report.html").display()
                );
            }
            Ok(Outcome::Done)
        }
        Ended::Stopped => Ok(stop.outcome()),
    }
}

/// The settings asked for.
fn configuration(args: &TrainArgs) -> Result<TrainConfig> {
    let stage = match args.stage {
        StageName::Vision => Stage::Vision,
        StageName::Language => Stage::Language,
        StageName::Abinet => Stage::Abinet,
        StageName::Lemma => Stage::Lemma,
        StageName::Recognizer => Stage::Recognizer,
    };
    let preset = match args.preset {
        PresetName::Paper => Preset::Paper,
        PresetName::Nano => Preset::Nano,
    };
    let text = match &args.config {
        None => String::new(),
        Some(path) => std::fs::read_to_string(path)
            .map_err(|e| Error::io(path.display(), "cannot be read", e))?,
    };
    TrainConfig::read(preset, stage, &text, &args.set)
}

/// Weights to start from, and where the run stands.
fn begin(
    global: &Global,
    args: &TrainArgs,
    config: TrainConfig,
) -> Result<(Option<StateDict>, Position)> {
    let there = checkpoint::list(&args.out)?;
    let candidates = match args.resume.as_deref() {
        None if there.is_empty() => Vec::new(),
        None => {
            return Err(Error::new(
                ErrorKind::Argument,
                args.out.display(),
                "a run is there already",
            )
            .hint("--resume goes on with it; another --out starts anew"));
        }
        Some("auto") => there.into_iter().map(|(_, path)| path).collect(),
        Some(file) => vec![PathBuf::from(file)],
    };
    let mut failure = None;
    for path in &candidates {
        match checkpoint::load(path) {
            Ok((state, position)) if position.config.stage == config.stage => {
                // How long a run goes on may change; what the network is may not.
                let (lemma, abinet) = (position.config.lemma, position.config.abinet);
                let config = TrainConfig { lemma, abinet, ..config };
                return Ok((
                    Some(state),
                    Position { step: position.step, best: position.best, config },
                ));
            }
            Ok((_, position)) => {
                return Err(Error::new(
                    ErrorKind::Argument,
                    path.display(),
                    "stage of the checkpoint",
                )
                .expected(stage_name(config.stage))
                .got(stage_name(position.config.stage)));
            }
            Err(e) => failure = Some(e),
        }
    }
    if let Some(e) = failure {
        return Err(e);
    }
    let from = WeightsArgs { key: args.key.clone(), ..Default::default() };
    let weights = args.init.as_ref().map(|path| from.open(global, path)).transpose()?;
    let config = match &weights {
        Some(state) => sized_as(config, state)?,
        None => config,
    };
    Ok((weights, Position { step: 0, best: None, config }))
}

/// The settings with the sizes of the weights that the run starts from.
fn sized_as(config: TrainConfig, state: &StateDict) -> Result<TrainConfig> {
    Ok(match config.stage {
        Stage::Lemma => {
            TrainConfig { lemma: lemma::Network::config_of(state)?, start_bicubic: false, ..config }
        }
        Stage::Recognizer => config,
        _ => TrainConfig { abinet: abinet::Network::config_of(state)?, ..config },
    })
}

/// What the recogniser inside LEMMA starts from.
fn prior(
    global: &Global,
    args: &TrainArgs,
    config: &TrainConfig,
    from_nothing: bool,
) -> Result<Vec<StateDict>> {
    if config.stage != Stage::Lemma || !from_nothing {
        return Ok(Vec::new());
    }
    if args.prior.is_empty() && config.lemma.position_prior == abinet::AbinetConfig::nano() {
        return Ok(vec![shipped_reader()?]);
    }
    args.prior.iter().map(|path| beside(global, path)).collect()
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Vision => "vision",
        Stage::Language => "language",
        Stage::Abinet => "abinet",
        Stage::Lemma => "lemma",
        Stage::Recognizer => "recognizer",
    }
}
