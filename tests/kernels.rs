//! Kernels against their oracles: one test for each row of the table and each of its cases, named `row: case`.
//!
//! `cargo test --test kernels conv2d` runs those whose names hold `conv2d`. Each runs on a device whose buffers come full of
//! NaN with guard words around each tensor and whose kernels carry bounds checks; twice with the same bits; again as they ship,
//! without checks, with and without subgroup operations; and in f16. Where all have run, the variants that they used are
//! compared with those that the table lists.

mod common;
#[path = "common/skip.rs"]
mod skip;

use lemma_gpu::gpu::{Gpu, GpuOptions, Variant};
use lemma_gpu::ops::check::Checker;
use lemma_gpu::ops::{Act, TABLE, activate, adaptive_max_pool, max_pool, softmax, winograd};
use lemma_gpu::shape::Window;
use lemma_gpu::tensor::{Cx, Dtype, Host, Seeded, Tensor};
use libtest_mimic::{Arguments, Trial};
use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::Arc;

/// How many of the listed variants run at least, on an adapter with subgroups of so many lanes; the others are for other
/// adapters. A case that is taken away lets it fall, and a variant that is listed for nobody does not raise it.
const RUN_AT_LEAST: [(Option<u32>, usize); 3] = [(Some(8), 325), (Some(4), 301), (None, 0)];

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    args.test_threads
        .get_or_insert_with(|| std::thread::available_parallelism().map_or(2, usize::from));
    let whole = args.filter.is_none() && args.skip.is_empty() && !args.list && !args.ignored;
    let checker = (!args.list).then(opened);
    let conclusion = libtest_mimic::run(&args, trials(&checker));
    let complaints = match checker {
        Some(checker) if whole && !conclusion.has_failed() => variants(&checker),
        _ => Vec::new(),
    };
    complaints.iter().for_each(|c| eprintln!("{c}"));
    match conclusion.has_failed() || !complaints.is_empty() {
        true => ExitCode::from(101),
        false => ExitCode::SUCCESS,
    }
}

/// One device for all.
fn opened() -> Arc<Checker> {
    let checker = Checker::open(common::adapter()).expect("an adapter for the tests");
    common::announce(&checker.checked);
    skip::has_or_skips("f16", checker.halves.is_some());
    skip::has_or_skips("subgroup", checker.shipped.subgroup().is_some());
    Arc::new(checker)
}

fn trials(checker: &Option<Arc<Checker>>) -> Vec<Trial> {
    let mut trials: Vec<Trial> = [
        ("pass: inputs may be dropped before it is submitted", inputs_may_be_dropped as fn()),
        ("pass: what is not a number does not look like one again", not_a_number_stays),
        ("winograd: channels that are no multiple of four are refused", winograd_by_fours),
    ]
    .map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    })
    .into();
    trials.extend(BREAKS.map(|op| {
        let checker = checker.clone();
        let test = move || {
            breaks_as_its_oracle(&checker.expect("a device, unless tests are only listed"), op);
            Ok(())
        };
        Trial::test(format!("{op}: what is not a number does not look like one again"), test)
    }));
    let mut names = HashSet::new();
    for row in TABLE {
        for case in (row.cases)() {
            let name = format!("{}: {}", row.op, case.label);
            assert!(names.insert(name.clone()), "two cases are called {name}");
            let checker = checker.clone();
            let test = move || {
                let checker = checker.expect("a device, unless tests are only listed");
                Ok(checker.check(row, &case).map_err(|e| e.to_string())?)
            };
            trials.push(Trial::test(name, test));
        }
    }
    trials
}

/// What is wrong with the variants that were used; prints how many of the listed ones were.
fn variants(checker: &Checker) -> Vec<String> {
    let listed: HashSet<(&str, Variant)> = TABLE
        .iter()
        .flat_map(|r| r.kernels)
        .flat_map(|k| (k.variants)().into_iter().map(|v| (k.kernel.path, v)))
        .collect();
    let used: HashSet<(&str, Variant)> = checker.pipelines().collect();
    let mut complaints: Vec<String> = used
        .difference(&listed)
        .map(|(path, variant)| format!("{path} [{variant}] is used, and its row does not list it"))
        .collect();
    let (run, lanes) = (used.intersection(&listed).count(), checker.shipped.subgroup());
    let share = 100.0 * run as f64 / listed.len() as f64;
    eprintln!(
        "{run} of {} listed variants have run, {share:.1} % (subgroups: {lanes:?})",
        listed.len()
    );
    let least = RUN_AT_LEAST.iter().find(|(of, _)| *of == lanes).map_or(0, |(_, least)| *least);
    if run < least {
        complaints.push(format!("only {run} variants have run, at least {least} did before"));
    }
    complaints
}

/// An upload is a queue write, which overtakes every pass that is not submitted yet: a pass must not lose an input to it.
fn inputs_may_be_dropped() {
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
fn not_a_number_stays() {
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
    let adapted = adaptive_max_pool(&cx, &x, (16, 1)).expect("records");
    cx.submit().expect("submits");
    let read = |t: &Tensor| t.to_host(&gpu).expect("reads").to_f32();
    for (act, y) in acts.iter().zip(&activated) {
        let (got, want) = (read(y), values.map(f32::is_nan));
        assert!(got.iter().map(|v| v.is_nan()).eq(want), "{act:?}: {got:?}");
    }
    assert!(read(&shares).iter().all(|v| v.is_nan()), "soft-max: {:?}", read(&shares));
    assert!(read(&largest).iter().all(|v| v.is_nan()), "max_pool: {:?}", read(&largest));
    assert!(read(&adapted).iter().all(|v| v.is_nan()), "adaptive: {:?}", read(&adapted));
}

/// Operations where a NaN may get lost: in comparisons, or in exponentials, which some drivers have as infinite for it.
const BREAKS: [&str; 6] =
    ["attention", "gru", "instance_norm", "layer_norm", "masked_max", "softmax"];

/// One NaN in each input in turn: an output is a NaN where it is one by the oracle, and nowhere else.
fn breaks_as_its_oracle(checker: &Checker, op: &str) {
    let row = TABLE.iter().find(|row| row.op == op).expect("a row");
    for case in (row.cases)() {
        for input in 0..case.inputs.len() {
            let mut inputs = case.inputs.clone();
            let Host { data, dtype: Dtype::F32, .. } = &mut inputs[input] else { continue };
            let at = data.len() * 2 / 3;
            data[at] = f64::NAN;
            let want = (case.oracle)(&inputs);
            for gpu in [&checker.shipped, &checker.plain] {
                let cx = Cx::new(gpu);
                let given: Vec<_> = inputs.iter().map(|h| h.upload(gpu)).collect();
                let outputs = (case.run)(&cx, &given).expect("records");
                cx.submit().expect("submits");
                for (o, (y, want)) in outputs.iter().zip(&want).enumerate() {
                    let got = y.to_host(gpu).expect("reads").data;
                    let wrong = (0..got.len()).find(|i| got[*i].is_nan() != want.data[*i].is_nan());
                    let told = wrong.map(|i| (i, got[i], want.data[i]));
                    assert_eq!(told, None, "{}: input {input}, output {o}", case.label);
                }
            }
        }
    }
}

/// Strides are in fours: other channels would be misread without a word.
fn winograd_by_fours() {
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
