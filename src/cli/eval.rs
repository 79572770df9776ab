//! `lemma-gpu eval`: what a model is worth on pairs of images.

use super::few::Few;
use super::paths::{is_dash, make_folder, make_parent, refuse_existing};
use super::progress::{Mode, Progress};
use super::say::count;
use super::stop::{IMAGES, PATIENCE, Stop};
use super::weights::WeightsArgs;
use super::weights_file::WeightsFile;
use super::{Global, Outcome, StorageArgs, print};
use crate::cli::say::say;
use crate::data::picture::{Format, encode, write_file};
use crate::data::words;
use crate::engine::{Lemma, Recognizer, Source};
use crate::eval::{Event, Example, Pairs, Subject, evaluate, page, tables};
use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Arguments of `eval`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct EvalArgs {
    /// Sets: an LMDB, a folder of pairs (labels.tsv with file, tab, label; lr/ and hr/), a folder of images with labels
    /// (labels.tsv, gt.txt, labels.txt or labels.csv), a folder with such sets below it, or synth:
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    data: Vec<String>,
    /// Weights of LEMMA, ours or an official .pth; the small model inside by default
    #[arg(short, long, value_name = "FILE[,...]")]
    model: Option<WeightsFile>,
    #[command(flatten)]
    weights: WeightsArgs,
    /// Who reads the words: the small ABINet inside, one from a file, or nobody
    #[arg(long, alias = "judge", value_name = "abinet[:FILE[,...]]|none", default_value = "abinet", value_parser = judge)]
    recognizer: Judge,
    /// Write a page with tables, charts and words: one HTML file
    #[arg(long, alias = "report", value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write all figures as JSON; - for standard output, in place of the tables
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the images and readings of each set to a folder below this one, again as pairs
    #[arg(long, value_name = "DIR")]
    save_images: Option<PathBuf>,
    /// Write over results that are there
    #[arg(long)]
    overwrite: bool,
    /// How progress is shown
    #[arg(long, value_enum, default_value = "auto")]
    progress: Mode,
    #[command(flatten)]
    storage: StorageArgs,
}

#[derive(Debug, Clone)]
enum Judge {
    Nobody,
    Abinet(Option<WeightsFile>),
}

fn judge(text: &str) -> Result<Judge, String> {
    match text.split_once(':') {
        None if text == "none" => Ok(Judge::Nobody),
        None if text == "abinet" => Ok(Judge::Abinet(None)),
        Some(("abinet", file)) => {
            file.parse().map(|file| Judge::Abinet(Some(file))).map_err(|e: Error| e.to_string())
        }
        _ => Err("expected abinet, abinet:FILE or none".into()),
    }
}

/// Evaluates what was asked for.
pub fn run(global: &Global, args: &EvalArgs) -> Result<Outcome> {
    let sets = open(&args.data)?;
    let results = [&args.html, &args.json, &args.save_images];
    for path in results.into_iter().flatten().filter(|p| !is_dash(p)) {
        refuse_existing(path, args.overwrite)?;
    }
    let engine = global.engine_with(args.storage.options())?;
    let named = |file: &Option<WeightsFile>, shipped: &str| {
        file.as_ref().map_or(shipped.to_string(), |f| f.path.display().to_string())
    };
    let lemma = Lemma::load(&engine, args.weights.source(global, args.model.as_ref())?)?;
    let judge = match &args.recognizer {
        Judge::Nobody => None,
        Judge::Abinet(file) => {
            let source = match file {
                Some(file) => Source::State(file.open(global)?),
                None => Source::Shipped,
            };
            Some((Recognizer::load(&engine, source)?, named(file, "the shipped ABINet")))
        }
    };
    let subject = Subject {
        model: named(&args.model, "the shipped LEMMA"),
        judge: judge.as_ref().map(|j| j.1.clone()),
        adapter: engine.adapter().name.clone(),
    };
    let mut images = match &args.save_images {
        None => None,
        Some(folder) => Some(SavedImages::below(folder, &sets)?),
    };
    let stop = Stop::on_signal(IMAGES, PATIENCE)?;
    let mut few = Few::default();
    let total = sets.iter().map(|s| s.len()).sum();
    let mut progress = Progress::new(args.progress, global.quiet, total);
    let evaluation = evaluate(&lemma, judge.as_ref().map(|j| &j.0), &sets, &mut |event| {
        if let (Event::Done(word), Some(images)) = (&event, &mut images) {
            images.save(word, args.overwrite)?;
        }
        stop.beat();
        if let Event::LeftOut(e) = &event
            && !global.quiet
            && (few.says(e.reason()) || global.verbose)
        {
            progress.aside(|| say!("left out: {e}"));
        }
        progress.step(matches!(event, Event::LeftOut(_)));
        match stop.asked() {
            true => Err(Error::new(ErrorKind::Cancelled, "eval", "stopped as asked")),
            false => Ok(()),
        }
    });
    progress.close();
    if !global.quiet && !global.verbose {
        few.rest().iter().for_each(|line| say!("{line}"));
    }
    let evaluation = match evaluation {
        Err(e) if e.kind() == ErrorKind::Cancelled && stop.asked() => {
            return Ok(stop.outcome());
        }
        other => other?,
    };
    if let Some(images) = images {
        images.close(global, args.overwrite)?;
    }
    if !global.quiet {
        say_unusual(&evaluation);
    }
    let lost = evaluation.left_out();
    if evaluation.images() == 0 {
        return Err(Error::new(ErrorKind::Format, "eval", "nothing could be evaluated")
            .got(format!("{} left out", count(lost, "sample"))));
    }
    if let Some(path) = &args.html {
        make_parent(path)?;
        page(&evaluation, &subject)?.write(path, args.overwrite)?;
    }
    let json = serde_json::json!({
        "program": "lemma-gpu",
        "version": env!("CARGO_PKG_VERSION"),
        "model": subject.model,
        "judge": subject.judge,
        "adapter": subject.adapter,
        "sets": evaluation.sets,
        "all": {
            "images": evaluation.images(),
            "left_out": lost,
            "nearness_mean_of_sets": evaluation.nearness(),
            "readability": evaluation.readability(),
            "weighted_accuracy_lr_sr_hr": evaluation.weighted_accuracy(),
        },
    });
    let json = format!("{json:#}\n");
    match &args.json {
        Some(path) if is_dash(path) => print(&json)?,
        Some(path) => {
            make_parent(path)?;
            write_file(path, json.as_bytes(), args.overwrite)?;
            print(&in_words(&evaluation))?
        }
        None => print(&in_words(&evaluation))?,
    };
    Ok(if lost > 0 { Outcome::SomeFailed } else { Outcome::Done })
}

fn in_words(evaluation: &crate::eval::Evaluation) -> String {
    tables(evaluation).iter().map(|t| t.plain()).collect::<Vec<_>>().join("\n")
}

/// The sets that data arguments name.
fn open(arguments: &[String]) -> Result<Vec<Pairs>> {
    let mut sets: Vec<Pairs> = Vec::new();
    for argument in arguments {
        let below = words::sets(argument)?;
        for name in &below {
            let mut set = Pairs::open(name)?;
            if set.is_empty() {
                return Err(Error::new(ErrorKind::Argument, name, "the set has no samples"));
            }
            if sets.iter().any(|s| s.name() == set.name()) && below.len() > 1 {
                // Sets of one collection are called by their whole way.
                let way = Path::new(name).strip_prefix(argument).unwrap_or(Path::new(name));
                set = set.called(way.to_string_lossy().replace(['/', '\\'], "-"));
            }
            if sets.iter().any(|s| s.name() == set.name()) {
                return Err(Error::new(ErrorKind::Argument, name, "two sets of one name")
                    .hint("tables and weights go by the name of the last folder"));
            }
            sets.push(set);
        }
    }
    Ok(sets)
}

/// Says of labels what decides figures and may not be expected.
fn say_unusual(evaluation: &crate::eval::Evaluation) {
    for set in &evaluation.sets {
        for (kind, n) in &set.unusual_labels {
            let example = set.examples.get(kind).map(String::as_str).unwrap_or_default();
            say!("note: {}: {} {kind}, as {example:?}", set.name, count(*n, "label"));
        }
    }
}

/// The images of each set in a folder of its own, which is a set of pairs again: `lr/`, `sr/`, `hr/` and `labels.tsv`.
struct SavedImages {
    folders: HashMap<String, PathBuf>,
    labels: BTreeMap<String, String>,
    /// Samples whose labels no line can hold.
    unfit: Vec<String>,
}

impl SavedImages {
    fn below(folder: &Path, sets: &[Pairs]) -> Result<Self> {
        let mut folders = HashMap::new();
        for set in sets {
            let folder = folder.join(set.name());
            for side in SIDES {
                make_folder(&folder.join(side))?;
            }
            folders.insert(set.name().to_string(), folder);
        }
        Ok(SavedImages { folders, labels: BTreeMap::new(), unfit: Vec::new() })
    }

    fn save(&mut self, word: &Example, overwrite: bool) -> Result<()> {
        if !words::fits_a_line(&word.label) {
            self.unfit.push(format!("{}: sample {}, {:?}", word.set, word.index + 1, word.label));
            return Ok(());
        }
        let folder = &self.folders[&word.set];
        let file = format!("{:06}.png", word.index + 1);
        for (side, image) in SIDES.iter().zip([&word.lr, &word.sr, &word.hr]) {
            let bytes = encode(image, Format::Png)?;
            write_file(&folder.join(side).join(&file), &bytes, overwrite)?;
        }
        let heading = || "file\tlabel\tlr\tsr\thr\n".to_string();
        let labels = self.labels.entry(word.set.clone()).or_insert_with(heading);
        let read = word.readings.iter().flatten().map(|r| r.0.as_str());
        let line: Vec<&str> =
            [file.as_str(), word.label.as_str()].into_iter().chain(read).collect();
        *labels += &(line.join("\t") + "\n");
        Ok(())
    }

    fn close(self, global: &Global, overwrite: bool) -> Result<()> {
        if let (Some(first), false) = (self.unfit.first(), global.quiet) {
            let samples = count(self.unfit.len(), "sample");
            say!(
                "note: {samples} not saved: a tab or the end of a line in the label, as in {first}"
            );
        }
        self.labels.iter().try_for_each(|(set, labels)| {
            write_file(&self.folders[set].join("labels.tsv"), labels.as_bytes(), overwrite)
        })
    }
}

const SIDES: [&str; 3] = ["lr", "sr", "hr"];
