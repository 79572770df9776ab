//! A run that goes on: with the settings, the data and the micro-batch of its checkpoint, and without losing what it leaves.
#![cfg(unix)]

mod common;
#[path = "common/tiny.rs"]
mod tiny;
#[path = "common/train.rs"]
mod train;

use lemma_gpu::data::checkpoint::{HostTensor, StateDict};
use lemma_gpu::data::words::{Layout, Store};
use lemma_gpu::data::{picture, synth};
use lemma_gpu::gpu::{Gpu, GpuOptions};
use lemma_gpu::train::checkpoint::load;
use lemma_gpu::train::{Preset, Stage, Start, TrainConfig, Trainer, plan_memory};
use std::path::Path;
use std::process::Command;
use tiny::TINY;
use train::*;

/// A set of drawn words in the folder `at`, labeled by `label`, without the places of their characters.
fn set(at: &Path, name: &str, count: u64, label: impl Fn(u64, String) -> String) {
    let mut store = Store::create(&at.join(name), Layout::Folder).expect("a set");
    let drawn = synth::Synth::new(&Default::default()).expect("fonts");
    for i in 0..count {
        let word = drawn.draw(i);
        let [hr, lr] = [&word.hr, &word.lr]
            .map(|image| picture::encode(image, picture::Format::Png).expect("a PNG"));
        store.add(&label(i, word.label.clone()), &hr, Some(&lr), &[]).expect("a word");
    }
    store.finish().expect("a set");
}

/// `train --resume` alone, with more arguments.
fn resume(at: &Path, more: &[&str]) -> Command {
    command(at, &[&["train", "-o", "run", "--progress", "plain"], more].concat())
}

#[track_caller]
fn silent(output: &std::process::Output, about: &[&str]) {
    let err = String::from_utf8_lossy(&output.stderr);
    for part in about {
        assert!(!err.contains(part), "{part:?} in:\n{err}");
    }
}

const CONSTANT: [&str; 2] = ["--set", "schedule={kind=\"constant\"}"];

#[test]
fn settings_of_the_checkpoint_hold_unless_others_are_given() {
    let (calm, halted) = (folder(), folder());
    let own = [&CONSTANT[..], &["--set", "lr=0.01", "--set", "dropout=0.2", "--freeze", "*.cls.*"]];
    let own = own.concat();
    ends(&train(calm.path(), 4, &own).output().expect("starts"), 0, &[]);
    ends(&train(halted.path(), 2, &own).output().expect("starts"), 0, &[]);
    let output = resume(halted.path(), &["--resume", "--set", "steps=4"]).output().expect("starts");
    ends(&output, 0, &["steps is 4, in the checkpoint 2"]);
    silent(&output, &["lr is", "dropout is", "frozen are", "batch is"]);
    let [calm, run] = [&calm, &halted].map(|at| at.path().join("run"));
    expect_same(&checkpoint(&calm, 4), &checkpoint(&run, 4));
    // What is given goes over them, and is said; what the network is stays.
    let more = ["--resume", "--set", "steps=5", "--set", "lr=0.02", "--freeze", "*.cls.weight"];
    let output = resume(halted.path(), &[&more[..], &["--freeze", "*.cls.bias"]].concat());
    let output = { output }.output().expect("starts");
    ends(&output, 0, &["lr is 0.02, in the checkpoint 0.01", "frozen are"]);
    let (_, position) = load(&checkpoint(&run, 5)).expect("a checkpoint");
    assert_eq!((position.config.lr, position.config.dropout), (0.02, 0.2));
    let preset = ["--resume", "--preset", "paper", "--set", "steps=6", "--set", "batch=2"];
    let output = resume(halted.path(), &preset).output().expect("starts");
    ends(&output, 0, &["lr is 0.0001, in the checkpoint 0.02", "dropout is 0.1"]);
    let wider = ["--resume", "--set", "abinet.vision.d_inner=16"];
    let output = resume(halted.path(), &wider).output().expect("starts");
    ends(&output, 2, &["abinet.vision.d_inner", "expected 8, got 16"]);
    let output = resume(halted.path(), &["--resume", "-s", "language"]).output().expect("starts");
    ends(&output, 2, &["expected language, got vision"]);
}

#[test]
fn data_that_changed_is_named_and_refused() {
    let at = folder();
    let named = |i, word| if i == 3 { "seven".into() } else { word };
    set(at.path(), "words", 16, |_, word| word);
    set(at.path(), "fewer", 12, |_, word| word);
    set(at.path(), "moved", 16, |_, word| word);
    set(at.path(), "other", 16, named);
    let sets = TINY.iter().chain(OFTEN).copied().chain(["steps=2"]).flat_map(|s| ["--set", s]);
    let begin: Vec<&str> =
        ["-s", "vision", "-d", "synth:count=8", "words@0.5"].into_iter().chain(sets).collect();
    ends(&resume(at.path(), &begin).output().expect("starts"), 0, &[]);
    let go = |data: &[&str], more: &[&str]| {
        let mut all = vec!["--resume", "--set", "steps=4"];
        all.extend(if data.is_empty() { &[][..] } else { &["-d"] });
        all.extend(data.iter().chain(more));
        resume(at.path(), &all).output().expect("starts")
    };
    let refused = |data: &[&str], says: &str| {
        ends(&go(data, &[]), 2, &[says, "--accept-changes"]);
    };
    refused(&["synth:count=8", "fewer@0.5"], "fewer (then words): 12 samples, then 16");
    refused(&["synth:count=8", "words"], "words: 16 samples of an epoch, then 8");
    refused(&["synth:count=8", "other@0.5"], "other (then words): other images or labels");
    refused(&["synth:count=8"], "1 sources of data, then 2");
    refused(&["words@0.5", "synth:count=8"], "samples");
    std::fs::rename(at.path().join("words"), at.path().join("hidden")).expect("renamed");
    std::fs::rename(at.path().join("fewer"), at.path().join("words")).expect("renamed");
    refused(&[], "words: 12 samples, then 16");
    // The same samples elsewhere are the same.
    let output = go(&["synth:count=8", "moved@0.5"], &[]);
    ends(&output, 0, &[]);
    silent(&output, &["then words"]);
    let accepted = ["--accept-changes", "--set", "steps=6"];
    ends(
        &go(&["synth:count=8", "words@0.5"], &accepted),
        0,
        &["words (then moved): 12 samples, then 16"],
    );
}

#[test]
fn going_back_keeps_the_branch_that_is_left() {
    let at = folder();
    let run = at.path().join("run");
    let each = ["--set", "save_every=1", "--set", "eval_every=2", "--val-data", "synth:count=2"];
    ends(&train(at.path(), 6, &each).output().expect("starts"), 0, &[]);
    let left = std::fs::read(checkpoint(&run, 6)).expect("a checkpoint");
    let lines = losses(&run);
    let file = "run/checkpoint-00000004.safetensors";
    let back = ["--resume", file, "--set", "steps=5", "--set", "keep=1"];
    let output = resume(at.path(), &back).output().expect("starts");
    ends(&output, 0, &["what the run did behind step 4 is kept in run/behind-00000004"]);
    let behind = run.join("behind-00000004");
    assert_eq!(std::fs::read(checkpoint(&behind, 6)).expect("kept"), left);
    assert!(checkpoint(&behind, 5).is_file() && behind.join("last.safetensors").is_file());
    assert!(behind.join("report.html").is_file() && run.join("report.html").is_file());
    assert_eq!(losses(&behind), lines);
    // What was written just now is there, though one is kept.
    assert!(checkpoint(&run, 5).is_file() && !checkpoint(&run, 4).exists());
    assert_eq!(newest(&run), 5);
    ends(&resume(at.path(), &["--resume", "--set", "steps=7"]).output().expect("starts"), 0, &[]);
    assert_eq!(losses(&run).into_keys().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(std::fs::read(checkpoint(&behind, 6)).expect("kept"), left);
    // Another run's folder is nobody's to write to.
    let elsewhere =
        ["train", "--resume", "run/checkpoint-00000007.safetensors", "-o", "run/behind-00000004"];
    ends(&command(at.path(), &elsewhere).output().expect("starts"), 2, &["a run is there"]);
}

#[test]
fn weights_that_are_no_numbers_are_not_saved_and_end_the_run_as_a_failure() {
    let at = folder();
    let run = at.path().join("run");
    ends(&train(at.path(), 2, &[]).output().expect("starts"), 0, &[]);
    let mut state = StateDict::read(run.join("last.safetensors")).expect("weights");
    let name = "vision.cls.weight";
    let shape = state.tensors[name].shape().to_vec();
    let mut values = state.tensors[name].to_f32().expect("floats");
    values[5] = f32::NAN;
    state.tensors.insert(name.into(), HostTensor::from_f32(shape, &values).expect("a tensor"));
    state.write_safetensors(at.path().join("spoilt.safetensors")).expect("written");
    std::fs::rename(&run, at.path().join("sound")).expect("renamed");
    // A report that cannot be written hides nothing of it, and what was left unfinished goes.
    std::fs::create_dir_all(run.join("report.html")).expect("a folder");
    std::fs::write(run.join(".lemma-xyz.part"), "half a checkpoint").expect("written");
    let output = train(at.path(), 3, &["--init", "spoilt.safetensors"]).output().expect("starts");
    ends(&output, 1, &["1 unfinished files", "batches skipped", name, "report.html", "not finite"]);
    let files = std::fs::read_dir(&run).expect("a folder").flatten().map(|e| e.file_name());
    let files: Vec<String> = files.map(|n| n.to_string_lossy().into_owned()).collect();
    assert!(
        files.iter().all(|n| !n.ends_with(".safetensors") && !n.ends_with(".part")),
        "{files:?}"
    );
}

/// A LEMMA as small as the reader.
fn small_lemma() -> Vec<String> {
    let small = TINY.iter().map(|s| s.replace("abinet.", "lemma.position_prior."));
    let own = [
        "text_focus=off",
        "bicubic_init=false",
        "lemma.stn=false",
        "lemma.hidden_units=4",
        "lemma.srb_nums=1",
        "lemma.guidance.nhead=2",
        "lemma.guidance.d_inner=8",
        "lemma.guidance.encoder_layers=1",
        "lemma.guidance.decoder_layers=1",
        "lemma.guidance.attn_conv=[8,8,8]",
        "prior_lr=1e-4",
        "batch=4",
        "dropout=0.1",
        "log_every=1",
        "save_every=2",
        "lr=1e-3",
    ];
    small.chain(own.map(str::to_string)).collect()
}

/// What is said of a recognizer that has lost its configuration is known to the run that goes on, too.
#[test]
fn a_run_goes_on_with_what_was_said_of_its_recognizer() {
    let at = folder();
    ends(&train(at.path(), 1, &[]).output().expect("starts"), 0, &[]);
    let mut state = StateDict::read(at.path().join("run/last.safetensors")).expect("weights");
    let config = state.metadata.remove("config").expect("a configuration");
    state.metadata.clear();
    state.write_safetensors(at.path().join("lost.safetensors")).expect("written");
    std::fs::write(at.path().join("sizes.json"), &config).expect("written");
    std::fs::write(at.path().join("others.json"), config.replace("\"nhead\":2", "\"nhead\":1"))
        .expect("written");
    std::fs::rename(at.path().join("run"), at.path().join("reader")).expect("renamed");
    let mut sets = small_lemma();
    sets.retain(|set| set != "text_focus=off");
    sets.extend(["text_focus=abinet", "steps=1"].map(str::to_string));
    let sets = sets.iter().flat_map(|set| ["--set", set.as_str()]);
    let mut begin = vec!["-s", "lemma", "-d", "synth:count=8", "--recognizer"];
    begin.push("lost.safetensors,config=sizes.json");
    begin.extend(sets);
    ends(&resume(at.path(), &begin).output().expect("starts"), 0, &[]);
    let go = |steps: &str, more: &[&str]| {
        let all = [&["--resume", "--set", steps], more].concat();
        resume(at.path(), &all).output().expect("starts")
    };
    ends(&go("steps=2", &[]), 0, &[]);
    // Head counts leave no mark in tensors, and other numbers all the same.
    let others = ["--recognizer", "lost.safetensors,config=others.json"];
    ends(&go("steps=3", &others), 2, &["recognizer", "--accept-changes"]);
}

/// A reader, and a LEMMA around it whose micro-batch is halved in the middle, each of two sources, each killed again and again
/// and gone on with by a command that says nothing but that: they end in the bits of runs that were left alone.
#[test]
fn killed_in_either_stage_it_goes_on_with_what_its_checkpoint_says() {
    const STEPS: usize = 24;
    let lemma = small_lemma();
    let config = TrainConfig::read(Preset::Nano, Stage::Lemma, "", &lemma).expect("settings");
    let options = GpuOptions { adapter: common::adapter(), planning: true, ..Default::default() };
    let gpu = Gpu::new(options).expect("an adapter for the tests");
    common::announce(&gpu);
    let planner = Trainer::new(&gpu, config, Start::default());
    let plan = plan_memory(&planner.expect("a network"), 4).expect("a plan").total();
    // Three numbers for each of its characters and each of four words: more than the plan by a quarter.
    let long = "a".repeat(plan as usize / (4 * 4 * 3 * 4));
    let limit = (plan + plan / 8).to_string();
    let steps = format!("steps={STEPS}");
    let stages = |at: &Path, kills: usize| {
        set(at, "words", 24, |i, word| if i == 11 { long.clone() } else { word });
        let own = TINY.iter().chain(OFTEN).chain(&["ema=0.9", "eval_every=4"]);
        let of_reader = own.map(|s| s.to_string()).collect::<Vec<_>>();
        for (stage, sets, more) in [
            ("vision", &of_reader, vec!["--micro-batch", "1", "--val-data", "synth:count=4"]),
            ("lemma", &lemma, vec!["--prior", "reader.safetensors", "--memory", &limit]),
        ] {
            let run = at.join("run");
            let sets = sets.iter().chain([&steps]).flat_map(|s| ["--set", s.as_str()]);
            let mut begin = vec!["-s", stage, "-d", "synth:count=16,seed=3", "words@0.5"];
            begin.extend(sets.chain(more.iter().copied()));
            let limited: Vec<&str> = match stage {
                "lemma" => vec!["--resume", "--memory", &limit],
                _ => vec!["--resume"],
            };
            match kills {
                0 => {
                    let halved: &[&str] = match stage {
                        "lemma" => &["taken again with 2 images at once"],
                        _ => &[],
                    };
                    ends(&resume(at, &begin).output().expect("starts"), 0, halved);
                }
                kills => troubled(&run, STEPS, kills, &|| match newest(&run) {
                    0 => resume(at, &[&begin[..], &["--resume"]].concat()),
                    _ => resume(at, &limited),
                }),
            }
            std::fs::copy(run.join("last.safetensors"), at.join("reader.safetensors"))
                .expect("a copy");
            std::fs::rename(run, at.join(stage)).expect("renamed");
        }
    };
    let (calm, killed) = (folder(), folder());
    stages(calm.path(), 0);
    stages(killed.path(), 6);
    let first = load(&checkpoint(&calm.path().join("lemma"), STEPS)).expect("a checkpoint").1;
    assert_eq!(first.micro.expect("a micro-batch").images, 2);
    for stage in ["vision", "lemma"] {
        let [calm, killed] = [&calm, &killed].map(|at| at.path().join(stage));
        expect_same(&checkpoint(&calm, STEPS), &checkpoint(&killed, STEPS));
        let averaged = [&calm, &killed].map(|run| run.join("ema.safetensors"));
        if stage == "vision" {
            expect_same(&averaged[0], &averaged[1]);
        }
        assert_eq!(losses(&calm), losses(&killed), "{stage}");
    }
}
