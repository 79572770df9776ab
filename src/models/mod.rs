//! The networks, built from layers. Their parameters are named as in the official state dicts; they know no file.

pub mod abinet;
mod kind;
pub mod lemma;
pub mod natural;
pub mod pcan;
pub mod procedural;
pub mod rcan;
mod recipe;
pub mod san;
pub mod srcnn;
pub mod srresnet;
pub mod tbsrn;
pub mod text_focus;
pub mod textzoom;
pub mod tsrn;
pub mod word;

pub use kind::ModelKind;
