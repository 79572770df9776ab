//! The pass in the making, as operations see it.

use super::label::Label;
use super::tape::Tape;
use super::{Axes, Dtype, Tap, Tensor, Var};
use crate::gpu::{
    Bind, Gpu, Grid, KeptPass, Kernel, Params, Pass, Recorder, Timing, Variant, Workspace,
};
use crate::shape::Shape;
use crate::{Error, ErrorKind, Result};
use std::cell::{Cell, RefCell};

/// One pass over a graph: operations record their dispatches here, in order. Nothing runs before [`Cx::submit`].
pub struct Cx {
    gpu: Gpu,
    recorder: RefCell<Recorder>,
    taps: Option<RefCell<Vec<Tap>>>,
    pub(super) tape: RefCell<Option<Tape>>,
    mode: RefCell<Mode>,
    /// How the floats of new tensors are stored.
    stored: Cell<Dtype>,
    pub(super) label: RefCell<Label>,
}

/// How layers behave that differ between training and evaluation.
#[derive(Debug, Clone, Default)]
pub struct Mode {
    /// Layers with parameters to train normalise by the statistics of the batch, and move their running ones.
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
    /// A pass for inference: intermediate buffers go home as soon as their tensors are dropped.
    pub fn new(gpu: &Gpu) -> Self {
        Cx {
            gpu: gpu.clone(),
            recorder: RefCell::new(gpu.record()),
            taps: None,
            tape: RefCell::default(),
            mode: RefCell::default(),
            stored: Cell::new(gpu.options().precision.into()),
            label: RefCell::default(),
        }
    }

    /// The same in the memory of a workspace.
    pub fn new_in(gpu: &Gpu, workspace: &Workspace) -> Self {
        Cx { recorder: RefCell::new(gpu.record_in(workspace)), ..Cx::new(gpu) }
    }

    /// A pass that keeps every activation that layers name with [`Cx::tap`]. Layers then run one module at a time, without
    /// fusing across the names of the official state dict.
    pub fn traced(gpu: &Gpu) -> Self {
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
        let stored = self.stored.replace(Dtype::F32);
        let result = f(self);
        self.stored.set(stored);
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

    /// Whether activations are kept, so that layers must not fuse across module borders.
    pub fn tracing(&self) -> bool {
        self.taps.is_some()
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
        self.recorder.borrow_mut().set_scope(&label.to_string());
        self.label.replace(label);
    }

    /// A tensor of floats with unspecified content, stored as the device's precision says.
    pub fn out(&self, shape: impl Into<Shape>) -> Tensor {
        self.alloc(shape.into(), self.stored.get())
    }

    /// A tensor of 32-bit floats with unspecified content: what is summed or compared further.
    pub fn out_f32(&self, shape: impl Into<Shape>) -> Tensor {
        self.alloc(shape.into(), Dtype::F32)
    }

    /// A tensor of unsigned integers with unspecified content.
    pub fn out_u32(&self, shape: impl Into<Shape>) -> Tensor {
        self.alloc(shape.into(), Dtype::U32)
    }

    fn alloc(&self, shape: Shape, dtype: Dtype) -> Tensor {
        let bytes = (shape.len() as u64).saturating_mul(dtype.bytes());
        let (buffer, offset) = self.recorder.borrow_mut().alloc(bytes);
        Tensor { buffer, offset, shape, dtype, var: Var::Constant }
    }

    /// Records one dispatch. `binds` in the order of the kernel's bindings from 1.
    ///
    /// # Errors
    /// A kernel that the device's compiler refuses.
    pub(crate) fn run<P: Params>(
        &self,
        kernel: &'static Kernel,
        variant: &Variant,
        grid: Grid,
        params: &P,
        binds: &[Bind<'_>],
    ) -> Result<()> {
        self.recorder.borrow_mut().dispatch(kernel, variant, grid, params, binds)
    }

    /// Copies all elements of `from` into `to` from its element `at`.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when they do not fit or are halves, [`ErrorKind::Memory`] where there was none for one of them.
    pub fn copy_into(&self, from: &Tensor, to: &Tensor, at: usize) -> Result<()> {
        // Copies move words, so no half may lie beside one of another tensor.
        let words = from.dtype().bytes() == 4;
        let room = at.checked_add(from.len()).is_some_and(|end| end <= to.len());
        if !room || from.dtype() != to.dtype() || !words {
            return Err(Error::new(ErrorKind::Shape, "copy", "room in the target")
                .expected(format!("{} elements of 32 bits from {at}", from.len()))
                .got(format!("{from:?} into {to:?}")));
        }
        let (source, target) = (from.part(), to.part());
        let offset = target.offset + at as u64 * 4;
        let mut recorder = self.recorder.borrow_mut();
        recorder.copy(source.buffer, source.offset, target.buffer, offset, source.bytes)
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

    /// Runs what was recorded. Tensors of the pass can be read afterwards; returns its named activations.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] when the device refuses the pass.
    pub fn submit(self) -> Result<Vec<Tap>> {
        let (pass, taps) = self.finish();
        pass.submit()?;
        Ok(taps)
    }

    /// Keeps what was recorded, to be run any number of times: with what the tensors that it reads hold then
    /// ([`Tensor::write_values`]), it computes those that it writes anew.
    ///
    /// # Errors
    /// A kernel that the device's compiler refuses.
    pub fn into_kept(self) -> Result<KeptPass> {
        self.finish().0.keep()
    }

    /// Runs what was recorded, waits, and returns the time of each dispatch by the GPU's clock.
    ///
    /// # Errors
    /// As [`Cx::submit`], and where the device was not opened with profiling.
    pub fn submit_timed(self) -> Result<Vec<Timing>> {
        self.finish().0.submit_timed()
    }

    fn finish(self) -> (Pass, Vec<Tap>) {
        let taps = self.taps.map(RefCell::into_inner).unwrap_or_default();
        (self.recorder.into_inner().finish(), taps)
    }
}
