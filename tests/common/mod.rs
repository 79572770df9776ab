//! What the tests share: the device they run on.

use lemma_gpu::gpu::{Gpu, GpuOptions};

/// Opens the adapter that `LEMMA_GPU_ADAPTER` names (default: the first) and prints it. No adapter is a failure.
pub fn open(options: GpuOptions) -> Gpu {
    let adapter = std::env::var("LEMMA_GPU_ADAPTER").ok();
    let gpu = Gpu::new(GpuOptions { adapter, ..options }).expect("an adapter for the tests");
    let s = gpu.summary();
    eprintln!("adapter: {} ({}, {})", s.name, s.backend, s.driver);
    gpu
}
