//! Any checkpoint into safetensors, and a table of what was found on the way.

use super::{Container, Dtype, StateDict, exists, read_file, tensors};
use crate::error::visible;
use crate::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::Path;

/// How [`convert`] goes about it. The default keeps every type and overwrites nothing.
#[derive(Debug, Clone, Default)]
pub struct ConvertOptions {
    /// Which part of the checkpoint, as [`StateDict::read_part`] has it.
    pub key: Option<String>,
    /// Store floating-point tensors in this type; integers stay as they are.
    pub dtype: Option<Dtype>,
    /// Only those whose names fit one of these ([`name_fits`]); all where there is none.
    pub only: Vec<String>,
    /// Write over a file that is there.
    pub overwrite: bool,
}

/// What a file holds; [`fmt::Display`] prints it as a table, with names escaped.
#[derive(Debug, Clone)]
pub struct Report {
    /// The file that was read.
    pub place: String,
    /// The kind of file.
    pub container: Container,
    /// Its size in bytes.
    pub bytes: usize,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Elements of all tensors together.
    pub elements: usize,
    /// Wrappers that were taken off, outermost first.
    pub wrappers: Vec<String>,
    /// What stood beside the tensors, by key, in a few words each.
    pub others: Vec<(String, String)>,
    /// The tensors, in the order of the file.
    pub rows: Vec<Row>,
}

/// A tensor in a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its name, without wrappers.
    pub name: String,
    /// The type of its elements, after a conversion if there was one.
    pub dtype: Dtype,
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// How it differed from a plain array in the file; empty if it did not.
    pub note: String,
}

/// Whether `name` contains `pattern`, in which * stands for anything.
pub fn name_fits(pattern: &str, name: &str) -> bool {
    let mut rest = name;
    pattern.split('*').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

/// Reads a checkpoint of any kind, or the part of it below `key`, and says what it holds.
///
/// # Errors
/// As [`StateDict::read_part`].
pub fn inspect(path: impl AsRef<Path>, key: Option<&str>) -> Result<(StateDict, Report)> {
    let bytes = read_file(path.as_ref())?;
    let state = StateDict::part_from_bytes(&path.as_ref().display().to_string(), &bytes, key)?;
    let hash = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    let report = Report::new(&state, bytes.len(), hash);
    Ok((state, report))
}

/// Reads a checkpoint of any kind and writes it as safetensors. Metadata of the input is kept; `source`, `source_format` and
/// `source_sha256` are added.
///
/// # Errors
/// As [`StateDict::read_part`]; [`ErrorKind::Argument`] if `output` is there and may not be overwritten, or if the type asked for
/// is no float; [`ErrorKind::Format`] for a value that does not fit it; [`ErrorKind::Io`] if `output` cannot be written.
///
/// ```
/// use lemma_gpu::data::checkpoint::{ConvertOptions, StateDict, convert};
/// let folder = tempfile::tempdir().unwrap();
/// let output = folder.path().join("weights.safetensors");
/// let report = convert("tests/golden/pth/lemma-zip.pth", &output, &ConvertOptions::default())?;
/// assert_eq!(report.wrappers, ["state_dict_G", "module."]);
/// assert_eq!(StateDict::read(&output)?.tensors.len(), report.rows.len());
/// # Ok::<(), lemma_gpu::Error>(())
/// ```
pub fn convert(
    input: impl AsRef<Path>,
    output: impl AsRef<Path>,
    options: &ConvertOptions,
) -> Result<Report> {
    convert_with(input, output, options, |_| Ok(()))
}

/// [`convert`], with a last word on what was read: `complete` may add metadata.
///
/// # Errors
/// As [`convert`], and those of `complete`.
pub fn convert_with(
    input: impl AsRef<Path>,
    output: impl AsRef<Path>,
    options: &ConvertOptions,
    complete: impl FnOnce(&mut StateDict) -> Result<()>,
) -> Result<Report> {
    let (input, output) = (input.as_ref(), output.as_ref());
    if let Some(dtype) = options.dtype.filter(|d| !d.is_float()) {
        return Err(Error::new(ErrorKind::Argument, "dtype", "type of the tensors to write")
            .expected("F64, F32, F16 or BF16")
            .got(dtype));
    }
    if !options.overwrite && output.exists() {
        return Err(exists(output));
    }
    let (mut state, mut report) = inspect(input, options.key.as_deref())?;
    complete(&mut state)?;
    for row in report.rows.iter_mut().filter(|row| row.dtype.is_float()) {
        let Some(to) = options.dtype.filter(|to| *to != row.dtype) else { continue };
        if !options.only.is_empty() && !options.only.iter().any(|p| name_fits(p, &row.name)) {
            continue;
        }
        let tensor = state.tensors.get_mut(&row.name).expect("a row for each tensor");
        *tensor = tensor
            .convert(to)
            .map_err(|e| e.within(format!("{}: {}", input.display(), row.name)))?;
        let comma = if row.note.is_empty() { "" } else { ", " };
        row.note += &format!("{comma}cast from {}", row.dtype);
        row.dtype = to;
    }
    let name = input.file_name().unwrap_or_default().to_string_lossy();
    state.metadata.extend([
        ("source".into(), name.into_owned()),
        ("source_format".into(), report.container.to_string()),
        ("source_sha256".into(), report.sha256.clone()),
    ]);
    tensors::write(&state, output, options.overwrite)?;
    Ok(report)
}

impl Report {
    fn new(state: &StateDict, bytes: usize, sha256: String) -> Self {
        let source = &state.source;
        let row = |(name, tensor): (&str, &super::HostTensor)| Row {
            name: name.into(),
            dtype: tensor.dtype(),
            shape: tensor.shape().to_vec(),
            note: source.notes.get(name).cloned().unwrap_or_default(),
        };
        Report {
            place: source.place.clone(),
            container: source.container,
            bytes,
            sha256,
            elements: state.element_count(),
            wrappers: source.wrappers.clone(),
            others: source.others.clone(),
            rows: state.in_order().map(row).collect(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { place, container, bytes, sha256, elements, wrappers, others, rows } = self;
        writeln!(f, "{}: {container}, {bytes} bytes, sha256 {sha256}", visible(place))?;
        writeln!(f, "{} tensors, {elements} elements", rows.len())?;
        if !wrappers.is_empty() {
            writeln!(f, "taken off: {}", visible(&wrappers.join(", ")))?;
        }
        for (key, what) in others {
            writeln!(f, "left out: {}", visible(&format!("{key} = {what}")))?;
        }
        let shapes = rows.iter().map(|r| format!("{:?}", r.shape)).collect::<Vec<_>>();
        let widest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
        let names = rows.iter().map(|r| visible(&r.name)).collect::<Vec<_>>();
        let name = widest(&mut names.iter().map(|n| n.chars().count()));
        let shape = widest(&mut shapes.iter().map(String::len));
        for ((row, of), called) in rows.iter().zip(&shapes).zip(&names) {
            let line = format!("{called:name$}  {:4}  {of:shape$}  {}", row.dtype, row.note);
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let fits = name_fits;
        let name = "position_prior.vision.cls.weight";
        assert!(fits("position_prior", name) && fits("prior*cls", name) && fits("*", name));
        assert!(!fits("cls*prior", name) && !fits("language", name));
    }
}
