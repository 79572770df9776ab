//! Where layers get their parameters from: a state dict, walked by name.

use super::parameters::{Layout, Parameter, Parameters};
use crate::data::checkpoint::{HostTensor, StateDict};
use crate::gpu::Gpu;
use crate::shape::to_u32;
use crate::tensor::{Arena, Tensor};
use crate::{Error, ErrorKind, Result};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Path of what a checkpoint of a training run holds besides the model.
pub const OPTIMIZER: &str = "optimizer.";

/// Named arrays to load from.
pub trait Source {
    /// The array `name`, which the model wants in `shape`.
    fn tensor(&self, name: &str, shape: &[usize]) -> Option<Cow<'_, HostTensor>>;

    /// The shape of the array `name`, if there is one; what is made on demand has the shape that is wanted.
    fn shape_of<'s>(&'s self, _name: &str, wanted: &'s [usize]) -> Option<&'s [usize]> {
        Some(wanted)
    }

    /// Names of all arrays, where that is known.
    fn names(&self) -> Vec<&str>;

    /// What the array `name` is that stood in the file and was left out, if it did.
    fn left_out(&self, _name: &str) -> Option<&str> {
        None
    }
}

impl Source for StateDict {
    fn tensor(&self, name: &str, _shape: &[usize]) -> Option<Cow<'_, HostTensor>> {
        self.tensors.get(name).map(Cow::Borrowed)
    }

    fn shape_of<'s>(&'s self, name: &str, _wanted: &'s [usize]) -> Option<&'s [usize]> {
        self.tensors.get(name).map(HostTensor::shape)
    }

    fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    fn left_out(&self, name: &str) -> Option<&str> {
        self.source.others.iter().find(|(n, _)| n == name).map(|(_, what)| what.as_str())
    }
}

/// A state dict being loaded by [`Weights::load`].
pub struct Weights<'a> {
    gpu: &'a Gpu,
    source: &'a dyn Source,
    /// For the walk over names and shapes alone: what all tensors share, since nobody reads them.
    hollow: Option<Tensor>,
    taken: RefCell<BTreeSet<String>>,
    left: RefCell<Vec<String>>,
    missing: RefCell<Vec<String>>,
    misshapen: RefCell<Vec<String>>,
    /// For training: which parameters are frozen.
    frozen: Option<&'a dyn Fn(&str) -> bool>,
    registered: RefCell<Vec<Parameter>>,
    /// The number of the first leaf.
    first: usize,
    /// Where what is trained lies.
    arena: RefCell<Arena>,
    /// Where running statistics lie.
    moving: RefCell<Arena>,
}

impl<'a> Weights<'a> {
    /// Loads the model that `build` makes of `source`, which errors call `place`. With `frozen` it is for training: layers
    /// keep their parameters apart, every parameter that is not frozen is a leaf, and all are listed.
    ///
    /// The model is built twice. The first time nothing has values: names and shapes are compared, so that what a model costs
    /// is never more than what its file holds.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] listing every tensor that is missing, misshapen or left over. Step counters of batch norms, and
    /// the optimizer's state in a checkpoint of a run, are never missed nor left over. Errors of `build`.
    pub fn load<T>(
        gpu: &'a Gpu,
        source: &'a dyn Source,
        frozen: Option<&'a dyn Fn(&str) -> bool>,
        place: &str,
        build: impl Fn(&Scope) -> Result<T>,
    ) -> Result<(T, Parameters)> {
        Self::load_behind(gpu, source, frozen, place, 0, build)
    }

    /// The same of a model that is trained beside another: its leaves are numbered from `first`, the number of the other's
    /// parameters.
    ///
    /// # Errors
    /// As [`Weights::load`].
    pub fn load_behind<T>(
        gpu: &'a Gpu,
        source: &'a dyn Source,
        frozen: Option<&'a dyn Fn(&str) -> bool>,
        place: &str,
        first: usize,
        build: impl Fn(&Scope) -> Result<T>,
    ) -> Result<(T, Parameters)> {
        let survey =
            Weights { hollow: Some(Tensor::hollow(gpu)), ..Weights::new(gpu, source, frozen) };
        build(&survey.root())?;
        survey.report(place)?;
        let weights = Weights { first, ..Weights::new(gpu, source, frozen) };
        let model = build(&weights.root())?;
        weights.report(place)?;
        let rest = weights.rest();
        Ok((model, Parameters::new(weights.registered.take(), rest)))
    }

    fn new(gpu: &'a Gpu, source: &'a dyn Source, frozen: Option<&'a dyn Fn(&str) -> bool>) -> Self {
        Weights {
            gpu,
            source,
            hollow: None,
            taken: RefCell::default(),
            left: RefCell::default(),
            missing: RefCell::default(),
            misshapen: RefCell::default(),
            frozen,
            registered: RefCell::default(),
            first: 0,
            arena: Arena::new(1 << 20).into(),
            moving: Arena::new(1 << 14).into(),
        }
    }

    fn root(&self) -> Scope<'_> {
        Scope { weights: self, path: String::new() }
    }

    /// The problems that were met, together.
    fn report(&self, place: &str) -> Result<()> {
        let (taken, left) = (self.taken.borrow(), self.left.borrow());
        let unused = self.source.names().into_iter().filter(|name| {
            !taken.contains(*name)
                && !name.ends_with("num_batches_tracked")
                && !name.starts_with(OPTIMIZER)
                && !left.iter().any(|prefix| name.starts_with(prefix.as_str()))
        });
        let lists = [
            ("missing", self.missing.take()),
            ("misshapen", self.misshapen.take()),
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

impl Weights<'_> {
    /// Tensors that training does not touch and that its checkpoints carry on.
    fn rest(&self) -> BTreeMap<String, HostTensor> {
        if self.frozen.is_none() {
            return BTreeMap::new();
        }
        let taken = self.taken.borrow();
        let names = self.source.names().into_iter();
        let names = names.filter(|name| !taken.contains(*name) && !name.starts_with(OPTIMIZER));
        let with =
            |name: &str| Some((name.to_string(), self.source.tensor(name, &[])?.into_owned()));
        names.filter_map(with).collect()
    }
}

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

    /// Values of a tensor in the official layout. In the walk over names and shapes zeros, of a table of one axis alone.
    pub fn values(&self, name: &str, shape: &[usize]) -> Vec<f32> {
        let name = self.join(name);
        let weights = self.weights;
        let len = shape.iter().product();
        if self.surveys() {
            self.meet(&name, weights.source.shape_of(&name, shape), shape);
            return if shape.len() == 1 { vec![0.0; len] } else { Vec::new() };
        }
        let tensor = weights.source.tensor(&name, shape);
        let found = tensor.as_ref().map(|tensor| tensor.shape());
        match tensor.as_ref().filter(|_| self.meet(&name, found, shape)).map(|t| t.to_f32()) {
            Some(Ok(values)) => return values,
            Some(Err(e)) => weights.misshapen.borrow_mut().push(format!("{name}: {e}")),
            None => {}
        }
        vec![0.0; len]
    }

    /// Notes whether a tensor is there, and whether in the shape that is wanted.
    fn meet(&self, name: &str, found: Option<&[usize]>, wanted: &[usize]) -> bool {
        let weights = self.weights;
        match found {
            None => weights.missing.borrow_mut().push(match weights.source.left_out(name) {
                Some(what) => format!("{name}: left out, {what}"),
                None => name.into(),
            }),
            Some(found) => {
                if found != wanted {
                    let note = format!("{name}: expected {wanted:?}, got {found:?}");
                    weights.misshapen.borrow_mut().push(note);
                }
                weights.taken.borrow_mut().insert(name.into());
            }
        }
        found == Some(wanted)
    }

    /// Whether this is the walk over names and shapes, in which tensors have neither.
    fn surveys(&self) -> bool {
        self.weights.hollow.is_some()
    }

    /// A parameter as it stands in the file.
    pub fn param(&self, name: &str, shape: &[usize]) -> Tensor {
        self.load(name, Layout::same(shape), Role::Learns)
    }

    /// A table that is no parameter: positions.
    pub fn buffer(&self, name: &str, shape: &[usize]) -> Tensor {
        self.load(name, Layout::same(shape), Role::Fixed)
    }

    /// A running statistic.
    pub fn statistic(&self, name: &str, shape: &[usize]) -> Tensor {
        self.load(name, Layout::same(shape), Role::Moves)
    }

    /// A matrix `[rows, columns]` of the file as `[columns, rows]`.
    pub fn transposed(&self, name: &str, rows: usize, columns: usize) -> Tensor {
        self.load(name, Layout { official: vec![rows, columns], order: &[1, 0] }, Role::Learns)
    }

    /// A convolution's weight `[out, in, kh, kw]` as `[kh, kw, in, out]`.
    pub fn conv_weight(&self, name: &str, official: [usize; 4]) -> Tensor {
        let layout = Layout { official: official.into(), order: &[2, 3, 1, 0] };
        self.load(name, layout, Role::Learns)
    }

    fn load(&self, name: &str, layout: Layout, role: Role) -> Tensor {
        let values = self.values(name, &layout.official);
        if let Some(hollow) = &self.weights.hollow {
            return hollow.hollow_as(layout.device_shape().as_slice());
        }
        let values = layout.to_device(&values);
        let shape = layout.device_shape();
        let Weights { frozen, registered, arena, moving, .. } = self.weights;
        let Some(frozen) = frozen else {
            return Tensor::constant(self.gpu(), shape.as_slice(), values);
        };
        let name = self.join(name);
        let learns = role == Role::Learns && !frozen(&name);
        let moves = role == Role::Moves && !frozen(&name);
        let mut list = registered.borrow_mut();
        let upload =
            |to: &RefCell<Arena>| to.borrow_mut().upload(self.gpu(), shape.as_slice(), &values);
        let tensor = match (learns, moves) {
            (true, _) => upload(arena).leaf(to_u32(self.weights.first + list.len())),
            (_, true) => upload(moving),
            _ => Tensor::constant(self.gpu(), shape.as_slice(), values),
        };
        list.push(Parameter { name, layout, learns, moves, tensor: tensor.clone() });
        tensor
    }

    /// Leaves all tensors whose path starts with `name` in the file: parts that this use of the model does without.
    pub fn leave(&self, name: &str) {
        let prefix = self.join(name);
        self.weights.left.borrow_mut().push(prefix);
    }
}

/// What training does with a tensor.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    /// It is trained unless it is frozen.
    Learns,
    /// A layer that is trained moves it.
    Moves,
    /// Nothing.
    Fixed,
}
