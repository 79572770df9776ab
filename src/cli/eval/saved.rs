//! The images and readings of an evaluation, as sets of pairs again.

use crate::cli::Global;
use crate::cli::paths::make_folder;
use crate::cli::say::{count, say};
use crate::data::part::UnfinishedFile;
use crate::data::picture::{Format, encode, write_file};
use crate::data::words;
use crate::eval::{Contest, Journal, Pictures, Record, WordRecord};
use crate::{Error, Result};
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The images of each set in a folder of its own, which is a set of pairs again: `lr/`, `sr/`, `hr/` and `labels.tsv`. Of several
/// methods each has its `sr-NAME/`.
pub struct SavedImages {
    folders: HashMap<String, PathBuf>,
    /// Names of the folders of images, the poor ones first and the good ones last.
    sides: Vec<String>,
    heading: String,
    /// Whether what is there is written over.
    overwrite: bool,
}

impl SavedImages {
    /// Makes the folders.
    pub fn below(folder: &Path, contest: &Contest, overwrite: bool) -> Result<Self> {
        let plain = |name: &str| -> String {
            name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect()
        };
        let made: Vec<String> = match contest.methods {
            [_] => vec!["sr".into()],
            several => several.iter().map(|m| format!("sr-{}", plain(m.name()))).collect(),
        };
        let sides: Vec<String> =
            ["lr".to_string()].into_iter().chain(made).chain(["hr".to_string()]).collect();
        let mut folders = HashMap::new();
        for set in contest.sets {
            let folder = folder.join(set.id());
            sides.iter().try_for_each(|side| make_folder(&folder.join(side)))?;
            folders.insert(set.id(), folder);
        }
        let columns = contest.judges.iter().flat_map(|judge| {
            let judge = match contest.judges.len() {
                1 => String::new(),
                _ => format!("{} ", judge.name()),
            };
            sides.iter().map(move |side| format!("\t{judge}{side}"))
        });
        let heading = format!("file\tlabel{}\n", columns.collect::<String>());
        Ok(SavedImages { folders, sides, heading, overwrite })
    }

    /// Writes the images of a word.
    pub fn save(&self, record: &Record, pictures: &Pictures) -> Result<()> {
        let fits = |word: &WordRecord| words::fits_a_line(&word.label);
        if !record.word.as_ref().is_some_and(fits) {
            return Ok(());
        }
        let images = [&pictures.lr].into_iter().chain(&pictures.made).chain([&pictures.hr]);
        for (side, image) in self.sides.iter().zip(images) {
            let bytes = encode(image, Format::Png)?;
            let path = self.folders[&record.set].join(side).join(file(record));
            write_file(&path, &bytes, self.overwrite)?;
        }
        Ok(())
    }

    /// Writes the files of labels, with the readings, from the journal.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn close(self, journal: &Journal, global: &Global) -> Result<()> {
        let mut open: Option<Labels> = None;
        let (mut unfit, mut first) = (0, String::new());
        journal.records(|record| {
            let Some(word) = &record.word else { return Ok(()) };
            if !words::fits_a_line(&word.label) {
                if unfit == 0 {
                    first = format!("{}: sample {}, {:?}", record.set, record.sample, word.label);
                }
                unfit += 1;
                return Ok(());
            }
            if open.as_ref().is_none_or(|labels| labels.set != record.set) {
                let next = Labels::of(&record.set, &self.folders[&record.set], &self.heading)?;
                open.replace(next).map_or(Ok(()), |whole| whole.finish(self.overwrite))?;
            }
            open.as_mut().map_or(Ok(()), |labels| labels.add(&line(&record, word)))
        })?;
        if unfit > 0 && !global.quiet {
            say!(
                "note: {} not saved: a tab or the end of a line in the label, as in {first}",
                count(unfit, "sample")
            );
        }
        open.map_or(Ok(()), |whole| whole.finish(self.overwrite))
    }
}

/// The line of a word: file, label and readings.
fn line(record: &Record, word: &WordRecord) -> String {
    let mut line = format!("{}\t{}", file(record), word.label);
    for j in 0..word.lr.len() {
        let made = word.methods.iter().map(|m| &m.readings[j]);
        for text in [&word.lr[j]].into_iter().chain(made).chain([&word.hr[j]]) {
            line += &format!("\t{text}");
        }
    }
    line + "\n"
}

/// A file of labels in the making.
struct Labels {
    set: String,
    path: PathBuf,
    part: UnfinishedFile,
}

impl Labels {
    fn of(set: &str, folder: &Path, heading: &str) -> Result<Self> {
        let path = folder.join("labels.tsv");
        let part = UnfinishedFile::beside(&path)
            .map_err(|e| Error::io(path.display(), "creating a file beside it", e))?;
        let mut labels = Labels { set: set.into(), path, part };
        labels.add(heading)?;
        Ok(labels)
    }

    fn add(&mut self, line: &str) -> Result<()> {
        let written = self.part.file().write_all(line.as_bytes());
        written.map_err(|e| Error::io(self.path.display(), "writing", e))
    }

    fn finish(self, overwrite: bool) -> Result<()> {
        let done = self.part.finish(&self.path, overwrite);
        done.map_err(|e| Error::io(self.path.display(), "finishing the file", e))
    }
}

fn file(record: &Record) -> String {
    format!("{:06}.png", record.sample)
}
