//! Choices between kernels that outlive an engine, in a folder: a file for each adapter.

use crate::data::picture::write_file;
use crate::gpu::Gpu;
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Serialize, Deserialize, PartialEq)]
struct Table {
    adapter: String,
    backend: String,
    driver: String,
    version: String,
    choices: BTreeMap<String, String>,
}

impl Table {
    fn of(gpu: &Gpu) -> Self {
        let s = gpu.summary();
        Table {
            adapter: s.name.clone(),
            backend: s.backend.clone(),
            driver: s.driver.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            choices: gpu.choices(),
        }
    }
}

/// The file of an adapter's choices in a folder.
fn file(gpu: &Gpu, folder: &Path) -> PathBuf {
    let s = gpu.summary();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = format!("{} {}", s.name, s.backend).chars().map(plain).collect();
    folder.join(format!("tuning-{name}.json"))
}

/// Takes the choices of this adapter, driver and version out of a folder, if it has them.
pub(super) fn recall(gpu: &Gpu, folder: &Path) {
    let Ok(text) = std::fs::read(file(gpu, folder)) else { return };
    let Ok(table) = serde_json::from_slice::<Table>(&text) else { return };
    let of_this = Table { choices: table.choices.clone(), ..Table::of(gpu) };
    if table == of_this {
        gpu.set_choices(table.choices);
    }
}

/// Writes the choices of this adapter to a folder.
pub(super) fn keep(gpu: &Gpu, folder: &Path) -> Result<PathBuf> {
    let file = file(gpu, folder);
    let json = serde_json::to_string_pretty(&Table::of(gpu))
        .map_err(|e| Error::new(ErrorKind::Result, "tuning", "choices as JSON").detail(e))?;
    std::fs::create_dir_all(folder)
        .map_err(|e| Error::io(folder.display(), "cannot be made", e))?;
    write_file(&file, (json + "\n").as_bytes(), true)?;
    Ok(file)
}
