//! Writes sets of word images, which [`Source`](super::Source) reads.

use super::places;
use super::source::{LABELS, PLACES};
use crate::data::lmdb::{FILE, Writer};
use crate::data::part::PartFolder;
use crate::{Error, ErrorKind, Result};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// How a set of pairs is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// TextZoom's: an LMDB with `num-samples` and, from 1 on, `label-%09d`, `image_hr-%09d` and
    /// `image_lr-%09d`; besides, where the places of the characters are known, `places-%09d`.
    Lmdb,
    /// Folders `hr` and `lr` of PNG files, and `labels.tsv`: on each line a file's name, a tab, and
    /// its label; besides, where the places of characters are known, `places.tsv` of the same kind.
    Folder,
}

/// A set in the making, in a hidden folder beside its place until it is whole.
pub struct Store {
    place: PathBuf,
    folder: PartFolder,
    count: usize,
    kind: Kind,
}

enum Kind {
    Lmdb(Writer),
    Folder { labels: String, places: String },
}

impl Store {
    /// Starts the set `place`, which must not exist; the folder it lies in must.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] when there is something, [`ErrorKind::Io`].
    pub fn create(place: &Path, layout: Layout) -> Result<Self> {
        refuse_existing(place)?;
        let failed = |e| Error::io(place.display(), "cannot be created", e);
        let folder = PartFolder::beside(place).map_err(failed)?;
        let kind = match layout {
            Layout::Lmdb => Kind::Lmdb(Writer::create(&folder.path().join(FILE))?),
            Layout::Folder => {
                for part in ["hr", "lr"] {
                    std::fs::create_dir(folder.path().join(part)).map_err(failed)?;
                }
                Kind::Folder { labels: String::new(), places: String::new() }
            }
        };
        Ok(Store { place: place.to_owned(), folder, count: 0, kind })
    }

    /// Adds a pair: the label, the two image files, as bytes (PNG), and where the label's characters
    /// stand, as [`Sample`](super::Sample) has it; none where nobody knows.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] for a label that a file of labels cannot hold ([`fits_a_line`]),
    /// [`ErrorKind::Io`].
    pub fn add(
        &mut self,
        label: &str,
        hr: &[u8],
        lr: &[u8],
        characters: &[(f32, f32)],
    ) -> Result<()> {
        self.count += 1;
        let known = (!characters.is_empty()).then(|| places::written(characters));
        let n = self.count;
        match &mut self.kind {
            Kind::Lmdb(writer) => {
                writer.put(format!("image_hr-{n:09}").as_bytes(), hr)?;
                writer.put(format!("image_lr-{n:09}").as_bytes(), lr)?;
                writer.put(format!("label-{n:09}").as_bytes(), label.as_bytes())?;
                match known {
                    Some(known) => {
                        writer.put(format!("places-{n:09}").as_bytes(), known.as_bytes())
                    }
                    None => Ok(()),
                }
            }
            Kind::Folder { labels, places } => {
                if !fits_a_line(label) {
                    return Err(Error::new(ErrorKind::Argument, self.place.display(), "a label")
                        .expected("no tab and no end of a line in it")
                        .got(format!("{label:?}"))
                        .hint("an LMDB holds any label"));
                }
                let name = format!("{n:09}.png");
                for (part, bytes) in [("hr", hr), ("lr", lr)] {
                    let path = self.folder.path().join(part).join(&name);
                    std::fs::write(&path, bytes)
                        .map_err(|e| Error::io(path.display(), "cannot be written", e))?;
                }
                writeln!(labels, "{name}\t{label}").expect("a string takes everything");
                if let Some(known) = known {
                    writeln!(places, "{name}\t{known}").expect("a string takes everything");
                }
                Ok(())
            }
        }
    }

    /// Completes the set and gives it its name.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] when something took the place meanwhile, [`ErrorKind::Io`].
    pub fn finish(self) -> Result<()> {
        let failed = |e| Error::io(self.place.display(), "cannot be written", e);
        match self.kind {
            Kind::Lmdb(mut writer) => {
                writer.put(b"num-samples", self.count.to_string().as_bytes())?;
                writer.finish()?;
            }
            Kind::Folder { labels, places } => {
                std::fs::write(self.folder.path().join(LABELS), labels).map_err(failed)?;
                if !places.is_empty() {
                    std::fs::write(self.folder.path().join(PLACES), places).map_err(failed)?;
                }
            }
        }
        refuse_existing(&self.place)?;
        self.folder.finish(&self.place).map_err(failed)
    }
}

/// Whether a label is the same when it is read from a line of a file of labels.
pub fn fits_a_line(label: &str) -> bool {
    !label.contains(['\t', '\n', '\r', '\0'])
}

fn refuse_existing(place: &Path) -> Result<()> {
    match place.symlink_metadata() {
        Ok(_) => Err(Error::new(ErrorKind::Argument, place.display(), "a set's place")
            .expected("a name that is free")
            .got("something that is there, and is kept")),
        Err(_) => Ok(()),
    }
}
