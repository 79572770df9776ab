//! Lists of files: one name a line, or with zeros between as `find -print0` writes them.

use super::paths::is_dash;
use crate::{Error, ErrorKind, Result};
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

/// Most bytes of a list.
const LARGEST: u64 = 1 << 28;

/// The names in the file `list`, or on standard input for `-`.
///
/// # Errors
/// [`ErrorKind::Io`] when it cannot be read, [`ErrorKind::Argument`] when it is no list of names.
pub fn read(list: &Path) -> Result<Vec<PathBuf>> {
    let place = format!("--files-from {}", list.display());
    let mut bytes = Vec::new();
    let read = if is_dash(list) {
        if std::io::stdin().is_terminal() {
            return Err(Error::new(ErrorKind::Argument, place, "a list from a terminal")
                .expected("a file or a pipe as standard input"));
        }
        std::io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(list).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
    };
    read.map_err(|e| Error::io(&place, "cannot be read", e))?;
    let bad = |what: &str| Error::new(ErrorKind::Argument, &place, what);
    if bytes.len() as u64 > LARGEST {
        return Err(bad("the list is too large").expected("at most 256 MiB"));
    }
    let names = names(&bytes).map_err(|what| bad(what).expected("UTF-8, one name a line"))?;
    if names.is_empty() {
        return Err(bad("the list names no file"));
    }
    Ok(names)
}

fn names(bytes: &[u8]) -> Result<Vec<PathBuf>, &'static str> {
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err("the list is UTF-16");
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let end = if bytes.contains(&0) { 0 } else { b'\n' };
    let line = |line: &[u8]| match end {
        0 => path(line),
        _ => path(line.strip_suffix(b"\r").unwrap_or(line)),
    };
    bytes.split(|b| *b == end).filter(|l| !l.is_empty() && *l != b"\r").map(line).collect()
}

#[cfg(unix)]
fn path(bytes: &[u8]) -> Result<PathBuf, &'static str> {
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(bytes);
    Ok(name.into())
}

#[cfg(not(unix))]
fn path(bytes: &[u8]) -> Result<PathBuf, &'static str> {
    std::str::from_utf8(bytes).map(Into::into).map_err(|_| "the list is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_every_hand_are_read() {
        let read = |text: &str| {
            let names = names(text.as_bytes()).unwrap();
            names.iter().map(|n| n.to_str().unwrap().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(read("a.png\nb c.png\n\n"), ["a.png", "b c.png"]);
        assert_eq!(read("\u{feff}a.png\r\nb.png\r\n\r\n"), ["a.png", "b.png"]);
        assert_eq!(read("a\nb.png\0c.png\0"), ["a\nb.png", "c.png"]);
        assert!(read("\n").is_empty());
        assert!(names(b"\xff\xfea\0").is_err());
    }
}
