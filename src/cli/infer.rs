//! `lemma-gpu infer`: word images in, super-resolved images and their text out.

use super::files::{self, Input, InputArgs};
use super::names::{self, Existing, Output, Task, Wishes, map_file};
use super::paths::{is_dash, make_folder, make_parent};
use super::progress::Mode;
use super::results::{FitRecord, ReadingRecord, Record, Results, Saying};
use super::say::count;
use super::stop::{IMAGES, PATIENCE, Stop};
use super::weights::WeightsArgs;
use super::weights_file::WeightsFile;
use super::{Global, Outcome, StorageArgs};
use crate::cli::say::say;
use crate::data::picture::{
    self, Decoded, Fit, Format, Plan, RgbImage, Sheet, character_maps, decode_and, encode,
    selection,
};
use crate::engine::pipeline::{self, Settings, Work};
use crate::engine::{
    Engine, Job, Lemma, ModelKind, Reading, Recognizer, Resolving, Source, SuperResolver, Upscaled,
    Wanted, WindowResult,
};
use crate::{Error, ErrorKind, Result};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Arguments of `infer`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct InferArgs {
    #[command(flatten)]
    input: InputArgs,
    /// Super-resolved image, folder (write / at its end if it is new), or - for standard output
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Weights of LEMMA, TSRN or another network that super-resolves words, ours or an official .pth; the small LEMMA inside by
    /// default
    #[arg(short, long, value_name = "FILE[,...]")]
    model: Option<WeightsFile>,
    #[command(flatten)]
    weights: WeightsArgs,
    /// Weights of an ABINet that reads the super-resolved images; by default the one inside, and with --model of a LEMMA the
    /// recognizer that is part of it
    #[arg(long, alias = "reader", value_name = "FILE[,...]")]
    recognizer: Option<WeightsFile>,
    #[command(flatten)]
    shape: ShapeArgs,
    /// Print file, text and confidence, with tabs between
    #[arg(long)]
    text: bool,
    /// Write a report: text, characters, sizes, times; - for standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a picture of each image that compares it with bicubic and shows where the network looked
    #[arg(long, value_name = "DIR")]
    sheet: Option<PathBuf>,
    /// Weights of other networks whose images the sheets show too
    #[arg(long, value_name = "FILE[,...]", num_args = 1.., requires = "sheet")]
    compare: Vec<WeightsFile>,
    /// Write pictures of the characters' attention and of the selected pixels
    #[arg(long, value_name = "DIR")]
    maps: Option<PathBuf>,
    /// Format of the images; by default what the output's name says, or the input's
    #[arg(short, long, value_parser = format_parser())]
    format: Option<Format>,
    /// Leave results that are there, and images whose results all are
    #[arg(long, conflicts_with = "overwrite")]
    skip_existing: bool,
    /// Write over results that are there
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// How images of any shape meet a network.
#[derive(Debug, clap::Args)]
pub struct ShapeArgs {
    /// How an image of another shape than 64×16 meets the network
    #[arg(long, default_value = "auto", value_parser = fit_parser())]
    pub fit: Fit,
    /// Turn images that are more than twice as high as wide
    #[arg(long, value_enum, default_value = "auto")]
    pub rotate: Rotate,
}

/// How a run goes about it.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Windows in one pass over the network: 1 to 4096, or auto
    #[arg(short, long, value_name = "N|auto", default_value = "auto", value_parser = batch)]
    batch: Batch,
    /// Threads that decode, and as many that encode; by default as many as the CPU has
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// How progress is shown
    #[arg(long, value_enum, default_value = "auto")]
    pub progress: Mode,
    #[command(flatten)]
    pub(super) storage: StorageArgs,
}

#[derive(Debug, Clone, Copy)]
struct Batch(Option<usize>);

fn batch(text: &str) -> Result<Batch, String> {
    match text.parse() {
        _ if text == "auto" => Ok(Batch(None)),
        Ok(n @ 1..=4096) => Ok(Batch(Some(n))),
        _ => Err("expected auto or a number from 1 to 4096".into()),
    }
}

impl RunArgs {
    /// The settings on this machine and adapter.
    pub fn settings(&self, engine: &Engine) -> Settings {
        let auto = if engine.adapter().software { 8 } else { 32 };
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Settings {
            batch: self.batch.0.unwrap_or(auto),
            jobs: self.jobs.map_or_else(cores, usize::from),
        }
    }
}

/// What is done with tall images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Rotate {
    /// By a quarter, counter-clockwise
    Auto,
    /// Leave them as they stand
    Off,
}

fn fit_parser() -> impl TypedValueParser<Value = Fit> {
    let help = |fit: Fit| match fit {
        Fit::Auto => "By its shape: stretch up to 4:1, split what is wider, pad what is narrow",
        Fit::Stretch => "Resize it, as in the paper",
        Fit::Pad => "Keep the aspect and fill up with the edge",
        Fit::Split => "Keep the aspect and cut a line into overlapping windows",
    };
    let values = Fit::ALL.map(|fit| PossibleValue::new(fit.name()).help(help(fit)));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Fit>())
}

fn format_parser() -> impl TypedValueParser<Value = Format> {
    let jpeg = PossibleValue::new("jpeg").alias("jpg");
    let values = [PossibleValue::new("png"), jpeg, "webp".into(), "bmp".into()];
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Format>())
}

/// Super-resolves what was asked for.
pub fn run(global: &Global, args: &InferArgs) -> Result<Outcome> {
    let nothing = args.output.is_none() && args.sheet.is_none() && args.maps.is_none();
    refuse_bare_output(args)?;
    check_outputs(args, nothing)?;
    let results = [&args.output, &args.sheet, &args.maps];
    let without: Vec<&Path> = results.iter().filter_map(|p| p.as_deref()).collect();
    let found = files::find(&args.input, &without)?;
    let tasks = names::tasks(
        &found,
        &Wishes {
            output: args.output.as_deref(),
            format: args.format,
            sheet: args.sheet.as_deref(),
            maps: args.maps.as_deref(),
            json: args.json.as_deref(),
            protected: [&args.model, &args.recognizer]
                .into_iter()
                .flatten()
                .chain(&args.compare)
                .map(|file| file.path.as_path())
                .collect(),
            existing: match args {
                InferArgs { overwrite: true, .. } => Existing::Overwrite,
                InferArgs { skip_existing: true, .. } => Existing::Skip,
                _ => Existing::Refuse,
            },
        },
    )?;
    names::say_notes(global, &found, &tasks);
    if tasks.list.is_empty() && args.json.is_none() {
        if !global.quiet {
            say!("nothing to do: the results of all {} are there", count(tasks.skipped, "image"));
        }
        return Ok(Outcome::Done);
    }
    let engine = global.engine_with(args.run.storage.options())?;
    let (network, model) = load(global, &engine, args)?;
    let folders =
        [args.sheet.as_ref(), args.maps.as_ref(), args.output.as_ref().filter(|_| found.several)];
    folders.into_iter().flatten().try_for_each(|folder| make_folder(folder))?;
    let pictures = args.sheet.is_some() || args.maps.is_some();
    let others = compared(global, &engine, &args.compare)?;
    let work = Upscaling {
        network,
        others,
        fit: args.shape.fit,
        rotate: args.shape.rotate == Rotate::Auto,
        wanted: Wanted { text: args.text || args.json.is_some() || pictures, attention: pictures },
        overwrite: args.overwrite,
        skip_existing: args.skip_existing,
    };
    let saying = Saying {
        text: args.text,
        only_text: nothing && args.json.is_none(),
        json: args.json.as_deref(),
        overwrite: args.overwrite,
        progress: args.run.progress,
    };
    let stop = Stop::on_signal(IMAGES, PATIENCE)?;
    let counts = (tasks.list.len(), tasks.skipped);
    let mut results = Results::new(global, saying, &stop, counts);
    let load = pipeline::run(&work, &tasks.list, args.run.settings(&engine), &stop, |item| {
        results.add(tasks.list[item.index].input.to_string(), item);
    })?;
    results.close(load, engine.adapter(), &model)
}

/// Refuses `infer IN OUT`, where the last name is meant to be that of the result.
fn refuse_bare_output(args: &InferArgs) -> Result<()> {
    let given: Vec<&PathBuf> = args.input.input.iter().chain(&args.input.more).collect();
    match given.as_slice() {
        [first, .., last] if args.output.is_none() && !is_dash(last) && !last.exists() => {
            Err(Error::new(ErrorKind::Argument, last.display(), "the input does not exist").hint(
                format!("a result is named with -o: {} -o {}", first.display(), last.display()),
            ))
        }
        _ => Ok(()),
    }
}

/// Refuses to do nothing, and to write two things to standard output.
fn check_outputs(args: &InferArgs, nothing: bool) -> Result<()> {
    if nothing && !args.text && args.json.is_none() {
        return Err(Error::new(ErrorKind::Argument, "infer", "nothing to write")
            .expected("-o OUT, or one of --text, --json, --sheet and --maps"));
    }
    let dash = |path: &Option<PathBuf>| path.as_deref().is_some_and(is_dash);
    let claims =
        [(dash(&args.output), "-o -"), (args.text, "--text"), (dash(&args.json), "--json -")];
    let claims: Vec<&str> = claims.iter().filter(|c| c.0).map(|c| c.1).collect();
    if claims.len() > 1 {
        return Err(Error::new(ErrorKind::Argument, "standard output", "holds one result")
            .expected("one of -o -, --text and --json -")
            .got(claims.join(" and ")));
    }
    if dash(&args.output) && std::io::stdout().is_terminal() {
        return Err(Error::new(ErrorKind::Argument, "-o -", "an image on a terminal")
            .expected("a file or a pipe as standard output"));
    }
    Ok(())
}

/// The network with its reader, and what the report says of them.
fn load(
    global: &Global,
    engine: &Engine,
    args: &InferArgs,
) -> Result<(SuperResolver, serde_json::Value)> {
    let mut network = args.weights.network(global, engine, args.model.as_ref())?;
    if let (Some(_), None) = (&args.maps, network.lemma()) {
        return Err(Error::new(
            ErrorKind::Argument,
            "--maps",
            "a network that says where it looks",
        )
        .expected(ModelKind::Lemma.name())
        .got(network.kind().name()));
    }
    let reader = match (&args.recognizer, &args.model) {
        (Some(file), _) => {
            network = network.with_reader(Recognizer::load(engine, file.open(global)?)?);
            file.path.display().to_string()
        }
        (None, Some(_)) if network.lemma().is_some() => "part of the model".into(),
        (None, None) => "shipped".into(),
        (None, Some(_)) => {
            network = network.with_reader(Recognizer::load(engine, Source::Shipped)?);
            "shipped".into()
        }
    };
    let weights =
        args.model.as_ref().map_or("shipped".into(), |file| file.path.display().to_string());
    let model = serde_json::json!({
        "name": network.kind().name(),
        "weights": weights,
        "reader": reader,
        "configuration": network.lemma().map(Lemma::config),
    });
    Ok((network, model))
}

/// The networks that sheets show too, named by what they are, and by their files where that is the same.
fn compared(
    global: &Global,
    engine: &Engine,
    files: &[WeightsFile],
) -> Result<Vec<(String, SuperResolver)>> {
    let load = |file: &WeightsFile| file.network(engine, file.open(global)?);
    let networks: Vec<SuperResolver> = files.iter().map(load).collect::<Result<_>>()?;
    let name = |(i, network): (usize, &SuperResolver)| {
        let kind = network.kind();
        match networks.iter().filter(|other| other.kind() == kind).count() {
            1 => kind.name().to_string(),
            _ => {
                let stem = files[i].path.file_stem().unwrap_or_default();
                format!("{}: {}", kind.name(), stem.to_string_lossy())
            }
        }
    };
    let names: Vec<String> = networks.iter().enumerate().map(name).collect();
    Ok(names.into_iter().zip(networks).collect())
}

/// The work of `infer` on each image.
struct Upscaling {
    network: SuperResolver,
    /// Those that sheets show too, by their names.
    others: Vec<(String, SuperResolver)>,
    fit: Fit,
    rotate: bool,
    wanted: Wanted,
    overwrite: bool,
    skip_existing: bool,
}

/// An image, ready for the network.
struct Ready {
    plan: Plan,
    format: Format,
    size: (u32, u32),
    note: Option<String>,
}

impl Work for Upscaling {
    type Input = Task;
    type Ready = Ready;
    type Pass = Resolving;
    type Output = WindowResult;
    type Done = Record;

    fn prepare(&self, task: &Task) -> Result<Ready> {
        let place = task.input.to_string();
        decode_and(&task.input.read()?, &place, |decoded| {
            let plan =
                Plan::new(&decoded.image, self.fit, self.rotate).map_err(|e| e.within(&place))?;
            let Decoded { image, format, note, .. } = decoded;
            Ok(Ready { plan, format, size: image.dimensions(), note })
        })
    }

    fn windows(ready: &Ready) -> &[RgbImage] {
        ready.plan.windows()
    }

    fn submit(&self, windows: &[&RgbImage]) -> Result<Resolving> {
        self.network.submit(windows, self.wanted)
    }

    fn wait(&self, pass: Resolving) -> Result<Vec<WindowResult>> {
        pass.wait()
    }

    fn finish(&self, task: &Task, ready: Ready, windows: Vec<WindowResult>) -> Result<Record> {
        let place = task.input.to_string();
        let Ready { plan, format, size, note } = ready;
        let result =
            Job::from(plan).finish(&mut windows.into_iter()).map_err(|e| e.within(&place))?;
        let mut record = Record {
            input_size: Some(size),
            output_size: Some(result.image.dimensions()),
            fit: Some(FitRecord::from(&result.plan)),
            reading: result.reading.as_ref().map(ReadingRecord::from),
            note,
            ..Record::default()
        };
        match &task.output {
            None => {}
            Some(Output::Stdout(wanted)) => {
                to_stdout(&encode(&result.image, wanted.unwrap_or(format))?)?;
                record.output = Some("-".into());
            }
            Some(Output::File(path, format)) => {
                record.output = Some(self.write(path, &result.image, *format)?);
            }
        }
        if let Some(path) = &task.sheet {
            let sheet = self.sheet(task, &result).map_err(|e| e.within(&place))?;
            record.sheet = Some(self.write(path, &sheet, Format::Png)?);
        }
        if let Some(base) = &task.maps {
            record.maps = self.write_maps(base, &result)?;
        }
        Ok(record)
    }
}

impl Upscaling {
    /// The picture that compares an image with bicubic, and with what other networks make of it.
    fn sheet(&self, task: &Task, result: &Upscaled) -> Result<RgbImage> {
        let windows = result.plan.windows();
        let mut others = Vec::with_capacity(self.others.len());
        for (name, network) in &self.others {
            let images = network.submit(windows, Wanted::default())?.wait()?;
            let images: Vec<&[f32]> = images.iter().map(|w| w.image.as_slice()).collect();
            others.push((name.clone(), result.plan.assemble(&images)?));
        }
        let characters = |r: &Reading| r.characters.iter().map(|c| c.confidence).collect();
        let confidences: Vec<f32> = result.reading.as_ref().map(characters).unwrap_or_default();
        let name = match &task.input {
            Input::Stdin => "standard input".into(),
            Input::File(_) => task.name.display().to_string(),
        };
        let sheet = Sheet {
            name: &name,
            plan: &result.plan,
            super_resolved: &result.image,
            others: &others,
            network: self.network.kind().name(),
            attention: result.attention.as_ref(),
            reading: result.reading.as_ref().map(|_| picture::Reading {
                text: &result.text,
                confidence: result.confidence,
                characters: &confidences,
            }),
        };
        Ok(sheet.draw())
    }

    /// Writes an image, whole or not at all, unless it is there and to be left; gives its path.
    fn write(&self, path: &Path, image: &RgbImage, format: Format) -> Result<String> {
        if !(self.skip_existing && path.exists()) {
            let bytes = encode(image, format).map_err(|e| e.within(path.display()))?;
            make_parent(path)?;
            picture::write_file(path, &bytes, self.overwrite)?;
        }
        Ok(path.display().to_string())
    }

    /// Writes the character maps of each window and the selection over the whole image.
    fn write_maps(&self, base: &Path, result: &Upscaled) -> Result<Vec<String>> {
        let attention = || result.windows.iter().filter_map(|w| w.attention.as_ref());
        let chosen: Vec<&[f32]> = attention().map(|a| a.selected.as_slice()).collect();
        let chosen = result.plan.assemble_map(&chosen)?;
        let mut pictures = vec![("selected".into(), selection(result.plan.line(), &chosen)?)];
        let windows = result.plan.windows();
        for (i, ((image, window), attention)) in
            windows.iter().zip(&result.windows).zip(attention()).enumerate()
        {
            let symbols: Vec<String> = window
                .reading
                .iter()
                .flat_map(|r| r.characters.iter().map(|c| c.symbol.to_string()))
                .collect();
            let mut labels: Vec<&str> = symbols.iter().map(String::as_str).collect();
            if labels.is_empty() {
                labels.push("no text");
            }
            let name = match windows.len() {
                1 => "characters".into(),
                n => format!("characters-{:0width$}", i + 1, width = n.to_string().len()),
            };
            pictures.push((name, character_maps(image, &attention.characters, &labels)?));
        }
        pictures
            .iter()
            .map(|(name, image)| self.write(&map_file(base, name), image, Format::Png))
            .collect()
    }
}

fn to_stdout(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|e| Error::io("standard output", "cannot be written", e))
}
