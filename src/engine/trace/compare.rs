//! Activations beside reference tensors.

use super::{Activation, info, to_f64};
use crate::data::checkpoint::{HostTensor, StateDict};
use crate::tensor::Dtype as DeviceType;
use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, HashMap};

/// How one activation compares with its reference.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// What was compared.
    pub name: String,
    /// Relative L2 error; of integers and texts the share that differs.
    pub error: f64,
    /// Largest error allowed.
    pub bound: f64,
    /// Worst element: its index, the reference's value and ours.
    pub worst: Option<(usize, f64, f64)>,
}

impl Comparison {
    /// Whether the error is within its bound. A NaN is not.
    pub fn passes(&self) -> bool {
        self.error <= self.bound
    }
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: relative error {:.2e}, bound {:.2e}", self.name, self.error, self.bound)?;
        match self.worst {
            Some((i, want, got)) => write!(f, "; worst at {i}: expected {want}, got {got}"),
            None => Ok(()),
        }
    }
}

/// Smallest bound on a relative error: ten times f32's own noise is less than this for the shallowest layers.
const LEAST_BOUND: f64 = 1e-5;

/// Compares activations with a reference file, in the order of the graph: whole tensors under their names, and the packed
/// tables `trace.l2` and `trace.first16` with their noise figures `trace.rel32`, in a file of several systems those of each
/// (`tsrn.trace.l2` by `info.systems.tsrn.trace`, `crnn.trace.l2` by `info.crnn.trace`). Bounds are ten times the reference's own
/// f32 noise (`info.dev32`, `trace.rel32`), at least 1e-5; integers and texts (`info`) must be equal. The noise figures of
/// `crnn.trace` and its like are of norms: the first values of a module are held to the median noise of the network's whole values.
///
/// # Errors
/// [`ErrorKind::Format`] when nothing in the file can be compared.
pub fn compare(activations: &[Activation], golden: &StateDict) -> Result<Vec<Comparison>> {
    let info = info(golden).unwrap_or_default();
    let noise: HashMap<String, f64> = info["dev32"]
        .as_object()
        .map(|o| o.iter().filter_map(|(k, v)| Some((k.clone(), v[1].as_f64()?))).collect())
        .unwrap_or_default();
    let mut packed = vec![Packed::read(golden, "", "", &info["trace"])?];
    for (system, info) in info["systems"].as_object().into_iter().flatten() {
        let prefix = format!("{system}.");
        packed.push(Packed::read(golden, &prefix, &prefix, &info["trace"])?);
    }
    for (key, names) in info.as_object().into_iter().flatten() {
        if let Some(network) = key.strip_suffix("trace").filter(|n| n.ends_with('.')) {
            let known = noise.iter().filter(|(name, v)| name.starts_with(network) && **v > 0.0);
            let mut known: Vec<f64> = known.map(|(_, v)| *v).collect();
            known.sort_by(f64::total_cmp);
            let of_values = known.get(known.len() / 2).copied().unwrap_or(0.0);
            packed.push(Packed { of_values, ..Packed::read(golden, network, "", names)? });
        }
    }
    let mut out = Vec::new();
    for a in activations {
        let rows = |p: &Packed| Some(p.compare(a, *p.rows.get(&(a.name.clone(), a.call))?));
        out.extend(packed.iter().find_map(rows).into_iter().flatten());
        if let (Some(texts), Some(reference)) = (a.texts(), info[&a.name].as_array()) {
            out.push(compare_texts(a, &texts, reference));
        }
        if let Some(reference) = golden.tensors.get(&a.key()) {
            out.push(compare_whole(a, reference, noise.get(&a.key()).copied())?);
        }
    }
    if out.is_empty() {
        return Err(Error::new(ErrorKind::Format, "reference", "nothing to compare")
            .expected("tensors named as the activations, or trace tables with `info.trace`")
            .got(format!("{} tensors", golden.tensors.len())));
    }
    Ok(out)
}

/// What is read must be the same, word by word.
fn compare_texts(a: &Activation, texts: &[String], reference: &[serde_json::Value]) -> Comparison {
    let same = texts.len() == reference.len();
    let differ = texts.iter().zip(reference).filter(|(got, want)| want.as_str() != Some(got));
    let differ: Vec<String> = differ.map(|(got, want)| format!("{want}, got {got:?}")).collect();
    let share = differ.len() as f64 / reference.len().max(1) as f64;
    let name = match differ.first() {
        None => a.key(),
        Some(first) => format!("{}: expected {first}", a.key()),
    };
    Comparison { name, error: if same { share } else { 1.0 }, bound: 0.0, worst: None }
}

fn compare_whole(a: &Activation, reference: &HostTensor, noise: Option<f64>) -> Result<Comparison> {
    if reference.shape() != a.value.dims() {
        return Err(Error::new(ErrorKind::Shape, a.key(), "shape of the reference")
            .expected(a.value.shape)
            .got(format!("{:?}", reference.shape())));
    }
    let want = to_f64(reference)?;
    let exact = a.value.dtype == DeviceType::U32;
    let (error, bound) = if exact {
        let differ = want.iter().zip(&a.value.data).filter(|(w, g)| w != g).count();
        (differ as f64 / want.len().max(1) as f64, 0.0)
    } else {
        (relative(&want, &a.value.data), (10.0 * noise.unwrap_or(0.0)).max(LEAST_BOUND))
    };
    Ok(Comparison { name: a.key(), error, bound, worst: worst(&want, &a.value.data) })
}

pub(super) fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}

/// ‖got − want‖ / ‖want‖; the plain difference where the reference is zero.
fn relative(want: &[f64], got: &[f64]) -> f64 {
    let difference = norm(want.iter().zip(got).map(|(w, g)| w - g));
    let size = norm(want.iter().copied());
    if size > 0.0 { difference / size } else { difference }
}

pub(super) fn worst(want: &[f64], got: &[f64]) -> Option<(usize, f64, f64)> {
    let gap = |i: usize| {
        let d = (want[i] - got[i]).abs();
        if d.is_nan() { f64::INFINITY } else { d }
    };
    let i = (0..want.len()).max_by(|a, b| gap(*a).total_cmp(&gap(*b)))?;
    (gap(i) > 0.0).then(|| (i, want[i], got[i]))
}

/// The packed tables of a reference file: norm, first 16 values and noise of every module's output.
struct Packed {
    rows: BTreeMap<(String, usize), usize>,
    l2: Vec<f64>,
    first: Vec<f64>,
    noise: Vec<f64>,
    /// Noise of values, where that of the table is of their norms alone.
    of_values: f64,
}

const FIRST: usize = 16;

impl Packed {
    /// The tables whose names begin with `prefix`, for the modules `names`, which stand below `place`.
    fn read(
        golden: &StateDict,
        prefix: &str,
        place: &str,
        names: &serde_json::Value,
    ) -> Result<Self> {
        let table = |name: &str| -> Result<Vec<f64>> {
            match golden.tensors.get(&format!("{prefix}{name}")) {
                Some(t) => to_f64(t),
                None => Ok(Vec::new()),
            }
        };
        let names: Vec<&str> = names
            .as_array()
            .map(|a| a.iter().filter_map(|v| v.as_str()?.split(' ').next()).collect())
            .unwrap_or_default();
        let (l2, first, noise) =
            (table("trace.l2")?, table("trace.first16")?, table("trace.rel32")?);
        let n = names.len();
        let or_none = |len: usize, whole: usize| len == whole || len == 0;
        if l2.len() != n || !or_none(first.len(), n * FIRST) || !or_none(noise.len(), n) {
            return Err(Error::new(ErrorKind::Format, "reference", "sizes of the trace tables")
                .expected(format!("{n} rows, as many as `info.{prefix}trace` names"))
                .got(format!(
                    "{} norms, {} values, {} noise figures",
                    l2.len(),
                    first.len(),
                    noise.len()
                )));
        }
        let mut calls: HashMap<&str, usize> = HashMap::new();
        let mut rows = BTreeMap::new();
        for (i, name) in names.iter().enumerate() {
            let call = calls.entry(name).or_default();
            *call += 1;
            rows.insert((format!("{place}{name}"), *call), i);
        }
        Ok(Packed { rows, l2, first, noise, of_values: 0.0 })
    }

    /// The norm, and where there are some, the first values against the size of the tensor's typical values.
    fn compare(&self, a: &Activation, row: usize) -> Vec<Comparison> {
        let noise = self.noise.get(row).copied().unwrap_or(0.0);
        let bound = (10.0 * noise).max(LEAST_BOUND);
        let (want, got) = (self.l2[row], norm(a.value.data.iter().copied()));
        let gap = (want - got).abs();
        let by_norm = Comparison {
            name: format!("{} norm", a.key()),
            error: if want > 0.0 { gap / want } else { gap },
            bound,
            worst: Some((0, want, got)),
        };
        let count = a.value.data.len().min(FIRST);
        if self.first.is_empty() || count == 0 {
            return vec![by_norm];
        }
        let want = &self.first[row * FIRST..][..count];
        let got = &a.value.data[..count];
        let typical = self.l2[row] * (count as f64 / a.value.data.len() as f64).sqrt();
        let size = norm(want.iter().copied()).max(typical);
        let difference = norm(want.iter().zip(got).map(|(w, g)| w - g));
        let first = Comparison {
            name: format!("{} first values", a.key()),
            error: if size > 0.0 { difference / size } else { difference },
            bound: bound.max(10.0 * self.of_values),
            worst: worst(want, got),
        };
        vec![by_norm, first]
    }
}
