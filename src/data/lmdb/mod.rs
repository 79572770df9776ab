//! LMDB files, read and written without the C library: what data sets of word images come in.
//!
//! [`Reader`] looks up keys of the main database and changes nothing, not even a lock file; it reads what
//! versions 0.9 and 1.0 of the library write. [`Writer`] makes a fresh file. Neither reads named databases,
//! duplicates or big-endian files.

mod layout;
mod reader;
mod writer;

pub use reader::{Key, Reader};
pub use writer::Writer;

/// The file's name inside an LMDB folder.
pub const FILE: &str = "data.mdb";

/// Whether the first bytes of a file are those of an LMDB, of whatever version.
pub fn is_one(first: &[u8]) -> bool {
    [0, 8]
        .iter()
        .any(|more| layout::u32_at(first, layout::PAGE_HEADER + more) == Some(layout::MAGIC))
}
