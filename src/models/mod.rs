//! The networks, built from layers. Their parameters are named as in the official state dicts; they know no file.

pub mod abinet;
mod kind;
pub mod lemma;
pub mod procedural;
mod recipe;
pub mod text_focus;

pub use kind::ModelKind;
