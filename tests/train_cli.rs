//! `lemma-gpu train` as a user runs it, and as the system ends it: mistakes, signals, and being killed at any instant.
#![cfg(unix)]

#[path = "common/tiny.rs"]
mod tiny;

use lemma_gpu::data::checkpoint::StateDict;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tiny::TINY;

/// A checkpoint every second step.
const OFTEN: &[&str] = &["batch=2", "dropout=0.1", "log_every=1", "save_every=2"];

/// `train` of a tiny vision model on drawn words, in the folder `at`, with more arguments.
fn train(at: &Path, steps: usize, more: &[&str]) -> Command {
    let steps = format!("steps={steps}");
    let sets = TINY.iter().chain(OFTEN).copied().chain([steps.as_str()]).flat_map(|s| ["--set", s]);
    let mut all = vec!["train", "-s", "vision", "-d", "synth:count=64,seed=3", "-o", "run"];
    all.extend(sets);
    all.extend(["--micro-batch", "1", "--progress", "plain"]);
    all.extend(more);
    command(at, &all)
}

fn command(at: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lemma-gpu"));
    command.current_dir(at).args(args).stdin(Stdio::null()).stdout(Stdio::null());
    if let Ok(adapter) = std::env::var("LEMMA_GPU_ADAPTER") {
        command.args(["-g", &adapter]);
    }
    command.stderr(Stdio::piped());
    command
}

#[track_caller]
fn ends(output: &Output, code: i32, says: &[&str]) {
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "standard error:\n{err}");
    for part in says {
        assert!(err.contains(part), "no {part:?} in:\n{err}");
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// The step of the newest checkpoint in a run's folder; 0 where there is none.
fn newest(run: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(run) else { return 0 };
    let step = |name: &str| -> Option<usize> {
        name.strip_prefix("checkpoint-")?.strip_suffix(".safetensors")?.parse().ok()
    };
    entries.flatten().filter_map(|e| step(e.file_name().to_str()?)).max().unwrap_or(0)
}

fn wait_for_step(run: &Path, child: &mut Child, beyond: usize) {
    let begun = Instant::now();
    while newest(run) <= beyond && child.try_wait().expect("a process").is_none() {
        assert!(begun.elapsed().as_secs() < 240, "no checkpoint after four minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

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

/// The loss of each step as last written.
fn losses(run: &Path) -> BTreeMap<u64, Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    // A killed process may leave a part of a line.
    let lines = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    lines.filter_map(|l| Some((l["step"].as_u64()?, l["loss"].clone()))).collect()
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
        let path = run.join(format!("checkpoint-{:08}.safetensors", newest(&run)));
        let checkpoint = StateDict::read(path).expect("a checkpoint");
        assert!(last.tensors.iter().all(|(k, t)| checkpoint.tensors[k].bytes() == t.bytes()));
        assert!(run.join("report.html").is_file());
    }
}

/// Killed at twenty random instants, a run ends in the weights and losses of one that was left alone.
#[test]
fn killed_at_any_instant_it_goes_on() {
    const STEPS: usize = 100;
    let (calm, troubled) = (folder(), folder());
    ends(&train(calm.path(), STEPS, &[]).output().expect("starts"), 0, &[]);
    let run = troubled.path().join("run");
    let again = || train(troubled.path(), STEPS, &["--resume", "auto"]);
    let mut state = 0x9E37_79B9_u64;
    let mut random = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut kills = 0;
    while kills < 20 {
        let before = newest(&run);
        assert!(before < STEPS - 2, "the run ended after {kills} kills");
        let mut child = again().stderr(Stdio::null()).spawn().expect("starts");
        // Every fourth anywhere from its start on, the others about a save.
        if kills % 4 != 0 {
            wait_for_step(&run, &mut child, before);
        }
        std::thread::sleep(Duration::from_millis(random(if kills % 4 == 0 { 1500 } else { 150 })));
        child.kill().expect("killed");
        child.wait().expect("ended");
        kills += 1;
    }
    ends(&again().output().expect("starts"), 0, &[]);
    let last = |at: &Path| StateDict::read(at.join("run/last.safetensors")).expect("weights");
    let (want, got) = (last(calm.path()), last(troubled.path()));
    assert!(want.tensors.keys().eq(got.tensors.keys()));
    for (name, t) in &want.tensors {
        assert!(got.tensors[name].bytes() == t.bytes(), "{name} differs");
    }
    assert_eq!(losses(&calm.path().join("run")), losses(&run));
}
