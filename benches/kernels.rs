//! The operations of the table at the graphs' shapes, and at some larger ones: `cargo bench --bench kernels -- NAME`.
//!
//! Times are by the GPU's clock where it has timestamps. `lemma-gpu bench` compares the same with what the adapter can do.

use criterion::{Criterion, criterion_group, criterion_main};
use lemma_gpu::bench::{Clock, Ready, Work, each_work};
use lemma_gpu::gpu::{Gpu, GpuOptions};
use std::cell::OnceCell;
use std::time::Duration;

fn kernels(c: &mut Criterion) {
    let adapter = std::env::var("LEMMA_GPU_ADAPTER").ok();
    let options = GpuOptions { adapter, profile: true, ..Default::default() };
    let gpu = Gpu::new(options).expect("an adapter for the benches");
    eprintln!("{}: by {}", gpu.summary().name, Clock::of(&gpu));
    let seconds = |ready: &Ready| ready.once().expect("a pass").seconds;
    let mut bench = |work: Work| {
        // Inputs go to the device only where criterion's own filter lets the work through.
        let ready = OnceCell::new();
        c.bench_function(&work.name, |b| {
            let ready = ready.get_or_init(|| work.prepare(&gpu));
            b.iter_custom(|n| Duration::from_secs_f64((0..n).map(|_| seconds(ready)).sum()));
        });
        Ok(())
    };
    each_work(&|_| true, &mut bench).expect("benches that run");
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = kernels
}
criterion_main!(benches);
