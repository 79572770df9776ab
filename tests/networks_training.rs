//! Training of the networks that LEMMA is compared with: each learns one batch, from its own initial values, by what its authors
//! trained it by.

mod common;
#[path = "common/small.rs"]
mod small;
#[path = "common/words.rs"]
mod words;

use lemma_gpu::ErrorKind;
use lemma_gpu::data::checkpoint::StateDict;
use lemma_gpu::data::confusion;
use lemma_gpu::data::words::Batch;
use lemma_gpu::gpu::{Gpu, GpuOptions};
use lemma_gpu::models::procedural::Procedural;
use lemma_gpu::models::text_focus::Spelling;
use lemma_gpu::models::{ModelKind, crnn, text_focus};
use lemma_gpu::nn::Source;
use lemma_gpu::train::{Preset, Stage, Start, TrainConfig, Trainer};
use small::small;
use std::collections::BTreeMap;
use words::{DRAWN, words};

fn open() -> Gpu {
    let gpu = Gpu::new(GpuOptions { adapter: common::adapter(), ..Default::default() });
    let gpu = gpu.expect("an adapter for the tests");
    common::announce(&gpu);
    gpu
}

/// A recognizer with made-up weights.
fn recognizer(gpu: &Gpu, kind: ModelKind) -> StateDict {
    let source: &dyn Source = &Procedural { model: kind, seed: 1 };
    let learns: &dyn Fn(&str) -> bool = &|_| false;
    let parameters = match kind {
        ModelKind::Crnn => crnn::Network::to_train(gpu, source, learns).expect("loads").1,
        _ => {
            let by = match kind {
                ModelKind::StrokeFocus => Spelling::Strokes,
                _ => Spelling::Characters,
            };
            let load = text_focus::Network::spelling_to_train;
            load(gpu, source, by, learns).expect("loads").1
        }
    };
    parameters.state_dict(gpu).expect("weights")
}

/// Losses of so many steps on one batch, part by part.
fn steps(trainer: &Trainer, batch: &Batch, steps: usize) -> Vec<BTreeMap<&'static str, f64>> {
    let step = |i: usize| {
        let losses = trainer.step(batch, batch.len(), i, 1.0).expect("a step");
        let value = |t: &lemma_gpu::tensor::Tensor| t.to_host(trainer.gpu()).expect("read").data[0];
        losses.iter().map(|(name, t)| (*name, value(t))).collect()
    };
    (0..steps).map(step).collect()
}

/// Steps on the batch.
const STEPS: usize = 8;

/// The part `part` of the loss on so many `images` falls to `share` of its start.
fn learns(stage: Stage, sets: &[&str], part: &str, share: f64, images: usize) {
    let gpu = open();
    let kind = stage.networks()[0];
    let sets = [&["warmup=0", "clip=0", "lr=3e-3"], sets].concat();
    let sets: Vec<String> = sets.iter().map(|s| s.to_string()).collect();
    let config = TrainConfig::read(Preset::Nano, stage, "", &sets).expect("settings");
    let start = || Start {
        weights: Some(small(&gpu, kind)),
        recognizer: kind.critic().map(|critic| recognizer(&gpu, critic)),
        confusion: confusion::weights(&confusion::default_distances()),
        ..Start::default()
    };
    if kind.critic().is_some() {
        let start = Start { recognizer: None, ..start() };
        let e = Trainer::new(&gpu, config.clone(), start).err().expect("no recognizer");
        assert_eq!(e.kind(), ErrorKind::Argument);
        assert!(e.to_string().contains("--recognizer"), "{e}");
    }
    let trainer = Trainer::new(&gpu, config, start()).expect("a network");
    let all = steps(&trainer, &words(DRAWN, images), STEPS);
    let (first, last) = (&all[0], &all[STEPS - 1]);
    eprintln!("{first:.4?}\n{last:.4?}");
    assert_eq!(trainer.optimizer().read(&gpu).expect("progress").taken, STEPS);
    assert!(last[part] < share * first[part], "{part}: {} to {}", first[part], last[part]);
    assert!(last["loss"] < first["loss"], "{} to {}", first["loss"], last["loss"]);
}

#[test]
fn srcnn() {
    learns(Stage::Srcnn, &[], "mse", 0.6, 4);
}

#[test]
fn srresnet() {
    learns(Stage::Srresnet, &[], "mse", 0.6, 4);
}

#[test]
fn tsrn() {
    learns(Stage::Tsrn, &[], "mse", 0.6, 4);
}

#[test]
fn tbsrn() {
    learns(Stage::Tbsrn, &[], "mse", 0.6, 2);
}

#[test]
fn text_gestalt() {
    learns(Stage::Tg, &[], "mse", 0.6, 2);
}

#[test]
fn tatt() {
    learns(Stage::Tatt, &[], "image", 0.6, 4);
}

#[test]
fn c3() {
    learns(Stage::C3, &[], "image", 0.6, 4);
}

/// The clues of the paper's form have no gradient, and the refusal says so.
#[test]
fn fused_clues_are_not_trained() {
    let gpu = open();
    let mut weights = small(&gpu, ModelKind::C3);
    weights.metadata.insert("arch".into(), "c3-fused".into());
    let config = TrainConfig::read(Preset::Nano, Stage::C3, "", &[]).expect("settings");
    let start = Start { weights: Some(weights), ..Start::default() };
    let e = Trainer::new(&gpu, config, start).err().expect("refused").to_string();
    assert!(e.contains("fused clues") && e.contains("deformable"), "{e}");
}

#[test]
fn pcan() {
    learns(Stage::Pcan, &[], "mse", 0.6, 4);
}

#[test]
fn rcan() {
    learns(Stage::Rcan, &["lr=1e-2"], "mae", 0.6, 4);
}

#[test]
fn san() {
    learns(Stage::San, &[], "mae", 0.6, 4);
}
