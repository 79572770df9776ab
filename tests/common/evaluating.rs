//! Sets of pairs and the command that evaluates them.

use image::{ImageFormat, RgbImage, imageops};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A word of 64×16 pixels that ships as a demonstration.
pub fn word(name: &str) -> RgbImage {
    let path = Path::new(ROOT).join(format!("weights/demo/{name}.png"));
    image::open(path).expect("a demonstration image").into_rgb8()
}

/// A folder of pairs below `at`: the demonstration words enlarged, and themselves.
pub fn pairs(at: &Path, set: &str, words: &[(&str, &str)]) {
    let folder = at.join(set);
    let mut labels = String::from("file\tlabel\n");
    for side in ["lr", "hr"] {
        fs::create_dir_all(folder.join(side)).unwrap();
    }
    for (file, label) in words {
        let low = word(file);
        let high = imageops::resize(&low, 128, 32, imageops::FilterType::CatmullRom);
        for (side, image) in [("lr", low), ("hr", high)] {
            let path = folder.join(side).join(format!("{file}.png"));
            image.save_with_format(path, ImageFormat::Png).unwrap();
        }
        labels += &format!("{file}.png\t{label}\n");
    }
    fs::write(folder.join("labels.tsv"), labels).unwrap();
}

pub fn eval(at: &TempDir, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lemma-gpu"));
    command.current_dir(at.path()).arg("eval").args(args).stdin(Stdio::null());
    if let Ok(adapter) = std::env::var("LEMMA_GPU_ADAPTER") {
        command.args(["-g", &adapter]);
    }
    command.output().expect("the binary starts")
}

/// Standard output of a run that ended with `code`.
#[track_caller]
pub fn said(output: &Output, code: i32) -> String {
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "standard error:\n{err}");
    String::from_utf8(output.stdout.clone()).unwrap()
}
