//! Where samples come from: LMDBs, folders, and words drawn on the fly.

use super::collection::{SYNTH, Set, set_in, sets};
use super::fault::{Fault, Reason};
use super::sample::{Sample, Source, image, placed};
use super::shards::Shards;
use super::{labels, shards};
use crate::data::lmdb::{self, Key, Reader};
use crate::data::picture::RgbImage;
use crate::data::synth::{Synth, SynthOptions};
use crate::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Opens what a data argument names:
///
/// - an LMDB folder (or its `data.mdb`): pairs under TextZoom's keys `image_hr-%09d`, `image_lr-%09d`,
///   or single images under `image-%09d`; labels under `label-%09d`; where the characters stand, if
///   that is known, under `places-%09d`;
/// - a folder with a [file of labels](super::labels), `labels.tsv`, `gt.txt`, `labels.txt` or `labels.csv`
///   (or that file), and either folders `hr` and `lr` with the files that it names, or those files beside
///   it; where the characters stand, if that is known, in `places.tsv` (a file's name, a tab, the places on
///   each line);
/// - a tar file in WebDataset's form, or a folder of such files: `NAME.hr.png` and `NAME.lr.png`, or one image `NAME.png`, with the
///   label in `NAME.txt`, and the places in `NAME.json` under the key `places`;
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
    if let Some(options) = name.strip_prefix(SYNTH) {
        return Ok(Box::new(Drawing::new(options)?));
    }
    let path = Path::new(name);
    if path.is_file() && shards::is_one(path) {
        return Ok(Box::new(Shards::open(&[path.into()])?));
    }
    if path.is_file() {
        return match is_list(path)? {
            true => Ok(Box::new(Folder::open(path)?)),
            false => Ok(Box::new(Lmdb::open(path)?)),
        };
    }
    let none = |got: String| {
        Error::new(ErrorKind::Argument, name, "a source of word images")
            .expected(format!(
                "an LMDB folder, a folder with {}, a tar file, or {SYNTH}",
                labels::NAMES.join(", ")
            ))
            .got(got)
    };
    match set_in(path) {
        Some(Set::Lmdb) => Ok(Box::new(Lmdb::open(path)?)),
        Some(Set::Labels(file)) => Ok(Box::new(Folder::open(&path.join(file))?)),
        Some(Set::Shards) => Ok(Box::new(Shards::open(&shards::in_folder(path)?)?)),
        None if !path.exists() => Err(none("nothing there".into())),
        None => match sets(name)?.as_slice() {
            [only] if only == name => Err(none("a folder without".into())),
            [only] => Err(none(format!("a folder with a set below it: {only}"))),
            all => Err(none(format!("{} sets below it: {}", all.len(), few(all)))),
        },
    }
}

/// The first of some names.
fn few(names: &[String]) -> String {
    let more = if names.len() > 8 { ", …" } else { "" };
    names.iter().take(8).map(String::as_str).collect::<Vec<_>>().join(", ") + more
}

/// Whether a file is one of labels: by its name, unless it begins as an LMDB does.
fn is_list(path: &Path) -> Result<bool> {
    let mut first = Vec::new();
    let read = File::open(path).and_then(|file| file.take(64).read_to_end(&mut first));
    read.map_err(|e| Error::io(path.display(), "cannot be read", e))?;
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    Ok(["tsv", "txt", "csv"].contains(&extension.as_str()) && !lmdb::is_one(&first))
}

pub(super) const PLACES: &str = "places.tsv";
/// The file of labels that this program writes.
pub(super) const LABELS: &str = labels::NAMES[0];

/// Most bytes of a file.
const LARGEST: u64 = 1 << 28;

fn contents(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe or a device has no end to rely on.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("not a file"));
    }
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
    /// What the keys of images begin with.
    images: &'static str,
}

const PAIRS: &str = "image_hr";
const SINGLE: &str = "image";

impl Lmdb {
    fn open(path: &Path) -> Result<Self> {
        let reader = Reader::open(path)?;
        let bad = |what: &str| Error::new(ErrorKind::Format, reader.path().display(), what);
        let stored = reader.get(b"num-samples")?;
        let text = stored.as_deref().map(String::from_utf8_lossy);
        // Keys have nine digits.
        let len = text.as_deref().and_then(|t| t.trim().parse().ok());
        let Some(len) = len.filter(|&n: &usize| n < 1_000_000_000) else {
            let got = text.map_or_else(|| "no such key".into(), |t| format!("{:.40?}", t));
            return Err(bad("num-samples")
                .expected("a number of at most nine digits")
                .got(got + &others(&reader.first_keys()?)));
        };
        let has = |kind: &str, number: usize| -> Result<bool> {
            Ok(reader.get(format!("{kind}-{number:09}").as_bytes())?.is_some())
        };
        let keys = reader.first_keys()?;
        let begins = |with: &str| keys.iter().any(|(key, _)| key.starts_with(with.as_bytes()));
        let pairs = has(PAIRS, 1)? || begins(PAIRS);
        // The number is an entry of its own, and each sample has an image or two.
        let entries = reader.entries().saturating_sub(1);
        let missing = len as u64 > entries / 2 && !has(PAIRS, len)? && !has(SINGLE, len)?;
        if len as u64 > entries || pairs && missing {
            return Err(bad("the store holds fewer samples than num-samples says")
                .expected(format!("what its {} entries can be", reader.entries()))
                .got(len));
        }
        if len > 0 && !pairs && !has(SINGLE, 1)? && !begins(SINGLE) {
            return Err(bad("keys of images")
                .expected(format!("{SINGLE}-{:09} or {PAIRS}-{:09}", 1, 1))
                .got(format!("no such key{}", others(&keys))));
        }
        let images = if pairs { PAIRS } else { SINGLE };
        Ok(Lmdb { reader, len, images })
    }

    fn value(&self, kind: &str, number: usize) -> Result<Option<Vec<u8>>, Fault> {
        let value = self.reader.get(format!("{kind}-{number:09}").as_bytes());
        value.map_err(|e| Fault::new(Reason::Storage, e))
    }

    fn is_single(&self, number: usize) -> Result<bool, Fault> {
        Ok(self.value(SINGLE, number)?.is_some())
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
        let (lr, hr) = match self.value(PAIRS, number)? {
            Some(bytes) => {
                let hr = image(&bytes, &format!("{PAIRS}-{number:09}"))?;
                (Some(self.image("image_lr", number)?), hr)
            }
            // Where all the others are pairs, this one lacks its half.
            None => (
                None,
                self.image(if self.is_single(number)? { SINGLE } else { self.images }, number)?,
            ),
        };
        let places = self.value("places", number).map_err(|f| Fault::new(Reason::Places, f.detail));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let places = places.map(|bytes| bytes.map(text)).transpose();
        Ok(placed(Sample { lr, hr, label, characters: Vec::new(), flaw: None }, places))
    }
}

/// What else an LMDB holds, for a message: databases with names, or keys.
fn others(keys: &[Key]) -> String {
    let shown = |(key, _): &Key| {
        String::from_utf8_lossy(&key[..key.len().min(40)]).escape_debug().to_string()
    };
    let named: Vec<String> = keys.iter().filter(|(_, named)| *named).map(shown).collect();
    let plain: Vec<String> = keys.iter().take(4).map(shown).collect();
    match (named.as_slice(), plain.as_slice()) {
        ([], []) => "; the store is empty".into(),
        ([], plain) => format!("; its keys begin with {}", plain.join(", ")),
        (named, _) => {
            format!(
                "; inside are databases named {}, which are not read: each wants a store of its own",
                few(named)
            )
        }
    }
}

/// The text of a file of places, without a byte order mark; what is malformed there is counted.
fn text(path: &Path) -> Result<String> {
    let bytes = contents(path).map_err(|e| Error::io(path.display(), "cannot be read", e))?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).into())
}

struct Folder {
    hr: PathBuf,
    lr: Option<PathBuf>,
    entries: Vec<labels::Entry>,
    places: HashMap<String, String>,
}

/// Files that are looked for before a file of labels is believed.
const LOOKED_FOR: usize = 20;

impl Folder {
    /// Opens the folder of the file `list`.
    fn open(list: &Path) -> Result<Self> {
        let bytes = contents(list).map_err(|e| Error::io(list.display(), "cannot be read", e))?;
        let mut entries = labels::read(&bytes, &list.display().to_string())?;
        let path = match list.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let places = path.join(PLACES);
        let places = if places.is_file() { columns(&text(&places)?) } else { Vec::new() };
        let places = places.into_iter().collect();
        let [hr, lr] = ["hr", "lr"].map(|part| path.join(part));
        let (hr, lr) = match hr.is_dir() && lr.is_dir() {
            true => (hr, Some(lr)),
            false => (path.into(), None),
        };
        for (file, _) in &mut entries {
            // Windows' way to write a path.
            if file.contains('\\') && !hr.join(&*file).exists() {
                *file = file.replace('\\', "/");
            }
        }
        let mut first = entries.iter().take(LOOKED_FOR).map(|(file, _)| hr.join(file));
        if let Some(missing) =
            first.next().filter(|file| !file.exists() && !first.any(|f| f.exists()))
        {
            return Err(Error::new(
                ErrorKind::Format,
                list.display(),
                "none of the files it names is there",
            )
            .expected(format!("names of images in {}", hr.display()))
            .got(format!("{}, which is not there", missing.display())));
        }
        Ok(Folder { hr, lr, entries, places })
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

    fn file(&self, index: usize) -> Option<&str> {
        Some(&self.entries[index].0)
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
