//! Safetensors files: a JSON header of names, types, shapes and offsets, then the arrays. The crate of that name checks what
//! is read; writing is done here, so that equal contents give equal bytes.

use super::host::{Dtype, HostTensor};
use super::{Container, Source, StateDict, names};
use crate::data::part::UnfinishedFile;
use crate::{Error, ErrorKind, Result};
use safetensors::SafeTensors;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// The key that a header keeps for texts about the file.
const METADATA: &str = "__metadata__";

/// Whether `bytes` open like a safetensors file: the header's length, then JSON.
pub fn is_one(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{') && bytes[5..8] == [0; 3]
}

/// Reads a safetensors file, or of one the names below `key`. Tensors of types that are not read are left out.
pub(super) fn read(place: &str, bytes: &[u8], key: Option<&str>) -> Result<StateDict> {
    let fail = |what: &dyn std::fmt::Display| Error::new(ErrorKind::Format, place, what);
    let header = u64::from_le_bytes(bytes[..8].try_into().expect("is_one saw nine bytes"));
    if header > bytes.len() as u64 - 8 {
        return Err(fail(&"the file is cut off in its header")
            .expected(format!("8 + {header} bytes"))
            .got(bytes.len()));
    }
    let (header, index) = SafeTensors::read_metadata(bytes)
        .map_err(|e| fail(&format!("safetensors: {e}")).got(format!("{} bytes", bytes.len())))?;
    let data = &bytes[8 + header..];
    let mut source = Source::new(place, Container::Safetensors);
    let mut tensors = BTreeMap::new();
    for name in index.offset_keys() {
        let info = index.info(&name).expect("a name of this header");
        let Some(dtype) = Dtype::from_name(&info.dtype.to_string()) else {
            let what = format!("tensor {} {:?}, a type that is not read", info.dtype, info.shape);
            source.others.push((name, what));
            continue;
        };
        let (start, end) = info.data_offsets;
        let tensor = HostTensor::new(dtype, info.shape.clone(), data[start..end].to_vec())
            .map_err(|e| e.within(format!("{place}: {name}")))?;
        tensors.insert(name.clone(), tensor);
        source.order.push(name);
    }
    let metadata = index.metadata().clone().unwrap_or_default().into_iter().collect();
    names::tidy(StateDict { tensors, metadata, source }, key)
}

#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Metadata(&'a BTreeMap<String, String>),
    Tensor { dtype: &'static str, shape: &'a [usize], data_offsets: (usize, usize) },
}

/// Writes `state` to a temporary file beside `path` and renames it: there is a whole file or none.
pub(super) fn write(state: &StateDict, path: &Path, overwrite: bool) -> Result<()> {
    let place = path.display();
    if let Some(name) = state.tensors.keys().find(|name| *name == METADATA) {
        let what = format!("a tensor of a safetensors file cannot be called {name}");
        return Err(Error::new(ErrorKind::Argument, place, what));
    }
    let io = |e: io::Error| Error::io(&place, "cannot be written", e);
    let part = UnfinishedFile::beside(path).map_err(io)?;
    let mut out = BufWriter::new(part.file());
    put(state, &mut out).and_then(|()| out.flush()).map_err(io)?;
    drop(out);
    part.finish(path, overwrite).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => super::exists(path),
        _ => io(e),
    })
}

/// Header and arrays. Wide elements come first, which aligns each array without gaps; otherwise the source's order is kept.
fn put(state: &StateDict, out: &mut impl Write) -> io::Result<()> {
    let mut tensors = state.in_order().collect::<Vec<_>>();
    tensors.sort_by_key(|(_, t)| std::cmp::Reverse(t.dtype().size()));
    let mut header = BTreeMap::new();
    if !state.metadata.is_empty() {
        header.insert(METADATA, Entry::Metadata(&state.metadata));
    }
    let mut end = 0;
    for (name, t) in &tensors {
        let start = end;
        end += t.bytes().len();
        let dtype = t.dtype().name();
        header.insert(name, Entry::Tensor { dtype, shape: t.shape(), data_offsets: (start, end) });
    }
    let mut json = serde_json::to_vec(&header)?;
    json.resize(json.len().next_multiple_of(8), b' ');
    out.write_all(&(json.len() as u64).to_le_bytes())?;
    out.write_all(&json)?;
    tensors.iter().try_for_each(|(_, t)| out.write_all(t.bytes()))
}
