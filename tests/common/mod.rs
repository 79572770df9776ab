//! What the tests that run on a device share: which one.

use lemma_gpu::gpu::Gpu;

/// The adapter that `LEMMA_GPU_ADAPTER` names; default: the first. That there is none is a failure.
pub fn adapter() -> Option<String> {
    std::env::var("LEMMA_GPU_ADAPTER").ok()
}

/// Prints which adapter a test runs on.
pub fn announce(gpu: &Gpu) {
    let s = gpu.summary();
    eprintln!("adapter: {} ({}, {})", s.name, s.backend, s.driver);
}
