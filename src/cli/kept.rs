//! How a set of words is kept that a command writes.

use crate::Result;
use crate::data::words::{Layout, Store};
use std::path::Path;

/// The form of a set.
#[derive(Debug, clap::Args)]
pub struct SetArgs {
    /// How the set is kept [default: tar for a name that ends in .tar, else lmdb]
    #[arg(long, value_enum)]
    format: Option<SetFormat>,
    /// A folder of tar files of so many words each, in place of one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    per_tar: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum SetFormat {
    /// One LMDB file, as TextZoom's
    Lmdb,
    /// PNG files and labels.tsv; pairs in folders hr and lr
    Folder,
    /// Tar files in WebDataset's form: .hr.png, .lr.png, .txt and .json, or .png, .txt and .json
    Tar,
}

impl SetArgs {
    /// Starts the set `out`, which must not exist.
    ///
    /// # Errors
    /// As [`Store::create`].
    pub fn create(&self, out: &Path) -> Result<Store> {
        let tar = out.extension().is_some_and(|e| e.eq_ignore_ascii_case("tar"));
        let tar = (tar || self.per_tar.is_some()).then_some(SetFormat::Tar);
        let layout = match self.format.or(tar).unwrap_or(SetFormat::Lmdb) {
            SetFormat::Lmdb => Layout::Lmdb,
            SetFormat::Folder => Layout::Folder,
            SetFormat::Tar => Layout::Tar(self.per_tar.map(|n| n as usize)),
        };
        Store::create(out, layout)
    }
}
