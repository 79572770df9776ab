//! Weights files as commands read them: which part, and what their user knows of them.

use super::Global;
use crate::cli::say::say;
use crate::data::checkpoint::StateDict;
use crate::engine::{ARCH, Given, ModelKind, settle};
use crate::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// What a user says of the weights of a model.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct WeightsArgs {
    /// Which part of the checkpoint holds the weights, where it has several: a key, or keys joined by dots
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// Sizes and switches of weights that have lost theirs, all or some, in JSON or TOML; `info --configuration` writes them.
    /// Behind any name of weights all of these may stand, too: FILE,key=NAME,config=FILE,charset=62,arch=tg,prior=FILE
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Characters of the recognizer's classes: a file, or 36 (a-z 1-9 0), 62 (0-9 A-Z a-z, as ABINet), or 94 (0-9 a-z A-Z
    /// and signs, as PARSeq)
    #[arg(long, value_name = "FILE|36|62|94")]
    pub charset: Option<String>,
    /// Which network the weights are of, where several have the same tensors: tsrn or tg, rcan or rcan-unit for values in [0, 1],
    /// tatt or tatt-batch as released, c3 or c3-fused as in its paper
    #[arg(long, value_name = "NAME")]
    pub arch: Option<String>,
    /// Weights of the CRNN that guides a TATT or a C3-STISR; by default recognizer_best_acc_0.pth or recognizer_best_0.pth beside
    /// it
    #[arg(long, value_name = "FILE")]
    pub prior: Option<PathBuf>,
}

impl WeightsArgs {
    /// Reads the weights of a model with their whole configuration, and says what was taken off, left out or taken for granted.
    ///
    /// # Errors
    /// A file that cannot be read, or whose configuration cannot be known.
    pub fn open(&self, global: &Global, path: &Path) -> Result<StateDict> {
        let mut state = read(global, path, self.key.as_deref())?;
        let notes = self.settle(&mut state).map_err(|e| e.within(path.display()))?;
        notes.iter().for_each(|note| say(global, path, note));
        Ok(state)
    }

    /// Puts the whole configuration into the metadata, and returns what was taken for granted.
    ///
    /// # Errors
    /// A configuration or characters that cannot be read, or that do not fit.
    pub fn settle(&self, state: &mut StateDict) -> Result<Vec<String>> {
        if let Some(arch) = &self.arch {
            named(state, arch)?;
        }
        let config = self.config.as_deref().map(configuration).transpose()?;
        let charset = self.charset.as_deref().map(characters).transpose()?;
        settle(state, &Given { config, charset })
    }
}

/// Notes in the metadata which network the weights are of.
fn named(state: &mut StateDict, arch: &str) -> Result<()> {
    let wrong = |expected: String| {
        Error::new(ErrorKind::Argument, "--arch", "network that the weights are of")
            .expected(expected)
    };
    let words = || ModelKind::words().collect::<Vec<_>>().join(", ");
    let kind = ModelKind::named(arch).ok_or_else(|| wrong(words()).got(arch))?;
    state.metadata.insert(ARCH.into(), arch.into());
    match ModelKind::of(state) {
        Some(found) if found == kind => Ok(()),
        found => Err(wrong(format!("one with the tensors of {}", kind.name()))
            .got(found.map_or("others", ModelKind::name))),
    }
}

/// Reads weights, or a part of them, and says what was taken off and which tensors were left out.
///
/// # Errors
/// As [`StateDict::read_part`].
pub fn read(global: &Global, path: &Path, key: Option<&str>) -> Result<StateDict> {
    let state = StateDict::read_part(path, key)?;
    let source = &state.source;
    if !source.wrappers.is_empty() {
        say(global, path, &format!("taken off: {}", source.wrappers.join(", ")));
    }
    for (name, what) in source.others.iter().filter(|(_, what)| what.ends_with("not read")) {
        say(global, path, &format!("left out: {name} = {what}"));
    }
    Ok(state)
}

/// Tells a note about a file.
pub fn say(global: &Global, path: &Path, note: &str) {
    if !global.quiet {
        say!("note: {}: {note}", path.display());
    }
}

/// A configuration in JSON or TOML.
fn configuration(path: &Path) -> Result<serde_json::Value> {
    let place = path.display();
    let text = read_text(path)?;
    let wrong = |e: &dyn std::fmt::Display| {
        let e = e.to_string();
        Error::new(ErrorKind::Format, &place, "sizes of a model").detail(e.trim_end())
    };
    match text.trim_start().starts_with('{') {
        true => serde_json::from_str(&text).map_err(|e| wrong(&e)),
        false => toml::from_str(&text).map_err(|e| wrong(&e)),
    }
}

/// The characters that `--charset` asks for.
///
/// # Errors
/// A file that cannot be read, or that lists none.
pub fn characters(wanted: &str) -> Result<String> {
    const DIGITS: &str = "0123456789";
    const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
    const SIGNS: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
    let upper = LOWER.to_uppercase();
    Ok(match wanted {
        "36" => format!("{LOWER}1234567890"),
        "62" => format!("{DIGITS}{upper}{LOWER}"),
        "94" => format!("{DIGITS}{LOWER}{upper}{SIGNS}"),
        file => listed(&read_text(Path::new(file))?).map_err(|e| e.within(file))?,
    })
}

/// Characters in a line, one in each line, or, as ABINet lists them, with their number and a tab before each.
fn listed(text: &str) -> Result<String> {
    let text = text.trim_start_matches('\u{FEFF}');
    let lines: Vec<&str> =
        text.lines().map(|l| l.trim_end_matches('\r')).filter(|l| !l.is_empty()).collect();
    if let [line] = lines[..]
        && !line.contains('\t')
    {
        return Ok(line.into());
    }
    let single = |text: &str| {
        let mut chars = text.chars();
        chars.next().filter(|_| chars.next().is_none())
    };
    let mut characters = String::new();
    for (i, line) in lines.iter().enumerate() {
        let own = match line.split_once('\t') {
            Some((number, own)) => {
                single(own).filter(|_| number.trim().parse::<usize>().is_ok_and(|n| n == i))
            }
            None => single(line),
        };
        characters.push(own.ok_or_else(|| {
            Error::new(ErrorKind::Format, format!("line {}", i + 1), "characters of classes")
                .expected(format!("one character, or {i}, a tab and one"))
                .got(format!("{line:?}"))
        })?);
    }
    match characters.is_empty() {
        true => Err(Error::new(ErrorKind::Format, "", "characters of classes").got("none")),
        false => Ok(characters),
    }
}

fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Error::io(path.display(), "cannot be read", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_in_every_form_that_is_written() {
        assert_eq!(listed("abc\n").unwrap(), "abc");
        assert_eq!(listed("\u{FEFF}a\r\nb\r\n \r\n").unwrap(), "ab ");
        assert_eq!(listed("0\ta\n1\tB\n2\t0\n").unwrap(), "aB0");
        for wrong in ["", "\n", "ab\nc\n", "0\ta\n2\tb\n", "1\ta\n", "0\tab\n"] {
            assert!(listed(wrong).is_err(), "{wrong:?}");
        }
        for (name, count) in [("36", 36), ("62", 62), ("94", 94)] {
            let all = characters(name).unwrap();
            let distinct: std::collections::HashSet<char> = all.chars().collect();
            assert_eq!((all.chars().count(), distinct.len()), (count, count));
        }
        assert!(characters("62").unwrap().starts_with("0123456789ABC"));
        assert!(characters("/none").is_err());
    }
}
