//! An evaluation for people and for programs: tables, a page, and JSON.

mod json;
mod page;
mod tables;

pub use page::page;
pub use tables::tables;
pub(in crate::eval) use tables::{
    by_length, compared, compared_columns, readability, table_5, test,
};

/// What was evaluated, in words.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    /// The rules that it followed.
    pub protocol: String,
    /// Where each method comes from: a file, a folder, or what ships.
    pub models: Vec<String>,
    /// Where each judge comes from.
    pub judges: Vec<String>,
    /// What computes.
    pub adapter: String,
}
