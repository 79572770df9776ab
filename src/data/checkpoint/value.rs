//! What a pickle may hold.

use super::element::Element;
use super::globals::Global;
use crate::{Error, ErrorKind};
use std::fmt;

/// Index of a value in [`super::pickle::Pickle::values`].
pub(super) type Id = u32;

/// A value of a pickle.
#[derive(Debug)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 64 bits, little-endian two's complement.
    Long(&'a [u8]),
    Float(f64),
    Str(&'a str),
    Bytes(&'a [u8]),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage),
    Tensor(View),
    /// Something harmless that is of no use here: a numpy scalar, a set, a device.
    Opaque(&'static str),
    /// What a global of some package would have made, which nothing here does.
    Object(Object),
}

/// An object of a package, as far as it is known without its code.
#[derive(Debug, Default)]
pub(super) struct Object {
    /// Index of its class, or of the function that makes it, in [`super::pickle::Pickle::foreign`].
    pub class: u32,
    /// Whether it is made of a tensor or a storage.
    pub of_tensor: bool,
    /// What it holds as a dictionary does.
    pub entries: Vec<(Id, Id)>,
}

/// A global that is not on the list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Foreign<'a> {
    pub module: &'a str,
    pub name: &'a str,
    /// The byte where it is named.
    pub at: usize,
}

/// A run of elements that tensors look at: `count` elements of storage `key`, after the first `first`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage {
    pub element: Element,
    pub key: Id,
    pub first: u64,
    pub count: u64,
}

/// A tensor as pickled: sizes and strides (tuples) over a storage, in elements.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub element: Element,
    pub storage: Id,
    pub offset: u64,
    pub size: Id,
    pub stride: Id,
}

impl Foreign<'_> {
    /// The refusal of a file that needs this global for its tensors, or names it to have something done.
    pub(super) fn refused(&self, place: &str) -> Error {
        let place = format!("{place} at byte {}", self.at);
        let what = format!("refused to run `{self}`: no tensor needs it");
        Error::new(ErrorKind::Format, place, what)
            .hint("a file of torch.save(model.state_dict(), …) from a source you trust is read")
    }
}

impl fmt::Display for Foreign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.module, self.name)
    }
}
