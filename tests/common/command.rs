//! The built command, run as a user does, and files for it.

use image::{DynamicImage, ImageFormat};
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What a run left behind.
pub struct Ran {
    pub code: Option<i32>,
    pub out: Vec<u8>,
    pub err: String,
}

impl Ran {
    pub fn text(&self) -> String {
        String::from_utf8(self.out.clone()).expect("text on standard output")
    }

    /// Checks the exit code, and that the messages contain `says`.
    #[track_caller]
    pub fn ends(self, code: i32, says: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "standard error:\n{}", self.err);
        for part in says {
            assert!(self.err.contains(part), "no {part:?} in:\n{}", self.err);
        }
        self
    }
}

/// The command with `args`, on the adapter that the environment names, in the folder `at`.
pub fn command(at: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lemma-gpu"));
    command.current_dir(at).args(args).stdin(Stdio::null());
    if let Ok(adapter) = std::env::var("LEMMA_GPU_ADAPTER") {
        command.args(["-g", &adapter]);
    }
    command
}

pub fn ran(mut command: Command) -> Ran {
    let output = command.output().expect("the binary starts");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    Ran { code: output.status.code(), out: output.stdout, err }
}

pub fn run(at: &Path, args: &[&str]) -> Ran {
    ran(command(at, args))
}

/// A word of 64×16 pixels that the shipped model reads as `coffee`.
pub fn coffee() -> DynamicImage {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/demo/coffee.png");
    image::open(path).expect("a demonstration image")
}

pub fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).expect("an image in memory");
    bytes.into_inner()
}

/// A folder with files.
pub fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder above")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }
    folder
}

pub fn word(name: &str) -> (&str, Vec<u8>) {
    (name, encoded(&coffee(), ImageFormat::Png))
}

/// All files below a folder, with their names below it.
pub fn files(below: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![below.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(below).expect("below").display().to_string());
            }
        }
    }
    found.sort();
    found
}
