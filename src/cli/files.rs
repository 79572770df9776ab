//! Which images go in. Knows paths, not pictures.

use crate::data::picture::Format;
use crate::{Error, ErrorKind, Result};
use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::{Component, Path, PathBuf};

/// Where images come from.
#[derive(Debug, clap::Args)]
pub struct InputArgs {
    /// Image (PNG, JPEG, WebP or BMP), folder of images, or - for standard input
    #[arg(short, long, value_name = "IN")]
    pub input: PathBuf,
    /// With a folder: take the images of its sub-folders too
    #[arg(long)]
    pub recursive: bool,
}

/// One image to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Input {
    /// Everything it holds.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when it cannot be read, [`ErrorKind::Format`] when it is larger than any
    /// image may be.
    pub fn read(&self) -> Result<Vec<u8>> {
        const MAX: u64 = 1 << 30;
        let reading = |e| Error::io(self, "cannot be read", e);
        let mut bytes = Vec::new();
        match self {
            Input::Stdin => std::io::stdin().lock().take(MAX + 1).read_to_end(&mut bytes),
            Input::File(path) => {
                File::open(path).map_err(reading)?.take(MAX + 1).read_to_end(&mut bytes)
            }
        }
        .map_err(reading)?;
        if bytes.len() as u64 > MAX {
            return Err(Error::new(ErrorKind::Format, self, "size of an image file")
                .expected("at most 1 GiB")
                .got("more"));
        }
        Ok(bytes)
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Stdin => f.write_str("-"),
            Input::File(path) => path.display().fmt(f),
        }
    }
}

/// The images of a run.
#[derive(Debug)]
pub struct Found {
    /// Each image with its name below the folder, in the order of the names.
    pub images: Vec<(Input, PathBuf)>,
    /// Whether a folder was given.
    pub folder: bool,
    /// Files of the folder that are no images by their extension.
    pub left_alone: usize,
}

/// Finds the images of `args`. Folders `without` are not entered: results that lie below the inputs
/// are no inputs.
///
/// # Errors
/// [`ErrorKind::Argument`] when there is nothing, [`ErrorKind::Io`] when a folder cannot be read.
pub fn find(args: &InputArgs, without: &[&Path]) -> Result<Found> {
    let place = args.input.display();
    if is_dash(&args.input) {
        if std::io::stdin().is_terminal() {
            return Err(Error::new(ErrorKind::Argument, "-i -", "an image from a terminal")
                .expected("a file or a pipe as standard input"));
        }
        let images = vec![(Input::Stdin, "stdin".into())];
        return Ok(Found { images, folder: false, left_alone: 0 });
    }
    if !args.input.exists() {
        return Err(Error::new(ErrorKind::Argument, place, "the input does not exist")
            .expected("an image, a folder of images, or - for standard input"));
    }
    if !args.input.is_dir() {
        let name = args.input.file_name().unwrap_or_default().into();
        let images = vec![(Input::File(args.input.clone()), name)];
        return Ok(Found { images, folder: false, left_alone: 0 });
    }
    let without: HashSet<PathBuf> = without.iter().map(|p| resolved(p)).collect();
    let mut found = Found { images: Vec::new(), folder: true, left_alone: 0 };
    let mut folders = vec![PathBuf::new()];
    let mut deeper = false;
    while let Some(below) = folders.pop() {
        let folder = args.input.join(&below);
        let reading = |e| Error::io(folder.display(), "the folder cannot be read", e);
        for entry in folder.read_dir().map_err(reading)? {
            let entry = entry.map_err(reading)?;
            let (path, relative) = (entry.path(), below.join(entry.file_name()));
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            // A link to a folder is not entered: it may lead back up.
            if entry.file_type().map_err(reading)?.is_dir() {
                deeper = true;
                if args.recursive && !without.contains(&resolved(&path)) {
                    folders.push(relative);
                }
            } else if Format::from_path(&relative).is_ok() && !path.is_dir() {
                found.images.push((Input::File(path), relative));
            } else {
                found.left_alone += 1;
            }
        }
    }
    if found.images.is_empty() {
        let e = Error::new(ErrorKind::Argument, place, "the folder holds no images")
            .expected(format!("{} files", Format::LIST))
            .got(format!("{} other files", found.left_alone));
        let hint = "--recursive takes the images of its sub-folders";
        return Err(if deeper && !args.recursive { e.hint(hint) } else { e });
    }
    found.images.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(found)
}

/// Whether a path stands for standard input or output.
pub fn is_dash(path: &Path) -> bool {
    path == Path::new("-")
}

/// The one name of a file that may not exist yet: links and `..` resolved.
pub fn resolved(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.into());
    for known in whole.ancestors() {
        if let (Ok(real), Ok(rest)) = (known.canonicalize(), whole.strip_prefix(known)) {
            return rest.components().fold(real, |mut at, part| {
                match part {
                    Component::ParentDir => {
                        at.pop();
                    }
                    part => at.push(part),
                }
                at
            });
        }
    }
    whole
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::fs;

    pub fn args(input: &Path, recursive: bool) -> InputArgs {
        InputArgs { input: input.into(), recursive }
    }

    pub fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        folder
    }

    #[test]
    fn a_folder_is_walked_in_order() {
        let input =
            folder(&["b.png", "a.JPG", "sub/c.webp", "notes.txt", ".hidden.png", "sr/d.png"]);
        let out = input.path().join("sr");
        let flat = find(&args(input.path(), false), &[]).unwrap();
        assert_eq!((flat.images.len(), flat.left_alone, flat.folder), (2, 1, true));
        // What lies in the folder of the results is no input.
        let found = find(&args(input.path(), true), &[&out]).unwrap();
        let names: Vec<_> = found.images.iter().map(|(_, name)| name.to_str().unwrap()).collect();
        assert_eq!(names, ["a.JPG", "b.png", "sub/c.webp"]);
        let deep = folder(&["sub/a.png"]);
        let e = find(&args(deep.path(), false), &[]).unwrap_err();
        assert!(e.to_string().contains("--recursive"), "{e}");
    }
}
