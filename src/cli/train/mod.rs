//! `lemma-gpu train`: a network from data to weights.

mod begin;
mod data;
mod given;
mod memory;
mod valid;
mod watch;

use super::progress::{Mode, seconds};
use super::stop::{A_SAVE, Stop};
use super::weights_file::WeightsFile;
use super::{Global, Outcome};
use crate::cli::launched::expect_alone;
use crate::cli::say::say;
use crate::data::checkpoint::{StateDict, name_fits};
use crate::data::part::sweep;
use crate::data::words::Mix;
use crate::engine::shipped_reader;
use crate::gpu::GpuOptions;
use crate::models::lemma::PriorKind;
use crate::models::{ModelKind, abinet};
use crate::train::checkpoint::Position;
use crate::train::{
    Batches, Ended, MicroBatch, Preset, Stage, Start, TextFocus, TrainConfig, Trainer, branch,
    run as train,
};
use crate::{Error, ErrorKind, Result};
use begin::Begin;
use data::Data;
use given::Inputs;
use memory::Planner;
use std::path::PathBuf;
use std::time::Instant;
use valid::Validation;
use watch::Watch;

/// Arguments of `train`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct TrainArgs {
    /// What is trained
    #[arg(short, long, value_enum, required_unless_present = "resume")]
    stage: Option<StageName>,
    /// Sizes and schedule to start from [default: nano, or the settings of the checkpoint]
    #[arg(short, long, value_enum)]
    preset: Option<PresetName>,
    /// Settings in TOML, over the preset
    #[arg(short, long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// One setting over the file, as in TOML: batch=8, loss.finetune=0
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Data, each with a weight if wanted: an LMDB, a folder of pairs, a folder of images with labels, or synth:
    #[arg(short, long, value_name = "PATH[@WEIGHT]", required_unless_present = "resume", num_args = 1..)]
    data: Vec<String>,
    /// Data to evaluate on, as --data; its first 64 images
    #[arg(long, alias = "valid", value_name = "PATH")]
    val_data: Option<String>,
    /// Folder for checkpoints, curves and the report
    #[arg(short, long, alias = "out", value_name = "DIR")]
    output: PathBuf,
    /// Weights to start from, ours or an official .pth. Behind this and every other name of weights may stand what the file
    /// leaves open: FILE,key=NAME,config=FILE,charset=62
    #[arg(long, value_name = "FILE[,...]")]
    init: Option<WeightsFile>,
    /// Which part of that checkpoint holds the weights, where it has several: a key, or keys joined by dots
    #[arg(long, value_name = "NAME", requires = "init")]
    key: Option<String>,
    /// Recognizer that LEMMA starts with inside it: an ABINet, or its pre-trained halves; the small one that ships by default
    /// where it fits. The CRNN that guides TATT or C3-STISR, where that is not to start as --recognizer
    #[arg(long, value_name = "FILE[,...]", num_args = 1..)]
    prior: Vec<WeightsFile>,
    /// Parameters that stay as they are: a part of their names, * for anything
    #[arg(long, value_name = "PATTERN")]
    freeze: Vec<String>,
    /// Weights of the recognizer that the loss asks: of LEMMA and TBSRN the text-focus recognizer, for LEMMA also an ABINet in its
    /// place; of Text Gestalt the stroke-focus recognizer; of TATT and C3-STISR a CRNN, which the one learns from that guides them
    #[arg(long, value_name = "FILE[,...]")]
    recognizer: Option<WeightsFile>,
    /// Distances between characters for the text-focus loss: the reference's file, our text, or safetensors with `weight37`
    /// or `matrix62`
    #[arg(long, value_name = "FILE")]
    confusion: Option<PathBuf>,
    /// Go on from the newest checkpoint in the folder, or from this one, with its settings, data and micro-batch; what is given
    /// besides goes over them. What the run did behind an older one is moved into a folder of its own
    #[arg(long, value_name = "auto|FILE", num_args = 0..=1, default_missing_value = "auto")]
    resume: Option<String>,
    /// Go on although data, recognizer or confusions are not those that the checkpoint was made with
    #[arg(long, requires = "resume")]
    accept_changes: bool,
    /// Images that the device works on at once [default: auto, or as many as the checkpoint says]
    #[arg(long, value_name = "auto|N", value_parser = micro)]
    micro_batch: Option<AtOnce>,
    /// Memory of the device that tensors may take, as 2GiB or 300MiB; micro-batches are planned within it
    #[arg(long, value_name = "LIMIT", value_parser = memory::parse)]
    memory: Option<u64>,
    /// Threads that make batches
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
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
    /// LEMMA with the recognizer inside it
    Lemma,
    /// The transformer recognizer of the text-focus loss
    #[value(name = "text-focus", alias = "recognizer")]
    Recognizer,
    /// SRCNN, by squared differences of pixels
    Srcnn,
    /// SRResNet, by squared differences of pixels
    Srresnet,
    /// TSRN, by squared differences and the gradient prior
    Tsrn,
    /// TBSRN, by squared differences and where and what the text-focus recognizer reads; takes --recognizer
    Tbsrn,
    /// Text Gestalt, by squared differences and where the stroke-focus recognizer looks; takes --recognizer
    Tg,
    /// TATT and the CRNN that guides it, by images, a CRNN to learn from, and turned words; takes --recognizer
    Tatt,
    /// C3-STISR as released and the CRNN that guides it, by images, a CRNN to learn from, and spelling; takes --recognizer
    C3,
    /// PCAN, by squared differences and edges
    Pcan,
    /// RCAN, by absolute differences
    Rcan,
    /// SAN, by absolute differences
    San,
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

/// Steps of a run that begins, and images of a step.
///
/// # Errors
/// Settings that do not fit, and data that cannot be opened.
pub fn size(global: &Global, args: &TrainArgs) -> Result<(usize, usize)> {
    let config = begin::begin(global, args)?.config;
    let per_epoch = Mix::open(&args.data)?.epoch_len() as usize / config.batch;
    Ok((config.total_steps(per_epoch), config.batch))
}

/// Trains until the steps are done or the user has had enough.
pub fn run(global: &Global, args: &TrainArgs) -> Result<Outcome> {
    timed(global, args).map(|(outcome, _)| outcome)
}

/// The same; and images a second in the fastest line of the log.
///
/// # Errors
/// Settings, data and weights that do not fit, files that cannot be written, and a device that fails.
pub fn timed(global: &Global, args: &TrainArgs) -> Result<(Outcome, f64)> {
    let begun = Instant::now();
    expect_alone("train")?;
    let note = |text: &str| {
        if !global.quiet {
            say!("note: {text}");
        }
    };
    let Begin { weights, config, stored, notes } = begin::begin(global, args)?;
    notes.iter().for_each(|text| note(text));
    let inputs = Inputs::read(global, args, &config, stored.as_ref())?;
    let mut position = Position {
        given: inputs.given.clone(),
        ..stored.clone().unwrap_or_else(|| Position::begin(config.clone()))
    };
    position.config = config.clone();
    if let Some(stored) = &stored {
        given::compare(&mut position, stored, args.accept_changes)?
            .iter()
            .for_each(|text| note(text));
    }
    std::fs::create_dir_all(&args.output)
        .map_err(|e| Error::io(args.output.display(), "cannot be made", e))?;
    match sweep(&args.output) {
        0 => {}
        n => note(&format!("{n} unfinished files of processes that were killed are removed")),
    }
    let Inputs { mix, valid, recognizer, confusion, given } = inputs;
    let frozen = |name: &str| given.freeze.iter().any(|pattern| name_fits(pattern, name));
    let start = Start {
        resume: stored.is_some(),
        prior: prior(global, args, &config, weights.is_none())?,
        weights,
        frozen: Some(&frozen),
        recognizer: recognizer.clone(),
        confusion: confusion.clone(),
    };
    let engine = global.engine_with(GpuOptions { memory: args.memory, ..Default::default() })?;
    let gpu = engine.gpu();
    match (config.stage, config.text_focus) {
        (Stage::Lemma, TextFocus::Abinet) => {
            note("an ABINet takes the place of the text-focus transformer");
        }
        (Stage::Lemma, TextFocus::Off) => note("no text-focus loss"),
        _ => {}
    }
    let trainer = Trainer::new(gpu, config.clone(), start)?;
    let jobs = args.jobs.map_or_else(
        || std::thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2)),
        usize::from,
    );
    let planner = || Planner::new(&config, global.adapter.clone(), recognizer.clone(), &frozen);
    let mut micro = match (args.micro_batch, position.micro) {
        (Some(AtOnce::Images(n)), _) => MicroBatch::fixed(n.min(config.batch)),
        (None, Some(micro)) => micro,
        (Some(AtOnce::Auto), _) | (None, None) => planner()?.micro_batch(args.memory)?,
    };
    micro.check(config.batch, &config)?;
    match position.micro {
        Some(then) if then.images != micro.images => note(&format!(
            "the device works on {} images at once, in the checkpoint {}: batch normalization sees others",
            micro.images, then.images
        )),
        _ if micro.images < config.batch => {
            note(&format!(
                "the device works on {} of {} images at once",
                micro.images, config.batch
            ));
        }
        _ => {}
    }
    if let (None, Some(_), Some(limit)) = (args.micro_batch, position.micro, args.memory) {
        planner()?.too_much(micro, limit)?.iter().for_each(|text| note(text));
    }
    if global.verbose {
        say!("{}", memory::described(micro.images, &planner()?.plan(micro.images)?));
    }
    let validation = valid.map(|mix| Validation::new(mix, &config, micro.images)).transpose()?;
    let stop = Stop::on_signal("saving a checkpoint; Ctrl-C again stops at once", A_SAVE)?;
    let mut data = Data::new(&mix, &config, position.step, jobs, stop.clone())?;
    let total = config.total_steps(data.per_epoch());
    // From here on the folder changes.
    if let Some(aside) = branch::leave(&args.output, position.step)? {
        note(&format!(
            "what the run did behind step {} is kept in {}",
            position.step,
            aside.display()
        ));
    }
    let mut watch = Watch::new(
        watch::Place { folder: &args.output, step: position.step, total },
        args.progress,
        global.quiet,
        stop.clone(),
        Box::new(|trainer| match &validation {
            Some(v) => v.evaluate(gpu, trainer),
            None => Ok(None),
        }),
        || gpu.memory().allocated,
    )?;
    let ended = train(gpu, &trainer, position, &mut micro, &mut data, &args.output, &mut watch);
    let title = format!("Training of {}", stage_name(config.stage));
    let reported = watch.report(&title, &watch::rows(&config));
    if let (Some(faults), false) = (data.faults(), global.quiet) {
        say!("bad data:\n{}", faults.trim_end());
    }
    let ended = match ended {
        Err(e) if e.kind() == ErrorKind::Memory => Err(planner()?.explain(e, micro)),
        other => other,
    };
    // A report that cannot be written must not hide why the training failed.
    let ended = match (ended, reported) {
        (Err(e), Err(other)) => Err(e.detail(other)),
        (ended, reported) => reported.and(ended),
    };
    match ended? {
        Ended::Complete => {
            if !global.quiet {
                say!(
                    "done in {}: {}",
                    seconds(begun.elapsed().as_secs_f64()),
                    args.output.join(branch::REPORT).display()
                );
            }
            Ok((Outcome::Done, watch.speed()))
        }
        Ended::Stopped => Ok((stop.outcome(), watch.speed())),
    }
}

/// What the recognizer inside LEMMA starts from.
fn prior(
    global: &Global,
    args: &TrainArgs,
    config: &TrainConfig,
    from_nothing: bool,
) -> Result<Vec<StateDict>> {
    if config.stage.is_guided() && args.resume.is_none() {
        return args.prior.iter().map(|file| file.open(global)).collect();
    }
    if config.stage != Stage::Lemma || !from_nothing {
        return Ok(Vec::new());
    }
    if args.prior.is_empty() && config.lemma.prior == PriorKind::Crnn {
        return Err(Error::new(ErrorKind::Argument, "--prior", "weights of the CRNN inside")
            .expected("a checkpoint of CRNN, which keeps its weights")
            .got("none"));
    }
    if args.prior.is_empty() && config.lemma.position_prior == abinet::AbinetConfig::nano() {
        return Ok(vec![shipped_reader()?]);
    }
    let open = |file: &WeightsFile| {
        let state = file.open(global)?;
        if config.lemma.prior == PriorKind::Crnn {
            ModelKind::Crnn.expect(&state, &file.to_string()).map_err(|e| e.within("--prior"))?;
        }
        Ok(state)
    };
    args.prior.iter().map(open).collect()
}

impl From<StageName> for Stage {
    fn from(name: StageName) -> Self {
        match name {
            StageName::Vision => Stage::Vision,
            StageName::Language => Stage::Language,
            StageName::Abinet => Stage::Abinet,
            StageName::Lemma => Stage::Lemma,
            StageName::Recognizer => Stage::Recognizer,
            StageName::Srcnn => Stage::Srcnn,
            StageName::Srresnet => Stage::Srresnet,
            StageName::Tsrn => Stage::Tsrn,
            StageName::Tbsrn => Stage::Tbsrn,
            StageName::Tg => Stage::Tg,
            StageName::Tatt => Stage::Tatt,
            StageName::C3 => Stage::C3,
            StageName::Pcan => Stage::Pcan,
            StageName::Rcan => Stage::Rcan,
            StageName::San => Stage::San,
        }
    }
}

impl From<PresetName> for Preset {
    fn from(name: PresetName) -> Self {
        match name {
            PresetName::Paper => Preset::Paper,
            PresetName::Nano => Preset::Nano,
        }
    }
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Vision => "vision",
        Stage::Language => "language",
        Stage::Abinet => "abinet",
        Stage::Lemma => "lemma",
        Stage::Recognizer => "recognizer",
        Stage::Srcnn => "srcnn",
        Stage::Srresnet => "srresnet",
        Stage::Tsrn => "tsrn",
        Stage::Tbsrn => "tbsrn",
        Stage::Tg => "tg",
        Stage::Tatt => "tatt",
        Stage::C3 => "c3",
        Stage::Pcan => "pcan",
        Stage::Rcan => "rcan",
        Stage::San => "san",
    }
}
