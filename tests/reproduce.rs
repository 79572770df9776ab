//! The command that makes the paper's tables, as a user runs it.

#[path = "common/evaluating.rs"]
mod evaluating;

use evaluating::{ROOT, eval, pairs, said};
use lemma_gpu::gpu::{Gpu, GpuOptions};
use lemma_gpu::models::ModelKind;
use lemma_gpu::models::crnn;
use lemma_gpu::models::procedural::Procedural;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A folder with copies of weights that ship, by other names.
fn weights(at: &Path, files: &[(&str, &str)]) {
    fs::create_dir_all(at).unwrap();
    for (file, shipped) in files {
        fs::copy(format!("{ROOT}/weights/{shipped}.safetensors"), at.join(file)).unwrap();
    }
}

fn reproduce(at: &TempDir, args: &[&str]) -> Output {
    run(at, "reproduce", args)
}

fn run(at: &TempDir, what: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lemma-gpu"));
    command.current_dir(at.path()).arg(what).args(args).stdin(Stdio::null());
    if let Ok(adapter) = std::env::var("LEMMA_GPU_ADAPTER") {
        command.args(["-g", &adapter]);
    }
    command.output().expect("the binary starts")
}

#[test]
fn tables_are_filled_in_with_the_weights_that_are_there() {
    let at = tempfile::tempdir().unwrap();
    let test = at.path().join("TextZoom/test");
    pairs(&test, "easy", &[("coffee", "Coffee!"), ("exit", "EXIT")]);
    pairs(&test, "medium", &[("station", "STATION")]);
    pairs(&test, "hard", &[("garden", "garden"), ("year", "?")]);
    let (lemma, abinet) = ("lemma-nano", "abinet-nano");
    weights(
        &at.path().join("w"),
        &[("LEMMA.safetensors", lemma), ("best-abinet.safetensors", abinet)],
    );
    fs::write(at.path().join("w/matrn.pth"), "no weights").unwrap();
    let args = ["supplement1", "-d", "TextZoom", "-w", "w"];
    let plan = said(&reproduce(&at, &[&args[..], &["--plan"]].concat()), 0);
    for part in ["PARSeq    missing", "w/best-abinet.safetensors", "2 images, 1619 in the paper"] {
        assert!(plan.contains(part), "no {part:?} in:\n{plan}");
    }
    let args = [&args[..], &["-o", "out"]].concat();
    let output = reproduce(&at, &args);
    let text = said(&output, 1);
    for part in [
        "ABINet (best-abinet.safetensors), %",
        "PARSeq (no weights), %",
        "missing: weights of TATT",
        "missing: MATRN cannot be used",
    ] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
    let markdown = fs::read_to_string(at.path().join("out/supplement1.md")).unwrap();
    let row = |begins: &str| markdown.lines().find(|l| l.starts_with(begins)).expect("a row");
    assert!(row("| TATT").starts_with("| TATT | no weights | – | 80.67 | – |"), "{markdown}");
    let json = fs::read(at.path().join("out/supplement1.json")).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    let ours = json["published"][0]["percent"]["easy"]["ours"].as_f64().unwrap();
    assert!(row("| LEMMA").contains(&format!("| LEMMA.safetensors | {ours:.2} | 82.64 |")));
    let html = fs::read_to_string(at.path().join("out/supplement1.html")).unwrap();
    assert!(html.contains("no weights") && html.contains("<svg"), "one page");
    assert_eq!(
        fs::read_to_string(at.path().join("out/supplement1.words")).unwrap().lines().count(),
        6
    );
    said(&reproduce(&at, &args), 2);
    said(&reproduce(&at, &["table3", "-d", "TextZoom", "-w", "w", "-o", "out"]), 2);
}

#[test]
fn rows_of_an_ablation_are_trained_and_evaluated_and_go_on() {
    let at = tempfile::tempdir().unwrap();
    pairs(at.path(), "data/train1", &[("coffee", "coffee"), ("exit", "exit"), ("year", "2026")]);
    pairs(at.path(), "data/test/easy", &[("station", "station")]);
    let sets = ["batch=2", "log_every=1", "eval_every=0"].iter().flat_map(|set| ["--set", *set]);
    let args = ["table7", "--data", "data", "-o", "out", "--steps", "2"];
    let args: Vec<&str> = args.into_iter().chain(sets).collect();
    let plan = said(&reproduce(&at, &[&args[..], &["--plan"]].concat()), 0);
    let row = |begins: &str| plan.lines().find(|l| l.starts_with(begins)).expect("a row");
    assert!(row("CRNN").contains("--weights has no crnn.pth"), "{plan}");
    assert!(row("ABINet").contains("as it is") && row("ABINet").contains("a step)"), "{plan}");
    assert!(!at.path().join("out").exists());

    let text = said(&reproduce(&at, &args), 0);
    assert!(text.contains("read by ABINet (shipped)"), "{text}");
    let json = fs::read(at.path().join("out/table7.json")).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["methods"][0]["name"], "ABINet");
    assert!(json["sets"][0]["super_resolved"]["psnr"].as_f64().unwrap() > 5.0);
    let markdown = fs::read_to_string(at.path().join("out/table7.md")).unwrap();
    assert!(markdown.contains("| CRNN | – |") && markdown.contains("trained for 2 steps"));

    let plan = said(&reproduce(&at, &[&args[..], &["--plan"]].concat()), 0);
    assert!(plan.contains("2, done 2"), "{plan}");

    // A second time trains nothing, and goes on where there is more to do.
    said(&reproduce(&at, &args), 2);
    let more: Vec<&str> = args.iter().map(|a| if *a == "2" { "3" } else { a }).collect();
    let output = reproduce(&at, &[&more[..], &["--overwrite"]].concat());
    said(&output, 0);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("step 3 of 3") && !told.contains("step 2 of 3"), "{told}");
}

/// A CRNN with made-up weights.
fn write_crnn(path: &Path) {
    let adapter = std::env::var("LEMMA_GPU_ADAPTER").ok();
    let gpu = Gpu::new(GpuOptions { adapter, ..Default::default() }).unwrap();
    let source = Procedural { model: ModelKind::Crnn, seed: 1 };
    let (_, parameters) = crnn::Network::to_train(&gpu, &source, &|_| false).unwrap();
    parameters.state_dict(&gpu).unwrap().write_safetensors(path).unwrap();
}

/// Every row of every ablation: each differs from the whole network by its own switches, is trained for a step and read.
#[test]
fn every_row_of_every_ablation() {
    let at = tempfile::tempdir().unwrap();
    pairs(at.path(), "data/train1", &[("coffee", "coffee"), ("exit", "exit")]);
    pairs(at.path(), "data/test/easy", &[("station", "station")]);
    fs::create_dir(at.path().join("w")).unwrap();
    write_crnn(&at.path().join("w/crnn.pth"));

    let tables = [
        ("table1", ["neither", "selection", "attention", "both"].as_slice()),
        ("table2", &["text alone", "one direction", "both directions"]),
        ("table4", &["none", "location", "location, alignment", "location, alignment, fusion"]),
        ("table6", &["neither", "region", "expansion", "both"]),
        ("table7", &["CRNN", "ABINet"]),
        ("k", &["300", "500", "700", "1024"]),
        ("alpha", &["0.0", "0.2", "0.5", "0.7", "1.0"]),
    ];
    let sets = ["batch=2", "eval_every=0", "lemma.srb_nums=1"];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", *set]).collect();
    for (table, rows) in tables {
        let args = [table, "-d", "data", "-w", "w", "-o", "out", "--steps", "1"];
        let text = said(&reproduce(&at, &[&args, &sets[..]].concat()), 0);
        assert!(text.contains("read by CRNN, %"), "{text}");
        let json = fs::read(at.path().join(format!("out/{table}.json"))).unwrap();
        let json: Value = serde_json::from_slice(&json).unwrap();
        let found: Vec<&str> = json["methods"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["name"].as_str().unwrap())
            .collect();
        assert_eq!(found, rows, "{table}");
        let page = fs::read_to_string(at.path().join(format!("out/{table}.md"))).unwrap();
        assert!(page.contains("% (95 % interval)") && page.contains("word by word"), "{page}");
    }
    // Rows of several tables that are the same network were trained once.
    let networks = at.path().join("out/networks").read_dir().unwrap();
    let mut names: Vec<String> =
        networks.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.len(), 19, "{names:?}");
    assert!(names.contains(&"whole".into()) && names.contains(&"alignment=text".into()));
}

/// What people get wrong gets one line that says what, and where.
#[test]
fn mistakes() {
    let at = tempfile::tempdir().unwrap();
    let path = |name: &str| at.path().join(name);
    pairs(at.path(), "data/test/easy", &[("station", "station")]);
    pairs(at.path(), "data/train1", &[("coffee", "coffee")]);
    fs::write(path("notes.pth"), "hello there").unwrap();
    for folder in ["empty", "lmdb", "short", "bad", "notes", "w"] {
        fs::create_dir(path(folder)).unwrap();
    }
    fs::write(path("lmdb/data.mdb"), "").unwrap();
    fs::write(path("short/data.mdb"), [0; 5000]).unwrap();
    fs::write(path("notes/crnn.pth"), "hello there").unwrap();
    write_crnn(&path("w/crnn.pth"));
    let lemma = format!("{ROOT}/weights/lemma-nano.safetensors");
    let abinet = format!("{ROOT}/weights/abinet-nano.safetensors");
    weights(&path("bad"), &[("CRNN.safetensors", "abinet-nano")]);
    let (easy, exit) = ("data/test/easy", format!("{ROOT}/weights/demo/exit.png"));

    let refused = |what: &str, args: &[&str], code: i32, parts: &[&str]| {
        let output = match what {
            "eval" => eval(&at, args),
            _ => run(&at, what, args),
        };
        said(&output, code);
        let err = String::from_utf8(output.stderr).unwrap();
        let errors: Vec<&str> = err.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && !err.contains("panicked"), "{what} {args:?}:\n{err}");
        let said_all = parts.iter().all(|part| errors[0].contains(part));
        assert!(said_all, "{what} {args:?}: no {parts:?} in {}", errors[0]);
    };
    let nothing = ["expected an LMDB folder, a folder with labels.tsv", "got nothing there"];
    refused("eval", &["-d", "nowhere"], 2, &nothing);
    refused("eval", &["-d", "empty"], 2, &["empty: a source of word images"]);
    refused("eval", &["-d", "lmdb"], 1, &["lmdb/data.mdb: not an LMDB file: got 0 bytes"]);
    refused("eval", &["-d", "short"], 1, &["short/data.mdb"]);
    refused("eval", &["-d", easy, "-m", "nowhere.pth"], 1, &["nowhere.pth: cannot be read"]);
    let text = ["notes.pth: not a checkpoint", "got \"hello there\""];
    refused("eval", &["-d", easy, "-m", "notes.pth"], 1, &text);
    let crnn = ["expected a checkpoint of LEMMA or", "got a checkpoint of CRNN"];
    refused("eval", &["-d", easy, "-m", "w/crnn.pth"], 1, &crnn);
    let other = ["expected a checkpoint of ABINet or CRNN", "got a checkpoint of LEMMA"];
    refused("eval", &["-d", easy, "--judge", &lemma], 1, &other);
    refused("eval", &["-d", easy, "--sr", "other:empty"], 2, &["none of 1 of them: sample 1"]);

    refused("read", &["nowhere.png"], 2, &["nowhere.png: the input does not exist"]);
    refused("read", &[&exit, "-m", "notes.pth"], 1, &text);
    refused("read", &[&exit, "-m", &lemma], 1, &other);
    refused("read", &["empty"], 2, &["empty: the folder holds no images"]);

    let table = |args: &[&str], code: i32, parts: &[&str]| {
        refused("reproduce", &[args, &["-o", "out"]].concat(), code, parts);
    };
    table(&["table3", "-d", "data"], 2, &["--weights: a folder with weights: got none"]);
    table(&["table3", "-d", "data", "-w", "nowhere"], 1, &["nowhere: the folder cannot be read"]);
    table(&["table3", "-d", "empty", "-w", "w"], 2, &["expected one of easy, medium, hard"]);
    table(&["table3", "-d", "data", "-w", "empty"], 2, &["expected one of ASTER, MORAN, CRNN"]);
    let kinds = ["CRNN.safetensors: what the weights are of: expected CRNN, got ABINet"];
    table(&["table3", "-d", "data", "-w", "bad"], 1, &kinds);
    table(&["table1", "-d", "nowhere"], 2, &["nowhere: a folder with sets: got no such folder"]);
    table(&["table1", "-d", "empty"], 2, &["expected train1 and train2, or --train-data"]);
    // Before anything is trained: who is to read, and what makes the rows.
    table(&["table1", "-d", "data", "-w", "nowhere"], 1, &["nowhere: the folder cannot be read"]);
    table(&["table1", "-d", "data", "-w", "bad"], 1, &kinds);
    table(&["table7", "-d", "data", "-w", "notes"], 1, &["crnn.pth: not a checkpoint"]);
    let set = ["table1", "-d", "data", "--set", "lemma.nonsense=3"];
    table(&set, 2, &["a setting that there is: got lemma.nonsense"]);
    assert!(!path("out/networks").exists());
    refused("eval", &["-d", easy, "-m", "w/crnn.pth,arch=tsrn"], 2, &["arch"]);
    refused(
        "eval",
        &["-d", easy, "--judge", &format!("crnn:{abinet}"), "--resume"],
        2,
        &["--resume"],
    );
}
