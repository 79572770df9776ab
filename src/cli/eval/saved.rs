//! The images and readings of an evaluation, as sets of pairs again.

use crate::Result;
use crate::cli::Global;
use crate::cli::paths::make_folder;
use crate::cli::say::{count, say};
use crate::data::picture::{Format, encode, write_file};
use crate::data::words;
use crate::eval::{Contest, Pictures, Record, WordRecord};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The images of each set in a folder of its own, which is a set of pairs again: `lr/`, `sr/`, `hr/` and `labels.tsv`. Of several
/// methods each has its `sr-NAME/`.
pub struct SavedImages {
    folders: HashMap<String, PathBuf>,
    /// Names of the folders of images, the poor ones first and the good ones last.
    sides: Vec<String>,
    heading: String,
    labels: BTreeMap<String, String>,
    /// Samples whose labels no line can hold.
    unfit: Vec<String>,
}

impl SavedImages {
    /// Makes the folders.
    pub fn below(folder: &Path, contest: &Contest) -> Result<Self> {
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
        Ok(SavedImages { folders, sides, heading, labels: BTreeMap::new(), unfit: Vec::new() })
    }

    /// Writes the images of a word.
    pub fn save(&mut self, record: &Record, pictures: &Pictures, overwrite: bool) -> Result<()> {
        let fits = |word: &WordRecord| words::fits_a_line(&word.label);
        if !record.word.as_ref().is_some_and(fits) {
            return Ok(());
        }
        let images = [&pictures.lr].into_iter().chain(&pictures.made).chain([&pictures.hr]);
        for (side, image) in self.sides.iter().zip(images) {
            let bytes = encode(image, Format::Png)?;
            let path = self.folders[&record.set].join(side).join(file(record));
            write_file(&path, &bytes, overwrite)?;
        }
        Ok(())
    }

    /// Adds the label and the readings of a word.
    pub fn note(&mut self, record: &Record) {
        let Some(word) = &record.word else { return };
        if !words::fits_a_line(&word.label) {
            self.unfit.push(format!("{}: sample {}, {:?}", record.set, record.sample, word.label));
            return;
        }
        let labels = self.labels.entry(record.set.clone()).or_insert_with(|| self.heading.clone());
        *labels += &format!("{}\t{}", file(record), word.label);
        for j in 0..word.lr.len() {
            let made = word.methods.iter().map(|m| &m.readings[j]);
            for text in [&word.lr[j]].into_iter().chain(made).chain([&word.hr[j]]) {
                *labels += &format!("\t{text}");
            }
        }
        labels.push('\n');
    }

    /// Writes the files of labels.
    pub fn close(self, global: &Global, overwrite: bool) -> Result<()> {
        if let (Some(first), false) = (self.unfit.first(), global.quiet) {
            let samples = count(self.unfit.len(), "sample");
            say!(
                "note: {samples} not saved: a tab or the end of a line in the label, as in {first}"
            );
        }
        self.labels.iter().try_for_each(|(set, labels)| {
            write_file(&self.folders[set].join("labels.tsv"), labels.as_bytes(), overwrite)
        })
    }
}

fn file(record: &Record) -> String {
    format!("{:06}.png", record.sample)
}
