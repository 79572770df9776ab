//! What tests of whole models share: the device, and files of tensors that PyTorch computed.

use crate::common;
use lemma_gpu::data::checkpoint::StateDict;
use lemma_gpu::gpu::{Gpu, GpuOptions, Precision};

/// The device, announced.
pub fn open() -> Gpu {
    let options = GpuOptions { adapter: common::adapter(), ..Default::default() };
    let gpu = Gpu::new(options).expect("an adapter for the tests");
    common::announce(&gpu);
    gpu
}

/// The same with weights and activations stored as halves; none, and a line that says so, where the adapter cannot.
pub fn open_in_halves() -> Option<Gpu> {
    let precision = Precision::F16;
    let options = GpuOptions { adapter: common::adapter(), precision, ..Default::default() };
    let gpu = Gpu::new(options);
    if let Err(e) = &gpu {
        eprintln!("SKIPPED: halves: {e}");
    }
    gpu.ok()
}

/// The tensors of `tests/golden/{name}.safetensors`.
pub fn golden(name: &str) -> StateDict {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    StateDict::read(format!("{folder}/{name}.safetensors")).expect("a reference file")
}
