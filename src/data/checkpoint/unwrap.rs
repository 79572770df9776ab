//! From a pickled object to named arrays: wrapping dictionaries and the `module.` prefix are taken off, and views of
//! storages become contiguous. Does not know which container the bytes came from.

use super::host::{HostTensor, byte_count};
use super::pickle::Pickle;
use super::value::{Id, Value, View};
use super::{Container, Source, StateDict};
use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

/// Keys that hold a state dict among other things, in the order they are looked for.
const WRAPPERS: [&str; 5] = ["state_dict_G", "state_dict", "model", "net", "params"];

/// Most wrappers inside each other.
const MAX_WRAPPERS: usize = 3;

/// What `DataParallel` puts before every name.
const PREFIX: &str = "module.";

/// Most axes of a tensor: more than any layer has, fewer than would cost anything.
const MAX_RANK: usize = 8;

/// All arrays together may take this many times the size of their file: shared and expanded storages are legitimate, an
/// expansion of four bytes to a terabyte is not.
const MAX_GROWTH: usize = 16;

/// Every tensor of the state dict in `pickle`, from a file of `file_size` bytes whose storages `fetch` finds by key.
pub(super) fn state_dict<'f>(
    place: &str,
    container: Container,
    file_size: usize,
    pickle: &Pickle,
    mut fetch: impl FnMut(&str) -> Result<&'f [u8]>,
) -> Result<StateDict> {
    let mut source = Source::new(place, container);
    let mut views = find(place, pickle, &mut source)?;
    while views.iter().all(|(name, _)| name.starts_with(PREFIX)) {
        source.wrappers.push(PREFIX.into());
        views.iter_mut().for_each(|(name, _)| *name = &name[PREFIX.len()..]);
    }

    let mut users: HashMap<&str, usize> = HashMap::new();
    for (_, view) in &views {
        *users.entry(pickle.storage(view).1).or_default() += 1;
    }
    let mut storages: HashMap<&str, &[u8]> = HashMap::new();
    let mut left = file_size.saturating_mul(MAX_GROWTH).saturating_add(1 << 16);
    let mut tensors = BTreeMap::new();
    for (name, view) in views {
        let key = pickle.storage(&view).1;
        let bytes = match storages.get(key) {
            Some(bytes) => bytes,
            None => storages.entry(key).or_insert(fetch(key)?),
        };
        let within = |e: Error| e.within(format!("{place}: {name}"));
        let (tensor, laid) = contiguous(pickle, &view, bytes, &mut left).map_err(within)?;
        let shared = (users[key] > 1).then_some("shares its storage");
        let notes = laid.into_iter().chain(shared).collect::<Vec<_>>();
        if !notes.is_empty() {
            source.notes.insert(name.into(), notes.join(", "));
        }
        if tensors.insert(name.to_string(), tensor).is_none() {
            source.order.push(name.into());
        }
    }
    Ok(StateDict { tensors, metadata: BTreeMap::new(), source })
}

/// Goes down through the wrappers to the names and their tensors; what stands beside them is described in `source`.
fn find<'a>(place: &str, pickle: &Pickle<'a>, source: &mut Source) -> Result<Vec<(&'a str, View)>> {
    let fail = |what: &str, id| {
        let error = Error::new(ErrorKind::Format, place, what);
        error.expected("a dictionary of tensors").got(describe(pickle, id))
    };
    let mut at = pickle.root;
    loop {
        let Value::Dict(entries) = pickle.get(at) else {
            return Err(fail("the checkpoint holds something else", at));
        };
        let inner = wrapped(pickle, at, MAX_WRAPPERS - source.wrappers.len());
        let mut views = Vec::new();
        for &(key, value) in entries {
            match (pickle.text(key), pickle.get(value)) {
                (Some(key), &Value::Tensor(view)) if inner.is_none() => views.push((key, view)),
                _ if inner.is_some_and(|(_, id)| id == value) => {}
                (text, _) => {
                    let key = text.map_or_else(|| describe(pickle, key), str::to_string);
                    source.others.push((key, describe(pickle, value)));
                }
            }
        }
        match inner {
            Some((key, id)) => {
                source.wrappers.push(key.into());
                at = id;
            }
            None if views.is_empty() => {
                let known = WRAPPERS.join(", ");
                let e = fail("the checkpoint holds no tensor", at);
                return Err(e.hint(format!("keys that are looked into: {known}")));
            }
            None => return Ok(views),
        }
    }
}

/// The wrapper in dictionary `at` that has tensors, directly or through up to `depth - 1` more.
fn wrapped(pickle: &Pickle, at: Id, depth: usize) -> Option<(&'static str, Id)> {
    let Value::Dict(entries) = pickle.get(at) else { return None };
    let holds = |id: Id| match pickle.get(id) {
        Value::Dict(inner) => {
            inner.iter().any(|&(_, v)| matches!(pickle.get(v), Value::Tensor(_)))
                || wrapped(pickle, id, depth - 1).is_some()
        }
        _ => false,
    };
    let candidates = if depth == 0 { &[][..] } else { &WRAPPERS[..] };
    candidates.iter().find_map(|wrapper| {
        let named = entries.iter().rfind(|(k, _)| pickle.text(*k) == Some(wrapper));
        named.filter(|(_, v)| holds(*v)).map(|(_, v)| (*wrapper, *v))
    })
}

/// The elements `view` looks at, in row-major order, and how they were laid if otherwise. Takes its bytes off `left`.
fn contiguous(
    pickle: &Pickle,
    view: &View,
    bytes: &[u8],
    left: &mut usize,
) -> Result<(HostTensor, Option<&'static str>)> {
    let fail = |what: &str| Error::new(ErrorKind::Format, "", what);
    let lying = |what: String, expected: &dyn Display, got: &dyn Display| {
        Err(fail(&what).expected(expected).got(got))
    };
    let (storage, key) = pickle.storage(view);
    let dims = sizes(pickle, view.size).ok_or_else(|| fail("its shape is no tuple of sizes"))?;
    let mut strides =
        sizes(pickle, view.stride).ok_or_else(|| fail("its strides are no tuple of sizes"))?;
    if dims.len() != strides.len() {
        return lying("as many strides as axes".into(), &dims.len(), &strides.len());
    }
    let total = byte_count(storage.dtype, &dims).filter(|n| n <= left).ok_or_else(|| {
        fail("tensors are larger than their file explains")
            .expected(format!("at most {left} bytes more"))
            .got(format!("{} {dims:?}", storage.dtype))
    })?;
    *left -= total;

    let element = storage.dtype.size();
    let span = |first: u64, count: u64| {
        let first = usize::try_from(first).ok()?.checked_mul(element)?;
        Some(first..first.checked_add(usize::try_from(count).ok()?.checked_mul(element)?)?)
    };
    let Some(data) = span(storage.first, storage.count).and_then(|range| bytes.get(range)) else {
        let declared = format!("elements {} to {}", storage.first, storage.count);
        let wanted = storage.first.checked_add(storage.count);
        let wanted = wanted.and_then(|n| n.checked_mul(element as u64));
        let wanted = wanted.map_or(declared, |n| format!("{n} bytes"));
        return lying(format!("storage {key}"), &wanted, &format!("{} bytes", bytes.len()));
    };
    if total == 0 {
        return Ok((HostTensor::new(storage.dtype, dims, Vec::new())?, None));
    }
    // An axis of one element never moves, whatever its stride says.
    strides.iter_mut().zip(&dims).filter(|(_, d)| **d == 1).for_each(|(s, _)| *s = 0);
    let last = dims.iter().zip(&strides).try_fold(view.offset, |at, (&d, &s)| {
        at.checked_add(((d - 1) as u64).checked_mul(s as u64)?)
    });
    let Some(offset) = last.filter(|&n| n < storage.count).map(|_| view.offset as usize) else {
        let got = last.map_or("more than can be counted".into(), |n| format!("{}", n as u128 + 1));
        return lying(format!("elements it needs of storage {key}"), &storage.count, &got);
    };

    let laid = layout(&dims, &strides);
    let gathered = match laid {
        None => data[offset * element..][..total].to_vec(),
        Some(_) => gather(&data[offset * element..], element, &dims, &strides, total),
    };
    Ok((HostTensor::new(storage.dtype, dims, gathered)?, laid))
}

/// A tuple of at most [`MAX_RANK`] sizes.
fn sizes(pickle: &Pickle, id: Id) -> Option<Vec<usize>> {
    let (Value::Tuple(items) | Value::List(items)) = pickle.get(id) else { return None };
    let size = |&id: &Id| match *pickle.get(id) {
        Value::Int(n) => usize::try_from(n).ok(),
        _ => None,
    };
    (items.len() <= MAX_RANK).then(|| items.iter().map(size).collect())?
}

/// How strides (0 for axes of one) differ from row-major; `None` if they do not.
fn layout(dims: &[usize], strides: &[usize]) -> Option<&'static str> {
    let moving = || dims.iter().zip(strides).filter(|(d, _)| **d > 1);
    let mut dense = 1;
    let row_major = moving().rev().all(|(d, s)| {
        let fits = *s == dense;
        dense *= d;
        fits
    });
    if row_major {
        None
    } else if moving().any(|(_, s)| *s == 0) {
        Some("was expanded")
    } else if moving().is_sorted_by(|(_, a), (_, b)| a >= b) {
        Some("was strided")
    } else {
        Some("was transposed")
    }
}

/// Elements of `data` in row-major order; the caller has made sure that the last of them is there.
fn gather(data: &[u8], element: usize, dims: &[usize], strides: &[usize], total: usize) -> Vec<u8> {
    let (Some((&n, outer)), Some(&step)) = (dims.split_last(), strides.last()) else {
        return data[..total].to_vec();
    };
    let mut gathered = Vec::with_capacity(total);
    let mut index = [0; MAX_RANK];
    let mut row = 0;
    while gathered.len() < total {
        for i in 0..n {
            gathered.extend_from_slice(&data[(row + i * step) * element..][..element]);
        }
        for axis in (0..outer.len()).rev() {
            index[axis] += 1;
            row += strides[axis];
            if index[axis] < outer[axis] {
                break;
            }
            row -= index[axis] * strides[axis];
            index[axis] = 0;
        }
    }
    gathered
}

/// A value in a few words: numbers and short texts as they are, containers with their first entries.
pub(super) fn describe(pickle: &Pickle, id: Id) -> String {
    const MOST: usize = 120;
    let mut text = words(pickle, id, 2);
    if let Some((cut, _)) = text.char_indices().nth(MOST) {
        text.truncate(cut);
        text.push('…');
    }
    text
}

fn words(pickle: &Pickle, id: Id, depth: usize) -> String {
    const FEW: usize = 8;
    let list = |kind: &str, items: &[Id]| {
        if depth == 0 || items.len() > FEW {
            return format!("{kind} of {}", items.len());
        }
        let items = items.iter().map(|&i| words(pickle, i, depth - 1)).collect::<Vec<_>>();
        format!("[{}]", items.join(", "))
    };
    match pickle.get(id) {
        Value::None => "None".into(),
        Value::Bool(x) => x.to_string(),
        Value::Int(x) => x.to_string(),
        Value::Long(x) => format!("integer of {} bytes", x.len()),
        Value::Float(x) => x.to_string(),
        Value::Str(s) if s.chars().nth(40).is_some() => format!("text of {} bytes", s.len()),
        Value::Str(s) => format!("{s:?}"),
        Value::Bytes(b) => format!("{} bytes", b.len()),
        Value::Tuple(items) => list("tuple", items),
        Value::List(items) => list("list", items),
        Value::Dict(entries) if depth == 0 => format!("dictionary of {}", entries.len()),
        Value::Dict(entries) => {
            let entry = |(k, v): &(Id, Id)| match pickle.text(*k) {
                Some(key) => format!("{}: {}", key.escape_debug(), words(pickle, *v, depth - 1)),
                None => format!("{}: {}", words(pickle, *k, 0), words(pickle, *v, depth - 1)),
            };
            let more = if entries.len() > FEW { ", …" } else { "" };
            let entries = entries.iter().take(FEW).map(entry).collect::<Vec<_>>();
            format!("{{{}{more}}}", entries.join(", "))
        }
        Value::Global(_) => "global".into(),
        Value::Storage(s) => format!("storage of {} {}", s.count, s.dtype),
        Value::Tensor(view) => {
            let shape = sizes(pickle, view.size).unwrap_or_default();
            format!("tensor {} {shape:?}", pickle.storage(view).0.dtype)
        }
        Value::Opaque(label) => label.to_string(),
    }
}
