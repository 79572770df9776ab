//! A run in training that ends before its time: what is under way is broken off and leaves nothing, and what was counted is kept.

mod common;
#[path = "common/tiny.rs"]
mod tiny;
#[path = "common/words.rs"]
mod words;

use lemma_gpu::data::checkpoint::StateDict;
use lemma_gpu::data::words::Batch;
use lemma_gpu::gpu::{Gpu, GpuOptions};
use lemma_gpu::train::checkpoint::{Position, load, save};
use lemma_gpu::train::{
    Batches, Ended, MicroBatch, Observer, Preset, Stage, Start, StepMetrics, TrainConfig, Trainer,
    run,
};
use lemma_gpu::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tiny::TINY;
use words::{DRAWN, words};

fn open() -> Gpu {
    let options = GpuOptions { adapter: common::adapter(), ..Default::default() };
    let gpu = Gpu::new(options).expect("an adapter for the tests");
    common::announce(&gpu);
    gpu
}

fn config(more: &[&str]) -> TrainConfig {
    let own = ["batch=4", "warmup=0", "dropout=0.1", "ema=0.9"];
    let sets = TINY.iter().chain(&own).chain(more).map(|s| s.to_string()).collect::<Vec<_>>();
    TrainConfig::read(Preset::Nano, Stage::Vision, "", &sets).expect("settings")
}

/// The bytes of all that the next step depends on.
fn state(gpu: &Gpu, trainer: &Trainer) -> BTreeMap<String, Vec<u8>> {
    let mut state = trainer.parameters().state_dict(gpu).expect("weights");
    trainer.optimizer().save(gpu, trainer.parameters(), &mut state).expect("moments");
    let averaged = trainer.averaged(|| trainer.parameters().state_dict(gpu)).expect("averages");
    let averaged = averaged.tensors.into_iter().map(|(name, t)| (format!("average.{name}"), t));
    state.tensors.into_iter().chain(averaged).map(|(name, t)| (name, t.bytes().to_vec())).collect()
}

#[test]
fn a_step_that_is_broken_off_anywhere_leaves_nothing() {
    let gpu = open();
    let batch = words(DRAWN, 4);
    let new = || Trainer::new(&gpu, config(&[]), Start::default()).expect("a network");
    let [calm, broken] = [new(), new()];
    for trainer in [&calm, &broken] {
        trainer.step(&batch, 1, 0, 1.0).expect("a step");
    }
    let before = state(&gpu, &broken);
    let mut kinds = 0;
    for patience in 0.. {
        let asked = Arc::new(AtomicUsize::new(0));
        let asks = asked.clone();
        let interrupt = Arc::new(move || asks.fetch_add(1, SeqCst) >= patience);
        let taken = gpu.unless(Some(interrupt), || broken.step(&batch, 1, 1, 1.0));
        let Err(e) = taken else { break };
        assert_eq!(e.kind(), ErrorKind::Cancelled, "{e}");
        assert!(state(&gpu, &broken) == before, "broken off at question {patience}");
        kinds += 1;
    }
    assert!(kinds >= 4, "a step of four parts was broken off {kinds} times");
    calm.step(&batch, 1, 1, 1.0).expect("a step");
    assert!(state(&gpu, &broken) == state(&gpu, &calm), "the step taken in the end is another");
}

#[test]
fn a_run_that_goes_on_counts_from_its_beginning() {
    let gpu = open();
    let batch = words(DRAWN, 4);
    let first = Trainer::new(&gpu, config(&[]), Start::default()).expect("a network");
    first.step(&batch, 4, 0, f32::INFINITY).expect("a step");
    let mut blank = batch.clone();
    blank.hr.fill(f32::NAN);
    first.step(&blank, 4, 1, 1.0).expect("a step");
    let said = first.optimizer().read(&gpu).expect("progress");
    assert!(said.left > 0 && (said.taken, said.skipped) == (1, 1), "{said:?}");
    let folder = tempfile::tempdir().expect("a folder");
    let mut position = Position::begin(config(&[]));
    position.step = 2;
    let path = save(&gpu, folder.path(), &first, &position).expect("a checkpoint");
    let again = |state: StateDict| {
        let start = Start { weights: Some(state), resume: true, ..Default::default() };
        let trainer = Trainer::new(&gpu, config(&[]), start).expect("a network");
        trainer.optimizer().read(&gpu).expect("progress")
    };
    let (mut state, _) = load(&path).expect("a checkpoint");
    let now = again(state.clone());
    assert_eq!((now.taken, now.skipped, now.left), (said.taken, said.skipped, said.left));
    // Checkpoints of earlier versions do not say.
    state.tensors.remove("optimizer.left").expect("the count");
    assert_eq!(again(state).left, 0);
}

/// The same batch again and again.
struct Same(Batch);

impl Batches for Same {
    fn per_epoch(&self) -> usize {
        100
    }

    fn next(&mut self) -> Result<Batch> {
        Ok(self.0.clone())
    }
}

/// Breaks the evaluation of a step off; remembers which came to their end.
struct Impatient {
    at: Option<usize>,
    stopped: bool,
    evaluated: Vec<usize>,
}

impl Observer for Impatient {
    fn logged(&mut self, _: &[StepMetrics]) -> Result<()> {
        Ok(())
    }

    fn evaluate(&mut self, step: usize, trainer: &Trainer) -> Result<Option<f64>> {
        if self.at == Some(step) {
            self.stopped = true;
            return Err(Error::new(ErrorKind::Cancelled, "evaluation", "broken off"));
        }
        self.evaluated.push(step);
        let norm = trainer.optimizer().read(trainer.gpu())?.norm;
        Ok(Some(f64::from(norm) * step as f64))
    }

    fn halved(&mut self, _: usize, _: usize) {}

    fn saved(&mut self, _: &Path) {}

    fn stop(&self) -> bool {
        self.stopped
    }
}

#[test]
fn an_evaluation_that_is_broken_off_is_made_up_for() {
    let gpu = open();
    let batch = words(DRAWN, 4);
    let go = |at: Option<usize>, start: Start, position: Position, folder: &Path| {
        let trainer = Trainer::new(&gpu, position.config.clone(), start).expect("a network");
        let mut watcher = Impatient { at, stopped: false, evaluated: Vec::new() };
        let (mut micro, mut data) = (MicroBatch::fixed(4), Same(batch.clone()));
        let ended = run(&gpu, &trainer, position, &mut micro, &mut data, folder, &mut watcher);
        (ended.expect("a run"), watcher.evaluated)
    };
    let config = config(&["steps=4", "eval_every=2", "save_every=4"]);
    let begin = || (Start::default(), Position::begin(config.clone()));
    let [calm, halted] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let (start, position) = begin();
    let whole = go(None, start, position, calm.path());
    assert_eq!(whole, (Ended::Complete, vec![2, 4]));
    let (start, position) = begin();
    let first = go(Some(2), start, position, halted.path());
    assert_eq!(first, (Ended::Stopped, vec![]));
    let (weights, position) =
        load(&halted.path().join("checkpoint-00000002.safetensors")).expect("a checkpoint");
    let start = Start { weights: Some(weights), resume: true, ..Default::default() };
    assert_eq!(go(None, start, position, halted.path()), (Ended::Complete, vec![2, 4]));
    let [calm, halted] = [&calm, &halted].map(|f| f.path());
    for name in ["checkpoint-00000004.safetensors", "best.safetensors"] {
        let [one, other] = [calm, halted].map(|f| StateDict::read(f.join(name)).expect("a file"));
        assert!(one.tensors == other.tensors, "tensors of {name}");
        assert_eq!(one.metadata, other.metadata, "{name}");
    }
}
