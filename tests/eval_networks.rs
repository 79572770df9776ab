//! Every network of Table 3 in one table: `lemma-gpu eval` and `reproduce` with small networks of every kind.

mod common;
#[path = "common/evaluating.rs"]
mod evaluating;
#[path = "common/small.rs"]
mod small;

use evaluating::{ROOT, eval, pairs, said};
use lemma_gpu::data::checkpoint::StateDict;
use lemma_gpu::gpu::{Gpu, GpuOptions};
use lemma_gpu::models::procedural::Procedural;
use lemma_gpu::models::{ModelKind, crnn};
use serde_json::Value;
use small::small;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Names of rows and the networks of the files.
const ROWS: [(&str, ModelKind); 10] = [
    ("SRCNN", ModelKind::Srcnn),
    ("SRResNet", ModelKind::SrResNet),
    ("RCAN", ModelKind::Rcan),
    ("SAN", ModelKind::San),
    ("TSRN", ModelKind::Tsrn),
    ("TBSRN", ModelKind::Tbsrn),
    ("PCAN", ModelKind::Pcan),
    ("TG", ModelKind::TextGestalt),
    ("TATT", ModelKind::Tatt),
    ("C3-STISR", ModelKind::C3),
];

/// Writes a small network of each row, LEMMA that ships, and a CRNN; those that a recognizer guides have it in their file.
fn write(folder: &Path) {
    let gpu = Gpu::new(GpuOptions { adapter: common::adapter(), ..Default::default() });
    let gpu = gpu.expect("an adapter");
    common::announce(&gpu);
    let source = &Procedural { model: ModelKind::Crnn, seed: 1 };
    let (_, parameters) = crnn::Network::to_train(&gpu, source, &|_| false).expect("loads");
    let reader: StateDict = parameters.state_dict(&gpu).expect("weights");
    fs::create_dir(folder).expect("a folder");
    for (name, kind) in ROWS {
        let mut state = small(&gpu, kind);
        if kind.is_guided() {
            let own = reader.tensors.iter().map(|(n, t)| (format!("recognizer.{n}"), t.clone()));
            state.tensors.extend(own);
        }
        let path = folder.join(format!("{name}.safetensors"));
        state.write_safetensors(path).expect("writes");
    }
    reader.write_safetensors(folder.join("CRNN.safetensors")).expect("writes");
    let shipped = Path::new(ROOT).join("weights/lemma-nano.safetensors");
    fs::copy(shipped, folder.join("LEMMA.safetensors")).expect("copies");
}

#[test]
fn eleven_rows_and_lemma_stand_in_one_table() {
    let at = tempfile::tempdir().expect("a folder");
    write(&at.path().join("w"));
    let names: Vec<&str> = ROWS.iter().map(|(name, _)| *name).chain(["LEMMA"]).collect();
    let files: Vec<String> =
        names.iter().map(|name| format!("{name}:w/{name}.safetensors")).collect();
    let mut args = vec!["-d", "synth:count=3,seed=2", "--json", "all.json", "-m"];
    args.extend(files.iter().map(String::as_str));
    let text = said(&eval(&at, &args), 0);
    let rows = |text: &str, name: &str| text.lines().any(|l| l.contains(name));
    assert!(rows(&text, "BICUBIC") && names.iter().all(|name| rows(&text, name)), "{text}");
    let json = fs::read(at.path().join("all.json")).expect("a report");
    let json: Value = serde_json::from_slice(&json).expect("JSON");
    let methods = json["sets"][0]["methods"].as_array().expect("methods");
    assert_eq!(methods.len(), names.len());
    for (i, method) in methods.iter().enumerate() {
        let psnr = method["nearness"]["psnr"].as_f64().expect("PSNR");
        // LEMMA has learned something.
        assert!((psnr > 12.0) == (names[i] == "LEMMA"), "{}: {psnr} dB", names[i]);
        let beside = &method["judges"][0]["against_first"];
        assert_eq!(beside.is_object(), i > 0, "{}: {beside}", names[i]);
    }

    // The same files as a row each of Table 3.
    pairs(at.path(), "easy", &[("coffee", "Coffee"), ("exit", "EXIT")]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_lemma-gpu"));
    command.current_dir(at.path()).args(["reproduce", "table3", "-d", ".", "-w", "w", "-o", "out"]);
    if let Some(adapter) = common::adapter() {
        command.args(["-g", &adapter]);
    }
    let output = command.stdin(Stdio::null()).output().expect("the binary starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let made = fs::read_dir(at.path().join("out")).expect("a folder");
    let table = made.flatten().find(|e| e.path().extension().is_some_and(|kind| kind == "md"));
    let table = fs::read_to_string(table.expect("a table").path()).expect("text");
    assert!(names.iter().all(|name| rows(&table, name)), "{table}");
}
