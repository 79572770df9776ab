//! Ablations: networks that are trained one after the other, and then evaluated side by side.

use super::{ReproduceArgs, inventory};
use crate::cli::eval::{Entrants, Found, Named, Walk, identity, network, recognizer, shipped};
use crate::cli::paths::{make_folder, refuse_existing};
use crate::cli::progress::seconds;
use crate::cli::say::{count, say};
use crate::cli::stop::{IMAGES, PATIENCE, Stop};
use crate::cli::train::{TrainArgs, run as train, size, timed};
use crate::cli::weights::WeightsArgs;
use crate::cli::weights_file::WeightsFile;
use crate::cli::{Global, Outcome, print};
use crate::data::picture::write_file;
use crate::data::report::{Page, Table};
use crate::engine::{Engine, Recognizer};
use crate::eval::published::{SUPPLEMENT_1_JUDGES, TABLE_3_JUDGES};
use crate::eval::{Ablation, Contest, Evaluation, Journal, Letters, Pairs, Subject, Trial, notes};
use crate::train::checkpoint::{LAST, list};
use crate::train::{Preset, Stage, TrainConfig};
use crate::{Error, ErrorKind, Result};
use clap::Parser;
use std::path::{Path, PathBuf};

/// Arguments of a training by themselves.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Alone {
    #[command(flatten)]
    args: TrainArgs,
}

/// Steps of a training that is only to say how long a step takes; the first ones compile kernels.
const MEASURED: usize = 4;

/// The folder of the networks below that of the results, and that of the whole one.
const NETWORKS: &str = "networks";
const WHOLE: &str = "whole";

/// Who may have pre-trained parts: names of files, and the option of `train` that takes them.
const PARTS: [(&str, &[&str]); 2] = [
    ("--recognizer", &["pretrain_transformer.pth"]),
    ("--prior", &["pretrain-vision-model.pth", "pretrain-language-model.pth"]),
];

/// Trains and evaluates the rows of an ablation.
pub fn run(global: &Global, args: &ReproduceArgs, ablation: Ablation) -> Result<Outcome> {
    if !args.data.is_dir() {
        return Err(Error::new(ErrorKind::Argument, args.data.display(), "a folder with sets")
            .got("no such folder"));
    }
    let data = training_data(args)?;
    let tests = inventory::sets(&args.data, &["easy", "medium", "hard"])?;
    let Some(output) = args.output.as_ref().filter(|_| !args.plan) else {
        return print(&plan(global, args, ablation, &data)?);
    };
    if tests.is_empty() {
        return Err(Error::new(ErrorKind::Argument, args.data.display(), "sets to evaluate on")
            .expected("easy, medium or hard")
            .got("none"));
    }
    let result = |kind: &str| output.join(format!("{}.{kind}", ablation.name()));
    for kind in ["md", "json", "html", "words"] {
        refuse_existing(&result(kind), args.overwrite)?;
    }
    make_folder(output)?;
    // What is wrong with who is to read shows now, and not behind hours of training.
    judges(global, args, &global.engine_with(args.storage.options())?).map(drop)?;
    for trial in ablation.trials() {
        let settings = match settings_of(args, &trial) {
            Ok(settings) => settings,
            Err(why) => {
                say!("note: the row {} stays empty: {why}", trial.name);
                continue;
            }
        };
        let place = place(output, args, settings)?;
        let mut given = arguments(args, settings, &data, &place);
        if !list(&place)?.is_empty() {
            given.push("--resume".into());
        }
        if !global.quiet {
            say!("{}: {}", trial.name, told(settings));
        }
        if let Outcome::Interrupted(code) = train(global, &parsed(&given)?)? {
            say!("the same command goes on with it");
            return Ok(Outcome::Interrupted(code));
        }
    }
    evaluate(global, args, ablation, output, &tests, &result)
}

/// The folder of the network of a row. What differs from the whole network by the same settings is one network, in whatever
/// tables it stands.
fn place(output: &Path, args: &ReproduceArgs, settings: &[&str]) -> Result<PathBuf> {
    let preset = if args.preset == "paper" { Preset::Paper } else { Preset::Nano };
    let whole = TrainConfig::read(preset, Stage::Lemma, "", &args.set)?;
    let mut name = Vec::new();
    for set in settings {
        if whole.with("", &[set.to_string()])? != whole {
            name.push(set.trim_start_matches("lemma.").trim_start_matches("guidance."));
        }
    }
    let name = if name.is_empty() { WHOLE.into() } else { name.join(",") };
    Ok(output.join(NETWORKS).join(name))
}

/// The setting that puts CRNN inside, and the file of its weights.
const WITH_CRNN: (&str, &str) = ("lemma.prior=crnn", "crnn.pth");

/// What makes a row, or why nothing does.
fn settings_of(
    args: &ReproduceArgs,
    trial: &Trial,
) -> std::result::Result<&'static [&'static str], String> {
    let settings = trial.settings;
    let there = crnn(args).is_some_and(|file| file.exists());
    match settings.contains(&WITH_CRNN.0) && !there {
        true => Err(format!("--weights has no {}", WITH_CRNN.1)),
        false => Ok(settings),
    }
}

fn crnn(args: &ReproduceArgs) -> Option<PathBuf> {
    args.weights.as_ref().map(|folder| folder.join(WITH_CRNN.1))
}

/// The arguments of the training of a row.
fn arguments(
    args: &ReproduceArgs,
    settings: &[&str],
    data: &[String],
    place: &Path,
) -> Vec<String> {
    let mut given = vec!["--stage".into(), "lemma".into(), "--data".into()];
    given.extend(data.iter().cloned());
    given.extend(["--output".into(), place.display().to_string()]);
    given.extend(["--preset".into(), args.preset.clone()]);
    let steps = args.steps.map(|steps| format!("steps={steps}"));
    // What makes a row goes over what is said of all of them.
    let settings = settings.iter().map(|s| s.to_string());
    for set in args.set.iter().cloned().chain(steps).chain(settings) {
        given.extend(["--set".into(), set]);
    }
    let with_crnn = given.iter().any(|set| set == WITH_CRNN.0);
    if let Some(file) = crnn(args).filter(|_| with_crnn) {
        given.extend(["--prior".into(), file.display().to_string()]);
    }
    for (option, files) in PARTS.into_iter().filter(|(o, _)| !with_crnn || *o != "--prior") {
        let Some(folder) = &args.weights else { continue };
        let found: Vec<PathBuf> =
            files.iter().map(|file| folder.join(file)).filter(|path| path.exists()).collect();
        if found.len() == files.len() && args.preset == "paper" {
            given.push(option.into());
            given.extend(found.iter().map(|path| path.display().to_string()));
        }
    }
    given
}

fn parsed(given: &[String]) -> Result<TrainArgs> {
    let parsed = Alone::try_parse_from(given).map(|alone| alone.args);
    parsed.map_err(|e| Error::new(ErrorKind::Argument, "train", e.to_string().trim_end()))
}

/// What the networks are trained on: the sets given, or TextZoom's.
fn training_data(args: &ReproduceArgs) -> Result<Vec<String>> {
    if !args.train_data.is_empty() {
        return Ok(args.train_data.clone());
    }
    let found = inventory::sets(&args.data, &["train1", "train2"])?;
    if found.is_empty() {
        return Err(Error::new(ErrorKind::Argument, args.data.display(), "sets to train on")
            .expected("train1 and train2, or --train-data")
            .got("none"));
    }
    Ok(found.into_iter().map(|(_, argument)| argument).collect())
}

fn told(settings: &[&str]) -> String {
    if settings.is_empty() { "as it is".into() } else { settings.join(" ") }
}

/// Rows, settings, steps, and the time that this adapter takes by a step that is measured.
fn plan(
    global: &Global,
    args: &ReproduceArgs,
    ablation: Ablation,
    data: &[String],
) -> Result<String> {
    let mut table = Table::new(ablation.title(), &["row", "settings"], &["steps", "time"]);
    let mut all = 0.0;
    for trial in ablation.trials() {
        let name = trial.name;
        let settings = match settings_of(args, &trial) {
            Ok(settings) => settings,
            Err(why) => {
                table.row([name, &why]);
                continue;
            }
        };
        let (steps, each) = measured(global, args, settings, data)?;
        let done = match &args.output {
            Some(output) => {
                list(&place(output, args, settings)?)?.first().map_or(0, |(step, _)| *step)
            }
            None => 0,
        };
        let left = steps.saturating_sub(done) as f64 * each;
        all += left;
        let time = format!("{} ({} a step)", seconds(left), seconds(each));
        let steps = if done == 0 { steps.to_string() } else { format!("{steps}, done {done}") };
        table.row([name.to_string(), told(settings), steps, time]);
    }
    table.total(["all", "", "", &seconds(all)]);
    Ok(table.plain())
}

/// Steps of the training of a row, and the seconds of one.
fn measured(
    global: &Global,
    args: &ReproduceArgs,
    settings: &[&str],
    data: &[String],
) -> Result<(usize, f64)> {
    let folder = tempfile::tempdir().map_err(|e| Error::io("a folder", "cannot be made", e))?;
    let place = folder.path().join("run");
    let mut given = arguments(args, settings, data, &place);
    let quiet = Global { quiet: true, ..global.clone() };
    let (steps, batch) = size(&quiet, &parsed(&given)?)?;
    for set in [format!("steps={MEASURED}"), "log_every=1".into(), "eval_every=0".into()] {
        given.extend(["--set".into(), set]);
    }
    given.extend(["--progress", "none"].map(String::from));
    let (_, speed) = timed(&quiet, &parsed(&given)?)?;
    Ok((steps, batch as f64 / speed))
}

/// The recognizers of a folder, or the one that ships.
fn judges(
    global: &Global,
    args: &ReproduceArgs,
    engine: &Engine,
) -> Result<Vec<Found<Recognizer>>> {
    let names = [TABLE_3_JUDGES, SUPPLEMENT_1_JUDGES].concat();
    let found = match &args.weights {
        Some(folder) => inventory::weights(folder, &names)?,
        None => Vec::new(),
    };
    if found.is_empty() {
        return Ok(vec![shipped(engine)?]);
    }
    let load = |(name, path): &(&str, PathBuf)| {
        recognizer(global, engine, Some(name), &path.as_path().into()).and_then(Found::checked)
    };
    found.iter().map(load).collect()
}

fn evaluate(
    global: &Global,
    args: &ReproduceArgs,
    ablation: Ablation,
    output: &Path,
    tests: &[(&'static str, String)],
    result: &dyn Fn(&str) -> PathBuf,
) -> Result<Outcome> {
    let engine = global.engine_with(args.storage.options())?;
    let mut networks = Vec::new();
    for trial in ablation.trials().iter().filter(|t| settings_of(args, t).is_ok()) {
        let file = place(output, args, trial.settings)?.join(LAST);
        let what = WeightsFile::from(file.as_path());
        let named = Named { name: Some(trial.name.into()), what };
        networks.push(network(global, &engine, &named, &WeightsArgs::default())?);
    }
    let entrants = Entrants::of(networks, judges(global, args, &engine)?);
    let sets = tests
        .iter()
        .map(|(name, argument)| Ok(Pairs::open(argument)?.called(name.to_string())))
        .collect::<Result<Vec<Pairs>>>()?;
    let contest = Contest {
        engine: &engine,
        methods: &entrants.methods,
        judges: &entrants.judges,
        sets: &sets,
        letters: Letters::Released,
    };
    let subject = Subject {
        protocol: "textzoom".into(),
        models: entrants.models.clone(),
        judges: entrants.readers.clone(),
        adapter: engine.adapter().name.clone(),
    };
    let of = identity(&contest, &subject, &entrants.identity);
    let path = result("journal");
    let mut evaluation = contest.begin();
    let mut journal = match path.exists() && !args.overwrite {
        true => Journal::resume(&path, &of, &mut evaluation)?,
        false => Journal::begin(&path, &of, args.overwrite)?,
    };
    let stop = Stop::on_signal(IMAGES, PATIENCE)?;
    let walk = Walk { global, progress: args.progress, stop: &stop };
    if !walk.to_the_end(&contest, &mut evaluation, Some(&mut journal), &mut |_, _| Ok(()))? {
        return Ok(stop.outcome());
    }
    let tables = ablation.tables(&evaluation);
    let lines = lines(args, ablation, &evaluation);
    let mut page = Page::new(ablation.title(), &format!("Computed on {}.", subject.adapter));
    let mut markdown = format!("# {}\n\nComputed on {}.\n", ablation.title(), subject.adapter);
    for table in tables.iter().chain(&ablation.details(&evaluation)) {
        page.table(table);
        markdown += &format!("\n{}", table.markdown());
    }
    markdown.push('\n');
    for line in &lines {
        page.text(line);
        markdown += &format!("- {line}\n");
    }
    let mut json = evaluation.json(&subject);
    json["exhibit"] = ablation.name().into();
    json["trained"] = lines.clone().into();
    write_file(&result("md"), markdown.as_bytes(), args.overwrite)?;
    write_file(&result("json"), format!("{json:#}\n").as_bytes(), args.overwrite)?;
    page.write(&result("html"), args.overwrite)?;
    journal.finish(Some(&result("words")))?;
    let tables: Vec<String> = tables.iter().map(Table::plain).collect();
    let lines: String = lines.iter().map(|line| format!("- {line}\n")).collect();
    print(&format!("{}\n{lines}", tables.join("\n")))?;
    Ok(if evaluation.left_out() == 0 { Outcome::Done } else { Outcome::SomeFailed })
}

/// How the rows were made, and by which rules they are evaluated.
fn lines(args: &ReproduceArgs, ablation: Ablation, evaluation: &Evaluation) -> Vec<String> {
    let steps = args.steps.map_or("the preset's steps".into(), |n| count(n, "step"));
    let mut lines = vec![format!(
        "Every network was trained for {steps} with the preset {}, and evaluated with its last weights; the paper's are those \
         that read best on the test sets.",
        args.preset
    )];
    lines.push(
        "Rows and figures are the paper's, read by CRNN; which number its tables of ablations have was taken from their order."
            .into(),
    );
    for trial in ablation.trials() {
        let settings = settings_of(args, &trial).map_or_else(|why| why, told);
        lines.push(format!("{}: {settings}", trial.name));
    }
    lines.extend(notes(evaluation));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: [f64; 4] = [67.1, 58.8, 40.6, 56.3];

    #[test]
    fn every_setting_is_one_that_training_has_and_makes_another_network() {
        use Ablation::{Alignment, Alpha, Expansion, K, Location, Modules, Prior};
        for ablation in [Location, Alignment, Modules, Expansion, Prior, K, Alpha] {
            let mut seen = Vec::new();
            for trial in ablation.trials() {
                let sets: Vec<String> = trial.settings.iter().map(|s| s.to_string()).collect();
                let config = TrainConfig::read(Preset::Paper, Stage::Lemma, "", &sets);
                let config = config.unwrap_or_else(|e| panic!("{}: {e}", trial.name));
                assert!(!seen.contains(&config), "{}: {}", ablation.title(), trial.name);
                if trial.accuracy == WHOLE {
                    assert_eq!(config, TrainConfig::preset(Preset::Paper, Stage::Lemma));
                }
                seen.push(config);
            }
            assert!(ablation.trials().iter().any(|t| t.accuracy == WHOLE));
        }
    }
}
