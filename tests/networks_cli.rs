//! The command with checkpoints of the networks that LEMMA is compared with: which they are recognized as, and what they do.

mod common;

use lemma_gpu::data::checkpoint::StateDict;
use lemma_gpu::gpu::{Gpu, GpuOptions};
use lemma_gpu::models::procedural::Procedural;
use lemma_gpu::models::word::Loading;
use lemma_gpu::models::{ModelKind, crnn};
use std::path::Path;
use std::process::{Command, Stdio};

const EXIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/demo/exit.png");

/// Runs the command in the folder `at`, checks its exit code and that its messages contain `says`, and returns its output.
#[track_caller]
fn run(at: &Path, args: &[&str], code: i32, says: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lemma-gpu"));
    command.current_dir(at).args(args).stdin(Stdio::null());
    if let Some(adapter) = common::adapter() {
        command.args(["-g", &adapter]);
    }
    let output = command.output().expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let messages = text(output.stderr);
    assert_eq!(output.status.code(), Some(code), "{messages}");
    for part in says {
        assert!(messages.contains(part), "no {part:?} in:\n{messages}");
    }
    text(output.stdout)
}

fn open() -> Gpu {
    let gpu = Gpu::new(GpuOptions { adapter: common::adapter(), ..Default::default() });
    let gpu = gpu.expect("an adapter");
    common::announce(&gpu);
    gpu
}

/// Writes a checkpoint with made-up weights.
fn write(gpu: &Gpu, kind: ModelKind, path: &Path) {
    let source = &Procedural { model: kind, seed: 1 };
    let learns: &dyn Fn(&str) -> bool = &|_| false;
    let parameters = match kind {
        ModelKind::Crnn => crnn::Network::to_train(gpu, source, learns).expect("loads").1,
        _ => {
            let loading = Loading { source, sizes: None, warps: true, frozen: Some(learns) };
            kind.load(gpu, loading).expect("a network").expect("loads").1
        }
    };
    let state: StateDict = parameters.state_dict(gpu).expect("a state dict");
    state.write_safetensors(path).expect("writes");
}

#[test]
fn networks_are_recognized_and_told_apart() {
    let gpu = open();
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    write(&gpu, ModelKind::TextGestalt, &at.join("tg.safetensors"));
    let told = |args: &[&str], says: &str| {
        let text = run(at, args, 0, &[]);
        assert!(text.contains(says), "no {says:?} in:\n{text}");
    };
    told(&["info", "tg.safetensors"], "model         Text Gestalt");
    run(at, &["convert", "tg.safetensors", "tsrn.safetensors", "--arch", "tsrn"], 0, &[]);
    told(&["info", "tsrn.safetensors"], "model         TSRN");
    told(&["info", "--memory", "tsrn.safetensors"], "weights that inference loads");
    let other = ["infer", "-i", EXIT, "-o", "x.png", "-m", "tg.safetensors,arch=pcan"];
    run(at, &other, 2, &["--arch", "PCAN", "Text Gestalt"]);
    let unknown = ["infer", "-i", EXIT, "-o", "x.png", "-m", "tg.safetensors", "--arch", "x"];
    run(at, &unknown, 2, &["--arch", "tatt-batch"]);
}

#[test]
fn a_network_without_a_mask_upscales_and_is_read() {
    let gpu = open();
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    write(&gpu, ModelKind::Srcnn, &at.join("srcnn.safetensors"));
    let infer = ["infer", "-i", EXIT, "-m", "srcnn.safetensors", "-o", "x.png", "--json", "-"];
    let report = run(at, &infer, 0, &[]);
    for says in ["\"name\": \"SRCNN\"", "\"reader\": \"shipped\"", "\"text\""] {
        assert!(report.contains(says), "no {says} in:\n{report}");
    }
    let size = |path: &Path| image::image_dimensions(path).expect("an image");
    let (w, h) = size(Path::new(EXIT));
    let (wide, high) = size(&at.join("x.png"));
    assert!(wide > w && high > h, "{wide}×{high} of {w}×{h}");
    let compare = ["infer", "-i", EXIT, "--compare", "srcnn.safetensors", "--sheet"];
    run(at, &[&compare[..], &["two"]].concat(), 0, &[]);
    run(at, &["infer", "-i", EXIT, "--sheet", "one"], 0, &[]);
    let [one, two] = ["one/exit.png", "two/exit.png"].map(|name| size(&at.join(name)));
    assert!(two.0 * two.1 > one.0 * one.1, "{two:?} with another network, {one:?} without");
    let maps = ["infer", "-i", EXIT, "-m", "srcnn.safetensors", "--maps", "maps"];
    run(at, &maps, 2, &["--maps", "LEMMA", "SRCNN"]);
}

#[test]
fn a_guided_network_takes_the_recognizer_that_lies_beside_it() {
    let gpu = open();
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    write(&gpu, ModelKind::Tatt, &at.join("tatt.safetensors"));
    let infer = |more: &[&str], code: i32, says: &[&str]| {
        let all = ["infer", "-i", EXIT, "-m", "tatt.safetensors", "-o", "x.png", "--overwrite"];
        run(at, &[&all[..], more].concat(), code, says)
    };
    infer(&[], 2, &["recognizer that guides it", "recognizer_best_acc_0.pth"]);
    write(&gpu, ModelKind::Crnn, &at.join("reader.safetensors"));
    infer(&["--prior", "reader.safetensors"], 0, &[]);
    let by_name = std::fs::read(at.join("x.png")).expect("an image");
    std::fs::rename(at.join("reader.safetensors"), at.join("recognizer_best_acc_0.pth"))
        .expect("renames");
    infer(&[], 0, &[]);
    assert_eq!(std::fs::read(at.join("x.png")).expect("an image"), by_name);
    infer(&["--prior", "tatt.safetensors"], 1, &["CRNN", "TATT"]);
}

/// Each trains by what its authors trained it by, goes on to the bits of a run that was left alone, and gives weights that every
/// command takes; another network's weights are no beginning.
#[test]
fn networks_are_trained_and_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let train = |stage: &str, output: &str, more: &[&str], code: i32, says: &[&str]| {
        let begin = ["train", "-s", stage, "-d", "synth:count=8", "-o", output];
        let sets = ["batch=4", "log_every=1", "warmup=0", "schedule.kind=constant"];
        let sets = sets.iter().flat_map(|set| ["--set", *set]);
        let args: Vec<&str> =
            begin.iter().copied().chain(sets).chain(more.iter().copied()).collect();
        run(at, &args, code, says);
    };
    train("tsrn", "whole", &["--set", "steps=3"], 0, &["mse", "gradient_prior", "step 3 of 3"]);
    train("tsrn", "parts", &["--set", "steps=2"], 0, &["step 2 of 2"]);
    run(at, &["train", "-o", "parts", "--resume", "--set", "steps=3"], 0, &["step 3 of 3"]);
    let last = |run: &str| {
        let state = StateDict::read(at.join(run).join("last.safetensors")).expect("weights");
        state.tensors.into_iter().map(|(name, t)| (name, t.bytes().to_vec())).collect::<Vec<_>>()
    };
    assert!(last("whole") == last("parts"), "the same bits");
    train("srcnn", "srcnn", &["--set", "steps=2"], 0, &["step 2 of 2"]);
    let init = ["--init", "srcnn/last.safetensors"];
    train("tsrn", "none", &init, 1, &["expected a checkpoint of TSRN, got a checkpoint of SRCNN"]);
    run(at, &["infer", "-m", "whole/last.safetensors", "-o", "exit.png", EXIT], 0, &[]);
}

/// The recognizer that guides a network learns with it, and lies in its file.
#[test]
fn a_guided_network_is_trained_with_its_recognizer() {
    let gpu = open();
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    write(&gpu, ModelKind::Crnn, &at.join("crnn.safetensors"));
    write(&gpu, ModelKind::Srcnn, &at.join("srcnn.safetensors"));
    let train = |more: &[&str], code: i32, says: &[&str]| {
        let begin = ["train", "-s", "tatt", "-d", "synth:count=8", "-o", "run"];
        let sets = ["--set", "batch=2", "--set", "log_every=1", "--set", "steps=1"];
        run(at, &[&begin[..], &sets, more].concat(), code, says);
    };
    train(&[], 2, &["--recognizer", "expected a checkpoint of CRNN", "got none"]);
    let other = "got a checkpoint of SRCNN";
    train(&["--recognizer", "srcnn.safetensors"], 1, &["expected a checkpoint of CRNN", other]);
    let says = ["image", "distill", "structure", "step 1 of 1"];
    train(&["--recognizer", "crnn.safetensors"], 0, &says);
    run(at, &["train", "-o", "run", "--resume", "--set", "steps=2"], 0, &["step 2 of 2"]);
    let [teacher, both] = ["crnn.safetensors", "run/last.safetensors"]
        .map(|file| StateDict::read(at.join(file)).expect("weights").tensors);
    let name = "rnn.1.embedding.weight";
    assert!(teacher[name].bytes() != both[&format!("recognizer.{name}")].bytes(), "it learns");
    run(at, &["infer", "-m", "run/last.safetensors", "-o", "own.png", EXIT], 0, &[]);
    let prior = ["--prior", "crnn.safetensors"];
    let infer = ["infer", "-m", "run/last.safetensors", "-o", "other.png", EXIT];
    run(at, &[&infer[..], &prior].concat(), 0, &[]);
}
