//! `lemma-gpu trace` as a user runs it: activations and gradients on disk, and beside a reference.

use lemma_gpu::data::checkpoint::{Dtype, HostTensor, StateDict};
use lemma_gpu::engine::trace::{Activation, compare_packed};
use lemma_gpu::tensor::Host;
use std::path::Path;
use std::process::{Command, Stdio};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/lemma-nano.safetensors");
const PARITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/parity-nano.safetensors");

/// Runs the command in the folder `at`, checks its exit code and messages, and returns its output.
#[track_caller]
fn run(at: &Path, args: &[&str], code: i32, says: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lemma-gpu"));
    command.current_dir(at).args(args).stdin(Stdio::null());
    if let Ok(adapter) = std::env::var("LEMMA_GPU_ADAPTER") {
        command.args(["-g", &adapter]);
    }
    let output = command.output().expect("the binary starts");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "standard error:\n{err}");
    for part in says {
        assert!(err.contains(part), "no {part:?} in:\n{err}");
    }
    String::from_utf8(output.stdout).expect("text on standard output")
}

#[test]
fn trace_compares_with_a_reference() {
    let at = tempfile::tempdir().expect("a folder");
    let args =
        ["trace", "-m", SHIPPED, "-i", PARITY, "-o", "taps.safetensors", "--against", PARITY];
    let same = run(at.path(), &args, 0, &["taps.safetensors"]);
    assert!(same.starts_with("all "), "{same}");
    run(at.path(), &["trace", "-m", SHIPPED, "-i", PARITY], 2, &["nothing to do"]);
}

/// Two images with their labels: what `trace --grad` takes.
fn labeled() -> StateDict {
    let mut state = StateDict::default();
    let bytes = |n: usize, step: usize| (0..n).map(|i| (i * step % 251) as u8).collect::<Vec<u8>>();
    let int = |values: &[i32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let word = |ids: &[i32]| [ids, &vec![0; 26 - ids.len()]].concat();
    let tensors = [
        ("input.lr_u8", Dtype::U8, vec![2, 3, 16, 64], bytes(2 * 3 * 16 * 64, 7)),
        ("input.hr_u8", Dtype::U8, vec![2, 3, 32, 128], bytes(2 * 3 * 32 * 128, 5)),
        ("lab.ids", Dtype::I32, vec![2, 26], int(&[word(&[3, 1, 20]), word(&[9])].concat())),
        ("lab.input", Dtype::I32, vec![2, 4], int(&[0, 3, 1, 20, 0, 9, 0, 0])),
        ("lab.lengths", Dtype::I32, vec![2], int(&[4, 2])),
    ];
    for (name, dtype, shape, bytes) in tensors {
        state.tensors.insert(name.into(), HostTensor::new(dtype, shape, bytes).expect("a tensor"));
    }
    state
}

#[test]
fn trace_differentiates() {
    let at = tempfile::tempdir().expect("a folder");
    let write = |name: &str, state: &StateDict| {
        state.write_safetensors(at.path().join(name)).expect("a file");
    };
    write("in.safetensors", &labeled());
    let args = ["trace", "-m", SHIPPED, "-i", "in.safetensors", "-o", "g.safetensors"];
    let with = |more: &[&'static str], code: i32, says: &[&str]| {
        run(at.path(), &[&args[..], more].concat(), code, says)
    };
    with(&["--grad", "eval"], 0, &["no text-focus loss without --recognizer"]);
    let written = StateDict::read(at.path().join("g.safetensors")).expect("gradients");
    let of = |prefix: &str| written.tensors.keys().filter(|k| k.starts_with(prefix)).count();
    assert!(of("losses.") == 4 && of("grad.") > 300 && of("grad_of.") > 3 && of("bn.") == 0);
    let weights = StateDict::read(SHIPPED).expect("weights");
    let name = "block1.0.weight";
    assert_eq!(written.tensors[&format!("grad.{name}")].shape(), weights.tensors[name].shape());
    let same = ["--grad", "eval", "--overwrite", "--against", "g.safetensors"];
    assert!(with(&same, 0, &[]).starts_with("all "));
    // Batch statistics make another loss.
    let other = ["--grad", "train", "--overwrite", "--against", "g.safetensors"];
    assert!(with(&other, 1, &[]).contains("differ"));
    let written = StateDict::read(at.path().join("g.safetensors")).expect("gradients");
    let of = |prefix: &str| written.tensors.keys().filter(|k| k.starts_with(prefix)).count();
    assert!(of("bn.") > 50 && of("adam_delta.") == of("grad."));
    // A table of the wrong size, an unknown recognizer, labels that are not there.
    let mut bad = StateDict::default();
    let ones = HostTensor::from_f32([3, 3], &[1.0; 9]).expect("a tensor");
    bad.tensors.insert("weight37".into(), ones);
    write("bad.safetensors", &bad);
    let eyes = ["--grad", "eval", "--overwrite", "--recognizer", "procedural:text-focus:1"];
    let refused = |more: &[&'static str], code: i32, says: &[&str]| {
        with(&[&eyes[..], more].concat(), code, says);
    };
    refused(&["--confusion", "bad.safetensors"], 1, &["weight37", "[37, 37]", "[3, 3]"]);
    refused(&["--confusion", "none"], 1, &["none"]);
    with(&["--overwrite", "--recognizer", "procedural:text-focus:1"], 2, &["--grad"]);
    with(
        &["--grad", "train", "--overwrite", "--recognizer", "procedural:lemme:1"],
        2,
        &["--recognizer"],
    );
}

/// A reference of packed tables for one gradient: `table` has other sizes than its names.
fn tables(table: &str, n: usize) -> StateDict {
    let mut state = StateDict::default();
    let info = "{\"grad_names\": [\"block1.0.bias\"], \"seed\": 1}";
    state.metadata.insert("info".into(), info.into());
    for (name, n) in [("grad.l2", 1), ("grad.maxabs", 1), ("grad.first8", 8), (table, n)] {
        let tensor = HostTensor::from_f32([n], &vec![1.0; n]).expect("a tensor");
        state.tensors.insert(name.into(), tensor);
    }
    state
}

#[test]
fn tables_that_do_not_fit_their_names_are_an_error() {
    let value = Activation {
        name: "grad.block1.0.bias".into(),
        call: 0,
        value: Host::new([9], vec![1.0; 9]),
    };
    let own = [value];
    assert!(compare_packed(&own, &tables("grad.l2", 1)).expect("tables").len() > 8);
    for (table, n) in [("grad.l2", 0), ("grad.maxabs", 0), ("grad.first8", 7), ("grad.probe", 3)] {
        let error = compare_packed(&own, &tables(table, n)).unwrap_err().to_string();
        assert!(error.contains(table), "{error}");
    }
    let mut alone = tables("grad.l2", 1);
    alone.tensors.remove("grad.maxabs");
    assert!(compare_packed(&own, &alone).unwrap_err().to_string().contains("grad.maxabs"));
    alone.metadata.insert("info".into(), "{\"grad_names\": [1], \"seed\": 1}".into());
    assert!(compare_packed(&own, &alone).is_err());
}

#[test]
fn a_batch_of_nothing_is_an_error() {
    let at = tempfile::tempdir().expect("a folder");
    let mut state = labeled();
    let images = |n: usize| {
        HostTensor::new(Dtype::U8, vec![n, 3, 16, 64], vec![0; n * 3 * 16 * 64]).expect("a tensor")
    };
    let run_with = |state: &StateDict, more: &[&str], says: &str| {
        state.write_safetensors(at.path().join("in.safetensors")).expect("a file");
        let args = ["trace", "-m", SHIPPED, "-i", "in.safetensors", "-o", "x.safetensors"];
        run(at.path(), &[&args[..], more].concat(), 1, &[says]);
    };
    state.tensors.insert("input.lr_u8".into(), images(0));
    run_with(&state, &[], "expected bytes [N, 3, 16, 64] of at least one, got U8 [0, 3, 16, 64]");
    let floats = HostTensor::from_f32([0, 4, 16, 64], &[]).expect("a tensor");
    state.tensors.remove("input.lr_u8");
    state.tensors.insert("input.lr".into(), floats);
    run_with(&state, &[], "of at least one");
    // A pool of images without any, and labels of fewer words than there are images.
    state.tensors.retain(|name, _| name.starts_with("lab."));
    state.metadata.insert("info".into(), "{\"seed\": 1, \"pool_index\": []}".into());
    run_with(&state, &["--grad", "eval"], "pool_index");
    let mut state = labeled();
    let ids = HostTensor::new(Dtype::I32, [1, 26], vec![0; 104]).expect("a tensor");
    state.tensors.insert("lab.ids".into(), ids);
    run_with(&state, &["--grad", "eval"], "words of the batch");
}
