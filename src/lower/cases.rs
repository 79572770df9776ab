//! Fused equals unfused: what each rule is for, and random graphs; lowered by all rules, and by none.

use super::RULES;
use crate::gpu::{Gpu, GpuOptions};
use crate::ops::{
    Act, Along, Attention, Direction, Epilogue, Filter, Heads, Mask, activate, add, attention,
    bidirectional_gru, channel_affine, clamp, concat_last, conv2d, instance_norm, lengths, linear,
    linear_columns, mul, pixel_shuffle, resize, slice_last, softmax,
};
use crate::shape::{Shape, Window};
use crate::tensor::{Cx, Dtype, Rule, Seeded, Tensor};

type Build = dyn Fn(&Cx, &mut Seeded) -> Vec<Tensor>;

fn adapter() -> Option<String> {
    std::env::var("LEMMA_GPU_ADAPTER").ok()
}

fn open(f16: bool) -> Gpu {
    let adapter = adapter();
    let precision = if f16 { crate::gpu::Precision::F16 } else { crate::gpu::Precision::F32 };
    let options =
        GpuOptions { adapter, precision, checked: true, poison: true, ..Default::default() };
    Gpu::new(options).unwrap()
}

/// Values of a graph by these rules, and how many dispatches they took.
fn values(gpu: &Gpu, name: &str, rules: &[&Rule], build: &Build) -> (Vec<Vec<f64>>, usize) {
    let cx = Cx::new(gpu);
    let outputs = build(&cx, &mut Seeded::new(name));
    let (pass, _) = cx.lowered(rules).unwrap();
    let dispatches = pass.dispatches();
    pass.submit().unwrap();
    let outputs: Vec<&Tensor> = outputs.iter().collect();
    let values = Tensor::read_all(gpu, &outputs).unwrap();
    (values.into_iter().map(|h| h.data).collect(), dispatches)
}

/// Both ways, which must agree; how many dispatches each took.
fn compared(gpu: &Gpu, name: &str, build: &Build) -> [usize; 2] {
    let (fused, few) = values(gpu, name, RULES, build);
    let (plain, many) = values(gpu, name, &[], build);
    let apart = difference(&fused, &plain);
    assert!(apart <= 1e-5, "{name}: fused and unfused differ by {apart:.1e}");
    [few, many]
}

/// The largest difference of two graphs' outputs, as a share of the largest value of an output.
fn difference(fused: &[Vec<f64>], plain: &[Vec<f64>]) -> f64 {
    let each = fused.iter().zip(plain).map(|(a, b)| {
        let largest = b.iter().fold(1e-3, |most: f64, v| most.max(v.abs()));
        let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs());
        apart.fold(0.0, |most: f64, v| if v > most || v.is_nan() { v } else { most }) / largest
    });
    each.fold(0.0, |most: f64, v| if v > most || v.is_nan() { v } else { most })
}

fn constant(cx: &Cx, s: &mut Seeded, shape: impl Into<Shape>, bound: f64) -> Tensor {
    let values = s.uniform(shape, -bound, bound);
    let shape = values.shape;
    Tensor::constant(cx.gpu(), shape, values.to_f32())
}

/// A layer with constants: a convolution of this size, without anything behind it.
fn conv(cx: &Cx, s: &mut Seeded, x: &Tensor, size: usize, out: usize, bias: bool) -> Tensor {
    let c = x.shape().last();
    let w = constant(cx, s, [size, size, c, out], ((size * size * c) as f64).sqrt().recip());
    let bias = bias.then(|| constant(cx, s, [out], 1.0));
    let ep = Epilogue { shift: bias.as_ref(), ..Default::default() };
    conv2d(cx, x, &w, Window::same(size), &ep).unwrap()
}

fn norm(cx: &Cx, s: &mut Seeded, x: &Tensor) -> Tensor {
    let [scale, shift] = [(); 2].map(|()| constant(cx, s, [x.shape().last()], 1.0));
    channel_affine(cx, x, &scale, &shift, None, Act::None).unwrap()
}

fn project(cx: &Cx, s: &mut Seeded, x: &Tensor, out: usize) -> Tensor {
    let (w, b) = (constant(cx, s, [x.shape().last(), out], 0.4), constant(cx, s, [out], 1.0));
    linear(cx, x, &w, &Epilogue::bias(&b)).unwrap()
}

fn heads(cx: &Cx, q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor {
    let width = q.shape().last();
    let shape = Attention { heads: 2, width, scale: 0.5 };
    let [q, k, v] = [q, k, v].map(Heads::whole);
    attention(cx, q, k, v, shape, Mask::None, false).unwrap().0
}

/// Two units in each direction, with the projections of their inputs.
fn recurrence(cx: &Cx, s: &mut Seeded, x: &Tensor) -> Tensor {
    let inputs = [project(cx, s, x, 6), project(cx, s, x, 6)];
    let [weight, bias] = [constant(cx, s, [2, 6], 0.5), constant(cx, s, [6], 0.5)];
    let [f, b] = inputs.each_ref().map(|input| Direction { input, weight: &weight, bias: &bias });
    bidirectional_gru(cx, f, b, Along::Rows).unwrap()
}

/// A graph, and the dispatches that rules save it.
type Case = (&'static str, Box<Build>, usize);

fn cases() -> Vec<Case> {
    let image = |cx: &Cx, s: &mut Seeded, c: usize| s.signed([2, 4, 6, c]).upload(cx.gpu());
    vec![
        (
            "a convolution, its norm, a shortcut and an activation",
            Box::new(move |cx, s| {
                let x = image(cx, s, 8);
                let y = conv(cx, s, &x, 3, 8, true);
                let y = norm(cx, s, &y);
                vec![activate(cx, &add(cx, &y, &x).unwrap(), Act::Relu).unwrap()]
            }),
            3,
        ),
        (
            "a shortcut with a convolution of its own, computed last",
            Box::new(move |cx, s| {
                let x = image(cx, s, 8);
                let h = conv(cx, s, &x, 3, 12, false);
                let h = norm(cx, s, &h);
                let r = conv(cx, s, &x, 1, 12, false);
                let r = norm(cx, s, &r);
                vec![activate(cx, &add(cx, &h, &r).unwrap(), Act::Relu).unwrap()]
            }),
            4,
        ),
        (
            "Winograd's convolution with all behind it",
            Box::new(move |cx, s| {
                let x = s.signed([2, 4, 6, 128]).upload(cx.gpu());
                let u = constant(cx, s, [4, 4, 128, 128], 0.05);
                let y = crate::ops::winograd(cx, &x, &u, &Epilogue::default()).unwrap();
                let y = norm(cx, s, &y);
                let slope = constant(cx, s, [1], 0.5);
                vec![activate(cx, &add(cx, &y, &x).unwrap(), Act::Prelu(&slope)).unwrap()]
            }),
            3,
        ),
        (
            "a norm of two products",
            Box::new(move |cx, s| {
                let x = image(cx, s, 8);
                let (p, q) = (conv(cx, s, &x, 3, 12, true), conv(cx, s, &x, 1, 12, true));
                let sum = norm(cx, s, &add(cx, &p, &q).unwrap());
                vec![activate(cx, &sum, Act::Relu).unwrap()]
            }),
            3,
        ),
        (
            "a norm of a value and another",
            Box::new(move |cx, s| {
                let x = image(cx, s, 8);
                let y = activate(cx, &x, Act::Tanh).unwrap();
                vec![norm(cx, s, &add(cx, &y, &x).unwrap()), y]
            }),
            1,
        ),
        (
            "a recurrence with its projections",
            Box::new(move |cx, s| {
                let x = activate(cx, &image(cx, s, 8), Act::Tanh).unwrap();
                vec![recurrence(cx, s, &x)]
            }),
            1,
        ),
        (
            "a recurrence one of whose projections somebody wants",
            Box::new(move |cx, s| {
                let x = activate(cx, &image(cx, s, 8), Act::Tanh).unwrap();
                let [p, q] = [(); 2].map(|()| project(cx, s, &x, 6));
                let [weight, bias] = [constant(cx, s, [2, 6], 0.5), constant(cx, s, [6], 0.5)];
                let [f, b] =
                    [&p, &q].map(|input| Direction { input, weight: &weight, bias: &bias });
                let y = bidirectional_gru(cx, f, b, Along::Columns).unwrap();
                let other = project(cx, s, &x, 6);
                let other = project(cx, s, &other, 4);
                vec![y, p, other]
            }),
            0,
        ),
        (
            "positions that all images share",
            Box::new(move |cx, s| {
                let x = image(cx, s, 8);
                let positions = constant(cx, s, [4, 6, 8], 1.0);
                vec![add(cx, &conv(cx, s, &x, 3, 8, true), &positions).unwrap()]
            }),
            1,
        ),
        (
            "a value that somebody wants stays",
            Box::new(move |cx, s| {
                let x = image(cx, s, 8);
                let y = conv(cx, s, &x, 3, 8, true);
                let z = activate(cx, &y, Act::Relu).unwrap();
                vec![y, z]
            }),
            0,
        ),
        (
            "a value that is read twice stays",
            Box::new(move |cx, s| {
                let x = image(cx, s, 8);
                let y = conv(cx, s, &x, 3, 8, true);
                let z = activate(cx, &y, Act::Relu).unwrap();
                vec![mul(cx, &z, &y).unwrap()]
            }),
            0,
        ),
        (
            "an instance norm and its weights",
            Box::new(move |cx, s| {
                let x = image(cx, s, 8);
                let weights = softmax(cx, &conv(cx, s, &x, 1, 8, false), 3).unwrap();
                vec![mul(cx, &instance_norm(cx, &x, None, 1e-5).unwrap(), &weights).unwrap()]
            }),
            1,
        ),
        (
            "a norm beside a feature",
            Box::new(move |cx, s| {
                let x = image(cx, s, 8);
                let y = activate(cx, &x, Act::Tanh).unwrap();
                let g = norm(cx, s, &y);
                vec![concat_last(cx, &[&x, &g]).unwrap()]
            }),
            1,
        ),
        (
            "lengths within bounds",
            Box::new(move |cx, s| {
                let logits = s.signed([40, 9, 3]).upload(cx.gpu());
                let counted = lengths(cx, &logits, 9).unwrap();
                let bounded = clamp(cx, &counted, 2, 6).unwrap();
                vec![clamp(cx, &bounded, 3, 26).unwrap()]
            }),
            2,
        ),
        (
            "lengths that somebody wants as they are",
            Box::new(move |cx, s| {
                let logits = s.signed([40, 9, 3]).upload(cx.gpu());
                let counted = lengths(cx, &logits, 0).unwrap();
                vec![clamp(cx, &counted, 2, 6).unwrap(), counted]
            }),
            0,
        ),
        (
            "some channels of an image, resized",
            Box::new(move |cx, s| {
                let x = image(cx, s, 8);
                let each = [0..3, 4..8, 5..6].map(|channels| {
                    let some = slice_last(cx, &x, channels).unwrap();
                    resize(cx, &some, (7, 11), Filter::Bicubic, true).unwrap()
                });
                each.into()
            }),
            3,
        ),
        (
            "a product of constants",
            Box::new(move |cx, s| {
                let positions = constant(cx, s, [1, 6, 8], 1.0);
                let y = project(cx, s, &positions, 12);
                vec![add(cx, &s.signed([2, 6, 12]).upload(cx.gpu()), &y).unwrap()]
            }),
            1,
        ),
        (
            "three branches",
            Box::new(move |cx, s| {
                let x = image(cx, s, 8);
                let x = concat_last(cx, &[&x, &activate(cx, &x, Act::Tanh).unwrap()]).unwrap();
                let mut branch = |out: usize| {
                    let h = conv(cx, s, &x, 1, out, true);
                    let h = norm(cx, s, &h);
                    let slope = constant(cx, s, [1], 0.5);
                    let h = activate(cx, &h, Act::Prelu(&slope)).unwrap();
                    conv(cx, s, &h, 1, 12, true)
                };
                vec![branch(4), branch(8), branch(4)]
            }),
            8,
        ),
        (
            "attention whose weights nobody reads",
            Box::new(move |cx, s| {
                let x = s.signed([2, 6, 8]).upload(cx.gpu());
                let [q, k, v] = [(); 3].map(|()| activate(cx, &x, Act::Tanh).unwrap());
                let shape = Attention { heads: 2, width: 8, scale: 0.5 };
                let [q, k, v] = [&q, &k, &v].map(Heads::whole);
                vec![attention(cx, q, k, v, shape, Mask::None, true).unwrap().0]
            }),
            1,
        ),
        (
            "attention with projections of its own, and to another sequence",
            Box::new(move |cx, s| {
                let x = s.signed([2, 6, 8]).upload(cx.gpu());
                let x = activate(cx, &x, Act::Tanh).unwrap();
                let [q, k, v] = [(); 3].map(|()| project(cx, s, &x, 8));
                let y = heads(cx, &q, &k, &v);
                let q = project(cx, s, &y, 8);
                let [k, v] = [(); 2].map(|()| project(cx, s, &x, 8));
                vec![heads(cx, &q, &k, &v)]
            }),
            4,
        ),
        (
            "keys and values of two layers, from packed weights",
            Box::new(move |cx, s| {
                let memory = s.signed([2, 6, 8]).upload(cx.gpu());
                let memory = activate(cx, &memory, Act::Tanh).unwrap();
                let mut layer = |query: &Tensor| {
                    let (w, b) = (constant(cx, s, [8, 24], 0.4), constant(cx, s, [24], 1.0));
                    let bias = Epilogue::bias(&b);
                    let part = |x, range| linear_columns(cx, x, &w, range, &bias).unwrap();
                    let (q, kv) = (part(query, 0..8), part(&memory, 8..24));
                    let shape = Attention { heads: 2, width: 8, scale: 0.5 };
                    let (k, v) = (Heads::part(&kv, 0), Heads::part(&kv, 8));
                    attention(cx, Heads::whole(&q), k, v, shape, Mask::None, false).unwrap().0
                };
                let query = softmax(cx, &memory, 2).unwrap();
                let first = layer(&query);
                vec![layer(&first)]
            }),
            1,
        ),
    ]
}

#[test]
fn each_rule_does_what_it_is_for() {
    let gpu = open(false);
    for (name, build, saved) in cases() {
        let [few, many] = compared(&gpu, name, &*build);
        assert_eq!(many - few, saved, "{name}: {few} dispatches fused, {many} unfused");
    }
}

#[test]
fn a_shuffle_is_done_by_the_store() {
    let gpu = open(false);
    let build: &Build = &|cx, s| {
        let x = s.signed([2, 4, 6, 8]).upload(cx.gpu());
        let y = conv(cx, s, &x, 3, 32, true);
        vec![activate(cx, &pixel_shuffle(cx, &y, 2, Act::None).unwrap(), Act::Mish).unwrap()]
    };
    let always = Rule { wanted: |_| true, ..super::shuffle_store::RULE };
    let (plain, _) = values(&gpu, "shuffle", &[], build);
    let rules = [&super::activation::RULE, &always];
    let (fused, dispatches) = values(&gpu, "shuffle", &rules, build);
    // A software adapter applies a curved activation by itself.
    assert!(dispatches <= 2, "{dispatches}");
    for (a, b) in fused[0].iter().zip(&plain[0]) {
        assert!((a - b).abs() <= 1e-5, "{a} fused, {b} unfused");
    }
}

/// A graph of some twenty operations, drawn by its name.
fn drawn(cx: &Cx, s: &mut Seeded) -> Vec<Tensor> {
    let mut values = vec![s.signed([2, 4, 6, 8]).upload(cx.gpu())];
    let pick =
        |s: &mut Seeded, n: usize| (s.uniform([1], 0.0, n as f64).data[0] as usize).min(n - 1);
    for _ in 0..20 {
        let x = values[pick(s, values.len())].clone();
        let [n, h, w, c] = x.shape().nhwc("drawn").unwrap();
        let out = [4, 8, 12][pick(s, 3)];
        let alike: Vec<Tensor> =
            values.iter().filter(|v| v.shape() == x.shape()).cloned().collect();
        let y = match pick(s, 10) {
            0 => conv(cx, s, &x, 3, out, true),
            1 => conv(cx, s, &x, 1, out, false),
            2 | 3 => norm(cx, s, &x),
            4 => add(cx, &x, &alike[pick(s, alike.len())]).unwrap(),
            5 => {
                let table = constant(cx, s, [h, w, c], 1.0);
                add(cx, &x, &table).unwrap()
            }
            6 => {
                let slope = constant(cx, s, [1], 0.5);
                let acts =
                    [Act::Relu, Act::Prelu(&slope), Act::Mish, Act::Tanh, Act::Sigmoid, Act::Gelu];
                activate(cx, &x, acts[pick(s, 5)]).unwrap()
            }
            7 => {
                let x = x.reshape([n, h * w, c]).unwrap();
                let [q, k, v] = [(); 3].map(|()| project(cx, s, &x, 8));
                heads(cx, &q, &k, &v).reshape([n, h, w, 8]).unwrap()
            }
            8 => recurrence(cx, s, &x),
            _ => {
                let y = instance_norm(cx, &x, None, 1e-3).unwrap();
                mul(cx, &y, &alike[pick(s, alike.len())]).unwrap()
            }
        };
        // Sizes of about one, whatever came together.
        values.push(y);
    }
    let last = values.pop().expect("many");
    let other = pick(s, values.len());
    vec![last, values.swap_remove(other)]
}

#[test]
fn random_graphs_compute_the_same_fused_and_unfused() {
    let gpu = open(false);
    let mut saved = 0;
    for i in 0..60 {
        let [few, many] = compared(&gpu, &format!("graph {i}"), &drawn);
        assert!(few <= many, "graph {i}: {few} dispatches fused, {many} unfused");
        saved += many - few;
    }
    assert!(saved > 60, "{saved} dispatches saved");
}

#[test]
fn values_become_f16_but_those_that_stay_in_full() {
    let gpu = match Gpu::new(GpuOptions { adapter: adapter(), ..Default::default() }) {
        Ok(gpu) if gpu.summary().features.contains(&"shader-f16") => open(true),
        _ => {
            let skips = std::env::var("LEMMA_GPU_SKIP").unwrap_or_default();
            assert!(skips.split(',').any(|s| s == "f16"), "no shader-f16; LEMMA_GPU_SKIP=f16");
            eprintln!("SKIPPED by LEMMA_GPU_SKIP: what needs f16");
            return;
        }
    };
    let both = |cx: &Cx, s: &mut Seeded| {
        let x = s.signed([2, 4, 6, 8]).upload(cx.gpu());
        let y = conv(cx, s, &x, 3, 8, true);
        let y = norm(cx, s, &y);
        let full = cx.in_full(|cx| norm(cx, s, &y));
        vec![y, full]
    };
    let types = |rules: &[&Rule]| {
        let cx = Cx::new(&gpu);
        let outputs = both(&cx, &mut Seeded::new("f16"));
        cx.lowered(rules).unwrap().0.submit().unwrap();
        [outputs[0].dtype(), outputs[1].dtype()]
    };
    assert_eq!(types(&[]), [Dtype::F32; 2]);
    assert_eq!(types(RULES), [Dtype::F16, Dtype::F32]);
    for i in 0..20 {
        let name = format!("f16 graph {i}");
        let (half, plain) =
            (values(&gpu, &name, RULES, &drawn).0, values(&gpu, &name, &[], &drawn).0);
        let apart = difference(&half, &plain);
        assert!(apart <= 3e-2, "{name}: f16 and f32 differ by {apart:.1e}");
    }
}
