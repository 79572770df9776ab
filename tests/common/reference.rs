//! What tests of whole models share: the device, and files of tensors that PyTorch computed.

use crate::common;
use lemma_gpu::data::checkpoint::StateDict;
use lemma_gpu::gpu::{Gpu, GpuOptions};

/// The device, announced.
pub fn open() -> Gpu {
    let options = GpuOptions { adapter: common::adapter(), ..Default::default() };
    let gpu = Gpu::new(options).expect("an adapter for the tests");
    common::announce(&gpu);
    gpu
}

/// The tensors of `tests/golden/{name}.safetensors`.
pub fn golden(name: &str) -> StateDict {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    StateDict::read(format!("{folder}/{name}.safetensors")).expect("a reference file")
}
