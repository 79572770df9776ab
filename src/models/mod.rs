//! The networks, built from layers. Their parameters are named as in the official state dicts; they know no file.

pub mod abinet;
pub mod aster;
mod attention_decoder;
pub mod c3;
mod control_points;
pub mod crnn;
#[cfg(feature = "train")]
pub(crate) mod initial;
mod kind;
pub mod lemma;
pub mod matrn;
pub mod moran;
pub mod natural;
mod objective;
pub mod parseq;
pub mod pcan;
pub(crate) mod prepare;
pub mod procedural;
pub mod rcan;
mod readers;
mod reading;
mod recipe;
mod recognizer;
pub mod san;
pub mod srcnn;
pub mod srresnet;
pub mod tatt;
pub mod tbsrn;
pub mod text_focus;
pub(crate) mod text_prior;
pub mod textzoom;
pub mod tsrn;
pub mod word;

pub use kind::{ARCH, ModelKind};
pub use objective::{Look, Objective, edge, gradient_prior};
pub use readers::load_recognizer;
pub use reading::{Character, Reading};
pub use recognizer::{Head, WordRecognizer};
