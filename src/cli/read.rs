//! `lemma-gpu read`: the recognizer alone, on word images as they are.

use super::files::{self, InputArgs};
use super::infer::{Rotate, RunArgs, ShapeArgs};
use super::names::{self, Existing, Task, Wishes};
use super::paths::is_dash;
use super::results::{FitRecord, ReadingRecord, Record, Results, Saying};
use super::stop::{IMAGES, PATIENCE, Stop};
use super::weights::WeightsArgs;
use super::weights_file::WeightsFile;
use super::{Global, Outcome};
use crate::data::picture::{Decoded, Fit, Plan, RgbImage, decode_and};
use crate::engine::pipeline::{self, Work};
use crate::engine::{Head, Reading, Recognizer};
use crate::{Error, ErrorKind, Result};
use std::path::PathBuf;

/// Arguments of `read`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct ReadArgs {
    #[command(flatten)]
    input: InputArgs,
    /// Weights of a recognizer, ours or an official .pth: ABINet, CRNN, ASTER, MORAN, PARSeq or MATRN; the small ABINet inside
    /// by default
    #[arg(short, long, value_name = "FILE[,...]")]
    model: Option<WeightsFile>,
    #[command(flatten)]
    weights: WeightsArgs,
    #[command(flatten)]
    shape: ShapeArgs,
    /// Which part gives the reading, of ABINet and MATRN
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
            protected: args.model.iter().map(|file| file.path.as_path()).collect(),
            existing,
        },
    )?;
    names::say_notes(global, &found, &tasks);
    let engine = global.engine_with(args.run.storage.options())?;
    let source = args.weights.source(global, args.model.as_ref())?;
    let work = ReadingWork {
        recognizer: Recognizer::load(&engine, source)?,
        head: match args.head {
            HeadArg::Vision => Head::Vision,
            HeadArg::Language => Head::Language,
            HeadArg::Fusion => Head::Fusion,
        },
        fit: args.shape.fit,
        rotate: args.shape.rotate == Rotate::Auto,
    };
    work.recognizer.expect_head(work.head)?;
    let model = serde_json::json!({
        "name": work.recognizer.kind().name(),
        "weights": args.model.as_ref().map_or("shipped".into(), |file| file.path.display().to_string()),
        "head": format!("{:?}", work.head).to_lowercase(),
        "configuration": work.recognizer.configuration(),
    });
    let saying = Saying {
        text: !json_out,
        only_text: args.json.is_none(),
        json: args.json.as_deref(),
        overwrite: args.overwrite,
        progress: args.run.progress,
    };
    let stop = Stop::on_signal(IMAGES, PATIENCE)?;
    let mut results = Results::new(global, saying, &stop, (tasks.list.len(), 0));
    let load = pipeline::run(&work, &tasks.list, args.run.settings(&engine), &stop, |item| {
        results.add(tasks.list[item.index].input.to_string(), item);
    })?;
    results.close(load, engine.adapter(), &model)
}

/// The work of `read` on each image.
struct ReadingWork {
    recognizer: Recognizer,
    head: Head,
    fit: Fit,
    rotate: bool,
}

/// An image, cut at the recognizer's size.
struct Ready {
    plan: Plan,
    size: (u32, u32),
    note: Option<String>,
}

impl Work for ReadingWork {
    type Input = Task;
    type Ready = Ready;
    type Pass = Vec<Reading>;
    type Output = Reading;
    type Done = Record;

    fn prepare(&self, task: &Task) -> Result<Ready> {
        let place = task.input.to_string();
        decode_and(&task.input.read()?, &place, |decoded| {
            let Decoded { image, note, .. } = decoded;
            let plan = Plan::for_reading(&image, self.fit, self.rotate);
            let plan = plan.map_err(|e| e.within(&place))?;
            Ok(Ready { plan, size: image.dimensions(), note })
        })
    }

    fn windows(ready: &Ready) -> &[RgbImage] {
        ready.plan.windows()
    }

    fn submit(&self, windows: &[&RgbImage]) -> Result<Vec<Reading>> {
        let images: Vec<RgbImage> = windows.iter().map(|w| (*w).clone()).collect();
        self.recognizer.read(&images, self.head)
    }

    fn wait(&self, pass: Vec<Reading>) -> Result<Vec<Reading>> {
        Ok(pass)
    }

    fn finish(&self, _: &Task, ready: Ready, readings: Vec<Reading>) -> Result<Record> {
        let Ready { plan, size, note } = ready;
        let parts = readings.into_iter().zip(plan.spans());
        let parts: Vec<_> = parts.map(|(reading, (start, end))| (reading, start, end)).collect();
        Ok(Record {
            input_size: Some(size),
            fit: Some(FitRecord::from(&plan)),
            reading: Some(ReadingRecord::from(&Reading::join(&parts))),
            note,
            ..Record::default()
        })
    }
}
