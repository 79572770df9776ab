//! The networks, built from layers. Their parameters are named as in the official state dicts; they know no file.

pub mod abinet;
pub mod lemma;
pub mod procedural;
pub mod text_focus;
