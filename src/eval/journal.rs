//! The journal of an evaluation: a file with a line for each sample, from which one that was interrupted goes on.

use super::evaluation::Evaluation;
use super::record::Record;
use super::score::BATCH;
use crate::{Error, ErrorKind, Result};
use serde_json::Value;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A journal that is being written. Its first line says of what it is; batches are added as a whole.
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Begins one at `path`; what is there goes if `overwrite`, or if it holds no sample yet.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] where there is one already, [`ErrorKind::Io`].
    pub fn begin(path: &Path, of: &Value, overwrite: bool) -> Result<Self> {
        let samples = || File::open(path).map(|file| BufReader::new(file).lines().nth(1).is_some());
        if !overwrite && samples().unwrap_or_else(|_| path.symlink_metadata().is_ok()) {
            return Err(Error::new(ErrorKind::Argument, path.display(), "a journal is there")
                .expected("no evaluation that was interrupted")
                .hint("--resume goes on with it, --overwrite begins anew"));
        }
        let mut journal = Journal::open(path)?;
        journal.file.set_len(0).map_err(|e| journal.failed(e))?;
        journal.write(&format!("{of}\n"))?;
        Ok(journal)
    }

    /// Goes on with the one at `path`: adds what it holds to `evaluation`, in whole batches. What follows the last whole one is cut
    /// off, since it matters to the last bit which images go through a network together.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] where it is of another evaluation, [`ErrorKind::Format`] for lines that are none of a journal,
    /// [`ErrorKind::Io`].
    pub fn resume(path: &Path, of: &Value, evaluation: &mut Evaluation) -> Result<Self> {
        let mut journal = Journal::open(path)?;
        let end = replay(&journal.file, path, of, evaluation)?;
        let failed = |e| Error::io(path.display(), "the journal cannot be written", e);
        journal.file.set_len(end).map_err(failed)?;
        journal.file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(journal)
    }

    fn open(path: &Path) -> Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file =
            file.map_err(|e| Error::io(path.display(), "the journal cannot be opened", e))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                Err(Error::new(ErrorKind::Argument, path.display(), "a journal")
                    .got("one that another process is writing"))
            }
            // Where files have no locks, nobody is kept out.
            _ => Ok(Journal { path: path.into(), file }),
        }
    }

    /// Adds a batch.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub fn add(&mut self, records: &[Record]) -> Result<()> {
        let line = |r: &Record| serde_json::to_string(r).expect("a record is plain data") + "\n";
        self.write(&records.iter().map(line).collect::<String>())
    }

    /// Hands every record to `each`, from the first.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], [`ErrorKind::Format`], and what `each` returns.
    pub fn records(&self, mut each: impl FnMut(Record) -> Result<()>) -> Result<()> {
        let failed = |e| Error::io(self.path.display(), "the journal cannot be read", e);
        let lines = BufReader::new(File::open(&self.path).map_err(failed)?).lines();
        for (i, line) in lines.enumerate().skip(1) {
            each(record(&line.map_err(failed)?, &self.path, i + 1)?)?;
        }
        Ok(())
    }

    /// Gives the whole journal the name `kept`, or removes it.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub fn finish(self, kept: Option<&Path>) -> Result<()> {
        let done = match kept {
            Some(kept) => self.file.sync_all().and_then(|()| std::fs::rename(&self.path, kept)),
            None => std::fs::remove_file(&self.path),
        };
        done.map_err(|e| self.failed(e))
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.file.write_all(text.as_bytes()).map_err(|e| self.failed(e))
    }

    fn failed(&self, e: std::io::Error) -> Error {
        Error::io(self.path.display(), "the journal cannot be written", e)
    }
}

/// Adds the whole batches of a journal to `evaluation`; returns where the last of them ends.
fn replay(file: &File, path: &Path, of: &Value, evaluation: &mut Evaluation) -> Result<u64> {
    let mut lines = BufReader::new(file);
    let mut line = String::new();
    let mut next = |line: &mut String| -> Result<usize> {
        line.clear();
        let failed = |e| Error::io(path.display(), "the journal cannot be read", e);
        let read = lines.read_line(line).map_err(failed)?;
        // A line that was not finished is none.
        Ok(if line.ends_with('\n') { read } else { 0 })
    };
    let mut end = next(&mut line)? as u64;
    if let Some(differs) = difference(&line, of) {
        return Err(Error::new(
            ErrorKind::Argument,
            path.display(),
            "the evaluation to go on with",
        )
        .expected("the one that was begun there")
        .got(format!("another: {differs}"))
        .hint("--overwrite begins anew"));
    }
    let (mut at, mut batch, mut number) = (end, Vec::new(), 1);
    loop {
        let read = next(&mut line)?;
        if read == 0 {
            return Ok(end);
        }
        (at, number) = (at + read as u64, number + 1);
        batch.push(record(&line, path, number)?);
        if ends(&batch, evaluation) {
            batch.drain(..).for_each(|r: Record| evaluation.see(&r));
            end = at;
        }
    }
}

fn record(line: &str, path: &Path, number: usize) -> Result<Record> {
    serde_json::from_str(line).map_err(|e| {
        Error::new(ErrorKind::Format, path.display(), format!("line {number} of a journal"))
            .detail(e)
    })
}

/// Whether a batch is whole: with 64 words, or at the end of its set.
fn ends(batch: &[Record], evaluation: &Evaluation) -> bool {
    let last = batch.last().expect("a record");
    let words = batch.iter().filter(|r| r.word.is_some()).count();
    let set = evaluation.sets.iter().find(|s| s.id == last.set);
    last.word.is_some() && words == BATCH || set.is_some_and(|s| s.samples == last.sample)
}

/// In what the first line of a journal is not that of an evaluation.
fn difference(line: &str, of: &Value) -> Option<String> {
    let Ok(begun) = serde_json::from_str::<Value>(line) else {
        return Some("its first line says of none".into());
    };
    let (Some(begun), Some(now)) = (begun.as_object(), of.as_object()) else {
        return Some("its first line says of none".into());
    };
    let other = now.iter().find(|(key, value)| begun.get(*key) != Some(value));
    other.map(|(key, now)| {
        let then = begun.get(key).map_or("nothing".into(), Value::to_string);
        format!("{key} was {then} and is {now}")
    })
}
