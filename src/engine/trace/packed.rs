//! Gradients, statistics and steps beside the packed tables of a reference file: norm, largest magnitude, first elements and
//! projections on random signs of every tensor, with the reference's own f32 noise.

use super::compare::norm;
use super::{Activation, Comparison, info, to_f64};
use crate::data::checkpoint::StateDict;
use crate::models::procedural::Stream;
use crate::{Error, ErrorKind, Result};
use std::collections::HashMap;

/// Families of packed tables and the smallest bound of each on a relative error.
const FAMILIES: [(&str, f64); 3] = [("grad", 1e-3), ("bn", 1e-3), ("adam_delta", 1e-2)];
const FIRST: usize = 8;
const PROBES: usize = 4;
/// Norms below this share of the whole gradient's are zero in exact arithmetic.
const NOTHING: f64 = 1e-7;
/// Largest norm, as a share of the whole gradient's, of what is zero in exact arithmetic.
const ROUNDING: f64 = 1e-4;

/// Compares `grad.NAME`, `bn.NAME` and `adam_delta.NAME` with the tables of `golden`: norms within ten times the noise of
/// the reference's norm, projections and elements within ten times the noise of the whole tensor, but at least 1e-3. What is
/// zero in exact arithmetic is compared absolutely, and its step not at all: Adam makes full steps of rounding errors.
///
/// # Errors
/// [`ErrorKind::Format`] for tables that cannot be read or do not fit their names.
pub fn compare_packed(activations: &[Activation], golden: &StateDict) -> Result<Vec<Comparison>> {
    let whole = info(golden).unwrap_or_default();
    let seed = whole["seed"].as_u64().unwrap_or(1);
    let mut out = compare_family(activations, golden, "", &whole, seed)?;
    for (system, info) in whole["systems"].as_object().into_iter().flatten() {
        let prefix = format!("{system}.");
        // Of the systems in a file those that were run.
        if activations.iter().any(|a| a.name.starts_with(&format!("{prefix}grad."))) {
            out.extend(compare_family(activations, golden, &prefix, info, seed)?);
        }
    }
    for (key, names) in whole.as_object().into_iter().flatten() {
        let prefix = key.strip_suffix("grad_names").filter(|p| p.ends_with('.'));
        let has = |p: &&str| activations.iter().any(|a| a.name.starts_with(&format!("{p}grad.")));
        if let Some(prefix) = prefix.filter(has) {
            let info = serde_json::json!({ "grad_names": names });
            out.extend(compare_family(activations, golden, prefix, &info, seed)?);
        }
    }
    Ok(out)
}

/// The tables whose names begin with `prefix`.
fn compare_family(
    activations: &[Activation],
    golden: &StateDict,
    prefix: &str,
    info: &serde_json::Value,
    seed: u64,
) -> Result<Vec<Comparison>> {
    let by_name: HashMap<&str, &Activation> =
        activations.iter().map(|a| (a.name.as_str(), a)).collect();
    let mut out = Vec::new();
    let mut zeros: Vec<String> = Vec::new();
    for (family, least) in FAMILIES {
        let Some(names) = info[format!("{family}_names")].as_array() else { continue };
        let Some(names) = names.iter().map(|v| v.as_str()).collect::<Option<Vec<&str>>>() else {
            return Err(Error::new(ErrorKind::Format, "reference", format!("{family}_names"))
                .expected("texts alone"));
        };
        // The tables of a family have a row for each name, or are not there at all.
        let table = |kind: &str, columns: usize| -> Result<Option<Vec<f64>>> {
            let key = format!("{prefix}{family}.{kind}");
            let Some(tensor) = golden.tensors.get(&key) else { return Ok(None) };
            let values = to_f64(tensor)?;
            match values.len() == names.len() * columns {
                true => Ok(Some(values)),
                false => Err(Error::new(ErrorKind::Format, "reference", key)
                    .expected(format!("{columns} values for each of {} names", names.len()))
                    .got(values.len())),
            }
        };
        let Some(l2) = table("l2", 1)? else { continue };
        let noise = table("rel32", 1)?.unwrap_or_default();
        let norm_noise = table("normrel32", 1)?.unwrap_or_default();
        let probes = table("probe", PROBES)?.unwrap_or_default();
        let first = table("first8", FIRST)?.unwrap_or_default();
        let largest = match table("maxabs", 1)? {
            None if !first.is_empty() => {
                return Err(Error::new(ErrorKind::Format, "reference", format!("{family}.first8"))
                    .expected(format!("the table {family}.maxabs beside it")));
            }
            largest => largest.unwrap_or_default(),
        };
        let whole = norm(l2.iter().copied());
        for (i, name) in names.iter().enumerate() {
            let key = format!("{prefix}{family}.{name}");
            let Some(a) = by_name.get(key.as_str()) else {
                let error = f64::INFINITY;
                out.push(Comparison {
                    name: format!("{key} is missing"),
                    error,
                    bound: 0.0,
                    worst: None,
                });
                continue;
            };
            let got = &a.value.data;
            let size = norm(got.iter().copied());
            let bound = |noise: &[f64]| (10.0 * noise.get(i).copied().unwrap_or(0.0)).max(least);
            if family == "grad" && l2[i] < NOTHING * whole {
                zeros.push(name.to_string());
                let worst = Some((0, l2[i], size));
                let (name, error) = (format!("{key} is zero"), size / whole);
                out.push(Comparison { name, error, bound: ROUNDING, worst });
                continue;
            }
            if family == "adam_delta" && zeros.iter().any(|z| z == name) {
                continue;
            }
            out.push(Comparison {
                name: format!("{key} norm"),
                error: (size - l2[i]).abs() / l2[i].max(f64::MIN_POSITIVE),
                bound: bound(&norm_noise),
                worst: Some((0, l2[i], size)),
            });
            for (j, want) in first.iter().skip(i * FIRST).take(FIRST.min(got.len())).enumerate() {
                out.push(Comparison {
                    name: format!("{key}[{j}]"),
                    error: (got[j] - want).abs() / largest[i].max(f64::MIN_POSITIVE),
                    bound: bound(&noise),
                    worst: Some((j, *want, got[j])),
                });
            }
            for (k, want) in probes.iter().skip(i * PROBES).take(PROBES).enumerate() {
                let signs = Stream::new(seed, &format!("probe{k}:{name}"));
                let sign = |e: usize| if signs.signed(e) >= 0.0 { 1.0 } else { -1.0 };
                let sum: f64 = got.iter().enumerate().map(|(e, g)| g * sign(e)).sum();
                out.push(Comparison {
                    name: format!("{key} projection {k}"),
                    error: (sum - want).abs() / l2[i].max(f64::MIN_POSITIVE),
                    bound: bound(&noise),
                    worst: Some((k, *want, sum)),
                });
            }
        }
    }
    Ok(out)
}
