//! The library as a program uses it: threads, progress, cancelling, asynchronous callers, and the paper's switches.

mod common;
#[path = "common/skip.rs"]
mod skip;

use lemma_gpu::data::picture::{RgbImage, decode};
use lemma_gpu::engine::{Head, Options, ReadOptions, Wanted, enlarge, plan_memory};
use lemma_gpu::gpu::{BufferSlice, Gpu, GpuOptions, wgpu};
use lemma_gpu::models::ModelKind;
use lemma_gpu::models::lemma::{Alignment, Fusion, LemmaConfig, Network, PriorKind};
use lemma_gpu::models::procedural::Procedural;
use lemma_gpu::tensor::{Cx, Tensor};
use lemma_gpu::{Engine, ErrorKind, Lemma, Recognizer, Source};
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

fn options() -> GpuOptions {
    GpuOptions { adapter: common::adapter(), ..Default::default() }
}

fn words(names: &[&str]) -> Vec<RgbImage> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/demo");
    let read = |name: &&str| {
        let bytes = std::fs::read(format!("{folder}/{name}.png")).expect("a demo image");
        decode(&bytes, name).expect("an image").image
    };
    names.iter().map(read).collect()
}

#[test]
fn models_are_shared_between_threads() {
    fn shareable<T: Send + Sync + Clone>(_: &T) {}
    let engine = Engine::new(options()).expect("an adapter for the tests");
    common::announce(engine.gpu());
    let lemma = Lemma::load(&engine, Source::Shipped).expect("the shipped model");
    shareable(&engine);
    shareable(&lemma);
    let images = words(&["coffee", "harbor"]);
    let read = |image: &RgbImage| {
        let result = lemma.upscale(std::slice::from_ref(image)).expect("a result").remove(0);
        assert_eq!(result.image.dimensions(), (128, 32));
        assert!(result.attention.is_some() && result.windows.len() == 1);
        result.text
    };
    let texts: Vec<String> = std::thread::scope(|s| {
        let threads: Vec<_> = images.iter().map(|i| s.spawn(|| read(i))).collect();
        threads.into_iter().map(|t| t.join().expect("a thread")).collect()
    });
    assert_eq!(texts, ["coffee", "harbor"]);
    let later = pollster::block_on(lemma.upscale_async(&images)).expect("results");
    assert_eq!(later.iter().map(|r| r.text.as_str()).collect::<Vec<_>>(), ["coffee", "harbor"]);
    assert!(lemma.upscale(&[]).expect("nothing").is_empty());

    let reader = Recognizer::load(&engine, Source::Shipped).expect("the shipped reader");
    shareable(&reader);
    let readings = reader.read(&images, Default::default()).expect("readings");
    assert_eq!(readings[0].text(), "coffee");
}

/// Awaits both on this thread; how often either was found pending.
fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B, usize) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    let (mut of_a, mut of_b, mut pending) = (None, None, 0);
    let together = std::future::poll_fn(|cx| {
        if of_a.is_none() {
            match a.as_mut().poll(cx) {
                Poll::Ready(value) => of_a = Some(value),
                Poll::Pending => pending += 1,
            }
        }
        if of_b.is_none() {
            match b.as_mut().poll(cx) {
                Poll::Ready(value) => of_b = Some(value),
                Poll::Pending => pending += 1,
            }
        }
        if of_a.is_some() && of_b.is_some() { Poll::Ready(()) } else { Poll::Pending }
    });
    pollster::block_on(together);
    (of_a.expect("a value"), of_b.expect("a value"), pending)
}

/// Tasks sleep while the device computes, several on one thread, and get what blocking calls get.
#[test]
fn tasks_await_the_device_on_one_thread() {
    fn sendable<T: Send>(task: T) -> T {
        task
    }
    let engine = pollster::block_on(sendable(Engine::new_async(options()))).expect("an adapter");
    let lemma = Lemma::load(&engine, Source::Shipped).expect("the shipped model");
    let reader = Recognizer::load(&engine, Source::Shipped).expect("the shipped reader");
    let images = words(&["coffee", "harbor", "coffee", "harbor", "coffee"]);
    let passes = AtomicUsize::new(0);
    let progress = |done, all| {
        assert_eq!(all, 5);
        assert_eq!(done, [2, 4, 5][passes.fetch_add(1, Ordering::Relaxed)]);
    };
    let wanted = Wanted { text: true, attention: true };
    let options = || Options { wanted, batch: 2, progress: Some(&progress), ..Options::default() };
    let upscaling = sendable(lemma.upscale_with_async(&images, options()));
    let by_two = ReadOptions { batch: 2, ..ReadOptions::default() };
    let reading = sendable(reader.read_with_async(&images, by_two));
    let (upscaled, readings, pending) = both(upscaling, reading);
    assert!(pending >= 2, "both went to sleep");
    let upscaled = upscaled.expect("results");
    assert_eq!(passes.swap(0, Ordering::Relaxed), 3);
    let blocking = lemma.upscale_with(&images, options()).expect("results");
    for (a, b) in upscaled.iter().zip(&blocking) {
        assert_eq!((&a.image, &a.text, a.confidence), (&b.image, &b.text, b.confidence));
    }
    let texts = |r: Vec<lemma_gpu::engine::Reading>| r.iter().map(|r| r.text()).collect::<Vec<_>>();
    assert_eq!(
        texts(readings.expect("readings")),
        texts(reader.read(&images, Head::Fusion).expect("readings"))
    );

    let stop = || true;
    let stopped = Options { cancelled: Some(&stop), ..Options::default() };
    let error = pollster::block_on(lemma.upscale_with_async(&images, stopped)).err();
    assert_eq!(error.map(|e| e.kind()), Some(ErrorKind::Cancelled));

    // Dropped with its pass on the way; the device and the model go on.
    let mut left = Box::pin(lemma.upscale_async(&images[..1]));
    let _ = left.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    drop(left);
    let again = pollster::block_on(lemma.upscale_async(&images[..1])).expect("a result");
    assert_eq!(again[0].image, blocking[0].image);
}

/// From the second time on that a number of windows comes, its pass is not recorded any more.
#[test]
fn a_pass_that_is_run_again_gives_the_bits_of_a_fresh_one() {
    let options = GpuOptions { checked: true, poison: true, ..options() };
    let engine = Engine::new(options).expect("an adapter for the tests");
    let images = words(&["coffee", "station", "exit"]);
    let bits = |lemma: &Lemma, images: &[RgbImage]| -> Vec<Vec<f32>> {
        let all = lemma.upscale(images).expect("results");
        let of_window = |w: &lemma_gpu::engine::WindowResult| {
            let attention = w.attention.as_ref().expect("attention, as asked");
            [&w.image[..], &attention.score, &attention.characters].concat()
        };
        all.iter().flat_map(|r| r.windows.iter().map(of_window)).collect()
    };
    let load = || Lemma::load(&engine, Source::Shipped).expect("the shipped model");
    let fresh = |images: &[RgbImage]| bits(&load(), images);
    let (one, two) = (images.chunks(1).map(fresh).collect::<Vec<_>>(), fresh(&images[1..]));
    let lemma = load();
    for i in [0, 1, 2, 0, 1] {
        assert!(bits(&lemma, &images[i..=i]) == one[i], "image {i} by itself");
    }
    // Another number once, then twice, then the first one.
    for (i, pair) in [(1, true), (1, false), (1, true), (1, true), (1, true), (2, false)] {
        match pair {
            true => assert!(bits(&lemma, &images[1..]) == two, "two images"),
            false => assert!(bits(&lemma, &images[i..=i]) == one[i], "image {i} in between"),
        }
    }
    std::thread::scope(|s| {
        for i in [0, 1, 2] {
            let (lemma, images, one, bits) = (&lemma, &images, &one, &bits);
            s.spawn(move || {
                for _ in 0..3 {
                    assert!(bits(lemma, &images[i..=i]) == one[i], "image {i} beside others");
                }
            });
        }
    });
}

/// Pipelines are kept in a folder; a damaged file changes nothing and is written anew.
#[test]
fn pipelines_are_kept_between_engines() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("not yet there");
    let read = || {
        let engine = Engine::new(options()).expect("an adapter for the tests");
        let engine = engine.keep_pipelines(&folder);
        let reader = Recognizer::load(&engine, Source::Shipped).expect("the shipped reader");
        let readings = reader.read(&words(&["coffee"]), Default::default()).expect("readings");
        assert_eq!(readings[0].text(), "coffee");
        engine.gpu().pipeline_cache_name().map(|name| folder.join(name))
    };
    let file = read();
    if !skip::has_or_skips("pipeline-cache", file.is_some()) {
        assert!(!folder.exists());
        return;
    }
    let file = file.expect("a name");
    let kept = std::fs::read(&file).expect("a file of pipelines");
    std::fs::write(&file, &kept[..kept.len() - 1]).expect("a damaged file");
    read();
    assert_eq!(std::fs::read(&file).expect("a file of pipelines").len(), kept.len());
}

/// A thread's wait may finish the copies of the others.
#[test]
fn threads_that_read_at_once_all_get_their_bytes() {
    let gpu = Gpu::new(options()).expect("an adapter for the tests");
    std::thread::scope(|s| {
        for thread in 0..8u8 {
            let gpu = &gpu;
            s.spawn(move || {
                let buffer = gpu.upload(&[thread; 64]);
                for _ in 0..2500 {
                    let got = gpu.read(&[BufferSlice::first(&buffer, 64)]).expect("the bytes");
                    assert_eq!(got, [vec![thread; 64]]);
                }
            });
        }
    });
}

#[test]
fn a_caller_hears_of_progress_and_can_stop() {
    let engine = Engine::new(options()).expect("an adapter for the tests");
    let lemma = Lemma::load(&engine, Source::Shipped).expect("the shipped model");
    let images = words(&["coffee", "harbor", "exit"]);
    let calls = AtomicUsize::new(0);
    let progress = |done: usize, all: usize| {
        assert_eq!((done, all), (calls.fetch_add(1, Ordering::Relaxed) + 1, 3));
    };
    let plain = Options { batch: 1, progress: Some(&progress), ..Options::default() };
    let results = lemma.upscale_with(&images, plain).expect("results");
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    assert!(results.iter().all(|r| r.reading.is_none() && r.attention.is_none()));
    let cancelled = || calls.load(Ordering::Relaxed) >= 4;
    let stop = Options {
        cancelled: Some(&cancelled),
        progress: Some(&|_, _| {
            calls.fetch_add(1, Ordering::Relaxed);
        }),
        wanted: Wanted { text: true, attention: false },
        ..plain
    };
    let error = lemma.upscale_with(&images, stop).expect_err("stopped");
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    // One pass is computed while the next is made.
    assert!((4..=5).contains(&calls.load(Ordering::Relaxed)), "{calls:?}");
}

/// Where there is nothing to do, nothing is done.
#[test]
fn no_images_are_no_results() {
    let engine = Engine::new(options()).expect("an adapter for the tests");
    let lemma = Lemma::load(&engine, Source::Shipped).expect("the shipped model");
    let reader = Recognizer::load(&engine, Source::Shipped).expect("the shipped reader");
    for (text, attention) in [(false, false), (true, false), (false, true), (true, true)] {
        let wanted = Wanted { text, attention };
        let none: [RgbImage; 0] = [];
        for _ in 0..3 {
            let pending = lemma.submit(&none, wanted).expect("nothing to submit");
            assert!(pending.wait().expect("nothing").is_empty());
        }
        let options = Options { wanted, ..Options::default() };
        assert!(lemma.upscale_with(&[], options).expect("nothing").is_empty());
    }
    assert!(enlarge(lemma.engine(), &[]).expect("nothing").is_empty());
    for head in [Head::Vision, Head::Language, Head::Fusion] {
        assert!(reader.read(&[], head).expect("nothing").is_empty());
        assert!(reader.read_values(&[], (32, 128), head).expect("nothing").is_empty());
        assert!(reader.read_values(&[], (16, 64), head).expect("nothing").is_empty());
        assert!(reader.read_values(&[], (0, 0), head).is_err());
    }
    let input = host_buffer(engine.gpu(), 16, wgpu::BufferUsages::STORAGE);
    assert_eq!(lemma.upscale_on_device(input, 0).expect("nothing").count(), 0);
    let planning = Engine::new(GpuOptions { planning: true, ..options() }).expect("an adapter");
    let lemma = Lemma::load(&planning, Source::Shipped).expect("the shipped model");
    let plan = plan_memory(&lemma, 0).expect("a plan");
    assert!(plan.binds() && plan.total() < plan_memory(&lemma, 1).expect("a plan").total());
}

/// A plan counts on where there is no memory, and tells what no memory helps with: a buffer larger than kernels can bind.
#[test]
fn a_plan_knows_what_the_adapter_can_bind() {
    let engine = Engine::new(GpuOptions { planning: true, ..options() }).expect("an adapter");
    let lemma = Lemma::load(&engine, Source::Shipped).expect("the shipped model");
    let plan = |n: usize| plan_memory(&lemma, n).expect("a plan");
    let (few, many) = (plan(2), plan(1 << 12));
    assert_eq!(few.most, engine.gpu().largest_buffer());
    assert!(few.binds() && few.largest < few.total());
    assert!(many.largest > 1000 * few.largest, "{} bytes, and {}", few.largest, many.largest);
    assert_eq!(many.binds(), many.largest <= many.most);
    // Every window takes more than half a megabyte in one buffer, and there is an end to that: 2³¹ bytes at the latest.
    assert!(!plan(1 << 15).binds());
}

/// A device that is lost while images are on their way: an error from whatever is called, and another engine goes on.
#[test]
fn a_lost_device_is_an_error_everywhere() {
    let engine = Engine::new(options()).expect("an adapter for the tests");
    let lemma = Lemma::load(&engine, Source::Shipped).expect("the shipped model");
    let reader = Recognizer::load(&engine, Source::Shipped).expect("the shipped reader");
    let images = words(&["coffee"]);
    for _ in 0..3 {
        lemma.upscale(&images).expect("results");
    }
    let wanted = Wanted { text: true, attention: true };
    let pending = lemma.submit(&[RgbImage::new(64, 16)], wanted).expect("a pass");
    let buffer = host_buffer(engine.gpu(), 16 * 64 * 4 * 4, wgpu::BufferUsages::STORAGE);
    engine.gpu().device().destroy();
    fn lost<T>(result: lemma_gpu::Result<T>) {
        let e = result.err().expect("a device that is lost");
        assert_eq!(e.kind(), ErrorKind::Device, "{e}");
    }
    // What was on its way may have come through.
    if let Err(e) = pending.wait() {
        assert_eq!(e.kind(), ErrorKind::Device, "{e}");
    }
    for _ in 0..2 {
        lost(lemma.upscale(&images));
        lost(lemma.upscale(&[images[0].clone(), images[0].clone()]));
        lost(pollster::block_on(lemma.upscale_async(&images)));
        lost(enlarge(lemma.engine(), &[0.5; 16 * 64 * 3]));
        lost(lemma.upscale_on_device(buffer.clone(), 1));
        lost(reader.read(&images, Head::Fusion));
        lost(pollster::block_on(reader.read_async(&images, Head::Vision)));
        lost(engine.gpu().read(&[BufferSlice::first(&engine.gpu().upload(&[1; 64]), 64)]));
        std::thread::scope(|s| s.spawn(|| lost(lemma.clone().upscale(&images))).join())
            .expect("no panic");
        lost(Lemma::load(&engine, Source::Shipped).and_then(|late| late.upscale(&images)));
    }
    let other = Engine::new(options()).expect("an adapter for the tests");
    let reader = Recognizer::load(&other, Source::Shipped).expect("the shipped reader");
    assert_eq!(reader.read(&images, Head::Fusion).expect("readings")[0].text(), "coffee");
}

fn host_buffer(gpu: &Gpu, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    let desc = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
    gpu.device().create_buffer(&desc)
}

/// A buffer of the host's that kernels cannot take is an error of ours, not a panic of wgpu's.
#[test]
fn a_host_buffer_that_does_not_do_is_refused() {
    let engine = Engine::new(options()).expect("an adapter for the tests");
    let lemma = Lemma::load(&engine, Source::Shipped).expect("the shipped model");
    let one = 16 * 64 * 4 * 4;
    let storage = wgpu::BufferUsages::STORAGE;
    let refused = |buffer, n| lemma.upscale_on_device(buffer, n).err().expect("an error");
    let e = refused(host_buffer(engine.gpu(), one, wgpu::BufferUsages::UNIFORM), 1);
    assert_eq!(e.kind(), ErrorKind::Argument, "{e}");
    assert!(e.to_string().contains("STORAGE"), "{e}");
    for n in [2, usize::MAX / 4096 + 1, usize::MAX] {
        let e = refused(host_buffer(engine.gpu(), one, storage), n);
        assert_eq!(e.kind(), ErrorKind::Shape, "{e}");
    }
    let other = Gpu::new(options()).expect("an adapter for the tests");
    let e = refused(host_buffer(&other, one, storage), 1);
    assert_eq!(e.kind(), ErrorKind::Device, "{e}");
    let most = engine.gpu().largest_buffer();
    if engine.gpu().device().limits().max_buffer_size > most {
        let e = refused(host_buffer(engine.gpu(), most + 16, storage), 1);
        assert_eq!(e.kind(), ErrorKind::Argument, "{e}");
    }
    // Behind all that, the device is as good as before.
    let usage = storage | wgpu::BufferUsages::COPY_SRC;
    let done = lemma.upscale_on_device(host_buffer(engine.gpu(), one, usage), 1);
    assert_eq!(done.expect("an image").count(), 1);
}

/// A device of the host's that asked for less than kernels need.
#[test]
fn a_host_device_with_small_limits_is_refused() {
    let gpu = Gpu::new(options()).expect("an adapter for the tests");
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let all = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let adapter = all.into_iter().find(|a| a.get_info().name == gpu.summary().name);
    let adapter = adapter.expect("the adapter of the tests");
    let open = |limits: wgpu::Limits| {
        let desc = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
        let (device, queue) = pollster::block_on(adapter.request_device(&desc)).expect("a device");
        Engine::from_wgpu(&adapter, device, queue, GpuOptions::default())
    };
    let e = open(wgpu::Limits::downlevel_defaults()).expect_err("too small");
    assert_eq!(e.kind(), ErrorKind::Device, "{e}");
    assert!(e.to_string().contains("max_storage_buffers_per_shader_stage"), "{e}");
    let engine = open(wgpu::Limits::default()).expect("large enough");
    let reader = Recognizer::load(&engine, Source::Shipped).expect("the shipped reader");
    let readings = reader.read(&words(&["coffee"]), Head::Fusion).expect("readings");
    assert_eq!(readings[0].text(), "coffee");
}

fn small() -> LemmaConfig {
    let state = lemma_gpu::data::checkpoint::StateDict::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/weights/lemma-nano.safetensors"
    ))
    .expect("the shipped weights");
    LemmaConfig { srb_nums: 1, ..Network::config_of(&state).expect("a configuration") }
}

#[test]
fn every_switch_of_the_paper_changes_the_result() {
    let gpu = Gpu::new(options()).expect("an adapter for the tests");
    let weights = Procedural { model: ModelKind::Lemma, seed: 3 };
    let values: Vec<f32> = (0..4096).map(|i| (i * 7919 % 256) as f32 / 255.0).collect();
    let run = |config: LemmaConfig| -> Vec<f32> {
        let network = Network::with_config(&gpu, &weights, config).expect("loads");
        let input = Tensor::upload(&gpu, [1, 16, 64, 4], &values);
        let cx = Cx::new(&gpu);
        let image = network.forward(&cx, &input).expect("runs").image;
        cx.submit().expect("submits");
        image.to_host(&gpu).expect("reads").to_f32()
    };
    let official = run(small());
    let mut switched: Vec<(&str, LemmaConfig)> = Vec::new();
    let mut add = |name, change: fn(&mut LemmaConfig)| {
        let mut config = small();
        change(&mut config);
        switched.push((name, config));
    };
    add("no feature selection", |c| c.guidance.feature_selection = false);
    add("no location attention", |c| c.guidance.location_attention = false);
    add("no expansion", |c| c.guidance.expansion_conv = false);
    add("no pixel to region", |c| c.guidance.pixel_to_region = false);
    add("one direction", |c| c.guidance.alignment = Alignment::Uni);
    add("no alignment", |c| c.guidance.alignment = Alignment::None);
    add("concatenation", |c| c.fusion = Fusion::Concat);
    add("another K", |c| c.guidance.select_num = 300);
    add("two blocks", |c| c.srb_nums = 2);
    add("another recognizer", |c| c.prior = PriorKind::Crnn);
    for (name, config) in switched {
        let result = run(config);
        assert!(result.iter().all(|v| v.is_finite()), "{name}");
        assert!(result.iter().zip(&official).any(|(a, b)| (a - b).abs() > 1e-6), "{name}");
    }
}

#[test]
fn sizes_that_make_no_network_are_refused() {
    let gpu = Gpu::new(options()).expect("an adapter for the tests");
    let weights = Procedural { model: ModelKind::Lemma, seed: 3 };
    let changes: [fn(&mut LemmaConfig); 6] = [
        |c| c.guidance.select_num = 1025,
        |c| c.guidance.nhead = 5,
        |c| c.hidden_units = 0,
        |c| c.srb_nums = usize::MAX,
        |c| c.position_prior.vision.resnet_strides = [2, 2, 2, 1, 1],
        |c| c.position_prior.language.nhead = 0,
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut config = small();
        change(&mut config);
        let error = Network::with_config(&gpu, &weights, config).err().expect("refused");
        assert_eq!(error.kind(), ErrorKind::Format, "change {i}: {error}");
    }
}
