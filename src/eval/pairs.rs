//! Where pairs of images come from.

use crate::data::picture::{RgbImage, decode};
use crate::{Error, ErrorKind, Result};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A word twice: as a poor and as a good image, of any size, and what is written there.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The poor image.
    pub lr: RgbImage,
    /// The good image.
    pub hr: RgbImage,
    /// What is written there.
    pub label: String,
}

/// A set of pairs in a fixed order.
pub trait Pairs: Sync {
    /// What tables call the set; `easy`, `medium` and `hard` are averaged as the paper does.
    fn name(&self) -> &str;

    /// Number of samples, broken ones included.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sample `i`, from 0.
    ///
    /// # Errors
    /// A sample that cannot be used; it is counted under the error's [`reason`](Error::reason) and left out.
    fn get(&self, i: usize) -> Result<Pair>;
}

/// A folder with `labels.tsv` (a line for each pair: file, tab, label, and further columns that do not matter), and below
/// `lr/` and `hr/` the images of those files. A first line that begins with `file` and a tab is a heading.
#[derive(Debug, Clone)]
pub struct FolderPairs {
    name: String,
    folder: PathBuf,
    /// File and label; none where a line has no tab.
    samples: Vec<Option<(String, String)>>,
}

/// Most bytes of a file.
const LARGEST: u64 = 1 << 28;

impl FolderPairs {
    /// Opens a folder; its images are read one by one later.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] when it is no such folder, [`ErrorKind::Io`] and [`ErrorKind::Format`] when its labels cannot
    /// be read.
    pub fn open(folder: &Path) -> Result<Self> {
        let labels = folder.join("labels.tsv");
        let (lr, hr) = (folder.join("lr"), folder.join("hr"));
        if !labels.is_file() || !lr.is_dir() || !hr.is_dir() {
            return Err(Error::new(ErrorKind::Argument, folder.display(), "pairs of images")
                .expected("a folder with labels.tsv, lr/ and hr/")
                .got(if folder.is_dir() { "a folder without" } else { "no folder" }));
        }
        let place = labels.display();
        let text = String::from_utf8(contents(&labels)?)
            .map_err(|_| Error::new(ErrorKind::Format, &place, "the labels are not UTF-8"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let lines = text.lines().enumerate();
        let samples = lines
            .filter(|(i, line)| !(line.is_empty() || *i == 0 && line.starts_with("file\t")))
            .map(|(_, line)| {
                let mut columns = line.split('\t');
                Some((columns.next()?.to_string(), columns.next()?.to_string()))
            });
        Ok(FolderPairs { name: name_of(folder), samples: samples.collect(), folder: folder.into() })
    }
}

impl Pairs for FolderPairs {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.samples.len()
    }

    fn get(&self, i: usize) -> Result<Pair> {
        let Some((file, label)) = &self.samples[i] else {
            let place = self.folder.join("labels.tsv");
            return Err(Error::new(ErrorKind::Format, place.display(), "a line without a tab"));
        };
        let image = |side: &str| {
            let path = self.folder.join(side).join(file);
            Ok(decode(&contents(&path)?, &path.display().to_string())?.image)
        };
        Ok(Pair { lr: image("lr")?, hr: image("hr")?, label: label.clone() })
    }
}

/// What a set at `path` is called: the last part of it that is a name.
pub fn name_of(path: &Path) -> String {
    let resolved = path.canonicalize().unwrap_or_else(|_| path.into());
    let name = resolved.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

fn contents(path: &Path) -> Result<Vec<u8>> {
    let failed = |e| Error::io(path.display(), "cannot be read", e);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::new(ErrorKind::Format, path.display(), "the file is too large"));
    }
    Ok(bytes)
}
