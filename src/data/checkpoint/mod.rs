//! State dicts and their files: safetensors, and the two containers PyTorch has written. Pickles are read by a machine that
//! runs nothing. Knows names, shapes and bytes; knows neither models nor the GPU.
//!
//! ```
//! use lemma_gpu::data::checkpoint::{HostTensor, StateDict};
//! let folder = tempfile::tempdir().unwrap();
//! let path = folder.path().join("tiny.safetensors");
//!
//! let mut state = StateDict::default();
//! state.tensors.insert("fc.weight".into(), HostTensor::from_f32([1, 2], &[0.5, -1.0])?);
//! state.metadata.insert("model".into(), "tiny".into());
//! state.write_safetensors(&path)?;
//!
//! let back = StateDict::read(&path)?;
//! assert_eq!(back.tensors["fc.weight"].to_f32()?, [0.5, -1.0]);
//! assert_eq!(back.metadata["model"], "tiny");
//! assert_eq!(back.element_count(), 2);
//! # Ok::<(), lemma_gpu::Error>(())
//! ```

mod convert;
mod describe;
mod element;
mod find;
mod globals;
mod host;
mod kind;
mod made;
mod names;
mod pickle;
mod pth;
mod tensors;
mod unwrap;
mod value;

pub use convert::{ConvertOptions, Report, Row, convert, convert_with, inspect, name_fits};
pub use host::{Dtype, HostTensor};
pub use tensors::is_one as is_safetensors;

use crate::{Error, ErrorKind, Result};
use kind::Kind;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Named arrays, as `torch.nn.Module.state_dict` gives them, with texts about them.
#[derive(Debug, Clone, Default)]
pub struct StateDict {
    /// The arrays by name.
    pub tensors: BTreeMap<String, HostTensor>,
    /// Texts that travel with the arrays in a safetensors file; empty when read from PyTorch's containers.
    pub metadata: BTreeMap<String, String>,
    /// Where it was read from.
    pub source: Source,
}

impl StateDict {
    /// Reads a file: safetensors or either of PyTorch's containers, told apart by content.
    ///
    /// The weights are the only dictionary of tensors in it. What wrappers of a module put before every name (`module.`,
    /// `_orig_mod.`, `model.`, `netG.`) is taken off; [`Source`] says what was, and what stood beside the weights.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the file cannot be read; [`ErrorKind::Format`], with the place in the file, if it is none of
    /// these, cut off, contradicts itself, holds several dictionaries of tensors, has tensors that are made by a global which
    /// is not on the list of what tensors need, or names one that would do something.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_part(path, None)
    }

    /// [`StateDict::read`] of the weights below `key`: a key of the checkpoint, keys of several levels joined by dots, or
    /// what stands before the names of a part and is taken off.
    ///
    /// # Errors
    /// As [`StateDict::read`]; [`ErrorKind::Format`] for a key that is not there.
    ///
    /// ```
    /// use lemma_gpu::data::checkpoint::StateDict;
    /// let state = StateDict::read_part("tests/golden/pth/lemma-zip.pth", Some("state_dict_G.block1"))?;
    /// assert!(state.tensors.contains_key("0.weight"));
    /// # Ok::<(), lemma_gpu::Error>(())
    /// ```
    pub fn read_part(path: impl AsRef<Path>, key: Option<&str>) -> Result<Self> {
        let path = path.as_ref();
        Self::part_from_bytes(&path.display().to_string(), &read_file(path)?, key)
    }

    /// Reads the bytes of a file, such as weights embedded in a program; `place` is what errors call it.
    ///
    /// # Errors
    /// [`ErrorKind::Format`], as [`read`](Self::read).
    pub fn from_bytes(place: &str, bytes: &[u8]) -> Result<Self> {
        Self::part_from_bytes(place, bytes, None)
    }

    /// [`StateDict::read_part`] of bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Format`], as [`read_part`](Self::read_part).
    pub fn part_from_bytes(place: &str, bytes: &[u8], key: Option<&str>) -> Result<Self> {
        match kind::of(bytes) {
            Some(Kind::Safetensors) => tensors::read(place, bytes, key),
            Some(Kind::PyTorchZip) => pth::read_zip(place, bytes, key),
            Some(Kind::PyTorchLegacy) => pth::read_legacy(place, bytes, key),
            None => Err(kind::refusal(place, bytes)),
        }
    }

    /// Writes a safetensors file, in place of one that is there. It appears whole or not at all, and equal contents give
    /// equal bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the folder cannot be written to; [`ErrorKind::Argument`] for a tensor of a reserved name.
    pub fn write_safetensors(&self, path: impl AsRef<Path>) -> Result<()> {
        tensors::write(self, path.as_ref(), true)
    }

    /// Names and arrays in the order of the file they came from; those added since follow by name.
    pub fn in_order(&self) -> impl Iterator<Item = (&str, &HostTensor)> {
        let known: std::collections::HashSet<&str> =
            self.source.order.iter().map(String::as_str).collect();
        let read = self.source.order.iter().filter_map(|name| self.tensors.get_key_value(name));
        let added = self.tensors.iter().filter(move |(name, _)| !known.contains(name.as_str()));
        read.chain(added).map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Elements of all arrays together: parameters and buffers.
    pub fn element_count(&self) -> usize {
        self.tensors.values().map(HostTensor::len).sum()
    }
}

/// What kind of file a state dict was in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Container {
    /// In no file yet.
    #[default]
    Memory,
    /// Safetensors.
    Safetensors,
    /// `torch.save` since PyTorch 1.6.
    PyTorchZip,
    /// `torch.save` before PyTorch 1.6.
    PyTorchLegacy,
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Container::Memory => "memory",
            Container::Safetensors => "safetensors",
            Container::PyTorchZip => "PyTorch zip",
            Container::PyTorchLegacy => "PyTorch legacy",
        })
    }
}

/// Where a state dict was read from and what its file looked like.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The file, as errors call it.
    pub place: String,
    /// The kind of file.
    pub container: Container,
    /// Names of the tensors in the order of the file.
    pub order: Vec<String>,
    /// What was taken off, outermost first: keys of wrapping dictionaries, then what stood before every name.
    pub wrappers: Vec<String>,
    /// What was left out, by key, in a few words each: what stood beside the tensors, and tensors of types that are not read.
    pub others: Vec<(String, String)>,
    /// How a tensor lay in the file, if not plainly: `was transposed, shares its storage`.
    pub notes: BTreeMap<String, String>,
}

impl Source {
    fn new(place: &str, container: Container) -> Self {
        Source { place: place.into(), container, ..Source::default() }
    }
}

/// The bytes of a regular file; a device or a pipe has no end to rely on.
fn read_file(path: &Path) -> Result<Vec<u8>> {
    let io = |e| Error::io(path.display(), "cannot be read", e);
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err(Error::new(ErrorKind::Argument, path.display(), "not a file"));
    }
    std::fs::read(path).map_err(io)
}

/// The refusal to write over `path`.
fn exists(path: &Path) -> Error {
    Error::new(ErrorKind::Argument, path.display(), "the file is already there")
}
