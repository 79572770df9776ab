//! Where layers get their parameters from: a state dict, walked by name.

use crate::data::checkpoint::{HostTensor, StateDict};
use crate::gpu::Gpu;
use crate::tensor::Tensor;
use crate::{Error, ErrorKind, Result};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Named arrays to load from.
pub trait Source {
    /// The array `name`, which the model wants in `shape`.
    fn tensor(&self, name: &str, shape: &[usize]) -> Option<Cow<'_, HostTensor>>;

    /// Names of all arrays, where that is known.
    fn names(&self) -> Vec<&str>;
}

impl Source for StateDict {
    fn tensor(&self, name: &str, _shape: &[usize]) -> Option<Cow<'_, HostTensor>> {
        self.tensors.get(name).map(Cow::Borrowed)
    }

    fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }
}

/// A state dict being loaded. Problems are collected, and reported together by [`Weights::finish`].
pub struct Weights<'a> {
    gpu: &'a Gpu,
    source: &'a dyn Source,
    taken: RefCell<BTreeSet<String>>,
    left: RefCell<Vec<String>>,
    missing: RefCell<Vec<String>>,
    misshapen: RefCell<Vec<String>>,
}

impl<'a> Weights<'a> {
    /// Starts loading `source` onto the device.
    pub fn new(gpu: &'a Gpu, source: &'a dyn Source) -> Self {
        Weights {
            gpu,
            source,
            taken: RefCell::default(),
            left: RefCell::default(),
            missing: RefCell::default(),
            misshapen: RefCell::default(),
        }
    }

    /// The empty path.
    pub fn root(&self) -> Scope<'_> {
        Scope { weights: self, path: String::new() }
    }

    /// Ends loading.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] listing every tensor that is missing, misshapen or left over. Step counters of batch norms are
    /// never missed nor left over.
    pub fn finish(self, place: &str) -> Result<()> {
        let (taken, left) = (self.taken.into_inner(), self.left.into_inner());
        let unused = self.source.names().into_iter().filter(|name| {
            !taken.contains(*name)
                && !name.ends_with("num_batches_tracked")
                && !left.iter().any(|prefix| name.starts_with(prefix.as_str()))
        });
        let lists = [
            ("missing", self.missing.into_inner()),
            ("misshapen", self.misshapen.into_inner()),
            ("left over", unused.map(String::from).collect()),
        ];
        if lists.iter().all(|(_, list)| list.is_empty()) {
            return Ok(());
        }
        let mut lines = Vec::new();
        for (what, list) in &lists {
            lines.extend(list.iter().take(MOST_LISTED).map(|n| format!("{what}: {n}")));
            if list.len() > MOST_LISTED {
                lines.push(format!("{what}: and {} more", list.len() - MOST_LISTED));
            }
        }
        let [missing, misshapen, unused] = lists.map(|(_, list)| list.len());
        Err(Error::new(ErrorKind::Shape, place, "tensors do not fit the model")
            .expected("every tensor of the model and no other")
            .got(format!("{missing} missing, {misshapen} misshapen, {unused} left over"))
            .detail(lines.join("\n")))
    }
}

const MOST_LISTED: usize = 12;

/// A path in a state dict.
#[derive(Clone)]
pub struct Scope<'a> {
    weights: &'a Weights<'a>,
    path: String,
}

impl Scope<'_> {
    /// The path below this one.
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        Scope { weights: self.weights, path: self.join(name) }
    }

    /// The path itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The device that parameters go to.
    pub fn gpu(&self) -> &Gpu {
        self.weights.gpu
    }

    fn join(&self, name: impl std::fmt::Display) -> String {
        if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) }
    }

    /// Values of a tensor in the official layout. Zeros when it is missing or misshapen, which [`Weights::finish`] reports.
    pub fn values(&self, name: &str, shape: &[usize]) -> Vec<f32> {
        let name = self.join(name);
        let len = shape.iter().product();
        let weights = self.weights;
        let Some(tensor) = weights.source.tensor(&name, shape) else {
            weights.missing.borrow_mut().push(name);
            return vec![0.0; len];
        };
        weights.taken.borrow_mut().insert(name.clone());
        if tensor.shape() != shape {
            let note = format!("{name}: expected {shape:?}, got {:?}", tensor.shape());
            weights.misshapen.borrow_mut().push(note);
            return vec![0.0; len];
        }
        match tensor.to_f32() {
            Ok(values) => values,
            Err(e) => {
                weights.misshapen.borrow_mut().push(format!("{name}: {e}"));
                vec![0.0; len]
            }
        }
    }

    /// A parameter as it stands in the file.
    pub fn param(&self, name: &str, shape: &[usize]) -> Tensor {
        Tensor::upload(self.gpu(), shape, &self.values(name, shape))
    }

    /// A matrix `[rows, columns]` of the file as `[columns, rows]`.
    pub fn transposed(&self, name: &str, rows: usize, columns: usize) -> Tensor {
        let values = self.values(name, &[rows, columns]);
        Tensor::upload(self.gpu(), [columns, rows], &transpose(&values, rows, columns))
    }

    /// A convolution's weight `[out, in, kh, kw]` as `[kh, kw, in, out]`.
    pub fn conv_weight(&self, name: &str, [out, input, kh, kw]: [usize; 4]) -> Tensor {
        let values = self.values(name, &[out, input, kh, kw]);
        let by_tap = transpose(&values, out, input * kh * kw);
        let area = kh * kw;
        let mut taps_first = Vec::with_capacity(values.len());
        for tap in 0..area {
            for i in 0..input {
                let row = (i * area + tap) * out;
                taps_first.extend_from_slice(&by_tap[row..row + out]);
            }
        }
        Tensor::upload(self.gpu(), [kh, kw, input, out], &taps_first)
    }

    /// Leaves all tensors whose path starts with `name` in the file: parts that this use of the model does without.
    pub fn leave(&self, name: &str) {
        let prefix = self.join(name);
        self.weights.left.borrow_mut().push(prefix);
    }
}

fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    for r in 0..rows {
        for c in 0..columns {
            out[c * rows + r] = values[r * columns + c];
        }
    }
    out
}
