//! Weights that are averaged over the steps: what they are, and that nothing else knows of them.

mod common;
#[path = "common/tiny.rs"]
mod tiny;
#[path = "common/words.rs"]
mod words;

use lemma_gpu::data::checkpoint::StateDict;
use lemma_gpu::gpu::{Gpu, GpuOptions};
use lemma_gpu::train::{Preset, Stage, Start, TrainConfig, Trainer};
use tiny::TINY;
use words::{DRAWN, words};

fn trainer(gpu: &Gpu, ema: &str) -> Trainer {
    let sets = TINY.iter().copied().chain(["warmup=0", "lr=0.01", ema]).map(str::to_string);
    let sets: Vec<String> = sets.collect();
    let config = TrainConfig::read(Preset::Nano, Stage::Vision, "", &sets).expect("settings");
    Trainer::new(gpu, config, Start::default()).expect("a network")
}

fn state(gpu: &Gpu, trainer: &Trainer) -> StateDict {
    trainer.parameters().state_dict(gpu).expect("weights")
}

fn expect_same(one: &StateDict, other: &StateDict) {
    for (name, tensor) in &one.tensors {
        assert!(other.tensors[name].bytes() == tensor.bytes(), "{name} differs");
    }
}

/// The averages follow weights and running statistics by their formula; the weights are those of a run without them.
#[test]
fn averages_follow_and_nothing_follows_them() {
    const DECAY: f64 = 0.3;
    let options = GpuOptions { adapter: common::adapter(), ..Default::default() };
    let gpu = Gpu::new(options).expect("an adapter for the tests");
    common::announce(&gpu);
    let batch = words(DRAWN, 4);
    let (plain, own) = (trainer(&gpu, "ema=0"), trainer(&gpu, "ema=0.3"));
    let mut want: Vec<(String, Vec<f64>)> = Vec::new();
    let values = |state: &StateDict, name: &str| -> Vec<f64> {
        state.tensors[name].to_f32().expect("floats").into_iter().map(f64::from).collect()
    };
    let first = state(&gpu, &own);
    for p in own.parameters().all().iter().filter(|p| p.learns || p.moves) {
        want.push((p.name.clone(), values(&first, &p.name)));
    }
    for step in 0..6 {
        let mut batch = batch.clone();
        if step == 3 {
            batch.hr.fill(f32::NAN);
        }
        for trainer in [&plain, &own] {
            trainer.step(&batch, 2, step, 1.0).expect("a step");
        }
        let taken = own.optimizer().read(&gpu).expect("progress").taken as f64;
        let now = state(&gpu, &own);
        expect_same(&state(&gpu, &plain), &now);
        if step != 3 {
            let share = 1.0 - DECAY.min((1.0 + taken) / (10.0 + taken));
            for (name, average) in &mut want {
                let now = values(&now, name);
                average.iter_mut().zip(now).for_each(|(a, v)| *a += share * (v - *a));
            }
        }
        let averaged = own.averaged(|| Ok(state(&gpu, &own))).expect("averages");
        for (name, want) in &want {
            let largest = want.iter().fold(1e-3, |most: f64, v| most.max(v.abs()));
            for (got, want) in values(&averaged, name).iter().zip(want) {
                assert!(
                    (got - want).abs() <= 1e-6 * largest,
                    "step {step}: {name}: {got}, not {want}"
                );
            }
        }
        expect_same(&now, &state(&gpu, &own));
    }
}
