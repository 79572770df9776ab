//! `lemma-gpu eval`: what methods are worth on pairs of images.

mod entrants;
mod named;
mod saved;
mod walk;

pub use entrants::{Entrants, Found, bicubic, network, recognizer, shipped};
pub use named::Named;
pub use walk::{Walk, identity};

use super::paths::{is_dash, make_parent, refuse_existing};
use super::progress::Mode;
use super::say::count;
use super::stop::{IMAGES, PATIENCE, Stop};
use super::weights::WeightsArgs;
use super::weights_file::WeightsFile;
use super::{Global, Outcome, StorageArgs, print};
use crate::cli::say::say;
use crate::data::picture::write_file;
use crate::data::words;
use crate::eval::{Contest, Evaluation, Journal, Letters, Pairs, Subject};
use crate::eval::{notes, page, tables};
use crate::{Error, ErrorKind, Result};
use entrants::{Reader, Wanted};
use saved::SavedImages;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Arguments of `eval`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct EvalArgs {
    /// Sets: an LMDB, a folder of pairs (labels.tsv with file, tab, label; lr/ and hr/), a folder of images with labels
    /// (labels.tsv, gt.txt, labels.txt or labels.csv), a folder with such sets below it, or synth:
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    data: Vec<String>,
    /// Weights of networks, ours or official ones, each with a name for tables if it shall have another than its own; without
    /// these and --sr the small LEMMA inside
    #[arg(short, long, value_name = "[NAME:]FILE[,...]", num_args = 1..)]
    model: Vec<Named<WeightsFile>>,
    /// The rules: those of the released evaluation on pairs; or of the paper's Table 5 on sets of good images alone, of which the
    /// poor ones are made with each seed, and figures are means over seeds, of all images and of those of at most 1024 pixels
    #[arg(long, value_enum, default_value = "textzoom")]
    protocol: Protocol,
    /// Seeds of --protocol str: 0, 1, …
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Images of 128×32 pixels that another program made of the sets: in DIR/SET or, for one set, in DIR itself, each called as
    /// the sample's file whatever its ending, or by the sample's number from 1 (000000001.png, 1.png), as an LMDB counts; with
    /// --protocol str in DIR/SET-seed0 and so on, of the poor images that --save-images writes
    #[arg(long, value_name = "[NAME:]DIR", num_args = 1..)]
    sr: Vec<Named<PathBuf>>,
    #[command(flatten)]
    weights: WeightsArgs,
    /// Who reads the words: recognizers from files, each with a name if it shall have another than its own; the small ABINet
    /// inside (abinet); or nobody (none)
    #[arg(long, visible_alias = "judge", value_name = "[NAME:]FILE[,...]|abinet|none", num_args = 1..)]
    #[arg(default_value = "abinet")]
    recognizer: Vec<Named<Reader>>,
    /// Compare letters beyond a-z as ASCII has them, é as e, and leave labels in other scripts uncounted; without it they are
    /// dropped on both sides, as in the released evaluation
    #[arg(long)]
    fold: bool,
    /// Write a page with tables, charts and words: one HTML file
    #[arg(long, alias = "report", value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write all figures as JSON; - for standard output, in place of the tables
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write every word with its readings and figures: a line of JSON for each
    #[arg(long, value_name = "FILE")]
    words: Option<PathBuf>,
    /// Write the images and readings of each set to a folder below this one, again as pairs
    #[arg(long, value_name = "DIR")]
    save_images: Option<PathBuf>,
    /// Write over results that are there
    #[arg(long)]
    overwrite: bool,
    /// Go on with an evaluation that was interrupted, from the journal beside its results
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    /// How progress is shown
    #[arg(long, value_enum, default_value = "auto")]
    progress: Mode,
    #[command(flatten)]
    storage: StorageArgs,
}

/// Which rules an evaluation follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// TextZoom's sets, or any pairs, as the released code evaluates them
    Textzoom,
    /// Sets of scene text, degraded as the paper's Table 5 has it
    Str,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Protocol::Textzoom => "textzoom",
            Protocol::Str => "str",
        }
    }
}

impl EvalArgs {
    /// Files and folders that are written.
    fn results(&self) -> impl Iterator<Item = &Path> {
        let all = [&self.words, &self.json, &self.html, &self.save_images];
        all.into_iter().flatten().map(PathBuf::as_path).filter(|p| !is_dash(p))
    }

    /// Where the journal is kept until all is done; nowhere without results.
    fn journal(&self) -> Option<PathBuf> {
        self.results().next().map(|path| {
            let mut name = path.file_name().unwrap_or_default().to_os_string();
            name.push(".journal");
            path.with_file_name(name)
        })
    }
}

/// Evaluates what was asked for.
pub fn run(global: &Global, args: &EvalArgs) -> Result<Outcome> {
    let mut sets = open(&args.data)?;
    if args.protocol == Protocol::Str {
        let seeded = |set: Pairs| (0..args.seeds).map(move |seed| set.clone().degraded(seed));
        sets = sets.into_iter().flat_map(seeded).collect();
    }
    for path in args.results() {
        let begun = args.resume && args.save_images.as_deref() == Some(path);
        refuse_existing(path, args.overwrite || begun)?;
    }
    let wanted = Wanted {
        models: &args.model,
        weights: &args.weights,
        folders: &args.sr,
        readers: &args.recognizer,
    };
    let made = wanted.folders(&sets)?;
    let engine = global.engine_with(args.storage.options())?;
    let entrants = wanted.load(global, &engine, made)?;
    let contest = Contest {
        engine: &engine,
        methods: &entrants.methods,
        judges: &entrants.judges,
        sets: &sets,
        letters: if args.fold { Letters::Folded } else { Letters::Released },
    };
    let subject = Subject {
        protocol: args.protocol.name().into(),
        models: entrants.models.clone(),
        judges: entrants.readers.clone(),
        adapter: engine.adapter().name.clone(),
    };
    let of = identity(&contest, &subject, &entrants.identity);
    let mut evaluation = contest.begin();
    let mut journal = open_journal(args, &of, &mut evaluation)?;
    let over = args.overwrite || args.resume;
    let images = match &args.save_images {
        None => None,
        Some(folder) => Some(SavedImages::below(folder, &contest, over)?),
    };
    let stop = Stop::on_signal(IMAGES, PATIENCE)?;
    let walk = Walk { global, progress: args.progress, stop: &stop };
    let ended =
        walk.to_the_end(&contest, &mut evaluation, journal.as_mut(), &mut |word, seen| {
            images.as_ref().map_or(Ok(()), |images| images.save(word, seen))
        })?;
    if !ended {
        if journal.is_some() && !global.quiet {
            say!("--resume goes on with it");
        }
        return Ok(stop.outcome());
    }
    if let (Some(images), Some(journal)) = (images, &journal) {
        images.close(journal, global)?;
    }
    let lost = evaluation.left_out();
    if evaluation.images() == 0 {
        journal.map_or(Ok(()), |journal| journal.finish(None))?;
        return Err(Error::new(ErrorKind::Format, "eval", "nothing could be evaluated")
            .got(format!("{} left out", count(lost, "sample"))));
    }
    report(args, &contest, &evaluation, &subject)?;
    journal.map_or(Ok(()), |journal| journal.finish(args.words.as_deref()))?;
    Ok(if lost > 0 { Outcome::SomeFailed } else { Outcome::Done })
}

fn open_journal(
    args: &EvalArgs,
    of: &Value,
    evaluation: &mut Evaluation,
) -> Result<Option<Journal>> {
    let Some(path) = args.journal() else {
        return match args.resume {
            true => Err(Error::new(ErrorKind::Argument, "--resume", "results with a journal")
                .expected("--json, --html, --words or --save-images, as before")),
            false => Ok(None),
        };
    };
    make_parent(&path)?;
    let journal = match args.resume && path.exists() {
        true => Journal::resume(&path, of, evaluation)?,
        false => Journal::begin(&path, of, args.overwrite)?,
    };
    Ok(Some(journal))
}

/// Writes tables, the page and JSON.
fn report(
    args: &EvalArgs,
    contest: &Contest,
    evaluation: &Evaluation,
    subject: &Subject,
) -> Result<()> {
    if let Some(path) = &args.html {
        make_parent(path)?;
        let pictures = contest.pictures(&evaluation.examples.places())?;
        page(evaluation, subject, &pictures)?.write(path, args.overwrite)?;
    }
    let json = || format!("{:#}\n", evaluation.json(subject));
    match &args.json {
        Some(path) if is_dash(path) => return print(&json()).map(drop),
        Some(path) => {
            make_parent(path)?;
            write_file(path, json().as_bytes(), args.overwrite)?;
        }
        None => {}
    }
    let tables = tables(evaluation).iter().map(|t| t.plain()).collect::<Vec<_>>().join("\n");
    let notes: String = notes(evaluation).iter().map(|n| format!("- {n}\n")).collect();
    print(&format!("{tables}\n{notes}")).map(drop)
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
