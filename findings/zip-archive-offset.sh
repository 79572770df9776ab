#!/usr/bin/env bash
# The zip crate refuses a good archive with zip64 records when its first name has 30 bytes, as torch.save writes it.
#
# Seen with zip 9.5.1 (Rust). Where an archive begins is guessed by default: the directory is looked for as many bytes before the
# end record as it is long, without the 76 bytes of zip64 records between the two. An entry of the directory with a name of 30
# bytes is 76 bytes long, so that the second entry is found there and taken for the first, and the archive is taken to begin 76
# bytes late; opening it fails. Other lengths are found right. torch.save writes zip64 records always and names its first entry
# STEM/data.pkl: a file with a stem of 21 letters cannot be opened. Python's zipfile opens it, and so does the crate where it is
# told that the archive begins at 0.
#
# Needs Python 3 and cargo. Exits 0 if that is still so, 1 if not.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >make.py <<'PYTHON'
import io, struct, sys, zipfile

def archive(stem):
    """Two stored entries, and zip64 records before the end record."""
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w", zipfile.ZIP_STORED) as z:
        z.writestr(f"{stem}/data.pkl", b"one")
        z.writestr(f"{stem}/version", b"two")
    b = plain.getvalue()
    end = b.rindex(b"PK\x05\x06")
    size, start = struct.unpack("<II", b[end + 12 : end + 20])
    record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 30, 45, 0, 0, 2, 2, size, start)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    return b[:end] + record + locator + b[end:]

for letters in (20, 21, 22):
    name = f"{letters}.zip"
    open(name, "wb").write(archive("n" * letters))
    with zipfile.ZipFile(name) as z:
        assert z.testzip() is None and len(z.namelist()) == 2
    print(f"{letters} letters: Python's zipfile reads 2 entries")
PYTHON
python3 make.py

mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "offset"
version = "0.0.0"
edition = "2021"
[dependencies]
zip = { version = "=9.5.1", default-features = false }
TOML
cat >src/main.rs <<'RUST'
use std::io::Cursor;
use zip::read::{ArchiveOffset, Config};
use zip::ZipArchive;

fn main() {
    for (letters, opens) in [(20, true), (21, false), (22, true)] {
        let bytes = std::fs::read(format!("{letters}.zip")).unwrap();
        let guessed = ZipArchive::new(Cursor::new(&bytes));
        let zero = Config { archive_offset: ArchiveOffset::Known(0) };
        let told = ZipArchive::with_config(zero, Cursor::new(&bytes));
        let say = |a: &zip::result::ZipResult<ZipArchive<_>>| match a {
            Ok(a) => format!("{} entries", a.len()),
            Err(e) => e.to_string(),
        };
        println!("{letters} letters: guessed: {}; told: {}", say(&guessed), say(&told));
        assert_eq!(guessed.is_ok(), opens, "this has changed");
        assert!(told.is_ok_and(|a| a.len() == 2), "this has changed");
    }
}
RUST
cargo run --quiet
