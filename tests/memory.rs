//! Training on a device that has too little memory: less at once where that is left to the program, and an error that helps
//! where it is not; never a panic, and never other numbers.

mod common;
#[path = "common/tiny.rs"]
mod tiny;
#[path = "common/words.rs"]
mod words;

use lemma_gpu::data::checkpoint::StateDict;
use lemma_gpu::data::words::{Batch, Layout, Store};
use lemma_gpu::data::{picture, synth};
use lemma_gpu::gpu::{Gpu, GpuOptions};
use lemma_gpu::tensor::Tensor;
use lemma_gpu::train::{
    self, Batches, Ended, MicroBatch, Observer, Preset, Stage, Start, StepMetrics, TrainConfig,
    Trainer, plan_memory,
};
use lemma_gpu::{ErrorKind, Result};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tiny::TINY;
use words::{DRAWN, words};

fn open(memory: Option<u64>, planning: bool) -> Gpu {
    let options = GpuOptions { adapter: common::adapter(), memory, planning, ..Default::default() };
    let gpu = Gpu::new(options).expect("an adapter for the tests");
    common::announce(&gpu);
    gpu
}

fn config(stage: Stage, sets: &[&str]) -> TrainConfig {
    let sets: Vec<String> = sets.iter().map(|s| s.to_string()).collect();
    TrainConfig::read(Preset::Nano, stage, "", &sets).expect("settings")
}

/// A tiny vision model, with everything random that a step has.
fn vision() -> TrainConfig {
    config(Stage::Vision, &[TINY, &["batch=8", "steps=3", "warmup=0", "dropout=0.1"]].concat())
}

fn trainer(gpu: &Gpu, config: &TrainConfig) -> Trainer {
    Trainer::new(gpu, config.clone(), Start::default()).expect("a network")
}

/// What a step takes that works on so many images at once.
fn planned(config: &TrainConfig, images: usize) -> u64 {
    plan_memory(&trainer(&open(None, true), config), images).expect("a plan").total()
}

fn first(batch: &Batch, n: usize) -> Batch {
    Batch {
        lr: batch.lr[..n * 4096].to_vec(),
        hr: batch.hr[..n * 16384].to_vec(),
        labels: batch.labels[..n].to_vec(),
        characters: batch.characters[..n].to_vec(),
        places: Vec::new(),
    }
}

/// Four words in the first step, eight in those behind it.
struct Growing(Batch, usize);

impl Batches for Growing {
    fn per_epoch(&self) -> usize {
        100
    }

    fn next(&mut self) -> Result<Batch> {
        self.1 += 1;
        Ok(if self.1 == 1 { first(&self.0, 4) } else { self.0.clone() })
    }
}

#[derive(Default)]
struct Heard {
    steps: Vec<usize>,
    halved: Vec<(usize, usize)>,
    saved: usize,
}

impl Observer for Heard {
    fn logged(&mut self, steps: &[StepMetrics]) -> Result<()> {
        self.steps.extend(steps.iter().map(|s| s.step));
        Ok(())
    }

    fn evaluate(&mut self, _: usize, _: &Trainer) -> Result<Option<f64>> {
        Ok(None)
    }

    fn halved(&mut self, step: usize, images: usize) {
        self.halved.push((step, images));
    }

    fn saved(&mut self, _: &Path) {
        self.saved += 1;
    }

    fn stop(&self) -> bool {
        false
    }
}

fn run(
    memory: Option<u64>,
    mut micro: MicroBatch,
    folder: &Path,
) -> (Result<Ended>, MicroBatch, Heard) {
    let gpu = open(memory, false);
    let config = vision();
    let trainer = trainer(&gpu, &config);
    let start = train::checkpoint::Position::begin(config);
    let mut heard = Heard::default();
    let mut data = Growing(words(DRAWN, 8), 0);
    let ended = train::run(&gpu, &trainer, start, &mut micro, &mut data, folder, &mut heard);
    (ended, micro, heard)
}

fn expect_same(one: &Path, other: &Path) {
    let [one, other] = [one, other].map(|f| StateDict::read(f).expect("a checkpoint").tensors);
    assert!(one.keys().eq(other.keys()));
    for (name, tensor) in &one {
        assert!(other[name].bytes() == tensor.bytes(), "{name} differs");
    }
}

/// Too little for eight images, enough for four.
fn too_little() -> u64 {
    (planned(&vision(), 4) + planned(&vision(), 8)) / 2
}

#[test]
fn a_step_is_taken_again_with_half_as_many_images() {
    let folder = tempfile::tempdir().expect("a folder");
    let [halved, calm] = ["halved", "calm"].map(|name| folder.path().join(name));
    [&halved, &calm].iter().for_each(|path| std::fs::create_dir(path).expect("a folder"));
    let (ended, micro, heard) =
        run(Some(too_little()), MicroBatch { images: 8, halves: true }, &halved);
    assert_eq!(ended.expect("a run"), Ended::Complete);
    assert_eq!((micro.images, heard.halved, heard.steps), (4, vec![(2, 4)], vec![1, 2, 3]));
    let (ended, _, heard) = run(None, MicroBatch::fixed(4), &calm);
    assert_eq!(ended.expect("a run"), Ended::Complete);
    assert!(heard.halved.is_empty());
    let file = "checkpoint-00000003.safetensors";
    expect_same(&halved.join(file), &calm.join(file));
}

#[test]
fn without_leave_to_halve_a_run_ends_and_keeps_what_it_did() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ended, _, heard) = run(Some(too_little()), MicroBatch::fixed(8), folder.path());
    let e = ended.expect_err("no memory");
    assert_eq!(e.kind(), ErrorKind::Memory, "{e}");
    assert!(e.to_string().contains("MiB taken"), "{e}");
    assert_eq!((heard.steps, heard.saved), (vec![1], 1));
    let (state, position) =
        train::checkpoint::load(&folder.path().join("checkpoint-00000001.safetensors"))
            .expect("a checkpoint");
    assert_eq!(position.step, 1);
    assert!(state.tensors.keys().any(|name| name.starts_with("optimizer.m.")));
    // Not even one image: there is no half of it, and nothing was done that could be kept.
    let none = tempfile::tempdir().expect("a folder");
    let (ended, micro, heard) =
        run(Some(3 << 20), MicroBatch { images: 8, halves: true }, none.path());
    assert_eq!(ended.expect_err("no memory").kind(), ErrorKind::Memory);
    assert_eq!((micro.images, heard.halved), (1, vec![(1, 2), (1, 1)]));
    assert_eq!(std::fs::read_dir(none.path()).expect("a folder").count(), 0);
}

/// Values of every tensor, as bits.
fn values(gpu: &Gpu, trainer: &Trainer) -> Vec<Vec<u32>> {
    let all: Vec<&Tensor> = trainer.parameters().all().iter().map(|p| &p.tensor).collect();
    let hosts = Tensor::read_all(gpu, &all).expect("values");
    hosts.iter().map(|h| h.to_f32().into_iter().map(f32::to_bits).collect()).collect()
}

/// The parts before the one that there is no memory for have moved the running statistics; they are put back.
#[test]
fn a_step_that_fails_half_way_leaves_no_trace() {
    let config = vision();
    // Only the second part knows where its characters stand, and takes more for that.
    let mut batch = words(DRAWN, 8);
    batch.characters[..4].fill(Vec::new());
    let peak = |batch: &Batch| {
        let gpu = open(None, true);
        trainer(&gpu, &config).step(batch, 4, 0, 1.0).expect("a recording");
        gpu.memory().peak_allocated
    };
    let (alone, both) = (peak(&first(&batch, 4)), peak(&batch));
    assert!(alone < both, "{alone} bytes, and {both}");
    let failed = (0..4).find_map(|quarter| {
        let gpu = open(Some(alone + (both - alone) * (3 - quarter) / 4), false);
        let trainer = trainer(&gpu, &config);
        let before = values(&gpu, &trainer);
        let e = trainer.step(&batch, 4, 0, 1.0).err()?;
        assert_eq!(e.kind(), ErrorKind::Memory, "{e}");
        assert!(values(&gpu, &trainer) == before, "the step left something behind");
        trainer.step(&batch, 2, 0, 1.0).expect("a step in smaller parts");
        Some(values(&gpu, &trainer))
    });
    let gpu = open(None, false);
    let calm = trainer(&gpu, &config);
    calm.step(&batch, 2, 0, 1.0).expect("a step");
    assert!(failed.expect("too little memory") == values(&gpu, &calm));
}

/// Bits of every parameter, every moment and the clock.
fn everything(gpu: &Gpu, trainer: &Trainer) -> Vec<Vec<u8>> {
    let mut state = StateDict::default();
    trainer.optimizer().save(gpu, trainer.parameters(), &mut state).expect("values");
    let moments = state.tensors.values().map(|t| t.bytes().to_vec());
    let weights = values(gpu, trainer).into_iter();
    weights.map(|v| v.into_iter().flat_map(u32::to_le_bytes).collect()).chain(moments).collect()
}

/// Steps whose losses nobody reads yet, on a device with so much memory: what there is after each step that was taken.
fn steps(memory: Option<u64>, batch: &Batch, micro: usize) -> (Vec<Vec<Vec<u8>>>, u64, bool) {
    let gpu = open(memory, false);
    let config = vision();
    let trainer = trainer(&gpu, &config);
    let mut held = Vec::new();
    let mut after = vec![everything(&gpu, &trainer)];
    for step in 0..3 {
        match trainer.step(batch, micro, step, 1.0) {
            Ok(losses) => held.push(losses),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Memory, "{e}");
                // Whatever was recorded is as it was before the step.
                after.push(everything(&gpu, &trainer));
                return (after, gpu.memory().peak_allocated, false);
            }
        }
        after.push(everything(&gpu, &trainer));
    }
    (after, gpu.memory().peak_allocated, true)
}

/// Wherever the memory ends, a step is taken as a whole or not at all: with every 256 bytes less, another allocation is the
/// first that is refused.
fn sweep(micro: usize, limits: u64) {
    let batch = words(DRAWN, 8);
    let (calm, peak, whole) = steps(None, &batch, micro);
    assert!(whole && calm.len() == 4);
    let mut refused = 0;
    for less in 1..=limits {
        let (after, _, whole) = steps(Some(peak - 256 * less), &batch, micro);
        let taken = after.len() - 1 - usize::from(!whole);
        assert!(after[..=taken] == calm[..=taken], "{less} × 256 bytes less: a step differs");
        if !whole {
            refused += 1;
            assert!(
                after[taken + 1] == calm[taken],
                "{less} × 256 bytes less: step {taken} left something behind"
            );
        }
    }
    assert!(refused > 0, "no step was refused within {limits} × 256 bytes");
}

#[test]
fn a_step_is_taken_as_a_whole_or_not_at_all() {
    sweep(8, 8);
    sweep(4, 4);
}

#[test]
#[ignore = "minutes; tools/test-slow limits"]
fn a_step_is_taken_as_a_whole_or_not_at_all_at_every_limit() {
    sweep(8, 256);
    sweep(4, 256);
}

fn command(at: &Path, stage: &str, sets: &[&str], data: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lemma-gpu"));
    command.current_dir(at).stdin(Stdio::null());
    command.args(["train", "-s", stage, "-d", data, "-o", "run", "--progress", "plain"]);
    command.args(sets.iter().flat_map(|s| ["--set", s])).args(more);
    if let Some(adapter) = common::adapter() {
        command.args(["-g", &adapter]);
    }
    command.output().expect("the binary starts")
}

#[track_caller]
fn ends(output: &Output, code: i32, says: &[&str]) {
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "standard error:\n{err}");
    assert!(!err.contains("panicked"), "{err}");
    for part in says {
        assert!(err.contains(part), "no {part:?} in:\n{err}");
    }
}

#[test]
fn a_limit_is_planned_with_and_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let sets = [TINY, &["batch=8", "steps=2", "log_every=1"]].concat();
    let limit = too_little().to_string();
    let train =
        |more: &[&str]| command(folder.path(), "vision", &sets, "synth:count=64,seed=3", more);
    let plan = ["weights and moments", "what the backward needs", "besides", "together"];
    let output = train(&["--memory", &limit, "--micro-batch", "8"]);
    ends(&output, 4, &["memory of the device: expected", " taken"]);
    ends(&output, 4, &["a step that works on 8 at once", "--micro-batch 4", "--set batch=4"]);
    ends(&output, 4, &plan);
    let output = train(&["--memory", "3MiB"]);
    ends(&output, 4, &["on 1 at once", "of 3.0 MiB taken", "more --memory", "together"]);
    let output = train(&["--memory", &limit, "--verbose"]);
    ends(&output, 0, &["works on 4 of 8 images at once", "done in"]);
    ends(&output, 0, &plan);
}

/// A word far longer than any that is planned with.
#[test]
fn more_than_was_planned_is_taken_in_smaller_parts() {
    let folder = tempfile::tempdir().expect("a folder");
    let small = TINY.iter().map(|s| s.replace("abinet.", "lemma.position_prior."));
    let small: Vec<String> = small.collect();
    let own = [
        "text_focus=off",
        "lemma.stn=false",
        "lemma.hidden_units=4",
        "lemma.srb_nums=1",
        "lemma.guidance.nhead=2",
        "lemma.guidance.d_inner=8",
        "lemma.guidance.encoder_layers=1",
        "lemma.guidance.decoder_layers=1",
        "lemma.guidance.attn_conv=[8,8,8]",
        "batch=8",
        "steps=1",
    ];
    let sets: Vec<&str> = small.iter().map(String::as_str).chain(own).collect();
    let plan = planned(&config(Stage::Lemma, &sets), 8);
    // Three numbers for each of its characters and each word.
    let long = "a".repeat(plan as usize / (4 * 8 * 3 * 4));
    let mut store = Store::create(&folder.path().join("words"), Layout::Folder).expect("a set");
    let drawn = synth::Synth::new(&Default::default()).expect("fonts");
    for i in 0..8 {
        let word = drawn.draw(i);
        let label = if i == 3 { &long } else { &word.label };
        let [hr, lr] = [&word.hr, &word.lr]
            .map(|image| picture::encode(image, picture::Format::Png).expect("a PNG"));
        store.add(label, &hr, Some(&lr), &[]).expect("a word");
    }
    store.finish().expect("a set");
    let limit = (plan + (1 << 20)).to_string();
    let output = command(folder.path(), "lemma", &sets, "words", &["--memory", &limit]);
    ends(&output, 0, &["no memory for step 1; it is taken again with 4 images at once", "done in"]);
}
