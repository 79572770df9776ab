//! For every row of the table and every case: forward against the oracle, on a device whose buffers come full of NaN with
//! guard words around each tensor and whose kernels carry bounds checks; twice with the same bits; and again as they ship,
//! without checks, with and without subgroup operations.

mod common;

use lemma_gpu::gpu::{Gpu, GpuOptions, Variant};
use lemma_gpu::ops::check::Checker;
use lemma_gpu::ops::{Act, TABLE, activate, max_pool, softmax, winograd};
use lemma_gpu::shape::Window;
use lemma_gpu::tensor::{Cx, Seeded, Tensor};
use std::collections::HashSet;

#[test]
fn every_row_agrees_with_its_oracle() {
    let checker = Checker::open(common::adapter()).expect("an adapter for the tests");
    common::announce(&checker.checked);
    let only = std::env::var("LEMMA_GPU_OP").ok();
    let mut cases = 0;
    let mut failures = Vec::new();
    for row in TABLE.iter().filter(|r| only.as_ref().is_none_or(|o| o == r.op)) {
        for case in (row.cases)() {
            cases += 1;
            if let Err(e) = checker.check(row, &case) {
                let op = row.op;
                failures
                    .push(format!("{e}\n    repeat: LEMMA_GPU_OP={op} cargo test --test kernels"));
            }
        }
    }
    assert!(cases > 0, "no case ran");
    assert!(failures.is_empty(), "{} of {cases}:\n{}", failures.len(), failures.join("\n"));
    let listed: HashSet<(&str, Variant)> = TABLE
        .iter()
        .flat_map(|r| r.kernels)
        .flat_map(|k| (k.variants)().into_iter().map(|v| (k.kernel.path, v)))
        .collect();
    for (path, variant) in checker.pipelines() {
        assert!(
            listed.contains(&(path, variant.clone())),
            "{path} [{variant}] was used but is not among the variants of its row"
        );
    }
}

/// An upload is a queue write, which overtakes every pass that is not submitted yet: a pass must not lose an input to it.
#[test]
fn inputs_may_be_dropped_before_their_pass_is_submitted() {
    let gpu = Gpu::new(GpuOptions { adapter: common::adapter(), ..Default::default() })
        .expect("an adapter for the tests");
    let values = Seeded::new("dropped").uniform([1000], 0.5, 1.0);
    let next = |computed: Option<&Tensor>| {
        let cx = Cx::new(&gpu);
        let input = computed.cloned().unwrap_or_else(|| values.upload(&gpu));
        let y = activate(&cx, &input, Act::Relu).expect("records");
        (cx, y)
    };
    let (cx, first) = next(None);
    let other = Tensor::upload(&gpu, [1000], &[7.0; 1000]);
    cx.submit().expect("submits");
    assert!(first.to_host(&gpu).expect("reads") == values, "an uploaded input");
    let (cx, second) = next(Some(&first));
    drop((first, other));
    let _others = [(); 2].map(|()| Tensor::upload(&gpu, [1000], &[7.0; 1000]));
    cx.submit().expect("submits");
    assert!(second.to_host(&gpu).expect("reads") == values, "an input of an earlier pass");
}

/// What max and min make of a NaN is each driver's own, so no operation that a network can break in front of may rely on them.
#[test]
fn what_is_not_a_number_does_not_look_like_one_again() {
    let gpu = Gpu::new(GpuOptions { adapter: common::adapter(), ..Default::default() })
        .expect("an adapter for the tests");
    // One NaN in each of sixteen rows of eight, at another place in each half.
    let mut values = [0.5f32; 128];
    (0..16).for_each(|row| values[row * 8 + row % 8] = f32::NAN);
    let x = Tensor::upload(&gpu, [1, 16, 8, 1], &values);
    let slope = Tensor::upload(&gpu, [1], &[0.25]);
    let acts = [Act::None, Act::Relu, Act::Prelu(&slope), Act::Mish, Act::Tanh, Act::Sigmoid];
    let cx = Cx::new(&gpu);
    let activated = acts.map(|act| activate(&cx, &x, act).expect("records"));
    let shares = softmax(&cx, &x, 2).expect("records");
    let window = Window { kernel: (1, 8), stride: (1, 8), pad: (0, 0) };
    let largest = max_pool(&cx, &x, window).expect("records");
    cx.submit().expect("submits");
    let read = |t: &Tensor| t.to_host(&gpu).expect("reads").to_f32();
    for (act, y) in acts.iter().zip(&activated) {
        let (got, want) = (read(y), values.map(f32::is_nan));
        assert!(got.iter().map(|v| v.is_nan()).eq(want), "{act:?}: {got:?}");
    }
    assert!(read(&shares).iter().all(|v| v.is_nan()), "soft-max: {:?}", read(&shares));
    assert!(read(&largest).iter().all(|v| v.is_nan()), "max_pool: {:?}", read(&largest));
}

/// Strides are in fours: other channels would be misread without a word.
#[test]
fn winograd_takes_channels_by_fours_alone() {
    let gpu = Gpu::new(GpuOptions { adapter: common::adapter(), ..Default::default() })
        .expect("an adapter for the tests");
    for (inputs, outputs, padded) in [(5, 8, 8), (8, 6, 8), (4, 4, 4)] {
        let x = Tensor::upload(&gpu, [1, 4, 4, inputs], &vec![1.0; 16 * inputs]);
        let u = vec![1.0; 16 * padded * outputs];
        let u = Tensor::upload(&gpu, [4, 4, padded, outputs], &u);
        let result = winograd(&Cx::new(&gpu), &x, &u, &Default::default());
        assert_eq!(result.is_ok(), inputs == 4, "{inputs} to {outputs} channels");
    }
}
