//! Writes samples into one tar file, or a folder of them.

use super::shards::EXTENSION;
use crate::data::part::{PartFolder, UnfinishedFile};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Tar files in the making.
pub(super) struct TarWriter {
    place: Place,
    /// Samples in the file that is written to.
    count: usize,
    /// Files begun.
    files: usize,
    tar: Option<tar::Builder<BufWriter<File>>>,
}

enum Place {
    One(UnfinishedFile),
    /// A folder of files of so many samples.
    Several(PartFolder, usize),
}

impl TarWriter {
    /// Starts one file `place`, or a folder of files of `samples` each.
    pub(super) fn create(place: &Path, samples: Option<usize>) -> io::Result<Self> {
        let place = match samples {
            None => Place::One(UnfinishedFile::beside(place)?),
            Some(samples) => Place::Several(PartFolder::beside(place)?, samples.max(1)),
        };
        Ok(TarWriter { place, count: 0, files: 0, tar: None })
    }

    /// Adds the files of a sample.
    pub(super) fn add<'a>(
        &mut self,
        name: &str,
        files: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> io::Result<()> {
        if matches!(self.place, Place::Several(_, samples) if self.count == samples) {
            self.close()?;
        }
        if self.tar.is_none() {
            self.open()?;
        }
        let tar = self.tar.as_mut().expect("an open file");
        for (kind, bytes) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(0);
            tar.append_data(&mut header, format!("{name}.{kind}"), bytes)?;
        }
        self.count += 1;
        Ok(())
    }

    fn open(&mut self) -> io::Result<()> {
        let file = match &self.place {
            Place::One(file) => file.file().try_clone()?,
            Place::Several(folder, _) => {
                File::create_new(folder.path().join(format!("{:06}.{EXTENSION}", self.files)))?
            }
        };
        (self.files, self.count) = (self.files + 1, 0);
        self.tar = Some(tar::Builder::new(BufWriter::with_capacity(1 << 20, file)));
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        let Some(tar) = self.tar.take() else { return Ok(()) };
        let mut buffer = tar.into_inner()?;
        buffer.flush()?;
        buffer.get_ref().sync_all()
    }

    /// Completes the files and gives them their name.
    pub(super) fn finish(mut self, place: &Path) -> io::Result<()> {
        if self.files == 0 {
            self.open()?;
        }
        self.close()?;
        match self.place {
            Place::One(file) => file.finish(place, false),
            Place::Several(folder, _) => folder.finish(place),
        }
    }
}
