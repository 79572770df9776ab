//! Writes sets of word images, which [`Source`](super::Source) reads.

use super::places;
use super::source::{LABELS, PLACES};
use super::tar_writer::TarWriter;
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
    /// Tar files of WebDataset's form: `NAME.hr.png`, `NAME.lr.png` and `NAME.txt`, the label, for each sample; besides, where the
    /// places of characters are known, `NAME.json`. Either one file, or a folder of files of so many samples.
    Tar(Option<usize>),
}

/// A set in the making, under a hidden name beside its place until it is whole.
pub struct Store {
    place: PathBuf,
    count: usize,
    kind: Kind,
}

enum Kind {
    Lmdb(PartFolder, Writer),
    Folder { folder: PartFolder, labels: String, places: String, pairs: Option<bool> },
    Tar(TarWriter),
}

impl Store {
    /// Starts the set `place`, which must not exist; the folder it lies in must.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] when there is something, [`ErrorKind::Io`].
    pub fn create(place: &Path, layout: Layout) -> Result<Self> {
        refuse_existing(place)?;
        let failed = |e| Error::io(place.display(), "cannot be created", e);
        let hidden = || PartFolder::beside(place).map_err(failed);
        let kind = match layout {
            Layout::Lmdb => {
                let folder = hidden()?;
                let writer = Writer::create(&folder.path().join(FILE))?;
                Kind::Lmdb(folder, writer)
            }
            Layout::Folder => {
                let (labels, places) = Default::default();
                Kind::Folder { folder: hidden()?, labels, places, pairs: None }
            }
            Layout::Tar(samples) => Kind::Tar(TarWriter::create(place, samples).map_err(failed)?),
        };
        Ok(Store { place: place.to_owned(), count: 0, kind })
    }

    /// Adds a pair, or a single image: the label, the sharp and the coarse image file, as bytes (PNG), and where the label's
    /// characters stand, as [`Sample`](super::Sample) has it; none where nobody knows.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] for a label that a file of labels cannot hold ([`fits_a_line`]), and for pairs beside single images
    /// in a folder, [`ErrorKind::Io`].
    pub fn add(
        &mut self,
        label: &str,
        hr: &[u8],
        lr: Option<&[u8]>,
        characters: &[(f32, f32)],
    ) -> Result<()> {
        self.count += 1;
        let known = (!characters.is_empty()).then(|| places::written(characters));
        let n = self.count;
        match &mut self.kind {
            Kind::Lmdb(_, writer) => {
                match lr {
                    Some(lr) => {
                        writer.put(format!("image_hr-{n:09}").as_bytes(), hr)?;
                        writer.put(format!("image_lr-{n:09}").as_bytes(), lr)?;
                    }
                    None => writer.put(format!("image-{n:09}").as_bytes(), hr)?,
                }
                writer.put(format!("label-{n:09}").as_bytes(), label.as_bytes())?;
                match known {
                    Some(known) => {
                        writer.put(format!("places-{n:09}").as_bytes(), known.as_bytes())
                    }
                    None => Ok(()),
                }
            }
            Kind::Tar(writer) => {
                let known = known.map(|places| serde_json::json!({ "places": places }).to_string());
                let files = [
                    (if lr.is_some() { "hr.png" } else { "png" }, Some(hr)),
                    ("lr.png", lr),
                    ("txt", Some(label.as_bytes())),
                    ("json", known.as_deref().map(str::as_bytes)),
                ];
                let files = files.into_iter().filter_map(|(kind, bytes)| Some((kind, bytes?)));
                writer
                    .add(&format!("{n:09}"), files)
                    .map_err(|e| Error::io(self.place.display(), "cannot be written", e))
            }
            Kind::Folder { folder, labels, places, pairs } => {
                if !fits_a_line(label) {
                    return Err(Error::new(ErrorKind::Argument, self.place.display(), "a label")
                        .expected("no tab and no end of a line in it")
                        .got(format!("{label:?}"))
                        .hint("an LMDB holds any label"));
                }
                let name = format!("{n:09}.png");
                let failed = |path: &Path, e| Error::io(path.display(), "cannot be written", e);
                let pair = [("hr", Some(hr)), ("lr", lr)];
                match (*pairs, lr.is_some()) {
                    (None, true) => {
                        for (part, _) in pair {
                            let path = folder.path().join(part);
                            std::fs::create_dir(&path).map_err(|e| failed(&path, e))?;
                        }
                    }
                    (Some(before), now) if before != now => {
                        return Err(Error::new(
                            ErrorKind::Argument,
                            self.place.display(),
                            "pairs and single images in one folder",
                        )
                        .expected("one sort")
                        .hint("an LMDB or a tar file holds both"));
                    }
                    _ => {}
                }
                *pairs = Some(lr.is_some());
                for (part, bytes) in pair {
                    let Some(bytes) = bytes else { continue };
                    let below = if lr.is_some() { part } else { "" };
                    let path = folder.path().join(below).join(&name);
                    std::fs::write(&path, bytes).map_err(|e| failed(&path, e))?;
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
        let folder = match self.kind {
            Kind::Lmdb(folder, mut writer) => {
                writer.put(b"num-samples", self.count.to_string().as_bytes())?;
                writer.finish()?;
                folder
            }
            Kind::Folder { folder, labels, places, .. } => {
                std::fs::write(folder.path().join(LABELS), labels).map_err(failed)?;
                if !places.is_empty() {
                    std::fs::write(folder.path().join(PLACES), places).map_err(failed)?;
                }
                folder
            }
            Kind::Tar(writer) => {
                refuse_existing(&self.place)?;
                return writer.finish(&self.place).map_err(failed);
            }
        };
        refuse_existing(&self.place)?;
        folder.finish(&self.place).map_err(failed)
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
