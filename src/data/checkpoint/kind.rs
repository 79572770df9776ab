//! What kind of file bytes are, by their strongest signs.

use super::tensors;
use crate::{Error, ErrorKind};

/// A kind of file that holds weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Safetensors,
    PyTorchZip,
    PyTorchLegacy,
}

/// The kind of a file. Safetensors come first: a header opens with its length, which may be any bytes, but zeros and a brace
/// at their places are signs that no other kind has.
pub(super) fn of(bytes: &[u8]) -> Option<Kind> {
    match bytes {
        _ if tensors::is_one(bytes) => Some(Kind::Safetensors),
        [b'P', b'K', 3, 4, ..] => Some(Kind::PyTorchZip),
        [0x80, 0..=5, ..] => Some(Kind::PyTorchLegacy),
        _ => None,
    }
}

/// Files that are often in the place of weights: what they begin with, what they are, and what helps.
const OTHERS: &[(&[u8], &str, &str)] = &[
    (b"version https://", "a Git LFS pointer", "fetch the file itself: git lfs pull"),
    (b"\x1f\x8b", "a gzip file", "unpack it first: gunzip"),
    (b"BZh", "a bzip2 file", "unpack it first: bunzip2"),
    (b"\xfd7zXZ\0", "an xz file", "unpack it first: unxz"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", "unpack it first: unzstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it first"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes", ""),
    (b"\x93NUMPY", "an array of numpy", ""),
    (b"GGUF", "a GGUF file", ""),
    (b"%PDF", "a PDF", ""),
    (b"\x89PNG", "a PNG image", ""),
    (b"\xff\xd8\xff", "a JPEG image", ""),
];

/// Where a tar archive says that it is one.
const TAR: std::ops::Range<usize> = 257..262;

/// The refusal of a file that is no checkpoint, by name where it is known.
pub(super) fn refusal(place: &str, bytes: &[u8]) -> Error {
    let e = Error::new(ErrorKind::Format, place, "not a checkpoint")
        .expected("safetensors or a file of torch.save");
    let named = |e: Error, what: &str, hint: &str| match hint {
        "" => e.got(what),
        hint => e.got(what).hint(hint),
    };
    if bytes.is_empty() {
        return e.got("an empty file");
    }
    if let Some((_, what, hint)) = OTHERS.iter().find(|(sign, ..)| bytes.starts_with(sign)) {
        return named(e, what, hint);
    }
    if bytes.get(TAR) == Some(b"ustar") {
        return named(e, "a tar archive", "unpack it first: tar -xf");
    }
    let head = &bytes[..bytes.len().min(512)];
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let text = text.trim_start_matches(['\u{FEFF}', ' ', '\t', '\r', '\n']);
    if ["<!doctype", "<html", "<head", "<?xml", "<!--"].iter().any(|tag| text.starts_with(tag)) {
        return named(
            e,
            "a web page: the download failed",
            "a browser shows what it says; download the file itself",
        );
    }
    if text.starts_with(['{', '[']) && !text.contains('\0') {
        return named(
            e,
            "JSON text",
            "of a download that failed, or the index of weights in several files",
        );
    }
    e.got(format!("\"{}\"…", head[..head.len().min(16)].escape_ascii()))
}

/// The refusal of a zip archive that torch.save did not write, by the names of its entries.
pub(super) fn zip_refusal(place: &str, names: &[String]) -> Option<Error> {
    let ends = |end: &str| names.iter().find(|name| name.ends_with(end));
    let within = |part: &str| names.iter().any(|name| name.contains(part));
    let e = |what: &str| Error::new(ErrorKind::Format, place, what);
    let torch = "a file of torch.save(model.state_dict(), …)";
    if within("/code/") || ends("/constants.pkl").is_some() {
        let hint = "in Python: torch.save(torch.jit.load(FILE).state_dict(), OUT)";
        return Some(e("a TorchScript archive, which holds a program").expected(torch).hint(hint));
    }
    if ends("archive_format").is_some() || ends("serialized_exported_program.json").is_some() {
        let hint = "in Python: torch.save(torch.export.load(FILE).state_dict, OUT)";
        return Some(
            e("an archive of torch.export, which holds a program").expected(torch).hint(hint),
        );
    }
    let objects = names.iter().filter(|n| *n == "data.pkl" || n.ends_with("/data.pkl")).count();
    if objects == 1 {
        return None;
    }
    let e = e("a zip archive, but not of torch.save").expected("one entry data.pkl");
    let inside = [".pth", ".pt", ".safetensors", ".ckpt", ".bin"].iter().find_map(|end| ends(end));
    Some(match inside {
        Some(name) => {
            e.got(format!("{} entries, among them {name}", names.len())).hint("unpack it first")
        }
        None if ends(".npy").is_some() => e.got("arrays of numpy (npz)"),
        None => e.got(format!("{} entries, {objects} of them data.pkl", names.len())),
    })
}
