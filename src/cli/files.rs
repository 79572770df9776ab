//! Which images go in. Knows paths, not pictures.

use super::left::{LeftAlone, Sort};
use super::listed;
use super::paths::is_dash;
use super::shard::Shard;
use crate::data::picture::Kind;
use crate::{Error, ErrorKind, Result};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::{Component, Path, PathBuf};

/// Where images come from.
#[derive(Debug, Default, clap::Args)]
pub struct InputArgs {
    /// Images (PNG, JPEG, WebP, BMP, TIFF, GIF, PNM), folders of images, or - for standard input
    #[arg(value_name = "IN")]
    pub more: Vec<PathBuf>,
    /// The same
    #[arg(short, long, value_name = "IN", num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// A file that names images or folders, one a line; - for standard input
    #[arg(long, value_name = "FILE")]
    pub files_from: Option<PathBuf>,
    /// With a folder: take the images of its sub-folders too
    #[arg(long)]
    pub recursive: bool,
    /// Only the I-th of N parts of the images, as 2/8: for jobs that share them. Parts stay the same as long as the images do
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
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
    /// Each image with the name of its results, in the order in which they were given and, in a
    /// folder, that of the names.
    pub images: Vec<(Input, PathBuf)>,
    /// Whether there may be several: a folder, a list, or several files were given.
    pub several: bool,
    /// Files of folders that are not taken.
    pub left: LeftAlone,
}

/// An image with the names that its results may have: below the folder that was given, and with that.
struct Named {
    input: Input,
    short: PathBuf,
    long: PathBuf,
}

/// Finds the images of `args`. Folders `without` are not entered: results that lie below the inputs
/// are no inputs.
///
/// # Errors
/// [`ErrorKind::Argument`] when there is nothing, [`ErrorKind::Io`] when a folder cannot be read.
pub fn find(args: &InputArgs, without: &[&Path]) -> Result<Found> {
    let listed = args.files_from.as_deref().map(listed::read).transpose()?;
    let given: Vec<&PathBuf> = args.input.iter().chain(&args.more).collect();
    let dashes = given.iter().copied().chain(&args.files_from).filter(|p| is_dash(p)).count();
    if dashes > 1 {
        return Err(Error::new(ErrorKind::Argument, "-", "standard input is read once")
            .expected("one -")
            .got(dashes));
    }
    if given.is_empty() && listed.is_none() {
        return Err(Error::new(ErrorKind::Argument, "inputs", "no image is named").expected(
            "images, folders of images, - for standard input, or --files-from with a list",
        ));
    }
    let mut walk = Walk {
        recursive: args.recursive,
        without: without.iter().map(|p| resolved(p)).collect(),
        named: Vec::new(),
        left: LeftAlone::default(),
    };
    let mut several = listed.is_some() || given.len() > 1;
    for path in given {
        if is_dash(path) {
            if std::io::stdin().is_terminal() {
                return Err(Error::new(ErrorKind::Argument, "-i -", "an image from a terminal")
                    .expected("a file or a pipe as standard input"));
            }
            let name = PathBuf::from("stdin");
            walk.named.push(Named { input: Input::Stdin, short: name.clone(), long: name });
        } else if !path.exists() {
            return Err(Error::new(
                ErrorKind::Argument,
                path.display(),
                "the input does not exist",
            )
            .expected("an image, a folder of images, or - for standard input"));
        } else {
            several |= path.is_dir();
            walk.take(path)?;
        }
    }
    // What a list names and is not there fails alone, as an image does that cannot be read.
    listed.iter().flatten().try_for_each(|path| walk.take(path))?;
    if walk.named.is_empty() {
        return Err(Error::new(ErrorKind::Argument, "--files-from", "the list names no image"));
    }
    // Names of results are those of the whole list, so that parts never meet.
    let mut images = with_names(walk.named);
    if let Some(shard) = args.shard {
        images = images.drain(shard.range(images.len())).collect();
    }
    Ok(Found { images, several: several || args.shard.is_some(), left: walk.left })
}

/// The search below what was given.
struct Walk {
    recursive: bool,
    without: HashSet<PathBuf>,
    named: Vec<Named>,
    left: LeftAlone,
}

impl Walk {
    /// Takes a file, or the images of a folder.
    fn take(&mut self, path: &Path) -> Result<()> {
        let normal = |part: &Component| matches!(part, Component::Normal(_));
        let long: PathBuf = path.components().filter(normal).collect();
        if path.is_dir() {
            return self.enter(path, &long);
        }
        let short = path.file_name().unwrap_or_default().into();
        self.named.push(Named { input: Input::File(path.into()), short, long });
        Ok(())
    }

    fn enter(&mut self, top: &Path, long: &Path) -> Result<()> {
        let (first, before) = (self.named.len(), self.left.total());
        let mut folders = vec![PathBuf::new()];
        let mut deeper = false;
        while let Some(below) = folders.pop() {
            let folder = top.join(&below);
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
                    if self.recursive && !self.without.contains(&resolved(&path)) {
                        folders.push(relative);
                    }
                    continue;
                }
                match path.metadata() {
                    Ok(what) if what.is_dir() => self.left.add(Sort::Link),
                    // Nobody may ever write to the other end.
                    Ok(what) if !what.is_file() => self.left.add(Sort::Special),
                    _ if Kind::from_path(&relative).is_some() => {
                        let long = long.join(&relative);
                        self.named.push(Named { input: Input::File(path), short: relative, long });
                    }
                    _ => self.left.add(Sort::of(&relative)),
                }
            }
        }
        if self.named.len() == first {
            let place = top.display();
            let e = Error::new(ErrorKind::Argument, place, "the folder holds no images")
                .expected(format!("{} files", Kind::LIST))
                .got(match self.left.total() - before {
                    1 => "1 other file".into(),
                    n => format!("{n} other files"),
                });
            let note = self.left.note().filter(|_| !self.left.is_plain());
            let e = note.into_iter().fold(e, |e, note| e.detail(note));
            let hint = "--recursive takes the images of its sub-folders";
            return Err(if deeper && !self.recursive { e.hint(hint) } else { e });
        }
        self.named[first..].sort_by(|a, b| a.short.cmp(&b.short));
        Ok(())
    }
}

/// The images under their short names, or the long ones where several would have the same.
fn with_names(named: Vec<Named>) -> Vec<(Input, PathBuf)> {
    let mut count: HashMap<PathBuf, usize> = HashMap::new();
    for image in &named {
        *count.entry(image.short.clone()).or_default() += 1;
    }
    let name = |image: Named| match count[&image.short] {
        1 => (image.input, image.short),
        _ => (image.input, image.long),
    };
    named.into_iter().map(name).collect()
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
        InputArgs { input: vec![input.into()], recursive, ..InputArgs::default() }
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

    fn names(found: &Found) -> Vec<&str> {
        found.images.iter().map(|(_, name)| name.to_str().unwrap()).collect()
    }

    #[test]
    fn a_folder_is_walked_in_order() {
        let input =
            folder(&["b.png", "a.JPG", "sub/c.webp", "notes.txt", ".hidden.png", "sr/d.png"]);
        let out = input.path().join("sr");
        let flat = find(&args(input.path(), false), &[]).unwrap();
        assert_eq!((flat.images.len(), flat.left.total(), flat.several), (2, 1, true));
        // What lies in the folder of the results is no input.
        let found = find(&args(input.path(), true), &[&out]).unwrap();
        assert_eq!(names(&found), ["a.JPG", "b.png", "sub/c.webp"]);
        let deep = folder(&["sub/a.png"]);
        let e = find(&args(deep.path(), false), &[]).unwrap_err();
        assert!(e.to_string().contains("--recursive"), "{e}");
    }

    #[test]
    fn several_inputs_keep_their_order_and_get_names_of_their_own() {
        let root = folder(&["one/a.png", "one/b.jfif", "two/a.png", "c.tif", "list"]);
        let at = |name: &str| root.path().join(name);
        let given = |input: &[&str]| InputArgs {
            input: input.iter().map(|name| at(name)).collect(),
            ..InputArgs::default()
        };
        let found = find(&given(&["c.tif", "one"]), &[]).unwrap();
        assert_eq!((names(&found), found.several), (vec!["c.tif", "a.png", "b.jfif"], true));
        let found = find(&given(&["one", "two"]), &[]).unwrap();
        let ends: Vec<bool> = [("one/a.png", 0), ("b.jfif", 1), ("two/a.png", 2)]
            .map(|(end, i)| names(&found)[i].ends_with(end))
            .into();
        assert_eq!(ends, [true; 3], "{:?}", names(&found));
        fs::write(at("list"), format!("{}\n{}\n", at("c.tif").display(), at("no.png").display()))
            .unwrap();
        let listed = InputArgs { files_from: Some(at("list")), ..given(&[]) };
        let found = find(&listed, &[]).unwrap();
        assert_eq!((names(&found), found.several), (vec!["c.tif", "no.png"], true));
        for none in [given(&["none.png"]), given(&[])] {
            assert_eq!(find(&none, &[]).unwrap_err().kind(), ErrorKind::Argument);
        }
        let parts = |shard: &str| {
            let shard = Some(shard.parse().unwrap());
            let both = InputArgs { shard, ..given(&["one", "two"]) };
            find(&both, &[]).unwrap().images
        };
        let whole = find(&given(&["one", "two"]), &[]).unwrap().images;
        assert_eq!([parts("1/2"), parts("2/2")].concat(), whole);
        assert_eq!(parts("1/4"), [], "fewer images than parts");
        let twice = InputArgs { input: vec!["-".into()], more: vec!["-".into()], ..given(&[]) };
        assert!(find(&twice, &[]).unwrap_err().to_string().contains("read once"));
    }
}
