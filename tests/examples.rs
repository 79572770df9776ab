//! Each example runs as a user runs it, built from what lies here.

use std::path::PathBuf;
use std::process::Command;

/// The folder that this test was built into, as `debug`.
fn built() -> PathBuf {
    let mut path = std::env::current_exe().expect("this test's own path");
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path
}

/// The example, built anew where its sources are: `cargo test --test examples` alone builds none, and one that lies there
/// may be of other sources.
fn example(name: &str) -> Command {
    let built = built();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--example", name]);
    cargo.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    cargo.arg("--target-dir").arg(built.parent().expect("the folder of all profiles"));
    if built.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo starts").success(), "{name} is built");
    Command::new(built.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
}

fn output(mut command: Command) -> String {
    let out = command.output().expect("the example starts");
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{errors}");
    String::from_utf8(out.stdout).expect("text")
}

#[test]
fn upscale() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("word.png");
    let mut command = example("upscale");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/weights/demo/coffee.png")).arg(&target);
    assert!(output(command).starts_with("coffee ("));
    let written = image::open(&target).expect("an image");
    assert_eq!((written.width(), written.height()), (128, 32));
}

#[test]
fn share_device() {
    assert!(output(example("share_device")).starts_with("1 image of 32×128 on "));
}
