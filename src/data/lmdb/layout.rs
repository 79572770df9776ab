//! The layout of an LMDB data file, 64-bit and little-endian: what reader and writer share.
//!
//! ```text
//! page    pgno u64 · pad u16 · flags u16 · lower u16 · upper u16 │ offsets u16… → ← nodes
//! node    low u16 · high u16 · flags u16 · key size u16 │ key │ value, or page of the value u64
//! meta    magic u32 · version u32 · address u64 · map size u64 · tree free · tree main · last page u64 · transaction u64
//! tree    pad u32 · flags u16 · depth u16 · branch u64 · leaf u64 · overflow u64 · entries u64 · root u64
//! ```
//!
//! In a leaf's node low and high are the value's size; in a branch's node low, high and flags are
//! the page below. An overflow page has its count of pages where others have lower and upper.

pub(super) const MAGIC: u32 = 0xBEEF_C0DE;
pub(super) const VERSION: u32 = 1;

pub(super) const PAGE_HEADER: usize = 16;
pub(super) const NODE_HEADER: usize = 8;
pub(super) const META_SIZE: usize = 136;

pub(super) const BRANCH: u16 = 0x01;
pub(super) const LEAF: u16 = 0x02;
pub(super) const OVERFLOW: u16 = 0x04;
pub(super) const META: u16 = 0x08;

/// Flag of a leaf's node: the value is on overflow pages.
pub(super) const BIG: u16 = 0x01;

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
