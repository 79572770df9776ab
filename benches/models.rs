//! Whole passes, a training step and the loading of data: `cargo bench --bench models -- NAME`.
//!
//! Times are by the host's clock, to the end on the device; of a forward pass from its submission, of a training step, which is
//! recorded once, from the copying of its batch. The official sizes take part where `LEMMA_GPU_OFFICIAL` is set. Percentiles, and
//! passes on a device that was just opened: `lemma-gpu bench --filter model`.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use lemma_gpu::bench::{Graph, Size, Subject, trainer, training_batch};
use lemma_gpu::data::words::{Loader, LoaderOptions, Mix};
use lemma_gpu::gpu::{Gpu, GpuOptions};
use std::sync::Arc;
use std::time::Duration;

fn open() -> Gpu {
    let adapter = std::env::var("LEMMA_GPU_ADAPTER").ok();
    let options = GpuOptions { adapter, ..Default::default() };
    Gpu::new(options).expect("an adapter for the benches")
}

fn sizes() -> &'static [Size] {
    Size::measured(std::env::var_os("LEMMA_GPU_OFFICIAL").is_some())
}

fn forward(c: &mut Criterion) {
    let gpu = open();
    for (size, graph) in sizes().iter().flat_map(|s| [(s, Graph::Lemma), (s, Graph::Abinet)]) {
        let subject = std::cell::OnceCell::new();
        let mut group = c.benchmark_group(format!("forward {graph} {size}"));
        for batch in [1, 8, 64] {
            group.throughput(Throughput::Elements(batch));
            group.bench_function(format!("batch {batch}"), |b| {
                let subject =
                    subject.get_or_init(|| Subject::new(&gpu, graph, *size).expect("a network"));
                let kept = subject.keep(&subject.input(batch as usize)).expect("a pass");
                b.iter(|| kept.run().expect("a pass"));
            });
        }
    }
}

fn training(c: &mut Criterion) {
    let mut group = c.benchmark_group("training step");
    for size in sizes() {
        let images = if *size == Size::Nano { 8 } else { 4 };
        group.throughput(Throughput::Elements(images as u64));
        group.bench_function(format!("LEMMA {size}, batch {images}"), |b| {
            let gpu = open();
            let trainer = trainer(&gpu, *size).expect("a network");
            let batch = training_batch(images);
            let mut step = 0;
            b.iter(|| {
                step += 1;
                let losses = trainer.step(&batch, images, step, 1.0).expect("a step");
                losses.total().to_host(&gpu).expect("the loss")
            });
        });
    }
}

fn loader(c: &mut Criterion) {
    const BATCH: usize = 64;
    let mut group = c.benchmark_group("loader");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("drawn words, batch 64, two threads", |b| {
        let sets = ["synth:count=4096,seed=5".to_string()];
        let mix = Arc::new(Mix::open(&sets).expect("drawn words"));
        // A new loader for each batch: one that has run ahead would only hand out what is ready.
        let new = || {
            let options = LoaderOptions { batch: BATCH, ahead: 1, ..Default::default() };
            Loader::new(mix.clone(), options).expect("a loader")
        };
        let first = |mut loader: Loader| loader.next().expect("endless").expect("a batch");
        b.iter_batched(new, first, BatchSize::PerIteration);
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    targets = forward, training, loader
}
criterion_main!(benches);
