//! The two containers PyTorch has written: a zip archive since 1.6, and before it pickles followed by raw storages. Knows
//! where bytes stand; what they mean is told by the pickle.

use super::pickle::Pickle;
use super::value::Value;
use super::{Container, StateDict, describe::describe, kind, unwrap};
use crate::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::io::{self, Cursor};
use zip::read::{ArchiveOffset, Config};
use zip::{CompressionMethod, ZipArchive};

/// The number a file of the older container opens with, little-endian: 0x1950a86a20f9469cfc6c.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Version of the older container; there was one.
const PROTOCOL: i64 = 1001;

/// Reads a zip archive `NAME/data.pkl`, `NAME/data/KEY`…, all stored without compression.
pub(super) fn read_zip(place: &str, bytes: &[u8], key: Option<&str>) -> Result<StateDict> {
    // Where the archive begins is not left to be guessed: the guess (zip 9.5.1) takes the second entry of a directory for its
    // first where names have a certain length, as those of recognizer_best_acc_0.pth have.
    let begin = Config { archive_offset: ArchiveOffset::Known(0) };
    let mut zip = ZipArchive::with_config(begin, Cursor::new(bytes)).map_err(|e| {
        Error::new(ErrorKind::Format, place, format!("the zip archive is damaged or cut off: {e}"))
            .got(format!("{} bytes", bytes.len()))
    })?;
    let names = zip.file_names().filter_map(|n| Some(n.ok()?.into_owned())).collect::<Vec<_>>();
    if let Some(refusal) = kind::zip_refusal(place, &names) {
        return Err(refusal);
    }
    let mut names = names.into_iter();
    let object = names.find(|name| name == "data.pkl" || name.ends_with("/data.pkl"));
    let object = object.expect("an archive without one is refused");
    let folder = object.trim_end_matches("data.pkl");
    if let Some(order) = zip.index_for_name(&format!("{folder}byteorder")) {
        little_endian(place, entry(place, bytes, &mut zip, order)? == b"little")?;
    }
    let index = zip.index_for_name(&object).expect("an entry of the list");
    let pickled = entry(place, bytes, &mut zip, index)?;
    let pickle = Pickle::read(&format!("{place}: {object}"), pickled, 0)?;
    unwrap::state_dict(place, Container::PyTorchZip, bytes.len(), &pickle, key, |key| {
        let name = format!("{folder}data/{key}");
        let index = zip.index_for_name(&name).ok_or_else(|| {
            Error::new(ErrorKind::Format, place, format!("the archive has no entry {name}"))
        })?;
        entry(place, bytes, &mut zip, index)
    })
}

/// The bytes of an entry, where they stand in the file, with their checksum tested.
fn entry<'a>(
    place: &str,
    bytes: &'a [u8],
    zip: &mut ZipArchive<Cursor<&[u8]>>,
    index: usize,
) -> Result<&'a [u8]> {
    let name = zip.name_for_index(index).and_then(|n| n.ok()).unwrap_or_default().into_owned();
    let fail = |what: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Format, format!("{place}: entry {name}"), what)
    };
    let mut entry = zip.by_index(index).map_err(|e| fail(&e))?;
    if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
        return Err(fail(&"is compressed or encrypted, which torch.save never does"));
    }
    let (start, size) = (entry.data_start(), entry.size());
    let stored = start.and_then(|start| {
        let start = usize::try_from(start).ok()?;
        bytes.get(start..start.checked_add(usize::try_from(size).ok()?)?)
    });
    let Some(stored) = stored.filter(|_| entry.compressed_size() == size) else {
        let place = start.map_or(String::new(), |start| format!(" from byte {start}"));
        return Err(fail(&format!("claims bytes that are not there{place}"))
            .expected(size)
            .got(format!("a file of {}", bytes.len())));
    };
    io::copy(&mut entry, &mut io::sink()).map_err(|e| fail(&format!("is damaged: {e}")))?;
    Ok(stored)
}

/// Reads the older container: the magic number, the version, what the machine was, the object, the keys of its storages (each
/// a pickle), and the storages: a count of elements (i64) and the elements.
pub(super) fn read_legacy(place: &str, bytes: &[u8], key: Option<&str>) -> Result<StateDict> {
    let fail = |at: usize, what: &str| {
        Error::new(ErrorKind::Format, format!("{place} at byte {at}"), what)
    };
    let magic = Pickle::read(place, bytes, 0)?;
    if !matches!(magic.get(magic.root), Value::Long(n) if *n == MAGIC) {
        return Err(fail(0, "a pickle, but not of torch.save"));
    }
    let version = Pickle::read(place, bytes, magic.end)?;
    if !matches!(version.get(version.root), Value::Int(PROTOCOL)) {
        return Err(fail(magic.end, "version of the container")
            .expected(PROTOCOL)
            .got(describe(&version, version.root)));
    }
    let machine = Pickle::read(place, bytes, version.end)?;
    if let Value::Dict(entries) = machine.get(machine.root) {
        let order = entries.iter().find(|(k, _)| machine.text(*k) == Some("little_endian"));
        little_endian(
            place,
            !order.is_some_and(|(_, v)| matches!(machine.get(*v), Value::Bool(false))),
        )?;
    }
    let object = Pickle::read(place, bytes, machine.end)?;
    let sizes: HashMap<&str, usize> = object
        .values
        .iter()
        .filter_map(|v| match v {
            Value::Storage(s) => Some((object.text(s.key)?, s.element.size())),
            _ => None,
        })
        .collect();

    let keys = Pickle::read(place, bytes, object.end)?;
    let Value::List(list) = keys.get(keys.root) else {
        return Err(fail(object.end, "the list of storages").got(describe(&keys, keys.root)));
    };
    let mut storages = HashMap::new();
    let mut at = keys.end;
    for &key in list {
        let Some((key, size)) = keys.text(key).and_then(|k| Some((k, *sizes.get(k)?))) else {
            return Err(fail(object.end, "the list of storages names one that no tensor has")
                .got(describe(&keys, key)));
        };
        let rest = &bytes[at..];
        let Some((count, rest)) = rest.split_first_chunk() else {
            return Err(fail(at, &format!("the file is cut off before storage {key}"))
                .expected("8 bytes")
                .got(rest.len()));
        };
        let count = i64::from_le_bytes(*count);
        let whole = usize::try_from(count).ok().and_then(|n| n.checked_mul(size));
        let Some(data) = whole.and_then(|n| rest.get(..n)) else {
            return Err(fail(at, &format!("the file is cut off in storage {key}"))
                .expected(format!("{count} elements of {size} bytes"))
                .got(format!("{} bytes", rest.len())));
        };
        storages.insert(key, data);
        at += 8 + data.len();
    }
    unwrap::state_dict(place, Container::PyTorchLegacy, bytes.len(), &object, key, |key| {
        storages.get(key).copied().ok_or_else(|| {
            Error::new(ErrorKind::Format, place, format!("the file holds no storage {key}"))
        })
    })
}

fn little_endian(place: &str, is: bool) -> Result<()> {
    match is {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Format, place, "byte order of the storages")
            .expected("little-endian")
            .got("big-endian")),
    }
}
