//! `lemma-gpu train` as a user runs it, and as the system ends it: mistakes, signals, and being killed at any instant.
#![cfg(unix)]

#[path = "common/tiny.rs"]
mod tiny;
#[path = "common/train.rs"]
mod train;

use lemma_gpu::data::checkpoint::StateDict;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tiny::TINY;
use train::*;

#[test]
fn mistakes_are_refused_before_the_work() {
    let at = folder();
    let refused = |args: &[&str], code: i32, says: &[&str]| {
        ends(&command(at.path(), args).output().expect("the binary starts"), code, says);
    };
    refused(&["train"], 2, &["Usage: lemma-gpu train", "--stage"]);
    refused(&["train", "-s", "lemma", "-o", "run"], 2, &["--data"]);
    refused(&["train", "-s", "lemme", "-o", "run", "-d", "synth:"], 2, &["lemme", "lemma"]);
    let begin = ["train", "-s", "lemma", "-o", "run", "-d"];
    let with = |more: &[&'static str]| [&begin[..], more].concat();
    refused(&with(&["none"]), 2, &["none", "nothing there"]);
    refused(&with(&["synth:", "--set", "bacht=3"]), 2, &["bacht"]);
    refused(&with(&["synth:", "--set", "batch=many"]), 2, &["batch"]);
    refused(&with(&["synth:", "--set", "batch"]), 2, &["key=value"]);
    refused(&with(&["synth:", "--micro-batch", "0"]), 2, &["auto or a number"]);
    refused(&with(&["synth:", "--memory", "2GB"]), 2, &["--memory", "2GiB, 300MiB"]);
    for set in
        ["eps=0", "lr=1e30", "lr_input_prob=1.5", "loss.finetune=nan", "attention_supervision=inf"]
    {
        let key = set.split('=').next().expect("a key");
        refused(&[&begin[..], &["synth:", "--set", set]].concat(), 2, &[key, "expected", "got"]);
    }
    let schedule = "schedule={kind=\"step\",at=1,factor=nan}";
    refused(&with(&["synth:", "--set", schedule]), 2, &["schedule.factor"]);
    refused(&with(&["synth:", "-j", "0"]), 2, &["1..=256"]);
    refused(&with(&["synth:", "-j", "100000000"]), 2, &["1..=256"]);
    refused(&["train", "--resume", "-o", "run"], 2, &["--stage", "none to go on from"]);
    refused(&["train", "--resume", "-s", "vision", "-o", "run"], 2, &["--data"]);
    let transformer = ["synth:", "--set", "text_focus=transformer"];
    refused(&with(&transformer), 2, &["--recognizer FILE", "text_focus=off"]);
}

#[test]
fn a_run_leaves_what_one_looks_at() {
    let at = folder();
    let run = at.path().join("run");
    ends(&train(at.path(), 4, &[]).output().expect("starts"), 0, &["done in", "report.html"]);
    let text = |name: &str| {
        std::fs::read_to_string(run.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    };
    assert!(text("report.html").contains("<svg") && text("report.html").contains("vision"));
    assert!(text("curves.svg").starts_with("<svg"));
    assert_eq!(losses(&run).into_keys().collect::<Vec<_>>(), [1, 2, 3, 4]);
    let weights = StateDict::read(run.join("last.safetensors")).expect("weights");
    assert!(weights.tensors.contains_key("vision.cls.weight"));
    // A second run does not go over the first, unless it goes on with it.
    ends(&train(at.path(), 6, &[]).output().expect("starts"), 2, &["a run is there", "--resume"]);
    ends(&train(at.path(), 6, &["--resume"]).output().expect("starts"), 0, &[]);
    assert_eq!(losses(&run).len(), 6);
}

#[test]
fn a_signal_saves_and_tells() {
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let at = folder();
        let run = at.path().join("run");
        let mut child = train(at.path(), 1_000_000, &[]).spawn().expect("starts");
        wait_for_step(&run, &mut child, 0);
        signal(&child, name);
        let output = child.wait_with_output().expect("ends");
        ends(&output, code, &["saving a checkpoint"]);
        let last = StateDict::read(run.join("last.safetensors")).expect("weights");
        let checkpoint = StateDict::read(checkpoint(&run, newest(&run))).expect("a checkpoint");
        assert!(last.tensors.iter().all(|(k, t)| checkpoint.tensors[k].bytes() == t.bytes()));
        assert!(run.join("report.html").is_file());
    }
}

/// Killed at twenty random instants, a run ends in the weights and losses of one that was left alone.
#[test]
fn killed_at_any_instant_it_goes_on() {
    const STEPS: usize = 100;
    let (calm, killed) = (folder(), folder());
    ends(&train(calm.path(), STEPS, &[]).output().expect("starts"), 0, &[]);
    let [calm, run] = [&calm, &killed].map(|at| at.path().join("run"));
    troubled(&run, STEPS, 20, &|| train(killed.path(), STEPS, &["--resume", "auto"]));
    expect_same(&calm.join("last.safetensors"), &run.join("last.safetensors"));
    assert_eq!(losses(&calm), losses(&run));
}

/// `train` whose step takes seconds, of many micro-batches.
fn long_step(at: &Path, more: &[&str]) -> Command {
    let sets = ["batch=96", "dropout=0.1", "log_every=1", "save_every=10", "steps=2", "warmup=0"];
    let sets = TINY.iter().copied().chain(sets).flat_map(|set| ["--set", set]);
    let mut all = vec!["train", "-s", "vision", "-d", "synth:count=96,seed=3", "-o", "run"];
    all.extend(sets);
    all.extend(["--micro-batch", "1", "--progress", "plain"]);
    all.extend(more);
    command(at, &all)
}

#[test]
fn a_signal_in_a_long_step_ends_the_run_and_loses_no_other() {
    let [calm, halted] = [folder(), folder()];
    ends(&long_step(calm.path(), &[]).output().expect("starts"), 0, &[]);
    let run = halted.path().join("run");
    let mut child = long_step(halted.path(), &[]).spawn().expect("starts");
    let begun = Instant::now();
    while !run.join("metrics.jsonl").is_file() || losses(&run).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(240), "no step in four minutes");
        assert!(child.try_wait().expect("a process").is_none(), "the run ended by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    // The first step is done and nothing of it is saved; the second is under way.
    signal(&child, "-INT");
    let output = child.wait_with_output().expect("ends");
    ends(&output, 130, &["saving a checkpoint", "saved"]);
    assert_eq!(newest(&run), 1);
    ends(&long_step(halted.path(), &["--resume"]).output().expect("starts"), 0, &[]);
    let calm = calm.path().join("run");
    expect_same(&checkpoint(&calm, 2), &checkpoint(&run, 2));
    assert_eq!(losses(&calm), losses(&run));
}

/// A library to preload that watches what a program makes durable.
#[cfg(target_os = "linux")]
fn watching_files(at: &Path) -> std::path::PathBuf {
    let library = at.join("libfiles.so");
    let built = Command::new("cc")
        .args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tools/faults/files.c"))
        .status();
    assert!(built.expect("a C compiler, cc").success());
    library
}

/// A disk that never answers: the run ends all the same, a minute behind its signal.
#[cfg(target_os = "linux")]
#[test]
fn a_save_that_hangs_is_given_up() {
    let at = folder();
    let run = at.path().join("run");
    let hang = at.path().join("hang");
    let mut command = train(at.path(), 1_000_000, &[]);
    command.env("LD_PRELOAD", watching_files(at.path())).env("FILES_HANG", &hang);
    let mut child = command.spawn().expect("starts");
    wait_for_step(&run, &mut child, 0);
    std::fs::write(&hang, "").expect("written");
    signal(&child, "-INT");
    let begun = Instant::now();
    let output = child.wait_with_output().expect("ends");
    ends(&output, 130, &["saving a checkpoint", "what is in flight does not end"]);
    let took = begun.elapsed();
    assert!((50..110).contains(&took.as_secs()), "{took:?}");
    // What was saved before is whole.
    StateDict::read(checkpoint(&run, newest(&run))).expect("a checkpoint");
}

/// What a folder names is durable only when the folder is: before an older checkpoint goes, the newer one and its name are.
#[cfg(target_os = "linux")]
#[test]
fn a_checkpoint_is_durable_before_an_older_one_goes() {
    let at = folder();
    let noting = watching_files(at.path());
    let log = at.path().join("log");
    let mut command = train(at.path(), 6, &["--set", "keep=1"]);
    ends(
        &command.env("LD_PRELOAD", &noting).env("FILES_LOG", &log).output().expect("starts"),
        0,
        &[],
    );
    let log = std::fs::read_to_string(log).expect("a log");
    let lines: Vec<&str> = log.lines().collect();
    let removed = lines.iter().enumerate().filter(|(_, l)| l.starts_with("remove run/checkpoint-"));
    let before = removed.map(|(i, _)| [lines[i - 2], lines[i - 1]]).collect::<Vec<_>>();
    assert_eq!(before.len(), 2, "{log}");
    for [file, folder] in before {
        assert!(file.starts_with("sync ") && file.ends_with(".part"), "{log}");
        assert!(folder.starts_with("sync ") && folder.ends_with("/run"), "{log}");
    }
}
