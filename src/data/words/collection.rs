//! Sets that lie below a folder, as collections of data sets are laid out.

use super::{labels, shards};
use crate::data::lmdb::FILE;
use crate::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// How deep sets are looked for, and how many there may be.
const DEPTH: usize = 6;
const MOST: usize = 1000;

pub(super) const SYNTH: &str = "synth:";

/// Whether a data argument asks for words that are drawn.
fn is_synth(name: &str) -> bool {
    name.starts_with(SYNTH)
}

/// What a folder is by the files in it.
#[derive(Debug, PartialEq, Eq)]
pub enum Set {
    /// An LMDB.
    Lmdb,
    /// A file of labels with this name.
    Labels(&'static str),
    /// Tar files, which are one set.
    Shards,
}

/// The set that a folder is, if it is one.
pub fn set_in(folder: &Path) -> Option<Set> {
    if folder.join(FILE).is_file() {
        return Some(Set::Lmdb);
    }
    let labels = labels::NAMES.into_iter().find(|name| folder.join(name).is_file());
    let shards = || shards::in_folder(folder).is_ok_and(|found| !found.is_empty());
    labels.map(Set::Labels).or_else(|| shards().then_some(Set::Shards))
}

/// The sets that a data argument names: itself, or, of a folder that is none, those below it, in the order of their names.
///
/// # Errors
/// [`ErrorKind::Io`] when a folder cannot be read, [`ErrorKind::Argument`] for more than a thousand sets.
pub fn sets(name: &str) -> Result<Vec<String>> {
    let top = Path::new(name);
    if is_synth(name) || !top.is_dir() || set_in(top).is_some() {
        return Ok(vec![name.into()]);
    }
    let mut found = Vec::new();
    let mut folders = vec![(top.to_path_buf(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        if set_in(&folder).is_some() {
            found.push(folder);
        } else if depth < DEPTH {
            folders.extend(folders_in(&folder)?.into_iter().map(|f| (f, depth + 1)));
        }
        if found.len() > MOST {
            return Err(Error::new(ErrorKind::Argument, name, "sets of words below this folder")
                .expected(format!("at most {MOST}")));
        }
    }
    found.sort();
    Ok(match found.is_empty() {
        // What is wrong with it is told when it is opened.
        true => vec![name.into()],
        false => found.iter().map(|f| f.to_string_lossy().into_owned()).collect(),
    })
}

/// Folders in a folder; links are not followed, for they may lead back up.
fn folders_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e| Error::io(folder.display(), "the folder cannot be read", e);
    let mut folders = Vec::new();
    for entry in folder.read_dir().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !hidden && entry.file_type().map_err(failed)?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_below_a_folder_are_found_and_none_is_entered() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for file in ["real/B/data.mdb", "real/A/data.mdb", "other/gt.txt", "real/A/deep/data.mdb"] {
            std::fs::create_dir_all(at(file).parent().unwrap()).unwrap();
            std::fs::write(at(file), "").unwrap();
        }
        std::fs::create_dir_all(at("empty/more")).unwrap();
        let below = |name: &str| -> Vec<String> {
            let sets = sets(at(name).to_str().unwrap()).unwrap();
            let short =
                |s: &String| Path::new(s).strip_prefix(root.path()).unwrap().display().to_string();
            sets.iter().map(short).collect()
        };
        assert_eq!(below(""), ["other", "real/A", "real/B"]);
        assert_eq!(below("real/A"), ["real/A"]);
        assert_eq!(below("empty"), ["empty"]);
        assert_eq!(sets("synth:count=3").unwrap(), ["synth:count=3"]);
        assert_eq!(set_in(&at("other")), Some(Set::Labels("gt.txt")));
    }
}
