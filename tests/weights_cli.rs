//! Weights as a user hands them to commands: parts of checkpoints, lost configurations, other alphabets, and names that are
//! meant for the terminal.

use lemma_gpu::data::checkpoint::{HostTensor, StateDict};
use std::path::Path;
use std::process::{Command, Stdio};

const READER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/abinet-nano.safetensors");
const LEMMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/lemma-nano.safetensors");
const RENDERED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/abinet-rendered.safetensors");
const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/demo");
const EXIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/demo/exit.png");

/// Runs the command in the folder `at` and returns its exit code, output and messages.
fn run(at: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lemma-gpu"));
    command.current_dir(at).args(args).stdin(Stdio::null());
    if let Ok(adapter) = std::env::var("LEMMA_GPU_ADAPTER") {
        command.args(["-g", &adapter]);
    }
    let output = command.output().expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("an exit"), text(output.stdout), text(output.stderr))
}

#[track_caller]
fn done(at: &Path, args: &[&str]) -> (String, String) {
    let (code, out, err) = run(at, args);
    assert_eq!(code, 0, "{err}");
    (out, err)
}

/// The reader that ships without metadata, and with one value a little different, so that it is not the one that ships.
fn lost() -> StateDict {
    let mut state = StateDict::read(READER).unwrap();
    state.metadata.clear();
    let bias = &state.tensors["alignment.cls.bias"];
    let mut values = bias.to_f32().unwrap();
    values[0] += 1e-4;
    let bias = HostTensor::from_f32(bias.shape(), &values).unwrap();
    state.tensors.insert("alignment.cls.bias".into(), bias);
    state
}

#[test]
fn a_lost_configuration_is_asked_for_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    lost().write_safetensors(at.join("lost.safetensors")).unwrap();
    let (code, _, err) = run(at, &["read", "-i", EXIT, "-m", "lost.safetensors"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("for vision.nhead, language.nhead") && err.contains("--config"), "{err}");
    // What is not known is no reason to say nothing, or to convert nothing.
    let (out, _) = done(at, &["info", "lost.safetensors"]);
    assert!(out.contains("model         ABINet") && out.contains("for vision.nhead"), "{out}");
    assert_eq!(run(at, &["info", "lost.safetensors", "--configuration"]).0, 1);
    let (_, err) = done(at, &["convert", "lost.safetensors", "plain.safetensors"]);
    assert!(err.contains("for vision.nhead"), "{err}");

    std::fs::write(at.join("heads.toml"), "vision.nhead = 2\n[language]\nnhead = 4\n").unwrap();
    let with = ["--config", "heads.toml"];
    let read = ["read", "-i", EXIT, "-m"];
    let (known, err) = done(at, &[&read[..], &["lost.safetensors"], &with].concat());
    assert!(known.contains("\texit\t"), "{known}");
    assert!(err.contains("as in the released network: vision.resnet_strides"), "{err}");
    done(at, &[&["convert", "lost.safetensors", "whole.safetensors"][..], &with].concat());
    assert_eq!(done(at, &[&read[..], &["whole.safetensors"]].concat()).0, known);
    // What info writes is what --config takes.
    let (json, _) = done(at, &["info", "whole.safetensors", "--configuration"]);
    std::fs::write(at.join("whole.json"), json).unwrap();
    let again = [&read[..], &["lost.safetensors", "--config", "whole.json"]].concat();
    assert_eq!(done(at, &again).0, known);
    std::fs::write(at.join("slip.json"), "{\"vision\": {\"heads\": 2}}").unwrap();
    for (config, says) in [("slip.json", "vision.heads"), ("none.json", "none.json")] {
        let (code, _, err) =
            run(at, &[&read[..], &["lost.safetensors", "--config", config]].concat());
        assert!(code == 1 && err.contains(says), "{err}");
    }
    let (code, _, err) = run(at, &["read", "-i", EXIT, "--charset", "36"]);
    assert!(code == 2 && err.contains("--charset") && err.contains("--model FILE"), "{err}");
}

/// What PyTorch's tools leave of weights that do not ship in the program: refused, and as before with what they have lost.
#[test]
fn weights_without_their_metadata_read_as_before_once_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut state = StateDict::read(RENDERED).unwrap();
    state.metadata.clear();
    state.write_safetensors(at.join("bare.safetensors")).unwrap();
    let read = ["read", DEMO, "--json", "-", "-m"];
    let (code, _, err) = run(at, &[&read[..], &["bare.safetensors"]].concat());
    assert!(code == 1 && err.contains("what the shapes of tensors do not tell"), "{err}");
    assert!(err.contains("neither, for vision.nhead, language.nhead"), "{err}");
    assert!(err.contains("hint: --config FILE"), "{err}");
    let (json, _) = done(at, &["info", RENDERED, "--configuration"]);
    std::fs::write(at.join("whole.json"), json).unwrap();
    let images = |weights: &[&str]| {
        let (json, _) = done(at, &[&read[..], weights].concat());
        let report: serde_json::Value = serde_json::from_str(&json).unwrap();
        let images = report["images"].as_array().expect("images").clone();
        assert!(images.len() >= 8);
        let read = |image: &serde_json::Value| (image["text"].clone(), image["characters"].clone());
        images.iter().map(read).collect::<Vec<_>>()
    };
    let whole = images(&[RENDERED]);
    assert!(whole.iter().any(|(text, _)| text == "exit"), "{whole:?}");
    assert_eq!(images(&["bare.safetensors", "--config", "whole.json"]), whole);
    assert_eq!(images(&["bare.safetensors,config=whole.json"]), whole);
}

#[test]
fn what_is_known_of_weights_reaches_every_place_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut state = lost();
    state.write_safetensors(at.join("lost.safetensors")).unwrap();
    state.metadata = StateDict::read(READER).unwrap().metadata;
    state.write_safetensors(at.join("whole.safetensors")).unwrap();
    std::fs::write(at.join("heads.toml"), "vision.nhead = 2\nlanguage.nhead = 4\n").unwrap();
    std::fs::copy(EXIT, at.join("exit.png")).unwrap();
    for place in [
        "read exit.png -q -m FILE",
        "infer exit.png -q --text --recognizer FILE",
        "eval -q -d synth:count=3,seed=1 --recognizer abinet:FILE",
        "trace -m procedural:lemma:1 -i whole.safetensors -o x --grad eval --recognizer FILE",
        "train -s abinet -d synth:count=4 -o run --set batch=0 --init FILE",
        "train -s lemma -d synth:count=4 -o run --prior FILE",
        "train -s lemma -d synth:count=4 -o run --recognizer FILE",
    ] {
        let with = |file: &str| {
            let named = place.replace("FILE", file);
            run(at, &named.split(' ').collect::<Vec<_>>())
        };
        let (code, _, err) = with("lost.safetensors");
        assert!(code == 1 && err.contains("for vision.nhead, language.nhead"), "{place}: {err}");
        assert!(err.contains("config=FILE behind the name"), "{place}: {err}");
        let (code, _, err) = with("lost.safetensors,cfg=heads.toml");
        assert!(code == 2 && err.contains("charset, arch, prior, got cfg"), "{err}");
        let known = "lost.safetensors,config=heads.toml";
        // What comes behind the weights is what is wrong then.
        let next = match place.split_once(" -").expect("options").0 {
            "trace" => "--recognizer: weights: expected text-focus recognizer, got ABINet",
            "train" if place.ends_with("--init FILE") => "batch",
            "train" => continue,
            _ => {
                let (code, out, err) = with(known);
                assert_eq!((code, &out), (0, &with("whole.safetensors").1), "{place}: {err}");
                continue;
            }
        };
        let (code, _, err) = with(known);
        assert!(code != 0 && err.contains(next) && !err.contains("nhead"), "{place}: {err}");
    }
}

#[test]
fn a_part_of_a_checkpoint_is_taken_by_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let convert = ["convert", LEMMA, "reader.safetensors", "--key", "position_prior"];
    let (out, _) = done(at, &convert);
    assert!(out.contains("taken off: position_prior."), "{out}");
    assert!(out.contains("left out: other names = "), "{out}");
    let part = StateDict::read(at.join("reader.safetensors")).unwrap();
    assert!(part.tensors.contains_key("vision.cls.weight"));
    assert!(part.metadata["config"].contains("\"nhead\":2"), "{:?}", part.metadata);
    let (code, _, err) = run(at, &["info", LEMMA, "--key", "prior"]);
    assert!(code == 1 && err.contains("the key of the weights") && err.contains("prior"), "{err}");
}

#[test]
fn nothing_of_a_file_is_obeyed_by_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let evil = "a\u{1b}]0;b\u{7}\n\u{9b}2J\u{202e}c";
    let mut state = lost();
    state.tensors.insert(evil.into(), HostTensor::from_i64([], &[1]).unwrap());
    state.metadata.insert(evil.into(), evil.into());
    state.metadata.insert("config".into(), format!("{{\"{evil}\": 1}}"));
    let name = format!("{evil}.safetensors");
    state.write_safetensors(at.join(&name)).unwrap();
    for args in [
        &["info", &name][..],
        &["info", "--tensors", &name],
        &["convert", &name, "x.safetensors"],
        &["read", "-i", EXIT, "-m", &name],
        &["trace", "-m", &name, "-i", &name, "-o", "y.safetensors"],
        &["info", &name, "--key", evil],
    ] {
        let (_, out, err) = run(at, args);
        for text in [out, err] {
            let obeyed = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
            assert!(!text.contains(obeyed), "{args:?}: {text:?}");
        }
    }
}
