//! Images that another program made of the samples of sets.

use super::pairs::{HR_SIZE, Pairs};
use crate::data::picture::{RgbImage, decode};
use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Kinds of files that are looked for under the name of a sample.
const KINDS: [&str; 6] = ["png", "jpg", "jpeg", "webp", "bmp", "tiff"];

/// Names that a message tells.
const FEW: usize = 3;

/// Where the image of each sample lies, by sets.
#[derive(Debug, Clone)]
pub struct Made {
    sets: BTreeMap<String, Vec<Option<PathBuf>>>,
}

impl Made {
    /// Finds the images of all samples of `sets` below `folder`: in `SET/sr`, in `SET`, or, for one set, in the folder itself.
    /// An image is called as the sample's file, whatever its ending, or by the sample's number from 1, with or without zeros before.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] where images are missing, or are not of 128×32 pixels. Samples that cannot be used need none.
    pub fn open(folder: &Path, sets: &[Pairs]) -> Result<Self> {
        let mut found = BTreeMap::new();
        for set in sets {
            let place = folder_of(folder, set, sets.len() == 1)?;
            let numbers = numbers(&place)?;
            let paths: Vec<Option<PathBuf>> =
                (0..set.len()).map(|i| image_of(&place, set.file(i), &numbers, i + 1)).collect();
            complain_of_missing(&place, set, &paths)?;
            paths.iter().flatten().try_for_each(|path| check_size(path))?;
            found.insert(set.id(), paths);
        }
        Ok(Made { sets: found })
    }

    /// The files of all images.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.sets.values().flatten().flatten().map(PathBuf::as_path)
    }

    /// The image of sample `index`, from 0.
    pub(super) fn get(&self, set: &Pairs, index: usize) -> Result<RgbImage> {
        let path = self.sets.get(&set.id()).and_then(|paths| paths.get(index)?.as_ref());
        let path = path.ok_or_else(|| {
            let place = format!("{}: sample {}", set.id(), index + 1);
            Error::new(ErrorKind::Argument, place, "no image was made of it")
        })?;
        let bytes =
            std::fs::read(path).map_err(|e| Error::io(path.display(), "cannot be read", e))?;
        let image = decode(&bytes, &path.display().to_string())?.image;
        match image.dimensions() == HR_SIZE {
            true => Ok(image),
            false => Err(misshapen(path, image.dimensions())),
        }
    }
}

fn folder_of(folder: &Path, set: &Pairs, alone: bool) -> Result<PathBuf> {
    let own = folder.join(set.id());
    let places = [own.join("sr"), own, folder.join("sr"), folder.to_path_buf()];
    let places = &places[..if alone { 4 } else { 2 }];
    places.iter().find(|p| p.is_dir()).cloned().ok_or_else(|| {
        Error::new(ErrorKind::Argument, folder.display(), "a folder with images of a set")
            .expected(format!("{}", places[places.len() / 2 - 1].display()))
            .got("no such folder")
    })
}

/// The files of a folder whose names are numbers.
fn numbers(folder: &Path) -> Result<HashMap<usize, PathBuf>> {
    let failed = |e| Error::io(folder.display(), "the folder cannot be read", e);
    let mut found: HashMap<usize, PathBuf> = HashMap::new();
    for entry in folder.read_dir().map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let kind = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let Ok(number) = stem.parse() else { continue };
        if !KINDS.contains(&kind.as_str()) {
            continue;
        }
        if let Some(other) = found.insert(number, path.clone()) {
            return Err(Error::new(
                ErrorKind::Argument,
                folder.display(),
                "two images of a sample",
            )
            .expected(format!("one of sample {number}"))
            .got(format!("{} and {}", other.display(), path.display())));
        }
    }
    Ok(found)
}

fn image_of(
    folder: &Path,
    file: Option<&str>,
    numbers: &HashMap<usize, PathBuf>,
    number: usize,
) -> Option<PathBuf> {
    let named = file.map(|file| folder.join(file)).into_iter().flat_map(|path| {
        let kinds = KINDS.map(|kind| path.with_extension(kind));
        [path].into_iter().chain(kinds)
    });
    named.into_iter().find(|p| p.is_file()).or_else(|| numbers.get(&number).cloned())
}

fn complain_of_missing(folder: &Path, set: &Pairs, paths: &[Option<PathBuf>]) -> Result<()> {
    let without = paths.iter().enumerate().filter(|(_, path)| path.is_none());
    // A sample that cannot be used needs none.
    let missing: Vec<usize> = without.map(|(i, _)| i).filter(|i| set.get(*i).is_ok()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let name = |i: &usize| match set.file(*i) {
        Some(file) => format!("{} ({file})", i + 1),
        None => format!("{}", i + 1),
    };
    let mut few: Vec<String> = missing.iter().take(FEW).map(name).collect();
    if missing.len() > FEW {
        few.push("…".into());
    }
    let what = format!("images of the samples of {}", set.id());
    Err(Error::new(ErrorKind::Argument, folder.display(), what)
        .expected(format!("{}, named as the samples or by their numbers from 1", set.len()))
        .got(format!("none of {} of them: sample {}", missing.len(), few.join(", "))))
}

fn check_size(path: &Path) -> Result<()> {
    let failed = |e| Error::io(path.display(), "cannot be read", e);
    let reader = image::ImageReader::open(path).map_err(failed)?;
    let reader = reader.with_guessed_format().map_err(failed)?;
    let size = reader.into_dimensions().map_err(|e| {
        Error::new(ErrorKind::Argument, path.display(), "a super-resolved image").got(e)
    })?;
    if size == HR_SIZE { Ok(()) } else { Err(misshapen(path, size)) }
}

fn misshapen(path: &Path, (width, height): (u32, u32)) -> Error {
    let (w, h) = HR_SIZE;
    Error::new(ErrorKind::Argument, path.display(), "the size of a super-resolved image")
        .expected(format!("{w}×{h}"))
        .got(format!("{width}×{height}"))
}
