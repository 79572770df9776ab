//! Tar files in WebDataset's form: the files of a sample stand one behind the other and share their name up to its first dot.
//!
//! A sample is `NAME.hr.png` and `NAME.lr.png`, or one image `NAME.png`; with `NAME.txt`, the label, and `NAME.json`, whose key
//! `places` says where its characters stand. Images may be of every kind that is read; other files are passed over.

use super::fault::{Fault, Reason};
use super::sample::{Sample, Source, image, placed};
use crate::data::picture::Kind;
use crate::{Error, ErrorKind, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What the name of such a file ends with.
pub(super) const EXTENSION: &str = "tar";

/// Bytes of a block, of which a tar file consists.
const BLOCK: usize = 512;

/// Whether a path is that of a tar file, by its name.
pub(super) fn is_one(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case(EXTENSION))
}

/// The tar files in a folder, in the order of their names.
///
/// # Errors
/// [`ErrorKind::Io`] when the folder cannot be read.
pub(super) fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e| Error::io(folder.display(), "the folder cannot be read", e);
    let mut found = Vec::new();
    for entry in folder.read_dir().map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if is_one(&path) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Where the bytes of a file lie in its tar.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u64,
    bytes: u64,
}

/// The files of a sample.
#[derive(Debug, Default)]
struct Member {
    shard: usize,
    name: String,
    single: Option<Span>,
    hr: Option<Span>,
    lr: Option<Span>,
    label: Option<Span>,
    more: Option<Span>,
}

/// The samples of one tar file or several.
pub(super) struct Shards {
    files: Vec<(PathBuf, Mutex<File>)>,
    members: Vec<Member>,
}

impl Shards {
    /// Reads the names in `paths`.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], and [`ErrorKind::Format`] for what is no tar file, is cut short, or holds no sample.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self> {
        let mut all = Shards { files: Vec::new(), members: Vec::new() };
        for path in paths {
            all.add(path)?;
        }
        if all.members.is_empty() {
            let places: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
            return Err(Error::new(ErrorKind::Format, places.join(", "), "no sample is inside")
                .expected("NAME.hr.png and NAME.lr.png, or NAME.png, with NAME.txt"));
        }
        Ok(all)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let failed = |e| Error::io(path.display(), "cannot be read", e);
        let damaged = |what: String| Error::new(ErrorKind::Format, path.display(), what);
        let shard = self.files.len();
        let file = File::open(path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        let mut archive = tar::Archive::new(&file);
        let mut end = 0;
        let entries = archive.entries_with_seek().map_err(failed)?;
        for entry in entries {
            let entry = entry.map_err(|e| damaged(format!("a damaged tar file: {e}")))?;
            let span = Span { start: entry.raw_file_position(), bytes: entry.size() };
            if span.start.checked_add(span.bytes).is_none_or(|end| end > len) {
                return Err(damaged("the tar file is cut short".into()));
            }
            end = (span.start + span.bytes).next_multiple_of(BLOCK as u64);
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if entry.header().entry_type().is_file() {
                self.note(shard, &name, span);
            }
        }
        // A block of zeros. Without it, whatever stood behind the last sample is not there, and nobody would miss it.
        let mut mark = [1; BLOCK];
        let marked = (&file).seek(SeekFrom::Start(end)).and_then(|_| (&file).read_exact(&mut mark));
        if marked.is_err() || mark != [0; BLOCK] {
            return Err(damaged("the tar file has no end: it was cut, or is being written".into()));
        }
        self.files.push((path.into(), Mutex::new(file)));
        Ok(())
    }

    /// Notes the file `name`, if it is one of a sample's.
    fn note(&mut self, shard: usize, name: &str, span: Span) {
        let (folder, file) = name.rsplit_once('/').map_or(("", name), |(f, n)| (f, n));
        let Some((stem, kind)) = file.split_once('.').filter(|(stem, _)| !stem.is_empty()) else {
            return;
        };
        let kind = kind.to_lowercase();
        let is_image = |kind: &str| Kind::from_path(Path::new(&format!("x.{kind}"))).is_some();
        let place: fn(&mut Member) -> &mut Option<Span> = match kind.split_once('.') {
            Some(("hr", image)) if is_image(image) => |m| &mut m.hr,
            Some(("lr", image)) if is_image(image) => |m| &mut m.lr,
            None if kind == "txt" => |m| &mut m.label,
            None if kind == "json" => |m| &mut m.more,
            None if is_image(&kind) => |m| &mut m.single,
            _ => return,
        };
        let name = if folder.is_empty() { stem.to_string() } else { format!("{folder}/{stem}") };
        if self.members.last().is_none_or(|last| last.shard != shard || last.name != name) {
            self.members.push(Member { shard, name, ..Member::default() });
        }
        let last = self.members.last_mut().expect("a sample");
        *place(last) = Some(span);
    }

    fn bytes(&self, member: &Member, span: Span) -> Result<Vec<u8>, Fault> {
        let (path, file) = &self.files[member.shard];
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        let read = file
            .seek(SeekFrom::Start(span.start))
            .and_then(|_| (&mut *file).take(span.bytes).read_to_end(&mut bytes));
        match read {
            Ok(n) if n as u64 == span.bytes => Ok(bytes),
            Ok(_) => Err(Fault::new(Reason::Storage, format!("{} was cut", path.display()))),
            Err(e) => Err(Fault::new(Reason::Storage, format!("{}: {e}", path.display()))),
        }
    }

    fn text(&self, member: &Member, span: Span) -> Result<String, Fault> {
        Ok(String::from_utf8_lossy(&self.bytes(member, span)?).into_owned())
    }

    /// Where the characters stand, if the sample says it.
    fn places(&self, member: &Member) -> Option<Result<String, Fault>> {
        let json: Result<serde_json::Value, Fault> = self
            .text(member, member.more?)
            .and_then(|t| serde_json::from_str(&t).map_err(|e| Fault::new(Reason::Places, e)));
        match json {
            Ok(json) => Some(Ok(json["places"].as_str()?.to_string())),
            Err(fault) => Some(Err(Fault::new(Reason::Places, fault.detail))),
        }
    }
}

impl Source for Shards {
    fn len(&self) -> usize {
        self.members.len()
    }

    fn get(&self, index: usize) -> Result<Sample, Fault> {
        let member = &self.members[index];
        let picture = |span: Span| image(&self.bytes(member, span)?, &member.name);
        let missing = || Fault::new(Reason::Missing, format!("no image of {}", member.name));
        let hr = picture(member.hr.or(member.single).ok_or_else(missing)?)?;
        let lr = member.lr.map(picture).transpose()?;
        let label = member.label.map(|span| self.text(member, span)).transpose()?;
        let label = label.unwrap_or_default().trim_end_matches(['\n', '\r']).to_string();
        let sample = Sample { lr, hr, label, characters: Vec::new(), flaw: None };
        Ok(placed(sample, self.places(member)))
    }

    fn file(&self, index: usize) -> Option<&str> {
        Some(&self.members[index].name)
    }
}
