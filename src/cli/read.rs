//! `lemma-gpu read`: the recogniser alone, on word images as they are.

use super::files::{self, InputArgs, is_dash};
use super::infer::{Rotate, RunArgs};
use super::names::{self, Existing, Task, Wishes};
use super::pipeline::{self, Work};
use super::results::{ReadingRecord, Record, Results, Saying};
use super::stop::Stop;
use super::weights::WeightsArgs;
use super::{Global, Outcome};
use crate::data::picture::{RgbImage, bicubic, decode, upright};
use crate::engine::{Head, Reading, Recogniser};
use crate::{Error, ErrorKind, Result};
use std::path::PathBuf;

/// Width and height of the recogniser's input: resized to it beside the device, the image passes the
/// recogniser's own resizing unchanged.
const READER_SIZE: (u32, u32) = (128, 32);

/// Arguments of `read`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct ReadArgs {
    #[command(flatten)]
    input: InputArgs,
    /// Weights of ABINet, ours or an official .pth; the small model inside by default
    #[arg(short, long, value_name = "FILE")]
    model: Option<PathBuf>,
    #[command(flatten)]
    weights: WeightsArgs,
    /// Turn images that are more than twice as high as wide
    #[arg(long, value_enum, default_value = "auto")]
    rotate: Rotate,
    /// Which part gives the reading
    #[arg(long, value_enum, default_value = "fusion")]
    head: HeadArg,
    /// Print file, text and confidence, with tabs between: the default without --json -
    #[arg(long)]
    text: bool,
    /// Write a report: text, characters, sizes, times; - for standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write over a report that is there
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum HeadArg {
    /// What the image shows
    Vision,
    /// What the language model makes of it
    Language,
    /// Both, aligned
    Fusion,
}

/// Reads what was asked for.
pub fn run(global: &Global, args: &ReadArgs) -> Result<Outcome> {
    let json_out = args.json.as_deref().is_some_and(is_dash);
    if args.text && json_out {
        return Err(Error::new(ErrorKind::Argument, "standard output", "holds one result")
            .expected("one of --text and --json -")
            .got("both"));
    }
    let found = files::find(&args.input, &[])?;
    let existing = if args.overwrite { Existing::Overwrite } else { Existing::Refuse };
    let tasks = names::tasks(
        &found,
        &Wishes {
            output: None,
            format: None,
            sheet: None,
            maps: None,
            json: args.json.as_deref(),
            protected: args.model.iter().map(PathBuf::as_path).collect(),
            existing,
        },
    )?;
    names::say_notes(global, &found, &tasks);
    let engine = global.engine_with(args.run.storage.options())?;
    let source = args.weights.source(global, args.model.as_deref())?;
    let work = ReadingWork {
        recogniser: Recogniser::load(&engine, source)?,
        head: match args.head {
            HeadArg::Vision => Head::Vision,
            HeadArg::Language => Head::Language,
            HeadArg::Fusion => Head::Fusion,
        },
        rotate: args.rotate == Rotate::Auto,
    };
    let model = serde_json::json!({
        "name": "ABINet",
        "weights": args.model.as_ref().map_or("shipped".into(), |path| path.display().to_string()),
        "head": format!("{:?}", work.head).to_lowercase(),
        "configuration": work.recogniser.config(),
    });
    let saying = Saying {
        text: !json_out,
        only_text: args.json.is_none(),
        json: args.json.as_deref(),
        overwrite: args.overwrite,
        progress: args.run.progress,
    };
    let stop =
        Stop::on_signal("stopping when the images in flight are done; Ctrl-C again stops at once")?;
    let mut results = Results::new(global, saying, &stop, (tasks.list.len(), 0));
    let load = pipeline::run(&work, &tasks.list, args.run.settings(&engine), &stop, |item| {
        results.add(tasks.list[item.index].input.to_string(), item);
    });
    results.close(load, engine.adapter(), &model)
}

/// The work of `read` on each image.
struct ReadingWork {
    recogniser: Recogniser,
    head: Head,
    rotate: bool,
}

/// An image at the recogniser's size.
struct Ready {
    image: [RgbImage; 1],
    size: (u32, u32),
}

impl Work for ReadingWork {
    type Input = Task;
    type Ready = Ready;
    type Pass = Vec<Reading>;
    type Output = Reading;
    type Done = Record;

    fn prepare(&self, task: &Task) -> Result<Ready> {
        let image = decode(&task.input.read()?, &task.input.to_string())?.image;
        let upright = self.rotate.then(|| upright(&image)).flatten();
        let (w, h) = READER_SIZE;
        let image = upright.unwrap_or(image);
        Ok(Ready { size: image.dimensions(), image: [bicubic(&image, w, h)] })
    }

    fn windows(ready: &Ready) -> &[RgbImage] {
        &ready.image
    }

    fn submit(&self, windows: &[&RgbImage]) -> Result<Vec<Reading>> {
        let images: Vec<RgbImage> = windows.iter().map(|w| (*w).clone()).collect();
        self.recogniser.read(&images, self.head)
    }

    fn wait(&self, pass: Vec<Reading>) -> Result<Vec<Reading>> {
        Ok(pass)
    }

    fn finish(&self, _: &Task, ready: Ready, readings: Vec<Reading>) -> Result<Record> {
        Ok(Record {
            input_size: Some(ready.size),
            reading: readings.first().map(ReadingRecord::from),
            ..Record::default()
        })
    }
}
