//! The table of the text-focus loss, from wherever a command is told to take it.

use crate::data::checkpoint::{StateDict, is_safetensors};
use crate::data::confusion;
use crate::{Error, ErrorKind, Result};
use std::path::Path;

/// A table of confusions.
pub struct ConfusionTable {
    /// Weights `[37, 37]` of the cross entropy.
    pub weights: Vec<f32>,
    /// Where they are from.
    pub from: String,
}

/// The table of `file`: the reference's file of distances, distances as text, or safetensors with `weight37` or `matrix62`.
/// Without a file that of `inputs`, if they hold one, else the built-in one.
///
/// # Errors
/// A file that holds no such table.
pub fn confusion_table(file: Option<&Path>, inputs: Option<&StateDict>) -> Result<ConfusionTable> {
    let Some(path) = file else {
        let held = inputs.map(|state| table_in(state, "input")).transpose()?.flatten();
        return Ok(match held {
            Some((weights, name)) => {
                ConfusionTable { weights, from: format!("`{name}` of the input") }
            }
            None => ConfusionTable {
                weights: confusion::weights(&confusion::default_distances()),
                from: "the built-in distances between characters".into(),
            },
        });
    };
    let place = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| Error::io(&place, "cannot be read", e))?;
    if !is_safetensors(&bytes) {
        let weights = confusion::weights(&confusion::read(&bytes, &place)?);
        return Ok(ConfusionTable { weights, from: place });
    }
    match table_in(&StateDict::read(path)?, &place)? {
        Some((weights, name)) => {
            Ok(ConfusionTable { weights, from: format!("`{name}` of {place}") })
        }
        None => Err(Error::new(ErrorKind::Format, place, "no table of confusions")
            .expected("a tensor weight37 [37, 37] or matrix62 [62, 62]")),
    }
}

fn table_in(state: &StateDict, place: &str) -> Result<Option<(Vec<f32>, &'static str)>> {
    for (name, n) in [("weight37", 37), ("matrix62", 62)] {
        let Some(t) = state.tensors.get(name) else { continue };
        let values = t.to_f32()?;
        if t.shape() != [n, n] || values.iter().any(|v| !v.is_finite() || *v < 0.0) {
            return Err(Error::new(ErrorKind::Format, place, name)
                .expected(format!("finite numbers from 0 on, [{n}, {n}]"))
                .got(format!("{} {:?}", t.dtype().name(), t.shape())));
        }
        return Ok(Some(match name {
            "weight37" => (values, name),
            _ => {
                let wide: Vec<f64> = values.into_iter().map(f64::from).collect();
                (confusion::weights(&wide), name)
            }
        }));
    }
    Ok(None)
}
