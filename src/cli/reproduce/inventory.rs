//! Which weights and sets of the paper's tables are in a folder.

use crate::data::words;
use crate::eval::published::same;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Endings of files of weights.
const KINDS: [&str; 5] = ["pth", "pt", "tar", "ckpt", "safetensors"];

/// How deep files are looked for.
const DEPTH: usize = 3;

/// Files as their authors call them, whose names do not say of what they are: file and network.
const OFFICIAL: [(&str, &str); 4] = [
    ("demo.pth.tar", "ASTER"),
    ("demo.pth", "MORAN"),
    ("model_best_acc_0.pth", "LEMMA"),
    ("model_best_acc_0.safetensors", "LEMMA"),
];

/// Other names of networks and sets: as written, and as tables write it.
const ALIASES: [(&str, &str); 7] = [
    ("C3", "C3-STISR"),
    ("SRRes", "SRResNet"),
    ("IC15_1811", "IC15"),
    ("IC15_S", "IC15"),
    ("ICDAR2015", "IC15"),
    ("CUTE", "CUTE80"),
    ("SVT-Perspective", "SVTP"),
];

/// The file of each network of `names` below a folder, where there is one: by the name of the file or of a folder that it lies in.
/// Of several the first by name is taken.
///
/// # Errors
/// A folder that cannot be read.
pub fn weights(folder: &Path, names: &[&'static str]) -> Result<Vec<(&'static str, PathBuf)>> {
    let mut files = Vec::new();
    collect(folder, 0, &mut files)?;
    files.sort();
    let of = |name: &&'static str| {
        // What a file itself is called goes before where it lies, and that before what anybody may call theirs.
        let by =
            |rule: fn(&Path, &Path, &str) -> bool| files.iter().find(|f| rule(f, folder, name));
        let found = by(by_name).or_else(|| by(by_folder)).or_else(|| by(by_authors));
        found.map(|file| (*name, file.clone()))
    };
    Ok(names.iter().filter_map(of).collect())
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |e| Error::io(folder.display(), "the folder cannot be read", e);
    for entry in folder.read_dir().map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let kind = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        if path.is_dir() && depth < DEPTH {
            collect(&path, depth + 1, files)?;
        } else if path.is_file() && KINDS.contains(&kind.as_str()) {
            files.push(path);
        }
    }
    Ok(())
}

/// Whether a text is a name, or holds it as a word of its own.
fn names(text: &str, name: &str) -> bool {
    let is = |part: &str| {
        same(part, name) || ALIASES.iter().any(|(other, own)| same(part, other) && *own == name)
    };
    is(text) || text.split(|c: char| !c.is_alphanumeric()).any(is)
}

/// A file's name without any ending.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut stem = name.as_str();
    while let Some((before, kind)) = stem.rsplit_once('.')
        && KINDS.contains(&kind.to_lowercase().as_str())
    {
        stem = before;
    }
    stem.into()
}

fn by_name(path: &Path, _: &Path, name: &str) -> bool {
    names(&stem(path), name)
}

fn by_folder(path: &Path, root: &Path, name: &str) -> bool {
    let below = path.strip_prefix(root).unwrap_or(path).parent();
    let folders = below.into_iter().flat_map(Path::components);
    let within = folders.map(|c| c.as_os_str().to_string_lossy().into_owned());
    let recognizer = stem(path).starts_with("recognizer");
    !recognizer && within.into_iter().any(|folder| names(&folder, name))
}

fn by_authors(path: &Path, root: &Path, name: &str) -> bool {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let top = path.parent() == Some(root);
    top && OFFICIAL.iter().any(|(official, network)| *official == file && *network == name)
}

/// The set of each of `names` below a folder, where there is one, as a data argument.
///
/// # Errors
/// As [`words::sets`].
pub fn sets(folder: &Path, names: &[&'static str]) -> Result<Vec<(&'static str, String)>> {
    let below = words::sets(&folder.display().to_string())?;
    let called = |path: &String| {
        Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned()
    };
    let is = |path: &String, name: &str| {
        let own = called(path);
        same(&own, name) || ALIASES.iter().any(|(other, to)| same(&own, other) && *to == name)
    };
    let of = |name: &&'static str| {
        below.iter().find(|path| is(path, name)).map(|path| (*name, path.clone()))
    };
    Ok(names.iter().filter_map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_found_by_their_names_and_folders() {
        let root = tempfile::tempdir().unwrap();
        for file in [
            "tsrn/model_best.pth",
            "tatt/recognizer_best_acc_0.pth",
            "tatt/model_best_acc_0.pth",
            "model_best_acc_0.pth",
            "crnn.pth",
            "demo.pth.tar",
            "best-train-abinet.pth",
            "parseq-bb5792a6.pt",
            "RCAN_BIX2.pt",
            "c3/x.pth",
            "notes-on-moran.txt",
        ] {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let names = [
            "TSRN", "TATT", "LEMMA", "CRNN", "ASTER", "ABINet", "PARSeq", "RCAN", "C3-STISR",
            "MORAN", "SAN",
        ];
        let found = weights(root.path(), &names).unwrap();
        let found: Vec<(&str, String)> = found
            .iter()
            .map(|(name, path)| {
                (*name, path.strip_prefix(root.path()).unwrap().display().to_string())
            })
            .collect();
        let found: Vec<(&str, &str)> = found.iter().map(|(a, b)| (*a, b.as_str())).collect();
        assert_eq!(
            found,
            [
                ("TSRN", "tsrn/model_best.pth"),
                ("TATT", "tatt/model_best_acc_0.pth"),
                ("LEMMA", "model_best_acc_0.pth"),
                ("CRNN", "crnn.pth"),
                ("ASTER", "demo.pth.tar"),
                ("ABINet", "best-train-abinet.pth"),
                ("PARSeq", "parseq-bb5792a6.pt"),
                ("RCAN", "RCAN_BIX2.pt"),
                ("C3-STISR", "c3/x.pth"),
            ]
        );
    }
}
