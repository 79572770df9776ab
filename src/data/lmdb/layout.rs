//! The layout of an LMDB data file, 64-bit and little-endian: what reader and writer share.
//!
//! ```text
//! page    pgno u64 · pad u16 · flags u16 · lower u16 · upper u16 │ offsets u16… → ← nodes
//! node    low u16 · high u16 · flags u16 · key size u16 │ key │ value, or page of the value u64
//! meta    magic u32 · version u32 · address u64 · map size u64 · tree free · tree main · last page u64 · transaction u64
//! tree    pad u32 · flags u16 · depth u16 · branch u64 · leaf u64 · overflow u64 · entries u64 · root u64
//! ```
//!
//! Files of version 1.0 of the library say `version` 3. Their page header has a transaction u64 behind the
//! number, lower, upper and offsets count from the end of the header, and keys take an even number of bytes.
//!
//! In a leaf's node low and high are the value's size; in a branch's node low, high and flags are
//! the page below. An overflow page has its count of pages where others have lower and upper.

pub(super) const MAGIC: u32 = 0xBEEF_C0DE;
pub(super) const VERSION: u32 = 1;
/// What version 1.0 of the library writes.
pub(super) const VERSION_OF_1_0: u32 = 3;

pub(super) const PAGE_HEADER: usize = 16;
pub(super) const NODE_HEADER: usize = 8;
pub(super) const META_SIZE: usize = 136;

pub(super) const BRANCH: u16 = 0x01;
pub(super) const LEAF: u16 = 0x02;
pub(super) const OVERFLOW: u16 = 0x04;
pub(super) const META: u16 = 0x08;

/// Flags of a leaf's node: the value is on overflow pages, and: it is the record of a named database.
pub(super) const BIG: u16 = 0x01;
pub(super) const NAMED: u16 = 0x02;

/// What differs between the versions of the format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// Bytes that a page header has beyond [`PAGE_HEADER`].
    pub more: usize,
    /// Where a page's offsets count from.
    pub base: usize,
    /// What the bytes of a key are a multiple of.
    pub even: usize,
}

impl Form {
    pub const OLD: Form = Form { more: 0, base: 0, even: 1 };
    pub const OF_1_0: Form = Form { more: 8, base: PAGE_HEADER + 8, even: 2 };

    /// The form of a file by its first bytes.
    pub fn of(first: &[u8]) -> Result<Form, String> {
        let found = [Form::OLD, Form::OF_1_0]
            .into_iter()
            .find(|form| u32_at(first, form.header()) == Some(MAGIC))
            .ok_or("not an LMDB file of a 64-bit little-endian machine")?;
        let version = u32_at(first, found.header() + 4).unwrap_or(0);
        match version == if found.more == 0 { VERSION } else { VERSION_OF_1_0 } {
            true => Ok(found),
            false => Err(format!("an LMDB file of another version: its data version is {version}")),
        }
    }

    /// Bytes of a page header.
    pub fn header(self) -> usize {
        PAGE_HEADER + self.more
    }
}

/// The root of an empty tree.
pub(super) const NOTHING: u64 = u64::MAX;

/// Offsets in a meta page of the trees, the last page and the transaction.
pub(super) const FREE_TREE: usize = PAGE_HEADER + 24;
pub(super) const MAIN_TREE: usize = FREE_TREE + 48;
pub(super) const LAST_PAGE: usize = MAIN_TREE + 48;
pub(super) const TRANSACTION: usize = LAST_PAGE + 8;

/// Offsets in a tree's record.
pub(super) const TREE_FLAGS: usize = 4;
pub(super) const TREE_DEPTH: usize = 6;
pub(super) const TREE_ENTRIES: usize = 32;
pub(super) const TREE_ROOT: usize = 40;

/// Longest key, as the reference library is built.
pub(super) const MAX_KEY: usize = 511;

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
