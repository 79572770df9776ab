//! Looks up keys. Every offset is checked: a damaged file gives an error, never a panic or a loop.

use super::FILE;
use super::layout::*;
use crate::{Error, ErrorKind, Result};
use std::cmp::Ordering;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Deepest tree that is believed: each level multiplies the entries by two at least.
const MAX_DEPTH: usize = 48;

/// An open LMDB file. Threads may share it.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: File,
    form: Form,
    page_size: usize,
    pages: u64,
    root: u64,
    entries: u64,
}

/// An entry of the main database: its key, and whether it is a database itself.
pub type Key = (Vec<u8>, bool);

impl Reader {
    /// Opens the folder with a `data.mdb`, or the file itself, at `path`, as the last finished
    /// transaction left it.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when it cannot be read, [`ErrorKind::Format`] when it is no LMDB file of a
    /// 64-bit little-endian machine, from version 0.9 or 1.0 of the library.
    pub fn open(path: &Path) -> Result<Self> {
        let path = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
        let opening = |e| Error::io(path.display(), "cannot be opened", e);
        let file = File::open(&path).map_err(opening)?;
        let size = file.metadata().map_err(opening)?.len();
        let form = Form::OLD;
        let (page_size, pages, root, entries) = (0, 0, NOTHING, 0);
        let mut reader = Reader { path, file, form, page_size, pages, root, entries };

        let mut first = [0; Form::OF_1_0.more + PAGE_HEADER + META_SIZE];
        if size < first.len() as u64 {
            return Err(reader.bad("not an LMDB file").got(format!("{size} bytes")));
        }
        reader.fill(&mut first, 0)?;
        reader.form = Form::of(&first).map_err(|what| reader.bad(what))?;
        let more = reader.form.more;
        check_meta(&first[more..]).map_err(|what| reader.bad(what))?;
        let mut second = first;
        let first = &first[more..];
        let page_size = u32_at(first, FREE_TREE).unwrap_or(0);
        if !page_size.is_power_of_two() || !(256..=65536).contains(&page_size) {
            return Err(reader.bad("page size of an LMDB file").got(page_size));
        }
        reader.page_size = page_size as usize;
        reader.pages = size / u64::from(page_size);

        // Two meta pages take turns; a write that was cut off leaves the other one whole.
        if reader.pages < 2 {
            return Err(reader.cut(1));
        }
        reader.fill(&mut second, page_size.into())?;
        let second = &second[more..];
        let transaction = |meta: &[u8]| u64_at(meta, TRANSACTION).unwrap_or(0);
        let newer = check_meta(second).is_ok() && transaction(second) > transaction(first);
        let meta = if newer { second } else { first };
        let flags = u16_at(meta, MAIN_TREE + TREE_FLAGS).unwrap_or(0);
        if flags != 0 {
            return Err(reader
                .bad("database flags")
                .expected("plain keys and single values")
                .got(format!("{flags:#x}")));
        }
        reader.root = u64_at(meta, MAIN_TREE + TREE_ROOT).unwrap_or(NOTHING);
        reader.entries = u64_at(meta, MAIN_TREE + TREE_ENTRIES).unwrap_or(0);
        Ok(reader)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Entries of the main database, as the file counts them.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The first entries of the main database, a page of them at most.
    ///
    /// # Errors
    /// As [`Reader::get`].
    pub fn first_keys(&self) -> Result<Vec<Key>> {
        if self.root == NOTHING {
            return Ok(Vec::new());
        }
        let mut number = self.root;
        for _ in 0..MAX_DEPTH {
            let page = Page { bytes: self.page(number)?, reader: self, number };
            let count = page.count()?;
            match page.flags()? & (BRANCH | LEAF) {
                BRANCH if count > 0 => number = page.child(0)?,
                LEAF => {
                    let key = |i| {
                        page.node(i).map(|([.., flags], key, _)| (key.into(), flags & NAMED != 0))
                    };
                    return (0..count).map(key).collect();
                }
                _ => return Err(page.bad("a page of the tree")),
            }
        }
        Err(self.bad("the tree of an LMDB file has a loop"))
    }

    /// The value of `key`, if it is there.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when reading fails, [`ErrorKind::Format`] when the file is damaged.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if self.root == NOTHING {
            return Ok(None);
        }
        let mut number = self.root;
        for _ in 0..MAX_DEPTH {
            let page = Page { bytes: self.page(number)?, reader: self, number };
            let count = page.count()?;
            match page.flags()? & (BRANCH | LEAF) {
                BRANCH if count > 0 => {
                    // The first key of a branch counts as smaller than any.
                    let below = page.search(key, 1, count)?;
                    let at = below.unwrap_or_else(|i| i - 1);
                    number = page.child(at)?;
                }
                LEAF => {
                    let found = page.search(key, 0, count)?;
                    return found.ok().map(|i| page.value(i)).transpose();
                }
                _ => return Err(page.bad("a page of the tree")),
            }
        }
        Err(self.bad("the tree of an LMDB file has a loop"))
    }

    fn page(&self, number: u64) -> Result<Vec<u8>> {
        if number >= self.pages {
            return Err(self.cut(number));
        }
        let mut bytes = vec![0; self.page_size];
        self.fill(&mut bytes, number * self.page_size as u64)?;
        if u64_at(&bytes, 0) != Some(number) {
            return Err(self.bad(format!("page {number} is not in its place")));
        }
        Ok(bytes)
    }

    /// `size` bytes of the overflow pages from `number` on.
    fn overflow(&self, number: u64, size: usize) -> Result<Vec<u8>> {
        let page = self.page(number)?;
        let header = &page[self.form.more..];
        let flags = u16_at(header, 10).unwrap_or(0);
        let count = u64::from(u32_at(header, 12).unwrap_or(0));
        let needed = (self.form.header() + size).div_ceil(self.page_size) as u64;
        if flags & OVERFLOW == 0 || count < needed {
            return Err(self.bad(format!("page {number} holds no value of {size} bytes")));
        }
        if number + needed > self.pages {
            return Err(self.cut(number + needed - 1));
        }
        let mut value = vec![0; size];
        self.fill(&mut value, number * self.page_size as u64 + self.form.header() as u64)?;
        Ok(value)
    }

    fn fill(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        #[cfg(unix)]
        let done = std::os::unix::fs::FileExt::read_exact_at(&self.file, bytes, offset);
        #[cfg(windows)]
        let done = read_exact_at(&self.file, bytes, offset);
        done.map_err(|e| Error::io(self.path.display(), "cannot be read", e))
    }

    fn bad(&self, what: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::Format, self.path.display(), what)
    }

    fn cut(&self, page: u64) -> Error {
        self.bad(format!("page {page} is beyond the end of the file"))
            .expected(format!("fewer than {} pages", self.pages))
    }
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => {
                bytes = &mut bytes[n..];
                offset += n as u64;
            }
        }
    }
    Ok(())
}

/// Checks a meta page, from where the header of the old form would begin.
fn check_meta(meta: &[u8]) -> Result<(), &'static str> {
    match (u32_at(meta, PAGE_HEADER), u16_at(meta, 10)) {
        (Some(MAGIC), Some(flags)) if flags & META != 0 => Ok(()),
        _ => Err("the LMDB file has no meta page"),
    }
}

/// A branch or leaf page in memory.
struct Page<'a> {
    bytes: Vec<u8>,
    reader: &'a Reader,
    number: u64,
}

impl Page<'_> {
    fn bad(&self, what: &str) -> Error {
        self.reader.bad(format!("{what} is damaged")).got(format!("page {}", self.number))
    }

    fn flags(&self) -> Result<u16> {
        u16_at(&self.bytes, 10 + self.reader.form.more).ok_or_else(|| self.bad("a header"))
    }

    /// Number of nodes.
    fn count(&self) -> Result<usize> {
        let form = self.reader.form;
        let lower = form.base + u16_at(&self.bytes, 12 + form.more).unwrap_or(0) as usize;
        match lower.checked_sub(form.header()) {
            Some(offsets) if lower <= self.bytes.len() => Ok(offsets / 2),
            _ => Err(self.bad("a header")),
        }
    }

    /// The four numbers of node `i`, its key and what follows the key.
    fn node(&self, i: usize) -> Result<([u16; 3], &[u8], &[u8])> {
        let read = || {
            let form = self.reader.form;
            let at = u16_at(&self.bytes, form.header() + 2 * i)? as usize;
            let node = self.bytes.get(form.base + at..)?;
            let [low, high, flags] = [u16_at(node, 0)?, u16_at(node, 2)?, u16_at(node, 4)?];
            let end = NODE_HEADER + u16_at(node, 6)? as usize;
            let key = node.get(NODE_HEADER..end)?;
            let padded = NODE_HEADER + key.len().next_multiple_of(form.even);
            Some(([low, high, flags], key, node.get(padded..).unwrap_or_default()))
        };
        read().ok_or_else(|| self.bad("a node"))
    }

    /// As `binary_search` on the keys `from..to`.
    fn search(&self, key: &[u8], from: usize, to: usize) -> Result<Result<usize, usize>> {
        let (mut low, mut high) = (from, to);
        while low < high {
            let middle = (low + high) / 2;
            match self.node(middle)?.1.cmp(key) {
                Ordering::Equal => return Ok(Ok(middle)),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        Ok(Err(low))
    }

    fn child(&self, i: usize) -> Result<u64> {
        let ([low, high, top], ..) = self.node(i)?;
        Ok(u64::from(low) | u64::from(high) << 16 | u64::from(top) << 32)
    }

    fn value(&self, i: usize) -> Result<Vec<u8>> {
        let ([low, high, flags], _, rest) = self.node(i)?;
        let size = (u32::from(low) | u32::from(high) << 16) as usize;
        match flags {
            0 => Ok(rest.get(..size).ok_or_else(|| self.bad("a value"))?.to_vec()),
            BIG => {
                let page = u64_at(rest, 0).ok_or_else(|| self.bad("a value"))?;
                self.reader.overflow(page, size)
            }
            _ => Err(self.bad("a node with duplicates or a database in it")),
        }
    }
}
