//! Where samples come from: LMDBs, folders, and words drawn on the fly.

use super::fault::{Fault, Reason};
use super::places;
use crate::data::lmdb::{FILE, Reader};
use crate::data::picture::{RgbImage, decode};
use crate::data::synth::{Synth, SynthOptions};
use crate::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A labelled image, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The coarse image; without one it is made from the sharp one.
    pub lr: Option<RgbImage>,
    /// The sharp image.
    pub hr: RgbImage,
    /// The label as stored.
    pub label: String,
    /// Left and right end of each character in parts of the width; empty where nobody knows.
    pub characters: Vec<(f32, f32)>,
    /// What is wrong with a part of it that it can do without, and that is left away.
    pub flaw: Option<Fault>,
}

/// Samples with numbers.
pub trait Source: Send + Sync {
    /// Number of samples, broken ones included.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sample of a number below [`Source::len`].
    ///
    /// # Errors
    /// What is wrong with it.
    fn get(&self, index: usize) -> Result<Sample, Fault>;
}

/// Opens what a data argument names:
///
/// - an LMDB folder (or its `data.mdb`): pairs under TextZoom's keys `image_hr-%09d`, `image_lr-%09d`,
///   or single images under `image-%09d`; labels under `label-%09d`; where the characters stand, if
///   that is known, under `places-%09d`;
/// - a folder with `labels.tsv` (a file's name, a tab, its label on each line; a first line that
///   begins with `file` and further columns are passed over) and either folders `hr` and `lr` with
///   these files, or the files themselves beside it; where the characters stand, if that is known, in
///   `places.tsv` (a file's name, a tab, the places on each line);
/// - `synth:` and options between commas, `count=N` (a million), `seed=S` (0), `fonts=DIR` (may be
///   repeated), `words=FILE`, `backgrounds=DIR`: words drawn as they are asked for.
///
/// Places are `left:right` for each character of the label, the ends of its ink in parts of the image's
/// width, with blanks between: `0.05:0.21 0.23:0.4`. Where they are no such thing, the sample is used as
/// one without, and [counted](Reason::Places).
///
/// # Errors
/// [`ErrorKind::Argument`] when it is none of these, [`ErrorKind::Io`] and [`ErrorKind::Format`].
pub fn open(name: &str) -> Result<Box<dyn Source>> {
    if let Some(options) = name.strip_prefix("synth:") {
        return Ok(Box::new(Drawing::new(options)?));
    }
    let path = Path::new(name);
    if path.is_file() || path.join(FILE).is_file() {
        Ok(Box::new(Lmdb::open(path)?))
    } else if path.join(LABELS).is_file() {
        Ok(Box::new(Folder::open(path)?))
    } else {
        Err(Error::new(ErrorKind::Argument, name, "a source of word images")
            .expected(format!("an LMDB folder, a folder with {LABELS}, or synth:"))
            .got(if path.exists() { "something else" } else { "nothing there" }))
    }
}

pub(super) const LABELS: &str = "labels.tsv";
pub(super) const PLACES: &str = "places.tsv";

/// A sample with places from their text, where there is one.
fn placed(sample: Sample, text: Option<Result<String, Fault>>) -> Sample {
    let found = text.map(|text| text.and_then(|text| places::read(&text, &sample.label)));
    match found {
        None => sample,
        Some(Ok(characters)) => Sample { characters, ..sample },
        Some(Err(flaw)) => Sample { flaw: Some(flaw), ..sample },
    }
}

fn image(bytes: &[u8], place: &str) -> Result<RgbImage, Fault> {
    match decode(bytes, place) {
        Ok(decoded) => Ok(decoded.image),
        Err(e) => Err(Fault::new(Reason::Unreadable, e)),
    }
}

/// Most bytes of a file.
const LARGEST: u64 = 1 << 28;

fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("the file is too large"));
    }
    Ok(bytes)
}

struct Lmdb {
    reader: Reader,
    len: usize,
}

impl Lmdb {
    fn open(path: &Path) -> Result<Self> {
        let reader = Reader::open(path)?;
        let stored = reader.get(b"num-samples")?;
        let text = stored.as_deref().map(String::from_utf8_lossy);
        // Keys have nine digits.
        let len = text.as_deref().and_then(|t| t.trim().parse().ok());
        let len = len.filter(|&n: &usize| n < 1_000_000_000).ok_or_else(|| {
            Error::new(ErrorKind::Format, reader.path().display(), "num-samples")
                .expected("a number of at most nine digits")
                .got(text.map_or("no such key".into(), |t| format!("{:.40?}", t)))
        })?;
        Ok(Lmdb { reader, len })
    }

    fn value(&self, kind: &str, number: usize) -> Result<Option<Vec<u8>>, Fault> {
        let value = self.reader.get(format!("{kind}-{number:09}").as_bytes());
        value.map_err(|e| Fault::new(Reason::Storage, e))
    }

    fn image(&self, kind: &str, number: usize) -> Result<RgbImage, Fault> {
        let bytes = self
            .value(kind, number)?
            .ok_or_else(|| Fault::new(Reason::Missing, format!("no {kind}-{number:09}")))?;
        image(&bytes, &format!("{kind}-{number:09}"))
    }
}

impl Source for Lmdb {
    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, index: usize) -> Result<Sample, Fault> {
        let number = index + 1;
        // The reference takes a missing label for an empty one.
        let label = self.value("label", number)?.unwrap_or_default();
        let label = String::from_utf8_lossy(&label).into_owned();
        let (lr, hr) = match self.value("image_hr", number)? {
            Some(bytes) => {
                let hr = image(&bytes, &format!("image_hr-{number:09}"))?;
                (Some(self.image("image_lr", number)?), hr)
            }
            None => (None, self.image("image", number)?),
        };
        let places = self.value("places", number).map_err(|f| Fault::new(Reason::Places, f.detail));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let places = places.map(|bytes| bytes.map(text)).transpose();
        Ok(placed(Sample { lr, hr, label, characters: Vec::new(), flaw: None }, places))
    }
}

/// The text of a file, without a byte order mark.
fn text(path: &Path) -> Result<String> {
    let bytes = contents(path).map_err(|e| Error::io(path.display(), "cannot be read", e))?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).into())
}

struct Folder {
    hr: PathBuf,
    lr: Option<PathBuf>,
    entries: Vec<(String, String)>,
    places: HashMap<String, String>,
}

impl Folder {
    fn open(path: &Path) -> Result<Self> {
        let entries = columns(&text(&path.join(LABELS))?);
        let places = path.join(PLACES);
        let places = if places.is_file() { columns(&text(&places)?) } else { Vec::new() };
        let places = places.into_iter().collect();
        let [hr, lr] = ["hr", "lr"].map(|part| path.join(part));
        Ok(if hr.is_dir() && lr.is_dir() {
            Folder { hr, lr: Some(lr), entries, places }
        } else {
            Folder { hr: path.into(), lr: None, entries, places }
        })
    }
}

impl Source for Folder {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn get(&self, index: usize) -> Result<Sample, Fault> {
        let (file, label) = &self.entries[index];
        let read = |folder: &Path| {
            let path = folder.join(file);
            let bytes = contents(&path).map_err(|e| {
                let missing = e.kind() == io::ErrorKind::NotFound;
                let reason = if missing { Reason::Missing } else { Reason::Storage };
                Fault::new(reason, format!("{}: {e}", path.display()))
            })?;
            image(&bytes, &path.display().to_string())
        };
        let lr = self.lr.as_deref().map(read).transpose()?;
        let (hr, label) = (read(&self.hr)?, label.clone());
        let places = self.places.get(file).cloned().map(Ok);
        Ok(placed(Sample { lr, hr, label, characters: Vec::new(), flaw: None }, places))
    }
}

/// The first two columns of each line that has a first one, without a header.
fn columns(text: &str) -> Vec<(String, String)> {
    let entry = |line: &str| {
        let mut columns = line.split('\t');
        let file = columns.next()?.trim();
        (!file.is_empty()).then(|| (file.into(), columns.next().unwrap_or_default().into()))
    };
    let header = |(i, line): &(usize, &str)| *i == 0 && line.starts_with("file\t");
    let lines = text.lines().enumerate().filter(|l| !header(l));
    lines.filter_map(|(_, line)| entry(line)).collect()
}

struct Drawing {
    synth: Synth,
    count: usize,
}

impl Drawing {
    fn new(text: &str) -> Result<Self> {
        let mut options = SynthOptions::default();
        let mut count = 1_000_000;
        for option in text.split(',').filter(|o| !o.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let bad = |expected: &str| {
                Error::new(ErrorKind::Argument, format!("synth:{text}"), name)
                    .expected(expected)
                    .got(format!("{value:?}"))
            };
            match name {
                "count" => {
                    let n = value.parse().ok().filter(|n| *n > 0);
                    count = n.ok_or_else(|| bad("a number from 1 on"))?;
                }
                "seed" => options.seed = value.parse().map_err(|_| bad("a number"))?,
                "fonts" => options.fonts.push(value.into()),
                "words" => options.words = Some(value.into()),
                "backgrounds" => options.backgrounds = Some(value.into()),
                _ => return Err(bad("count, seed, fonts, words or backgrounds")),
            }
        }
        Ok(Drawing { synth: Synth::new(&options)?, count })
    }
}

impl Source for Drawing {
    fn len(&self) -> usize {
        self.count
    }

    fn get(&self, index: usize) -> Result<Sample, Fault> {
        let word = self.synth.draw(index as u64);
        let (lr, characters) = (Some(word.lr), word.characters);
        Ok(Sample { lr, hr: word.hr, label: word.label, characters, flaw: None })
    }
}
