//! `lemma-gpu train` as a process.

use crate::tiny::TINY;
use lemma_gpu::data::checkpoint::StateDict;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A checkpoint every second step.
pub const OFTEN: &[&str] = &["batch=2", "dropout=0.1", "log_every=1", "save_every=2"];

/// `train` of a tiny vision model on drawn words, in the folder `at`, with more arguments.
pub fn train(at: &Path, steps: usize, more: &[&str]) -> Command {
    let steps = format!("steps={steps}");
    let sets = TINY.iter().chain(OFTEN).copied().chain([steps.as_str()]).flat_map(|s| ["--set", s]);
    let mut all = vec!["train", "-s", "vision", "-d", "synth:count=64,seed=3", "-o", "run"];
    all.extend(sets);
    all.extend(["--micro-batch", "1", "--progress", "plain"]);
    all.extend(more);
    command(at, &all)
}

pub fn command(at: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lemma-gpu"));
    command.current_dir(at).args(args).stdin(Stdio::null()).stdout(Stdio::null());
    if let Ok(adapter) = std::env::var("LEMMA_GPU_ADAPTER") {
        command.args(["-g", &adapter]);
    }
    command.stderr(Stdio::piped());
    command
}

#[track_caller]
pub fn ends(output: &Output, code: i32, says: &[&str]) {
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "standard error:\n{err}");
    for part in says {
        assert!(err.contains(part), "no {part:?} in:\n{err}");
    }
}

pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// The step of the newest checkpoint in a run's folder; 0 where there is none.
pub fn newest(run: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(run) else { return 0 };
    let step = |name: &str| -> Option<usize> {
        name.strip_prefix("checkpoint-")?.strip_suffix(".safetensors")?.parse().ok()
    };
    entries.flatten().filter_map(|e| step(e.file_name().to_str()?)).max().unwrap_or(0)
}

pub fn wait_for_step(run: &Path, child: &mut Child, beyond: usize) {
    let begun = Instant::now();
    while newest(run) <= beyond && child.try_wait().expect("a process").is_none() {
        assert!(begun.elapsed().as_secs() < 240, "no checkpoint after four minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The loss of each step as last written.
pub fn losses(run: &Path) -> BTreeMap<u64, Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    // A killed process may leave a part of a line.
    let lines = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    lines.filter_map(|l| Some((l["step"].as_u64()?, l["loss"].clone()))).collect()
}

/// The checkpoint of a step in a run's folder.
pub fn checkpoint(run: &Path, step: usize) -> PathBuf {
    run.join(format!("checkpoint-{step:08}.safetensors"))
}

/// Fails unless two files hold the same tensors to the bit.
#[track_caller]
pub fn expect_same(one: &Path, other: &Path) {
    let [one, other] = [one, other].map(|f| StateDict::read(f).expect("weights").tensors);
    assert!(one.keys().eq(other.keys()));
    for (name, t) in &one {
        assert!(other[name].bytes() == t.bytes(), "{name} differs");
    }
}

/// Sends a process a signal, as `-INT`.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

/// Kills `again`, which goes on with a run of `steps` steps into `run`, at random instants until it was killed so often, or is
/// nearly through after half of that: every fourth time anywhere from its start on, the others about a save; and every third
/// time by Ctrl-C, which breaks off what is under way. Then lets it end.
pub fn troubled(run: &Path, steps: usize, kills: usize, again: &dyn Fn() -> Command) {
    let mut state = 0x9E37_79B9_u64;
    let mut random = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for kill in 0..kills {
        let before = newest(run);
        // A fast adapter does some steps while it is being killed: half of the kills are enough.
        if before >= steps - 2 {
            assert!(2 * kill >= kills, "the run ended after {kill} kills");
            break;
        }
        let mut child = again().stderr(Stdio::null()).spawn().expect("starts");
        if kill % 4 != 0 {
            wait_for_step(run, &mut child, before);
        }
        // At most its share of the steps, however fast they are.
        let share = before + ((steps - 2) / (2 * kills)).max(1);
        let rest = Duration::from_millis(random(if kill % 4 == 0 { 1500 } else { 150 }));
        let begun = Instant::now();
        while begun.elapsed() < rest && newest(run) < share {
            std::thread::sleep(Duration::from_millis(5));
        }
        match kill % 3 {
            1 => signal(&child, "-INT"),
            _ => child.kill().expect("killed"),
        }
        let begun = Instant::now();
        while child.try_wait().expect("a process").is_none() {
            assert!(begun.elapsed().as_secs() < 40, "the run goes on after its signal");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    ends(&again().output().expect("starts"), 0, &[]);
}
