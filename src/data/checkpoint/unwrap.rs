//! From a pickled object to named arrays: views of storages become contiguous. Does not know which container the bytes came
//! from.

use super::describe::{MAX_RANK, sizes};
use super::element::Element;
use super::find::find;
use super::host::{HostTensor, byte_count};
use super::names;
use super::pickle::Pickle;
use super::value::View;
use super::{Container, Source, StateDict};
use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

/// All arrays together may take this many times the size of their file: shared and expanded storages are legitimate, an
/// expansion of four bytes to a terabyte is not.
const MAX_GROWTH: usize = 16;

/// Every tensor of the state dict in `pickle`, below `key` if there is one, from a file of `file_size` bytes whose storages
/// `fetch` finds by key.
pub(super) fn state_dict<'f>(
    place: &str,
    container: Container,
    file_size: usize,
    pickle: &Pickle,
    key: Option<&str>,
    mut fetch: impl FnMut(&str) -> Result<&'f [u8]>,
) -> Result<StateDict> {
    let mut source = Source::new(place, container);
    let (views, below) = find(place, pickle, key, &mut source)?;

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
    names::tidy(StateDict { tensors, metadata: BTreeMap::new(), source }, below)
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
    let Element::Read(dtype) = view.element else { return Err(fail("its type is not read")) };
    let dims = sizes(pickle, view.size).ok_or_else(|| fail("its shape is no tuple of sizes"))?;
    let mut strides =
        sizes(pickle, view.stride).ok_or_else(|| fail("its strides are no tuple of sizes"))?;
    if dims.len() != strides.len() {
        return lying("as many strides as axes".into(), &dims.len(), &strides.len());
    }
    let total = byte_count(dtype, &dims).filter(|n| n <= left).ok_or_else(|| {
        fail("tensors are larger than their file explains")
            .expected(format!("at most {left} bytes more"))
            .got(format!("{dtype} {dims:?}"))
    })?;
    *left -= total;

    let stored = storage.element.size();
    let span = |first: u64, count: u64| {
        let first = usize::try_from(first).ok()?.checked_mul(stored)?;
        Some(first..first.checked_add(usize::try_from(count).ok()?.checked_mul(stored)?)?)
    };
    let Some(data) = span(storage.first, storage.count).and_then(|range| bytes.get(range)) else {
        let declared = format!("elements {} to {}", storage.first, storage.count);
        let wanted = storage.first.checked_add(storage.count);
        let wanted = wanted.and_then(|n| n.checked_mul(stored as u64));
        let wanted = wanted.map_or(declared, |n| format!("{n} bytes"));
        return lying(format!("storage {key}"), &wanted, &format!("{} bytes", bytes.len()));
    };
    // Elements of a tensor may be wider than those of an untyped storage.
    let element = dtype.size();
    let count = (data.len() / element) as u64;
    if total == 0 {
        return Ok((HostTensor::new(dtype, dims, Vec::new())?, None));
    }
    // An axis of one element never moves, whatever its stride says.
    strides.iter_mut().zip(&dims).filter(|(_, d)| **d == 1).for_each(|(s, _)| *s = 0);
    let last = dims.iter().zip(&strides).try_fold(view.offset, |at, (&d, &s)| {
        at.checked_add(((d - 1) as u64).checked_mul(s as u64)?)
    });
    let Some(offset) = last.filter(|&n| n < count).map(|_| view.offset as usize) else {
        let got = last.map_or("more than can be counted".into(), |n| format!("{}", n as u128 + 1));
        return lying(format!("elements it needs of storage {key}"), &count, &got);
    };

    let laid = layout(&dims, &strides);
    let gathered = match laid {
        None => data[offset * element..][..total].to_vec(),
        Some(_) => gather(&data[offset * element..], element, &dims, &strides, total),
    };
    Ok((HostTensor::new(dtype, dims, gathered)?, laid))
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
