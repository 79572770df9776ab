//! What the table says of an operation: its kernels with their variants, and cases with an oracle.

use crate::Result;
use crate::gpu::{Gpu, Kernel, Precision, Variant};
use crate::tensor::{Cx, Dtype, Host, Tensor};

/// One operation.
pub struct Row {
    /// Its name, as in `lemma-gpu kernels check NAME`.
    pub op: &'static str,
    /// Its kernels.
    pub kernels: &'static [KernelUse],
    /// Largest error against the oracle, relative to the largest magnitude of the output; 0 for exact results.
    pub tolerance: f64,
    /// Largest error of a gradient against finite differences of the oracle, relative to the gradient's largest magnitude.
    pub gradient: f64,
    /// The shapes that matter, each with its reason in the label.
    pub cases: fn() -> Vec<Case>,
}

/// A kernel and every variant of it that the operation may ask for.
#[derive(Clone, Copy)]
pub struct KernelUse {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// Its variants.
    pub variants: fn() -> Vec<Variant>,
}

/// Work of a case, for shares of the adapter's peak.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Floating-point operations: two for each multiply-add.
    pub flops: f64,
    /// Bytes of all inputs and outputs, each once.
    pub bytes: f64,
}

type Run = Box<dyn Fn(&Cx, &[Tensor]) -> Result<Vec<Tensor>> + Send>;
type Oracle = Box<dyn Fn(&[Host]) -> Vec<Host> + Send>;

/// One operation at one shape: inputs, how to run it, and what should come out.
pub struct Case {
    /// Shape and options, and why they are tested.
    pub label: String,
    /// Inputs, exact in the device's types.
    pub inputs: Vec<Host>,
    /// Runs the operation on the device.
    pub run: Run,
    /// The same in f64 by plain loops.
    pub oracle: Oracle,
    /// Which inputs want a gradient; none where the operation has no derivative.
    pub wrt: Vec<usize>,
    /// Floating-point operations.
    pub flops: f64,
    /// Whether it is a shape of the models, to be timed by benches.
    pub bench: bool,
    /// Whether its tensors may be stored as halves.
    pub halves: bool,
}

impl Case {
    /// A case with a gradient for each input of floats; no work is counted and it is not timed.
    pub fn new(
        label: impl Into<String>,
        inputs: Vec<Host>,
        run: impl Fn(&Cx, &[Tensor]) -> Result<Vec<Tensor>> + Send + 'static,
        oracle: impl Fn(&[Host]) -> Vec<Host> + Send + 'static,
    ) -> Self {
        let floats =
            |(i, h): (usize, &Host)| (h.dtype == Dtype::F32 && !h.data.is_empty()).then_some(i);
        Case {
            label: label.into(),
            wrt: inputs.iter().enumerate().filter_map(floats).collect(),
            inputs,
            run: Box::new(run),
            oracle: Box::new(oracle),
            flops: 0.0,
            bench: false,
            halves: true,
        }
    }

    /// Only these inputs have gradients.
    pub fn gradient_of(mut self, inputs: &[usize]) -> Self {
        self.wrt = inputs.to_vec();
        self
    }

    /// The operation has no derivative, or none that anybody asks for.
    pub fn without_gradient(self) -> Self {
        self.gradient_of(&[])
    }

    /// Its tensors stay in 32 bits, since f16 does not hold them: moments of gradients, values beyond its range.
    pub fn f32_only(mut self) -> Self {
        self.halves = false;
        self
    }

    /// Marks a shape of the models: benches time it and count `flops`.
    pub fn bench(mut self, flops: f64) -> Self {
        self.flops = flops;
        self.bench = true;
        self
    }

    /// Undoes [`Case::bench`]: a shape for the tests alone, in a row that benches all.
    pub fn not_benched(mut self) -> Self {
        self.bench = false;
        self
    }

    /// Its inputs on a device, stored as the device's precision says where halves may be.
    pub fn upload(&self, gpu: &Gpu) -> Vec<Tensor> {
        let precision = if self.halves { gpu.options().precision } else { Precision::F32 };
        self.inputs.iter().map(|h| h.clone().upload_as(gpu, precision)).collect()
    }

    /// Work of this case with these inputs and outputs.
    pub fn cost(&self, inputs: &[Tensor], outputs: &[Tensor]) -> Cost {
        let bytes: u64 = inputs.iter().chain(outputs).map(Tensor::bytes).sum();
        Cost { flops: self.flops, bytes: bytes as f64 }
    }
}
