//! Makes a fresh file in one transaction. Big values go to their pages at once, so that memory holds
//! keys and small values only; the tree is built at the end.

use super::layout::*;
use crate::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const PAGE_SIZE: usize = 4096;

/// Largest node on a leaf: two must fit on a page.
const MAX_NODE: usize = (((PAGE_SIZE - PAGE_HEADER) / 2) & !1) - 2;

/// Where a value is.
enum Value {
    Here(Vec<u8>),
    Overflow { page: u64, size: u32 },
}

/// An LMDB file in the making.
pub struct Writer {
    path: PathBuf,
    out: BufWriter<File>,
    next_page: u64,
    overflow_pages: u64,
    entries: BTreeMap<Vec<u8>, Value>,
}

impl Writer {
    /// Starts the file `path`, which must not exist.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create_new(path)
            .map_err(|e| Error::io(path.display(), "cannot be created", e))?;
        let mut writer = Writer {
            path: path.to_owned(),
            out: BufWriter::new(file),
            next_page: 0,
            overflow_pages: 0,
            entries: BTreeMap::new(),
        };
        // The meta pages are written last.
        writer.append(&[0; 2 * PAGE_SIZE])?;
        Ok(writer)
    }

    /// Adds `key`; of a key given twice the last value counts.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] for a key that is empty or longer than 511 bytes or a value over
    /// 1 GiB, [`ErrorKind::Io`] when writing fails.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if key.is_empty() || key.len() > MAX_KEY || value.len() > 1 << 30 {
            return Err(Error::new(ErrorKind::Argument, self.path.display(), "an entry")
                .expected("a key of 1 to 511 bytes and a value of at most 1 GiB")
                .got(format!("{} and {} bytes", key.len(), value.len())));
        }
        let value = if NODE_HEADER + key.len() + value.len() <= MAX_NODE {
            Value::Here(value.to_vec())
        } else {
            let (page, size) = (self.next_page, value.len() as u32);
            let count = (PAGE_HEADER + value.len()).div_ceil(PAGE_SIZE);
            let mut bytes = page_header(page, OVERFLOW);
            bytes[12..16].copy_from_slice(&(count as u32).to_le_bytes());
            bytes.extend_from_slice(value);
            bytes.resize(count * PAGE_SIZE, 0);
            self.overflow_pages += count as u64;
            self.append(&bytes)?;
            Value::Overflow { page, size }
        };
        self.entries.insert(key.to_vec(), value);
        Ok(())
    }

    /// Writes the tree and the meta pages, and syncs.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub fn finish(mut self) -> Result<()> {
        let entries = std::mem::take(&mut self.entries);
        let count = entries.len() as u64;
        let leaves = entries.into_iter().map(|(key, value)| {
            let (size, flags, bytes) = match value {
                Value::Here(bytes) => (bytes.len() as u32, 0, bytes),
                Value::Overflow { page, size } => (size, BIG, page.to_le_bytes().to_vec()),
            };
            let node = node([size as u16, (size >> 16) as u16, flags], &key, &bytes);
            (key, node)
        });
        let mut level = self.level(LEAF, leaves)?;
        let leaf_pages = level.len() as u64;
        let (mut depth, mut branch_pages) = (u16::from(leaf_pages > 0), 0);
        while level.len() > 1 {
            let branches = level.into_iter().map(|(key, page)| {
                let number = [page as u16, (page >> 16) as u16, (page >> 32) as u16];
                let node = node(number, &key, &[]);
                (key, node)
            });
            level = self.level(BRANCH, branches)?;
            branch_pages += level.len() as u64;
            depth += 1;
        }
        let root = level.first().map_or(NOTHING, |&(_, page)| page);
        let main = tree(0, depth, [branch_pages, leaf_pages, self.overflow_pages, count, root]);
        let empty = tree(0, 0, [0, 0, 0, 0, NOTHING]);

        let metas = [self.meta(0, &empty, 1), self.meta(1, &main, self.next_page - 1)].concat();
        let failed = |e| Error::io(self.path.display(), "cannot be written", e);
        self.out.seek(SeekFrom::Start(0)).map_err(failed)?;
        self.out.write_all(&metas).map_err(failed)?;
        self.out.flush().map_err(failed)?;
        self.out.get_ref().sync_all().map_err(failed)
    }

    /// Writes sorted nodes to pages; gives each page's first key and number.
    fn level(
        &mut self,
        kind: u16,
        nodes: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Vec<(Vec<u8>, u64)>> {
        let mut written = Vec::new();
        let mut page: Vec<Vec<u8>> = Vec::new();
        let mut used = 0;
        for (key, node) in nodes {
            if used + 2 + node.len() > PAGE_SIZE - PAGE_HEADER {
                self.nodes(kind, &std::mem::take(&mut page))?;
            }
            if page.is_empty() {
                written.push((key, self.next_page));
                used = 0;
            }
            used += 2 + node.len();
            page.push(node);
        }
        if !page.is_empty() {
            self.nodes(kind, &page)?;
        }
        Ok(written)
    }

    fn nodes(&mut self, kind: u16, nodes: &[Vec<u8>]) -> Result<()> {
        let mut bytes = page_header(self.next_page, kind);
        bytes.resize(PAGE_SIZE, 0);
        let mut upper = PAGE_SIZE;
        for (i, node) in nodes.iter().enumerate() {
            upper -= node.len();
            bytes[upper..upper + node.len()].copy_from_slice(node);
            let at = PAGE_HEADER + 2 * i;
            bytes[at..at + 2].copy_from_slice(&(upper as u16).to_le_bytes());
        }
        let lower = (PAGE_HEADER + 2 * nodes.len()) as u16;
        bytes[12..14].copy_from_slice(&lower.to_le_bytes());
        bytes[14..16].copy_from_slice(&(upper as u16).to_le_bytes());
        self.append(&bytes)
    }

    fn meta(&self, number: u64, main: &[u8], last_page: u64) -> Vec<u8> {
        const INTEGER_KEYS: u16 = 0x08;
        let mut bytes = page_header(number, META);
        bytes.extend(MAGIC.to_le_bytes());
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(0u64.to_le_bytes());
        bytes.extend((self.next_page * PAGE_SIZE as u64).to_le_bytes());
        bytes.extend(tree(INTEGER_KEYS, 0, [0, 0, 0, 0, NOTHING]));
        bytes[FREE_TREE..FREE_TREE + 4].copy_from_slice(&(PAGE_SIZE as u32).to_le_bytes());
        bytes.extend(main);
        bytes.extend(last_page.to_le_bytes());
        bytes.extend(number.to_le_bytes());
        bytes.resize(PAGE_SIZE, 0);
        bytes
    }

    fn append(&mut self, pages: &[u8]) -> Result<()> {
        self.out
            .write_all(pages)
            .map_err(|e| Error::io(self.path.display(), "cannot be written", e))?;
        self.next_page += (pages.len() / PAGE_SIZE) as u64;
        Ok(())
    }
}

fn page_header(number: u64, flags: u16) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend([0, 0]);
    bytes.extend(flags.to_le_bytes());
    bytes.extend([0; 4]);
    bytes
}

/// A node, padded to an even size.
fn node(numbers: [u16; 3], key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(NODE_HEADER + key.len() + value.len() + 1);
    for n in numbers.into_iter().chain([key.len() as u16]) {
        bytes.extend(n.to_le_bytes());
    }
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}

/// A tree's record: branch, leaf and overflow pages, entries, root.
fn tree(flags: u16, depth: u16, numbers: [u64; 5]) -> Vec<u8> {
    let mut bytes = vec![0; TREE_FLAGS];
    bytes.extend(flags.to_le_bytes());
    debug_assert_eq!(bytes.len(), TREE_DEPTH);
    bytes.extend(depth.to_le_bytes());
    numbers.into_iter().for_each(|n| bytes.extend(n.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::{FILE, Reader};
    use super::*;

    fn value(i: usize) -> Vec<u8> {
        // Sizes around the limits of a node, a page and two pages.
        let size = [0, 1, 7, 2011, 2012, 2013, 2014, 4080, 4081, 8176, 9000][i % 11];
        (0..size).map(|j| (i * 31 + j) as u8).collect()
    }

    fn key(i: usize) -> Vec<u8> {
        format!("image_hr-{i:09}").into_bytes()
    }

    fn made(count: usize) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let mut writer = Writer::create(&path).unwrap();
        // Out of order, and one key twice.
        for i in (0..count).rev() {
            writer.put(&key(i), &value(i)).unwrap();
        }
        writer.put(b"num-samples", b"wrong").unwrap();
        writer.put(b"num-samples", b"right").unwrap();
        writer.finish().unwrap();
        (folder, path)
    }

    #[test]
    fn what_is_written_is_read() {
        for count in [0, 1, 2, 40, 3000] {
            let (folder, _path) = made(count);
            let reader = Reader::open(folder.path()).unwrap();
            for i in 0..count {
                assert_eq!(reader.get(&key(i)).unwrap(), Some(value(i)), "{i} of {count}");
            }
            assert_eq!(reader.get(b"num-samples").unwrap().unwrap(), b"right");
            for missing in [&b"a"[..], b"zz", b"image_hr-", b"image_hr-0000000000", b""] {
                assert_eq!(reader.get(missing).unwrap(), None);
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        Writer::create(&path).unwrap().finish().unwrap();
        assert_eq!(Reader::open(&path).unwrap().get(b"x").unwrap(), None);
        assert!(Writer::create(&path).is_err(), "a file that is there is kept");
    }

    #[test]
    fn a_damaged_file_gives_errors_and_never_a_panic() {
        let (folder, path) = made(60);
        let whole = std::fs::read(&path).unwrap();
        let open = |bytes: &[u8]| {
            let path = folder.path().join("damaged");
            std::fs::write(&path, bytes).unwrap();
            let reader = Reader::open(&path)?;
            (0..60).try_for_each(|i| reader.get(&key(i)).map(drop))
        };
        assert!(open(&whole).is_ok());
        for cut in [0, 10, 150, 4096, 8192, whole.len() / 2, whole.len() - 4096] {
            assert!(open(&whole[..cut]).is_err(), "cut to {cut}");
        }
        assert!(open(b"not a database, but longer than a header".repeat(9).as_slice()).is_err());
        let mut random = crate::data::random::Random::new(&[5]);
        for _ in 0..400 {
            let mut bytes = whole.clone();
            for _ in 0..8 {
                // The tree is at the end: damage there is what a look-up meets.
                let from = if random.chance(0.5) { bytes.len() - 8 * PAGE_SIZE } else { 0 };
                let at = from + random.below(bytes.len() - from);
                bytes[at] = random.bits() as u8;
            }
            let _ = open(&bytes);
        }
        // A tree that leads back to itself.
        let mut bytes = whole.clone();
        let root = bytes.len() - PAGE_SIZE;
        let number = (root / PAGE_SIZE) as u64;
        let nodes = (u16_at(&bytes, root + 12).unwrap() as usize - PAGE_HEADER) / 2;
        for i in 0..nodes {
            let node = root + u16_at(&bytes, root + PAGE_HEADER + 2 * i).unwrap() as usize;
            bytes[node..node + 6].copy_from_slice(&number.to_le_bytes()[..6]);
        }
        let error = open(&bytes).unwrap_err().to_string();
        assert!(error.contains("loop"), "{error}");
    }
}
