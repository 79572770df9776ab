//! `lemma-gpu reproduce`: the tables of the paper, filled in with whatever weights are there.

mod inventory;
mod trials;

use super::eval::{
    Entrants, Found as EntrantFound, Named, Walk, bicubic, identity, network, recognizer,
};
use super::paths::{make_folder, refuse_existing};
use super::progress::Mode;
use super::stop::{IMAGES, PATIENCE, Stop};
use super::weights::WeightsArgs;
use super::weights_file::WeightsFile;
use super::{Global, Outcome, StorageArgs, print};
use crate::cli::say::say;
use crate::data::picture::write_file;
use crate::data::report::Table;
use crate::engine::Engine;
use crate::eval::{Ablation, Contest, Exhibit, Journal, Letters, Pairs, Subject};
use crate::{Error, ErrorKind, Result};
use std::path::PathBuf;

/// Arguments of `reproduce`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_long_help = FILES)]
pub struct ReproduceArgs {
    /// What to reproduce
    #[arg(value_enum)]
    exhibit: Which,
    /// A folder with the sets, at any depth: easy, medium and hard of TextZoom's test; IC15, CUTE80, SVT and SVTP for table5
    #[arg(short, long, value_name = "DIR")]
    data: PathBuf,
    /// A folder with weights; --help says how files are called. Ablations are read by its recognizers, or by the one that ships
    #[arg(short, long, value_name = "DIR")]
    weights: Option<PathBuf>,
    /// Folder for the results: TABLE.md, TABLE.json, TABLE.html, and TABLE.words, a line for each word
    #[arg(short, long, value_name = "DIR", required_unless_present = "plan")]
    output: Option<PathBuf>,
    /// Only say which rows there are and what is missing
    #[arg(long)]
    plan: bool,
    /// Seeds of table5: 0, 1, …
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Steps of the training of a row of an ablation [default: those of the preset]
    #[arg(long, value_name = "N", help_heading = ABLATIONS)]
    steps: Option<usize>,
    /// Sizes and schedule of the training: nano or paper
    #[arg(long, value_name = "NAME", default_value = "nano", help_heading = ABLATIONS)]
    #[arg(value_parser = ["nano", "paper"])]
    preset: String,
    /// One more setting of the training of every row, as `train --set` has it
    #[arg(long, value_name = "KEY=VALUE", help_heading = ABLATIONS)]
    set: Vec<String>,
    /// Data to train on, as `train --data` has it [default: train1 and train2 in --data]
    #[arg(long, value_name = "PATH[@WEIGHT]", num_args = 1.., help_heading = ABLATIONS)]
    train_data: Vec<String>,
    /// Write over results that are there
    #[arg(long)]
    overwrite: bool,
    /// How progress is shown
    #[arg(long, value_enum, default_value = "auto")]
    progress: Mode,
    #[command(flatten)]
    storage: StorageArgs,
}

const ABLATIONS: &str = "Ablations (table1, table2, table4, table6, table7, k, alpha)";

const FILES: &str = "\
Weights are found by the name of a network in that of the file or of a folder that it lies in, whatever else stands there, in any \
case: SRCNN, SRResNet, RCAN, SAN, TSRN, TBSRN, PCAN, TG, TATT, C3-STISR (or C3), LEMMA; CRNN, ASTER, MORAN, ABINet, MATRN, PARSeq. \
So crnn.pth, best-train-abinet.pth, parseq-bb5792a6.pt, RCAN_BIX2.pt and tsrn/model_best.pth are found as they come. In the folder \
itself demo.pth.tar is ASTER, demo.pth MORAN, and model_best_acc_0.pth LEMMA. Of several files of one network the first by name \
is taken. Rows without weights are listed as such. An evaluation that was interrupted goes on when the command is given again.

Ablations train a network for each row, one after the other, in OUTPUT/networks, where rows of other tables that are the same \
network find it, and go on likewise. With --preset paper the folder's \
pretrain_transformer.pth looks for the text-focus loss, and pretrain-vision-model.pth with pretrain-language-model.pth begin inside. \
--plan measures some steps of each row and says what all of them take.";

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Which {
    /// TextZoom: every method, read by ASTER, MORAN and CRNN
    #[value(name = "table3")]
    Table3,
    /// Degraded sets of scene text
    #[value(name = "table5")]
    Table5,
    /// Accuracy on TextZoom by the length of the word
    #[value(name = "fig5")]
    Fig5,
    /// TextZoom read by ABINet, MATRN and PARSeq
    #[value(name = "supplement1")]
    Supplement1,
    /// Ablation: location attention and feature selection
    #[value(name = "table1")]
    Table1,
    /// Ablation: alignment of image and text
    #[value(name = "table2")]
    Table2,
    /// Ablation: the modules, one after the other
    #[value(name = "table4")]
    Table4,
    /// Ablation: expansion by convolutions, and pixels to regions
    #[value(name = "table6")]
    Table6,
    /// Ablation: the recognizer inside
    #[value(name = "table7")]
    Table7,
    /// Ablation: the number of selected positions
    K,
    /// Ablation: the weight of the text-focus loss
    Alpha,
}

/// A table that is evaluated with weights that are there, or one whose networks are trained.
enum Kind {
    Exhibit(Exhibit),
    Ablation(Ablation),
}

impl Which {
    fn kind(self) -> Kind {
        match self {
            Which::Table3 => Kind::Exhibit(Exhibit::Table3),
            Which::Table5 => Kind::Exhibit(Exhibit::Table5),
            Which::Fig5 => Kind::Exhibit(Exhibit::Fig5),
            Which::Supplement1 => Kind::Exhibit(Exhibit::Supplement1),
            Which::Table1 => Kind::Ablation(Ablation::Location),
            Which::Table2 => Kind::Ablation(Ablation::Alignment),
            Which::Table4 => Kind::Ablation(Ablation::Modules),
            Which::Table6 => Kind::Ablation(Ablation::Expansion),
            Which::Table7 => Kind::Ablation(Ablation::Prior),
            Which::K => Kind::Ablation(Ablation::K),
            Which::Alpha => Kind::Ablation(Ablation::Alpha),
        }
    }
}

/// What was found of an exhibit.
struct Found {
    exhibit: Exhibit,
    methods: Vec<(&'static str, PathBuf)>,
    judges: Vec<(&'static str, PathBuf)>,
    sets: Vec<(&'static str, String)>,
}

/// Reproduces what was asked for.
pub fn run(global: &Global, args: &ReproduceArgs) -> Result<Outcome> {
    let exhibit = match args.exhibit.kind() {
        Kind::Exhibit(exhibit) => exhibit,
        Kind::Ablation(ablation) => return trials::run(global, args, ablation),
    };
    let folder = args.weights.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::Argument, "--weights", "a folder with weights").got("none")
    })?;
    let names: Vec<&str> = exhibit.sets().iter().map(|s| s.0).collect();
    let mut found = Found {
        exhibit,
        methods: inventory::weights(folder, &exhibit.methods())?,
        judges: inventory::weights(folder, &exhibit.judges())?,
        sets: inventory::sets(&args.data, &names)?,
    };
    let Some(output) = args.output.as_ref().filter(|_| !args.plan) else {
        return print(&plan(&found)?);
    };
    let result = |kind: &str| output.join(format!("{}.{kind}", exhibit.name()));
    for kind in ["md", "json", "html", "words"] {
        refuse_existing(&result(kind), args.overwrite)?;
    }
    if found.judges.is_empty() || found.sets.is_empty() {
        let wanted = if found.sets.is_empty() { names } else { exhibit.judges() };
        let place = if found.sets.is_empty() { &args.data } else { folder };
        return Err(Error::new(ErrorKind::Argument, place.display(), "what the table is made of")
            .expected(format!("one of {}", wanted.join(", ")))
            .got("none")
            .hint("--plan says what was found"));
    }
    let engine = global.engine_with(args.storage.options())?;
    let (entrants, unusable) = load(global, &engine, &mut found)?;
    let sets = open(&found, args.seeds)?;
    let contest = Contest {
        engine: &engine,
        methods: &entrants.methods,
        judges: &entrants.judges,
        sets: &sets,
        letters: Letters::Released,
    };
    let subject = Subject {
        protocol: if exhibit == Exhibit::Table5 { "str" } else { "textzoom" }.into(),
        models: entrants.models.clone(),
        judges: entrants.readers.clone(),
        adapter: engine.adapter().name.clone(),
    };
    let of = identity(&contest, &subject, &entrants.identity);
    make_folder(output)?;
    let path = result("journal");
    let mut evaluation = contest.begin();
    let mut journal = match path.exists() && !args.overwrite {
        true => Journal::resume(&path, &of, &mut evaluation)?,
        false => Journal::begin(&path, &of, args.overwrite)?,
    };
    let stop = Stop::on_signal(IMAGES, PATIENCE)?;
    let walk = Walk { global, progress: args.progress, stop: &stop };
    if !walk.to_the_end(&contest, &mut evaluation, Some(&mut journal), &mut |_, _| Ok(()))? {
        if !global.quiet {
            say!("the same command goes on with it");
        }
        return Ok(stop.outcome());
    }

    let weights = found.origins();
    let present: Vec<&str> = found.sets.iter().map(|s| s.0).collect();
    let mut missing = exhibit.missing(&weights, &present);
    missing.extend(unusable.iter().map(|(name, e)| format!("{name} cannot be used: {e}")));
    let pictures = contest.pictures(&evaluation.examples.places())?;
    let page = exhibit.page(&evaluation, &subject, &weights, &missing, &pictures)?;
    let json = format!("{:#}\n", exhibit.json(&evaluation, &subject, &weights, &missing));
    let markdown = exhibit.markdown(&evaluation, &subject, &weights, &missing);
    write_file(&result("md"), markdown.as_bytes(), args.overwrite)?;
    write_file(&result("json"), json.as_bytes(), args.overwrite)?;
    page.write(&result("html"), args.overwrite)?;
    journal.finish(Some(&result("words")))?;
    let tables: Vec<String> =
        exhibit.tables(&evaluation, &weights).iter().map(Table::plain).collect();
    let missing: String = missing.iter().map(|line| format!("missing: {line}\n")).collect();
    print(&format!("{}\n{missing}", tables.join("\n")))?;
    let whole = unusable.is_empty() && evaluation.left_out() == 0;
    Ok(if whole { Outcome::Done } else { Outcome::SomeFailed })
}

impl Found {
    /// Networks with their files, for tables.
    fn origins(&self) -> Vec<(String, String)> {
        let file = |(name, path): &(&str, PathBuf)| {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name.to_string(), file)
        };
        self.methods.iter().chain(&self.judges).map(file).collect()
    }
}

/// Loads what was found; what cannot be used is taken out and told.
fn load(
    global: &Global,
    engine: &Engine,
    found: &mut Found,
) -> Result<(Entrants, Vec<(&'static str, Error)>)> {
    let mut unusable = Vec::new();
    let (mut methods, mut judges) = (Vec::new(), Vec::new());
    found.methods.retain(|(name, path)| {
        let what = WeightsFile::from(path.as_path());
        let named = Named { name: Some(name.to_string()), what };
        let loaded = network(global, engine, &named, &WeightsArgs::default());
        let loaded = loaded.and_then(EntrantFound::checked);
        loaded.map(|own| methods.push(own)).map_err(|e| unusable.push((*name, e))).is_ok()
    });
    found.judges.retain(|(name, path)| {
        let loaded = recognizer(global, engine, Some(name), &path.as_path().into());
        let loaded = loaded.and_then(EntrantFound::checked);
        loaded.map(|own| judges.push(own)).map_err(|e| unusable.push((*name, e))).is_ok()
    });
    for (name, e) in &unusable {
        say!("note: the row {name} stays empty: {e}");
    }
    if judges.is_empty() {
        let (name, e) = unusable.pop().expect("a recognizer that could not be loaded");
        return Err(e.within(name));
    }
    if methods.is_empty() {
        methods.push(bicubic(engine));
    }
    Ok((Entrants::of(methods, judges), unusable))
}

fn open(found: &Found, seeds: u64) -> Result<Vec<Pairs>> {
    let mut all = Vec::new();
    for (name, argument) in &found.sets {
        let set = Pairs::open(argument)?.called(name.to_string());
        match found.exhibit {
            Exhibit::Table5 => all.extend((0..seeds).map(|seed| set.clone().degraded(seed))),
            _ => all.push(set),
        }
    }
    Ok(all)
}

/// Rows, what fills them, and what is missing.
fn plan(found: &Found) -> Result<String> {
    let Found { exhibit, methods, judges, sets } = found;
    let mut table = Table::new(exhibit.title(), &["what", "name", "from"], &[]);
    let from = |all: &[(&str, PathBuf)], name: &str| {
        let file = all.iter().find(|(own, _)| *own == name);
        file.map_or("missing".into(), |(_, path)| path.display().to_string())
    };
    for name in exhibit.methods() {
        table.row(["method".into(), name.into(), from(methods, name)]);
    }
    for name in exhibit.judges() {
        table.row(["recognizer".into(), name.into(), from(judges, name)]);
    }
    for (name, images) in exhibit.sets() {
        let found = match sets.iter().find(|(own, _)| *own == name) {
            Some((_, argument)) => {
                let own = Pairs::open(argument)?.len();
                format!("{argument}: {own} images, {images} in the paper")
            }
            None => "missing".into(),
        };
        table.row(["set".into(), name.into(), found]);
    }
    Ok(table.plain())
}
