//! The house rules that a machine can check, on the text of the package.

#[path = "common/modules.rs"]
mod modules;

use lemma_gpu::ops::catalogue::catalogue;
use modules::Modules;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The floor of each module. A module uses only floors below its own, and everybody the error type.
const FLOORS: &[(&str, u32)] = &[
    ("error", 0),
    ("shape", 0),
    ("gpu", 1),
    ("data", 1),
    ("tensor", 2),
    ("ops", 3),
    ("lower", 4),
    ("nn", 5),
    ("models", 6),
    ("engine", 7),
    ("train", 8),
    ("eval", 8),
    ("bench", 9),
    ("cli", 10),
];

/// What the crate root hands on, and the module it comes from.
const ROOT_NAMES: &[(&str, &str)] = &[
    ("Error", "error"),
    ("ErrorKind", "error"),
    ("Result", "error"),
    ("kernel", "gpu"),
    ("params", "gpu"),
];

/// Parts of the source that may name wgpu.
const NAMES_WGPU: &[&str] = &["src/gpu/"];

/// Operations' modules that read results back because they measure or compare and run in no model.
const READS_BACK: &[&str] =
    &["src/ops/check/", "src/ops/measure.rs", "src/ops/numerics.rs", "src/ops/peak.rs"];

/// Folders of the source whose files may lie on a circle: folder, reason.
const CIRCLES: &[(&str, &str)] = &[];

const RUST_LINES: usize = 500;
const SHADER_LINES: usize = 200;

/// Files over their budget: path, lines allowed, reason.
const LARGER: &[(&str, usize, &str)] = &[];

struct File {
    path: String,
    text: String,
}

impl File {
    /// The lines with comments, and strings that hold `//`, cut off.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        lines.map(|(i, l)| (i + 1, l.split("//").next().unwrap_or_default()))
    }

    /// The code before the unit tests.
    fn code_without_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self.path.ends_with("/tests.rs");
        self.code().take_while(move |(_, l)| !tests && l.trim() != "#[cfg(test)]")
    }

    fn comments(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        lines.filter_map(|(i, l)| l.split_once("//").map(|(_, c)| (i + 1, c)))
    }

    fn is_below(&self, folders: &[&str]) -> bool {
        folders.iter().any(|f| self.path.starts_with(f))
    }

    /// The module directly below the crate root that this file belongs to.
    fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        Some(inside.split('/').next()?.trim_end_matches(".rs"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of the package below `folders` whose name ends in `end`.
fn files(folders: &[&str], end: &str) -> Vec<File> {
    fn walk(path: &Path, end: &str, found: &mut Vec<PathBuf>) {
        if path.is_dir() {
            for entry in std::fs::read_dir(path).expect("a folder") {
                walk(&entry.expect("an entry").path(), end, found);
            }
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path.into());
        }
    }
    let mut found = Vec::new();
    folders.iter().for_each(|f| walk(&root().join(f), end, &mut found));
    found.sort();
    let file = |path: PathBuf| File {
        text: std::fs::read_to_string(&path).expect("text"),
        path: path.strip_prefix(root()).expect("inside").to_string_lossy().replace('\\', "/"),
    };
    found.into_iter().map(file).collect()
}

fn rust() -> Vec<File> {
    files(&["src", "tests", "benches", "examples", "fuzz"], ".rs")
}

fn source() -> Vec<File> {
    files(&["src"], ".rs")
}

fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Complaints about every line of `lines` that holds one of `words`.
fn with_words<'a>(
    file: &File,
    lines: impl Iterator<Item = (usize, &'a str)>,
    words: &[&str],
) -> Vec<String> {
    lines
        .filter_map(|(n, line)| {
            let word = words.iter().find(|w| line.contains(**w))?;
            Some(format!("{}:{n}: {word}: {}", file.path, line.trim()))
        })
        .collect()
}

/// The first segments of all paths from the crate root in `code`: `crate::a::B` and `crate::{C, d::E}` give a, C, d.
fn from_root(code: &str) -> Vec<String> {
    let ident = |s: &str| {
        s.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
    };
    let mut names = Vec::new();
    for (at, found) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c == '$' || c == '_' || c.is_alphanumeric()) {
            continue;
        }
        let rest = &code[at + found.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            names.push(ident(rest));
            continue;
        };
        let mut depth = 0;
        let mut item = String::new();
        for c in list.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    names.push(ident(&item));
                    item.clear();
                    continue;
                }
                _ => {}
            }
            item.push(c);
        }
        names.push(ident(&item));
    }
    names.retain(|n| !n.is_empty());
    names
}

#[test]
fn paths_from_the_root_are_recognized() {
    let code =
        "use crate::{Error, gpu::{a, b},\n shape};\ncrate::ops::TABLE; $crate::no; my_crate::no";
    assert_eq!(from_root(code), ["Error", "gpu", "shape", "ops"]);
}

#[test]
fn modules_use_only_floors_below() {
    let floor = |module: &str| FLOORS.iter().find(|(m, _)| *m == module).map(|(_, f)| *f);
    let mut complaints = Vec::new();
    for file in source() {
        let module = file.module().unwrap_or_default();
        if module == "lib" || module == "main" {
            continue;
        }
        let Some(own) = floor(module) else {
            complaints.push(format!("{}: module {module} has no floor", file.path));
            continue;
        };
        let code: String = file.code().map(|(_, l)| format!("{l}\n")).collect();
        for name in from_root(&code) {
            let target =
                ROOT_NAMES.iter().find(|(n, _)| *n == name).map_or(name.as_str(), |(_, m)| m);
            match floor(target) {
                Some(f) if f < own || target == module || target == "error" => {}
                Some(_) => complaints.push(format!("{}: {module} uses {target}", file.path)),
                None => complaints.push(format!("{}: unknown crate::{name}", file.path)),
            }
        }
    }
    none(complaints);
}

#[test]
fn files_of_a_folder_use_each_other_in_one_direction() {
    let files = source().into_iter().map(|f| {
        let code = f.code_without_tests().map(|(_, l)| format!("{l}\n")).collect();
        (f.path.trim_start_matches("src/").to_string(), code)
    });
    let found = Modules::new(files).circles();
    let known = |folder: &str| CIRCLES.iter().any(|(f, _)| *f == folder);
    let new = found.iter().filter(|(folder, _)| !known(folder));
    let mut complaints: Vec<String> = new
        .map(|(folder, files)| format!("src/{folder}: {} use each other", files.join(", ")))
        .collect();
    let gone = CIRCLES.iter().filter(|(f, _)| !found.iter().any(|(folder, _)| folder == f));
    complaints.extend(gone.map(|(folder, _)| format!("src/{folder}: needs no exception any more")));
    none(complaints);
}

#[test]
fn only_the_device_floor_names_wgpu() {
    let others = source().into_iter().filter(|f| !f.is_below(NAMES_WGPU));
    none(others.flat_map(|f| with_words(&f, f.code(), &["wgpu::", "naga::"])).collect());
}

#[test]
fn the_command_speaks_through_one_door() {
    // What files bring along is made visible there, and nowhere else. Cases of rules are tests.
    let doors = ["src/cli/say.rs", "src/lower/cases.rs"];
    let words = ["eprintln!", "println!", "eprint!"];
    let those = source().into_iter().filter(|f| f.is_below(&["src/"]) && !f.is_below(&doors));
    none(those.flat_map(|f| with_words(&f, f.code_without_tests(), &words)).collect());
}

#[test]
fn models_and_below_read_no_files() {
    let folders = ["src/tensor/", "src/ops/", "src/nn/", "src/models/", "src/gpu/"];
    assert!(folders.iter().all(|f| root().join(f).is_dir()), "every one of {folders:?} is there");
    let words = ["std::fs", "fs::read", "std::io", "File::open", "use std::{fs", "use std::{io"];
    let those = source().into_iter().filter(|f| f.is_below(&folders));
    none(those.flat_map(|f| with_words(&f, f.code_without_tests(), &words)).collect());
}

#[test]
fn operations_and_models_ask_what_an_adapter_is_like_and_not_what_it_is() {
    let folders = ["src/ops/", "src/nn/", "src/models/"];
    let those = source().into_iter().filter(|f| f.is_below(&folders));
    none(those.flat_map(|f| with_words(&f, f.code(), &[".software", ".summary().name"])).collect());
}

#[test]
fn sizes_become_narrower_in_one_place() {
    // What is no size: a function's number, a probability, and offsets that wrap.
    let others = ["Self::LAST as u32", "self as u32", "296.0) as u32", "rows as u32, (pixels"];
    let those =
        source().into_iter().filter(|f| f.is_below(&["src/ops/", "src/nn/", "src/models/"]));
    let lines = those.flat_map(|f| with_words(&f, f.code_without_tests(), &[" as u32"]));
    none(lines.filter(|line| !others.iter().any(|o| line.contains(o))).collect());
}

#[test]
fn operations_never_read_back() {
    let those =
        source().into_iter().filter(|f| f.is_below(&["src/ops/"]) && !f.is_below(READS_BACK));
    let words = [".to_host(", "read_all(", ".read(&", "Readback"];
    none(those.flat_map(|f| with_words(&f, f.code_without_tests(), &words)).collect());
}

#[test]
fn files_keep_their_budgets() {
    let mut complaints = Vec::new();
    for (file, budget) in rust()
        .into_iter()
        .map(|f| (f, RUST_LINES))
        .chain(files(&["shaders"], ".wgsl").into_iter().map(|f| (f, SHADER_LINES)))
    {
        let larger = LARGER.iter().find(|(path, ..)| *path == file.path);
        let (most, why) = larger.map_or((budget, ""), |(_, most, why)| (*most, *why));
        let lines = file.text.lines().count();
        if lines > most {
            complaints.push(format!("{}: {lines} lines, budget {most} {why}", file.path));
        }
        if larger.is_some() && lines <= budget {
            complaints.push(format!("{}: needs no exception any more", file.path));
        }
    }
    none(complaints);
}

#[test]
fn modules_open_with_their_purpose() {
    let without = rust().into_iter().filter(|f| !f.text.starts_with("//! "));
    none(without.map(|f| format!("{}: its first line is no `//!`", f.path)).collect());
}

#[test]
fn nothing_is_left_unfinished() {
    // Put together so that this file does not hold the words.
    let code = [
        concat!("to", "do!"),
        concat!("unim", "plemented!"),
        concat!("db", "g!"),
        concat!("allow(dead", "_code)"),
    ];
    let comment = [concat!("in ", "sync"), concat!("TO", "DO"), concat!("FIX", "ME")];
    let mut complaints = Vec::new();
    for file in rust() {
        complaints.extend(with_words(&file, file.code(), &code));
        complaints.extend(with_words(&file, file.comments(), &comment));
    }
    for file in files(&["shaders"], ".wgsl") {
        complaints.extend(with_words(&file, file.comments(), &comment));
    }
    none(complaints);
}

#[test]
fn the_kernel_catalogue_is_up_to_date() {
    let path = root().join("shaders/README.md");
    let want = catalogue();
    if std::env::var_os("LEMMA_GPU_BLESS").is_some() {
        std::fs::write(&path, &want).expect("writes the catalogue");
    }
    let got = std::fs::read_to_string(&path).unwrap_or_default();
    let line = want.lines().zip(got.lines()).position(|(w, g)| w != g);
    assert!(
        want == got,
        "shaders/README.md differs from line {}; LEMMA_GPU_BLESS=1 cargo test --test tidy writes it anew",
        line.map_or(want.lines().count().min(got.lines().count()), |l| l) + 1
    );
}

#[test]
fn links_of_documents_lead_somewhere() {
    let mut complaints = Vec::new();
    let top = std::fs::read_dir(root()).expect("the package");
    let names = top.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned());
    let documents: Vec<String> =
        names.filter(|n| n.ends_with(".md") || n == "shaders" || n == "weights").collect();
    let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
    for file in files(&documents, ".md") {
        let folder = root().join(&file.path).parent().expect("a folder").to_path_buf();
        for link in file.text.split("](").skip(1).filter_map(|l| l.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            let elsewhere = target.is_empty() || target.contains("://");
            if !elsewhere && !folder.join(target).exists() {
                complaints.push(format!("{}: {link} does not exist", file.path));
            }
        }
    }
    none(complaints);
}

#[test]
fn documents_name_the_oldest_compiler() {
    let read = |name: &str| std::fs::read_to_string(root().join(name)).expect(name);
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|l| l.strip_prefix("rust-version = "));
    let version = version.expect("a version").trim_matches('"');
    let wanted = format!("A Rust toolchain, {version} or newer");
    assert!(read("README.md").contains(&wanted), "README.md does not say: {wanted}");
}

/// Name and sum of every file of a manifest, in its order.
fn manifest(path: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join(path)).expect("a manifest");
    let values = |key: &str| -> Vec<String> {
        let quoted = |l: &str| {
            Some(l.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"')?.to_string())
        };
        text.lines().filter_map(quoted).collect()
    };
    let (names, sums) = (values("name"), values("sha256"));
    assert_eq!(names.len(), sums.len(), "{path}: every file has a name and a sum");
    names.into_iter().zip(sums).collect()
}

#[test]
fn data_files_are_those_of_their_manifests() {
    for (folder, depth) in [("weights", 1), ("tests/golden", 2)] {
        let listed = manifest(&format!("{folder}/manifest.toml"));
        for (name, sum) in &listed {
            let bytes = std::fs::read(root().join(folder).join(name)).expect(name);
            let digest = Sha256::digest(&bytes);
            let found: String = digest.iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(&found, sum, "{folder}/{name}");
        }
        for file in data_below(&root().join(folder), depth) {
            let name = file.strip_prefix(root().join(folder)).expect("inside").to_string_lossy();
            assert!(
                listed.iter().any(|(n, _)| *n == name),
                "{folder}/manifest.toml: {name} is missing"
            );
        }
    }
}

/// Weights and reference tensors below `folder`, down to `depth` levels.
fn data_below(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()) {
        if entry.is_dir() && depth > 1 {
            found.extend(data_below(&entry, depth - 1));
        } else if entry.extension().is_some_and(|e| e == "safetensors" || e == "pth") {
            found.push(entry);
        }
    }
    found
}
