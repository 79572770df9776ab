//! From a kernel file to the WGSL that a driver sees: imports, tile constants and unrolled lines.
//!
//! Three directives, each on a line of its own:
//!
//! - `#import name` pulls in `shaders/shared/name.wgsl` once.
//! - `const NAME: u32 = 8u; // tile` is a tile constant; a [`Variant`](super::Variant) may give it another value. Such
//!   constants size what an `override` cannot: register tiles and the repetitions below.
//! - `#repeat i A..B` … `#end` writes the lines between once for each `i`, with `{i}` replaced. A and B are numbers or tile
//!   constants. Named registers stay in registers on every driver, which indexed private arrays do not.
//!
//! Every flattened line remembers the file and line it came from, so that a message can point there.

use crate::{Error, ErrorKind, Result};

macro_rules! shared {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/shared/", $name, ".wgsl")))),*]
    };
}

/// The files below `shaders/shared/`, by name.
pub fn shared_sources() -> &'static [(&'static str, &'static str)] {
    shared![
        "activation",
        "attention",
        "bilinear",
        "by_tiles",
        "columns",
        "epilogue",
        "element",
        "finite",
        "four",
        "fours",
        "gemm",
        "grid_place",
        "heads",
        "index",
        "mask",
        "quad",
        "random",
        "rows",
        "spline",
        "strided",
        "taps",
        "tile_place",
    ]
}

/// A flattened kernel: its text and, for every line of it, the file and line it came from.
#[derive(Debug, Clone, Default)]
pub struct Flat {
    /// WGSL without directives.
    pub text: String,
    /// Origin of each line: file stem or path, and line number from 1.
    pub origin: Vec<(String, usize)>,
}

struct Flattener<'a> {
    tiles: Vec<(String, u32)>,
    given: &'a [(&'static str, u32)],
    imported: Vec<String>,
    out: Flat,
}

/// Flattens `source`, the content of kernel `path`, with tile constants replaced as `tiles` says.
///
/// # Errors
/// An unknown import, an unclosed or malformed `#repeat`, or a tile constant that the kernel does not have, with file and
/// line.
pub fn flatten(path: &str, source: &str, tiles: &[(&'static str, u32)]) -> Result<Flat> {
    let mut f =
        Flattener { tiles: Vec::new(), given: tiles, imported: Vec::new(), out: Flat::default() };
    let lines: Vec<(usize, String)> = numbered(source);
    f.block(path, &lines)?;
    for (name, _) in tiles {
        if !f.tiles.iter().any(|(n, _)| n == name) {
            return Err(Error::new(ErrorKind::Argument, path, "tile constant of the variant")
                .expected(format!("a line `const {name}: u32 = …; // tile`"))
                .got("none"));
        }
    }
    Ok(f.out)
}

fn numbered(source: &str) -> Vec<(usize, String)> {
    source.lines().enumerate().map(|(i, l)| (i + 1, l.to_string())).collect()
}

impl Flattener<'_> {
    fn block(&mut self, path: &str, lines: &[(usize, String)]) -> Result<()> {
        let mut i = 0;
        while i < lines.len() {
            let (number, line) = (&lines[i].0, lines[i].1.as_str());
            let word = line.trim_start();
            if let Some(name) = word.strip_prefix("#import ") {
                self.import(path, *number, name.trim())?;
            } else if let Some(head) = word.strip_prefix("#repeat ") {
                let end = matching_end(lines, i).ok_or_else(|| {
                    bad(path, *number, "#repeat").expected("a matching #end").got("none")
                })?;
                let (name, from, to) = self.range(path, *number, head)?;
                for value in from..to {
                    let body: Vec<(usize, String)> = lines[i + 1..end]
                        .iter()
                        .map(|(n, l)| (*n, l.replace(&format!("{{{name}}}"), &value.to_string())))
                        .collect();
                    self.block(path, &body)?;
                }
                i = end;
            } else if word.starts_with('#') {
                return Err(bad(path, *number, "directive")
                    .expected("#import, #repeat or #end")
                    .got(word));
            } else {
                let line = self.tile(line);
                self.out.text.push_str(&line);
                self.out.text.push('\n');
                self.out.origin.push((path.to_string(), *number));
            }
            i += 1;
        }
        Ok(())
    }

    fn import(&mut self, path: &str, number: usize, name: &str) -> Result<()> {
        if self.imported.iter().any(|n| n == name) {
            return Ok(());
        }
        let (_, text) = shared_sources().iter().find(|(n, _)| *n == name).ok_or_else(|| {
            bad(path, number, "#import").expected("a file of shaders/shared").got(name)
        })?;
        self.imported.push(name.to_string());
        self.block(&format!("shared/{name}"), &numbered(text))
    }

    /// Replaces the value in a line `const NAME: u32 = 8u; // tile` and notes it.
    fn tile(&mut self, line: &str) -> String {
        let parsed = line
            .trim_end()
            .strip_suffix("// tile")
            .and_then(|l| l.trim().strip_prefix("const "))
            .and_then(|l| l.split_once(": u32 ="))
            .and_then(|(name, value)| {
                let digits = value.trim().trim_end_matches(';').trim_end_matches('u');
                Some((name.trim().to_string(), digits.parse::<u32>().ok()?))
            });
        let Some((name, default)) = parsed else { return line.to_string() };
        let value = self.given.iter().find(|(n, _)| *n == name).map_or(default, |(_, v)| *v);
        let line = format!("const {name}: u32 = {value}u;");
        self.tiles.push((name, value));
        line
    }

    fn range(&self, path: &str, number: usize, head: &str) -> Result<(String, u32, u32)> {
        let parse = || -> Option<(String, u32, u32)> {
            let (name, range) = head.trim().split_once(' ')?;
            let (from, to) = range.trim().split_once("..")?;
            Some((name.to_string(), self.number(from)?, self.number(to)?))
        };
        parse().ok_or_else(|| {
            bad(path, number, "#repeat")
                .expected("`#repeat i A..B` with numbers or tile constants")
                .got(head)
        })
    }

    fn number(&self, word: &str) -> Option<u32> {
        let word = word.trim();
        word.parse().ok().or_else(|| self.tiles.iter().find(|(n, _)| n == word).map(|(_, v)| *v))
    }
}

fn matching_end(lines: &[(usize, String)], start: usize) -> Option<usize> {
    let mut depth = 0;
    for (i, (_, line)) in lines.iter().enumerate().skip(start) {
        let word = line.trim_start();
        if word.starts_with("#repeat ") {
            depth += 1;
        } else if word.trim_end() == "#end" {
            depth -= 1;
            if depth == 0 {
                return Some(i);
            }
        }
    }
    None
}

fn bad(path: &str, number: usize, what: &str) -> Error {
    Error::new(ErrorKind::Argument, format!("shaders/{path}.wgsl:{number}"), what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_nest_and_use_tile_constants() {
        let src =
            "const T: u32 = 2u; // tile\n#repeat i 0..T\n#repeat j 0..2\nx{i}{j}\n#end\n#end\nlast";
        let flat = flatten("a/b", src, &[]).unwrap();
        assert_eq!(flat.text, "const T: u32 = 2u;\nx00\nx01\nx10\nx11\nlast\n");
        assert_eq!(flat.origin[5], ("a/b".to_string(), 7));
        let flat = flatten("a/b", src, &[("T", 1)]).unwrap();
        assert_eq!(flat.text, "const T: u32 = 1u;\nx00\nx01\nlast\n");
    }

    #[test]
    fn mistakes_point_to_file_and_line() {
        let e = flatten("a/b", "x\n#import nothing", &[]).unwrap_err().to_string();
        assert!(
            e.starts_with("shaders/a/b.wgsl:2: #import: expected a file of shaders/shared"),
            "{e}"
        );
        let e = flatten("a/b", "#repeat i 0..2\nx", &[]).unwrap_err().to_string();
        assert!(e.contains("a matching #end"), "{e}");
        assert!(flatten("a/b", "x", &[("T", 1)]).is_err());
    }
}
