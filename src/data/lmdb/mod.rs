//! LMDB files, read and written without the C library: what data sets of word images come in.
//!
//! [`Reader`] looks up keys of the main database and changes nothing, not even a lock file.
//! [`Writer`] makes a fresh file. Neither knows named databases, duplicates or big-endian files.

mod layout;
mod reader;
mod writer;

pub use reader::Reader;
pub use writer::Writer;

/// The file's name inside an LMDB folder.
pub const FILE: &str = "data.mdb";
