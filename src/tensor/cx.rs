//! The pass in the making, as operations see it.

use super::label::Label;
use super::node::{Copy, Dispatch, Node, Op, Turn};
use super::tape::{Entry, Tape};
use super::{Axes, Bind, Dtype, Tap, Tensor};
use crate::gpu::{Bindings, Gpu, Grid, Kernel, Params, Recorder, SharedPool, Variant};
use crate::shape::Shape;
use crate::{Error, ErrorKind, Result};
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// One pass over a graph: operations append themselves here, in order. Nothing is dispatched before the pass is lowered, by
/// [`Cx::submit`] or [`Cx::into_replayable`].
pub struct Cx {
    pub(super) gpu: Gpu,
    pub(super) recorder: Recorder,
    pub(super) entries: RefCell<Vec<Entry<Cx>>>,
    pub(super) taps: Option<RefCell<Vec<Tap>>>,
    /// Whether what layers name is computed for its own sake, so that nothing fuses across it.
    pub(super) holds_names: bool,
    scope: RefCell<Arc<str>>,
    pub(super) tape: RefCell<Option<Tape>>,
    mode: RefCell<Mode>,
    /// Whether the floats of new tensors stay in 32 bits whatever the device's precision.
    full: Cell<bool>,
    pub(super) label: RefCell<Label>,
}

/// How layers behave that differ between training and evaluation.
#[derive(Debug, Clone, Default)]
pub struct Mode {
    /// Layers with parameters to train normalize by the statistics of the batch, and move their running ones.
    pub batch_statistics: bool,
    /// Values are dropped at random.
    pub dropout: Option<Dropout>,
}

/// Which values are dropped: a function of these numbers and of a count of the calls within the pass, and of nothing else.
#[derive(Debug, Clone)]
pub struct Dropout {
    /// Probability of each value.
    pub probability: f32,
    /// Seed of the run.
    pub seed: u32,
    /// Step of the run, and part of the step, u32 `[2]`.
    pub at: Tensor,
    /// Calls so far in this pass.
    pub site: u32,
}

impl Cx {
    /// A pass for inference: a value gives its memory back behind its last reader.
    pub fn new(gpu: &Gpu) -> Self {
        Cx {
            gpu: gpu.clone(),
            recorder: gpu.record(),
            entries: RefCell::default(),
            taps: None,
            holds_names: false,
            scope: RefCell::new("".into()),
            tape: RefCell::default(),
            mode: RefCell::default(),
            full: Cell::default(),
            label: RefCell::default(),
        }
    }

    /// The same in the memory of a shared pool.
    pub fn new_in(gpu: &Gpu, shared_pool: &SharedPool) -> Self {
        Cx { recorder: gpu.record_in(shared_pool), ..Cx::new(gpu) }
    }

    /// A pass that keeps every activation that layers name with [`Cx::tap`]: nothing fuses across the names of the official
    /// state dict.
    pub fn traced(gpu: &Gpu) -> Self {
        Cx { holds_names: true, ..Cx::traced_as_run(gpu) }
    }

    /// A pass that is lowered as ever, and keeps those of the named activations that fusion leaves.
    pub fn traced_as_run(gpu: &Gpu) -> Self {
        Cx { taps: Some(RefCell::default()), ..Cx::new(gpu) }
    }

    /// The same pass with a tape: operations keep what their gradients need.
    pub fn with_tape(self) -> Self {
        Cx { tape: RefCell::new(Some(Tape::default())), ..self }
    }

    /// The same pass in another mode.
    pub fn with_mode(self, mode: Mode) -> Self {
        Cx { mode: RefCell::new(mode), ..self }
    }

    /// How layers behave now.
    pub fn mode(&self) -> Mode {
        self.mode.borrow().clone()
    }

    /// Runs `f` as in evaluation: running statistics, nothing dropped.
    pub fn evaluating<T>(&self, f: impl FnOnce(&Self) -> T) -> T {
        let mode = self.mode.replace(Mode::default());
        let result = f(self);
        self.mode.replace(mode);
        result
    }

    /// Runs `f` with every new tensor in 32 bits, whatever the device's precision.
    pub fn in_full<T>(&self, f: impl FnOnce(&Self) -> T) -> T {
        let full = self.full.replace(true);
        let result = f(self);
        self.full.set(full);
        result
    }

    /// The next call of dropout, if values are dropped at all.
    pub fn next_dropout(&self) -> Option<Dropout> {
        let mut mode = self.mode.borrow_mut();
        let dropout = mode.dropout.as_mut()?;
        let this = dropout.clone();
        dropout.site += 1;
        Some(this)
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Names the output of the module `path.name`, or `path` alone where `name` is empty. Free of cost unless the pass is
    /// traced.
    pub fn tap(&self, path: &str, name: &str, tensor: &Tensor, axes: Axes) {
        self.keep(path, name, tensor, axes, 1, true);
    }

    /// Names a module's output that stands once for all `copies` samples of the batch.
    pub fn tap_copies(&self, path: &str, name: &str, tensor: &Tensor, axes: Axes, copies: usize) {
        self.keep(path, name, tensor, axes, copies, true);
    }

    /// Names a value of interest that is no module's output by itself.
    pub fn value(&self, path: &str, name: &str, tensor: &Tensor, axes: Axes) {
        self.keep(path, name, tensor, axes, 1, false);
    }

    fn keep(
        &self,
        path: &str,
        name: &str,
        tensor: &Tensor,
        axes: Axes,
        copies: usize,
        module: bool,
    ) {
        let Some(taps) = &self.taps else { return };
        self.watch(tensor);
        let dot = if path.is_empty() || name.is_empty() { "" } else { "." };
        let name = format!("{path}{dot}{name}");
        taps.borrow_mut().push(Tap { name, tensor: tensor.clone(), axes, copies, module });
    }

    pub(super) fn set_label(&self, label: Label) {
        self.scope.replace(label.to_string().into());
        self.label.replace(label);
    }

    /// A tensor of floats with unspecified content, stored as the device's precision says where the pass is lowered.
    pub fn out(&self, shape: impl Into<Shape>) -> Tensor {
        Tensor::awaited(shape.into(), Dtype::F32, !self.full.get())
    }

    /// A tensor of 32-bit floats with unspecified content: what is summed or compared further.
    pub fn out_f32(&self, shape: impl Into<Shape>) -> Tensor {
        Tensor::awaited(shape.into(), Dtype::F32, false)
    }

    /// A tensor of unsigned integers with unspecified content.
    pub fn out_u32(&self, shape: impl Into<Shape>) -> Tensor {
        Tensor::awaited(shape.into(), Dtype::U32, false)
    }

    /// Appends an operation.
    pub(crate) fn push(&self, op: impl Op) {
        let scope = self.scope.borrow().clone();
        self.entries.borrow_mut().push(Entry::Node(Node { op: Box::new(op), scope }));
    }

    /// Appends a kernel as an operation that no rule looks into.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] for more workgroups than WebGPU allows.
    pub(crate) fn run<'t, P: Params, B: Bindings<Bind<'t>>>(
        &self,
        kernel: &'static Kernel,
        variant: &Variant,
        grid: Grid,
        params: &P,
        binds: B,
    ) -> Result<()> {
        assert_eq!(kernel.buffers, B::NAMES, "the buffers of {}", kernel.path);
        grid.check(kernel)?;
        let params = bytemuck::bytes_of(params).to_vec();
        let binds = binds.in_order().iter().map(Into::into).collect();
        self.push(Dispatch { kernel, variant: variant.clone(), grid, params, binds });
        Ok(())
    }

    /// The end of the forward pass.
    pub(super) fn turn(&self) {
        self.push(Turn);
    }

    /// Copies all elements of `from` into `to` from its element `at`.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when they do not fit or are halves.
    pub fn copy_into(&self, from: &Tensor, to: &Tensor, at: usize) -> Result<()> {
        // Copies move words, so what is yet to be computed stays in 32 bits.
        from.storage.pin();
        to.storage.pin();
        let words = from.dtype().bytes() == 4;
        let room = at.checked_add(from.len()).is_some_and(|end| end <= to.len());
        if !room || from.dtype() != to.dtype() || !words {
            return Err(Error::new(ErrorKind::Shape, "copy", "room in the target")
                .expected(format!("{} elements of 32 bits from {at}", from.len()))
                .got(format!("{from:?} into {to:?}")));
        }
        self.push(Copy { from: from.detached(), to: to.detached(), at: at as u64 * 4 });
        Ok(())
    }

    /// Checks the shape of an operand.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] naming operation, operand, expected and actual shape.
    pub fn expect(
        &self,
        op: &str,
        operand: &str,
        tensor: &Tensor,
        shape: impl Into<Shape>,
    ) -> Result<()> {
        let shape = shape.into();
        if tensor.shape() == shape {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Shape, op, format!("shape of {operand}"))
            .expected(shape)
            .got(tensor.shape()))
    }
}
