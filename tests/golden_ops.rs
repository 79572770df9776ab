//! Operations and their gradients against the values that PyTorch computed for them in f64.
//!
//! The file keeps PyTorch's layouts; the helpers below turn them into this crate's: images NCHW to NHWC, sequences [L, N, E]
//! to [N, L, E], weights [out, in] to [in, out] and OIHW to HWIO.

mod common;
#[path = "common/golden.rs"]
mod golden;

use golden::{Golden, relative_l2};
use lemma_gpu::Result;
use lemma_gpu::gpu::{Gpu, GpuOptions};
use lemma_gpu::ops::*;
use lemma_gpu::shape::Window;
use lemma_gpu::tensor::{Cx, Dtype, Host, Tensor};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Bound of the relative L2 error of floats; integers are exact.
const BOUND: f64 = 1e-5;

/// Bound of pixels behind the spline: f32 coordinates are 1e-7 of the image's width away, and neighboring pixels of noise
/// differ by as much as pixels do.
const SPLINE_BOUND: f64 = 1e-4;

/// Bound of gradients through those pixels: they differ between neighboring source pixels more than the pixels do.
const SPLINE_GRADIENT_BOUND: f64 = 2e-4;

/// Cases of the file that are compared elsewhere.
const ELSEWHERE: &[&str] = &["adam.", "image"];

/// How an output here becomes the file's.
enum Back {
    /// By this order of axes (and then by its elements alone).
    Axes(&'static [usize]),
    /// By the mean over axis 1, the heads.
    MeanOfHeads,
    /// The file has the grid before it is clamped to [0, 1] and stretched to [-1, 1].
    Unclamped,
}

const SAME: Back = Back::Axes(&[]);
const IMAGE: Back = Back::Axes(&[0, 3, 1, 2]);
const SEQUENCE: Back = Back::Axes(&[1, 0, 2]);

type Outputs = Result<Vec<(&'static str, Tensor, Back)>>;

/// One case at work: its inputs and its pass.
struct Run<'a> {
    golden: &'a Golden,
    case: &'a str,
    gpu: &'a Gpu,
    cx: &'a Cx,
    /// Inputs so far, with the order of their axes: the file's axis of each axis here.
    inputs: RefCell<BTreeMap<String, (Tensor, Vec<usize>)>>,
}

impl Run<'_> {
    /// An input, the same tensor every time; one that the file has a gradient of is a leaf.
    fn maybe(&self, name: &str, order: &[usize]) -> Option<Tensor> {
        let mut inputs = self.inputs.borrow_mut();
        if let Some((tensor, earlier)) = inputs.get(name) {
            assert_eq!(earlier, order, "{name} in two layouts");
            return Some(tensor.clone());
        }
        let host = self.golden.get(&format!("{}.in.{name}", self.case))?;
        let host = if order.is_empty() { host.clone() } else { host.permute(order) };
        let mut tensor = host.upload(self.gpu);
        if self.golden.get(&format!("{}.grad.{name}", self.case)).is_some() {
            tensor = tensor.leaf(inputs.len() as u32);
        }
        inputs.insert(name.into(), (tensor.clone(), order.into()));
        Some(tensor)
    }

    fn input(&self, name: &str) -> Tensor {
        self.maybe(name, &[]).unwrap_or_else(|| panic!("{} has no input {name}", self.case))
    }

    fn image(&self, name: &str) -> Tensor {
        self.maybe(name, &[0, 2, 3, 1]).expect("an image")
    }

    fn sequence(&self, name: &str) -> Tensor {
        self.maybe(name, &[1, 0, 2]).expect("a sequence")
    }

    fn matrix(&self, name: &str) -> Tensor {
        self.maybe(name, &[1, 0]).expect("a matrix")
    }

    /// Height and width of the output.
    fn size(&self) -> (usize, usize) {
        let dims = self.golden.get(&format!("{}.out.y", self.case)).expect("an output").dims();
        (dims[2], dims[3])
    }
}

fn one(y: Tensor, back: Back) -> Outputs {
    Ok(vec![("y", y, back)])
}

fn conv(r: &Run, window: Window) -> Outputs {
    let w = r.maybe("w", &[2, 3, 1, 0]).expect("a weight");
    let b = r.maybe("b", &[]);
    let ep = Epilogue { shift: b.as_ref(), ..Default::default() };
    one(conv2d(r.cx, &r.image("x"), &w, window, &ep)?, IMAGE)
}

fn depthwise(r: &Run) -> Outputs {
    let w = r.maybe("w", &[2, 3, 0, 1]).expect("a weight");
    let [h, wd, c, _] = w.shape().nhwc("w")?;
    let w = w.reshape([h, wd, c])?;
    one(global_depthwise(r.cx, &r.image("x"), &w, &r.input("b"))?, IMAGE)
}

fn batch_norm_running(r: &Run) -> Outputs {
    let (mean, var) = (r.input("running_mean"), r.input("running_var"));
    let (x, w, b) = (r.image("x"), r.input("w"), r.input("b"));
    one(batch_norm_eval(r.cx, &x, &w, &b, &mean, &var, 1e-5)?, IMAGE)
}

fn batch_norm_batch(r: &Run) -> Outputs {
    let (mean, var) = (r.input("running_mean"), r.input("running_var"));
    let (x, w, b) = (r.image("x"), r.input("w"), r.input("b"));
    let (y, _, mean, var) = batch_norm_train(r.cx, &x, &w, &b, &mean, &var, 0.1, 1e-5)?;
    Ok(vec![("y", y, IMAGE), ("running_mean", mean, SAME), ("running_var", var, SAME)])
}

fn batch_norm_rows(r: &Run) -> Outputs {
    let (x, w, b) = (r.input("x"), r.input("w"), r.input("b"));
    let (mean, var) = (Host::zeros([4]).upload(r.gpu), Host::zeros([4]).upload(r.gpu));
    one(batch_norm_train(r.cx, &x, &w, &b, &mean, &var, 0.1, 1e-5)?.0, SAME)
}

fn layer(r: &Run, eps: f32, deviation: Deviation) -> Outputs {
    let (x, w, b) = (r.input("x"), r.input("w"), r.input("b"));
    one(layer_norm(r.cx, &x, None, &w, &b, eps, deviation)?, SAME)
}

/// `torch.nn.MultiheadAttention` with four heads; `k` and `v` name the inputs of keys and values.
fn mha(r: &Run, k: &str, v: &str, mask: Mask) -> Outputs {
    let (wi, bi, bo) = (r.matrix("wi"), r.input("bi"), r.input("bo"));
    let e = bo.len();
    let ep = Epilogue { shift: Some(&bi), ..Default::default() };
    let project = |name: &str, part: usize| {
        linear_columns(r.cx, &r.sequence(name), &wi, part * e..(part + 1) * e, &ep)
    };
    let (q, k, v) = (project("q", 0)?, project(k, 1)?, project(v, 2)?);
    let (y, weights) = attend(r, &q, &k, &v, mask)?;
    let ep = Epilogue { shift: Some(&bo), ..Default::default() };
    let y = linear(r.cx, &y, &r.matrix("wo"), &ep)?;
    Ok(vec![("y", y, SEQUENCE), ("attn_mean", weights, Back::MeanOfHeads)])
}

fn mha_causal(r: &Run) -> Outputs {
    let project = |x: &Tensor, i: usize| {
        let b = r.input(&format!("b{i}"));
        let ep = Epilogue { shift: Some(&b), ..Default::default() };
        linear(r.cx, x, &r.matrix(&format!("w{i}")), &ep)
    };
    let x = r.input("x");
    let (q, k, v) = (project(&x, 0)?, project(&x, 1)?, project(&x, 2)?);
    let (y, weights) = attend(r, &q, &k, &v, Mask::Causal)?;
    Ok(vec![("y", project(&y, 3)?, SAME), ("attn", weights, SAME)])
}

fn attend(r: &Run, q: &Tensor, k: &Tensor, v: &Tensor, mask: Mask) -> Result<(Tensor, Tensor)> {
    let heads = 4;
    let width = q.shape().last();
    let shape = Attention { heads, width, scale: ((width / heads) as f32).powf(-0.5) };
    let whole = Heads::whole;
    let (y, weights) = attention(r.cx, whole(q), whole(k), whole(v), shape, mask, true)?;
    Ok((y, weights.expect("weights")))
}

fn select(r: &Run) -> Outputs {
    let (x, score) = (r.sequence("x"), r.input("score").reshape([2, 40])?);
    let Order { order, rank } = sort_descending(r.cx, &score)?;
    Ok(vec![
        ("selected", gather_rows(r.cx, &x, &order, 12)?, SEQUENCE),
        ("zeroed", keep_rows(r.cx, &x, &rank, 12)?, SEQUENCE),
        ("order", order, Back::Axes(&[1, 0])),
    ])
}

fn most_of_steps(r: &Run) -> Outputs {
    let lengths = Tensor::upload_u32(r.gpu, [2], &[3, 6]);
    one(masked_max(r.cx, &r.input("attn").reshape([2, 6, 12])?, &lengths)?.0, SAME)
}

fn resized(r: &Run, filter: Filter, align_corners: bool) -> Outputs {
    one(resize(r.cx, &r.image("x"), r.size(), filter, align_corners)?, IMAGE)
}

fn spline(r: &Run) -> Outputs {
    let matrix = Host::new([1024, 20], Spline::new(16, 64, 20).matrix()).upload(r.gpu);
    let grid = tps_grid(r.cx, &r.input("ctrl"), &matrix, (16, 64))?;
    let y = grid_sample(r.cx, &r.image("x"), &grid)?;
    Ok(vec![("source", grid, Back::Unclamped), ("y", y, IMAGE)])
}

/// Both directions of a recurrence over `x`.
fn recurrent(
    r: &Run,
    x: &Tensor,
    recur: impl FnOnce(Direction, Direction) -> Result<Tensor>,
) -> Outputs {
    let side = |end: &str| -> Result<(Tensor, Tensor, Tensor)> {
        let b = r.input(&format!("bias_ih_l0{end}"));
        let ep = Epilogue { shift: Some(&b), ..Default::default() };
        let input = linear(r.cx, x, &r.matrix(&format!("weight_ih_l0{end}")), &ep)?;
        let weight = r.matrix(&format!("weight_hh_l0{end}"));
        Ok((input, weight, r.input(&format!("bias_hh_l0{end}"))))
    };
    let (forward, backward) = (side("")?, side("_reverse")?);
    fn direction((input, weight, bias): &(Tensor, Tensor, Tensor)) -> Direction<'_> {
        Direction { input, weight, bias }
    }
    one(recur(direction(&forward), direction(&backward))?, SAME)
}

/// The sequence as an image of one row, or of one column.
fn gru(r: &Run, along: Along) -> Outputs {
    let image = |l: usize, c: usize| match along {
        Along::Rows => [3, 1, l, c],
        Along::Columns => [3, l, 1, c],
    };
    let x = r.input("x").reshape(image(7, 6))?;
    recurrent(r, &x, |forward, backward| bidirectional_gru(r.cx, forward, backward, along))
}

fn pooled(r: &Run, window: Window) -> Outputs {
    one(max_pool(r.cx, &r.image("x"), window)?, IMAGE)
}

fn activated(r: &Run, act: Act) -> Outputs {
    one(activate(r.cx, &r.input("x"), act)?, SAME)
}

/// Cross entropy, the mean over rows, of scores that are probabilities already where `twice`.
fn entropy(r: &Run, twice: bool, table: Option<&Tensor>) -> Outputs {
    let (x, targets) = (r.input("x"), r.input("gt"));
    let rows = targets.len();
    let share = Tensor::upload(r.gpu, [rows], &vec![1.0 / rows as f32; rows]);
    let x = if twice { softmax(r.cx, &x, 1)? } else { x };
    one(cross_entropy(r.cx, &x, &targets, &share, table)?, SAME)
}

/// The weights of the cross entropy that the reference used.
fn confusion_table(gpu: &Gpu) -> Tensor {
    Golden::open("lemma_grad").get("weight37").expect("a table").upload(gpu)
}

fn window(kernel: (usize, usize), stride: (usize, usize), pad: (usize, usize)) -> Window {
    Window { kernel, stride, pad }
}

type Case = (&'static str, fn(&Run) -> Outputs);

const CASES: &[Case] = &[
    ("conv.k3s1p1", |r| conv(r, Window::same(3))),
    ("conv.k3s2p1_nobias", |r| conv(r, Window::same(3).strided(2, 2))),
    ("conv.k3s1x2p1", |r| conv(r, Window::same(3).strided(1, 2))),
    ("conv.k1s1", |r| conv(r, Window::same(1))),
    ("conv.k1s2_nobias", |r| conv(r, Window::same(1).strided(2, 2))),
    ("conv.k1s2x1_nobias", |r| conv(r, Window::same(1).strided(2, 1))),
    ("conv.k3s2x1p1", |r| conv(r, Window::same(3).strided(2, 1))),
    ("conv.k9p4", |r| conv(r, Window::same(9))),
    ("conv.k2p0", |r| conv(r, window((2, 2), (1, 1), (0, 0)))),
    ("conv.global_depthwise", depthwise),
    ("batchnorm.train", batch_norm_batch),
    ("batchnorm.eval", batch_norm_running),
    ("batchnorm1d.train", batch_norm_rows),
    ("instancenorm", |r| one(instance_norm(r.cx, &r.image("x"), None, 1e-5)?, IMAGE)),
    ("layernorm.torch", |r| layer(r, 1e-5, Deviation::Biased)),
    ("layernorm.unbiased_std", |r| layer(r, 1e-6, Deviation::Unbiased)),
    ("mha.self", |r| mha(r, "q", "q", Mask::None)),
    ("mha.cross", |r| mha(r, "k", "k", Mask::None)),
    ("mha.qkv", |r| mha(r, "k", "v", Mask::None)),
    ("mha.location_and_padding", |r| {
        let lengths = Tensor::upload_u32(r.gpu, [2], &[4, 2]);
        mha(r, "k", "k", Mask::DiagonalAndLengths(&lengths))
    }),
    ("mha.causal_batch_first", mha_causal),
    ("softmax.last", |r| one(softmax(r.cx, &r.input("x"), 3)?, SAME)),
    ("softmax.dim1", |r| one(softmax(r.cx, &r.input("x"), 1)?, SAME)),
    ("softmax.spatial", |r| one(softmax(r.cx, &r.input("x").reshape([2, 3, 20])?, 2)?, SAME)),
    ("select.topk_gather_scatter", select),
    ("select.masked_max", most_of_steps),
    ("resize.bicubic_x2_align", |r| resized(r, Filter::Bicubic, true)),
    ("resize.bicubic_size", |r| resized(r, Filter::Bicubic, false)),
    ("resize.bicubic_same", |r| resized(r, Filter::Bicubic, false)),
    ("resize.bilinear_align", |r| resized(r, Filter::Bilinear, true)),
    ("resize.bilinear", |r| resized(r, Filter::Bilinear, false)),
    ("resize.nearest_x2", |r| resized(r, Filter::Nearest, false)),
    ("resize.nearest_size", |r| resized(r, Filter::Nearest, false)),
    ("pixel_shuffle", |r| one(pixel_shuffle(r.cx, &r.image("x"), 2, Act::None)?, IMAGE)),
    ("grid_sample", |r| one(grid_sample(r.cx, &r.image("x"), &r.input("grid"))?, IMAGE)),
    ("tps", spline),
    ("gru.bidirectional", |r| gru(r, Along::Rows)),
    ("gru.bidirectional", |r| gru(r, Along::Columns)),
    ("lstm.bidirectional", |r| recurrent(r, &r.input("x"), |f, b| bidirectional_lstm(r.cx, f, b))),
    ("mish", |r| activated(r, Act::Mish)),
    ("mish.large", |r| activated(r, Act::Mish)),
    ("prelu", |r| activated(r, Act::Prelu(&r.input("a")))),
    ("relu", |r| activated(r, Act::Relu)),
    ("sigmoid", |r| activated(r, Act::Sigmoid)),
    ("tanh", |r| activated(r, Act::Tanh)),
    ("maxpool.k2s2", |r| pooled(r, Window::pool(2, 2))),
    ("maxpool.k1x2", |r| pooled(r, Window::pool(1, 2))),
    ("maxpool.k2s2x1p0x1", |r| pooled(r, window((2, 2), (2, 1), (0, 1)))),
    ("maxpool.k2s1", |r| pooled(r, window((2, 2), (1, 1), (0, 0)))),
    ("ce.logits", |r| entropy(r, false, None)),
    ("ce.double_softmax", |r| entropy(r, true, None)),
    // The soft targets are one-hot.
    ("ce.soft", |r| entropy(r, false, None)),
    ("ce.weighted", |r| entropy(r, false, Some(&confusion_table(r.gpu)))),
    ("loss.mse", |r| one(mean_squared(r.cx, &r.input("a"), &r.input("b"))?, SAME)),
    ("loss.l1", |r| one(mean_absolute(r.cx, &r.input("a"), &r.input("b"))?, SAME)),
];

/// What is wrong with a case: its outputs, on a pass with a tape also its gradients.
fn complaint(
    golden: &Golden,
    gpu: &Gpu,
    (case, operation): &Case,
    taped: bool,
) -> Result<Option<String>> {
    let cx = if taped { Cx::new(gpu).with_tape() } else { Cx::new(gpu) };
    let run = Run { golden, case, gpu, cx: &cx, inputs: RefCell::default() };
    let outputs = operation(&run)?;
    let gradients = if taped { differentiate(&run, &outputs)? } else { Vec::new() };
    cx.submit()?;
    for (name, tensor, back) in outputs {
        let mut want = golden.get(&format!("{case}.out.{name}")).expect("an output").clone();
        let mut got = tensor.to_host(gpu)?;
        match back {
            Back::Axes([]) => {}
            Back::Axes(order) => got = got.permute(order),
            Back::MeanOfHeads => got = mean_of_heads(&got),
            Back::Unclamped => {
                want.data.iter_mut().for_each(|v| *v = 2.0 * v.clamp(0.0, 1.0) - 1.0);
            }
        }
        let error = relative_l2(&got.data, &want.data);
        let bound = match (want.dtype, *case, name) {
            (Dtype::U32, ..) => 0.0,
            (_, "tps", "y") => SPLINE_BOUND,
            _ => BOUND,
        };
        let within = error <= bound;
        if !within {
            return Ok(Some(format!("{name}: relative L2 error {error:.3e}, bound {bound:e}")));
        }
    }
    for (name, gradient, order) in gradients {
        let got = gradient.to_host(gpu)?;
        let got = if order.is_empty() { got } else { got.permute(&inverse(&order)) };
        let want = golden.get(&format!("{case}.grad.{name}")).expect("a gradient");
        // The gradient of keys' biases is zero in exact arithmetic: moving all scores of a row alike moves no weight.
        let zero = want.data.iter().all(|v| v.abs() < 1e-12);
        let largest = got.data.iter().fold(0.0f64, |a, v| a.max(v.abs()));
        let error = if zero { largest } else { relative_l2(&got.data, &want.data) };
        let bound = if *case == "tps" { SPLINE_GRADIENT_BOUND } else { BOUND };
        let within = error <= bound;
        if !within {
            let what = format!("gradient of {name}: relative L2 error {error:.3e}");
            return Ok(Some(format!("{what}, bound {bound:e}")));
        }
    }
    Ok(None)
}

/// Gradients of Σ gY·Y by input, with the order of the input's axes.
fn differentiate(
    r: &Run,
    outputs: &[(&str, Tensor, Back)],
) -> Result<Vec<(String, Tensor, Vec<usize>)>> {
    let seeds = outputs.iter().filter_map(|(name, tensor, back)| {
        let cotangent = r.golden.get(&format!("{}.in.g{name}", r.case))?;
        let cotangent = match back {
            Back::Axes([]) => cotangent.clone(),
            Back::Axes(order) => cotangent.permute(&inverse(order)),
            _ => panic!("{name} of {} has a cotangent", r.case),
        };
        Some((tensor, Host::new(tensor.shape(), cotangent.data).upload(r.gpu)))
    });
    let seeds: Vec<(&Tensor, Tensor)> = seeds.collect();
    let seeds: Vec<(&Tensor, &Tensor)> = seeds.iter().map(|(y, g)| (*y, g)).collect();
    let mut grads = r.cx.backward_by(add, &seeds)?;
    let inputs = r.inputs.borrow();
    let prefix = format!("{}.grad.", r.case);
    let wanted = r.golden.names().filter_map(|n| n.strip_prefix(&prefix));
    let taken = wanted.map(|name| {
        let (leaf, order) = inputs.get(name).unwrap_or_else(|| panic!("{name} is not used"));
        let grad = grads.take(leaf).unwrap_or_else(|| panic!("{prefix}{name} does not come"));
        (name.to_string(), grad, order.clone())
    });
    Ok(taken.collect())
}

/// The order of axes that undoes `order`.
fn inverse(order: &[usize]) -> Vec<usize> {
    let mut back = vec![0; order.len()];
    order.iter().enumerate().for_each(|(i, axis)| back[*axis] = i);
    back
}

fn mean_of_heads(weights: &Host) -> Host {
    let [n, heads, q, k] = weights.shape.nhwc("weights").expect("weights of heads");
    let mean = |b: usize, i: usize| {
        (0..heads).map(|h| weights.data[(b * heads + h) * q * k + i]).sum::<f64>() / heads as f64
    };
    let data = (0..n).flat_map(|b| (0..q * k).map(move |i| (b, i))).map(|(b, i)| mean(b, i));
    Host::new([n, q, k], data.collect())
}

#[test]
fn operations_agree_with_pytorch() {
    let golden = Golden::open("ops");
    let gpu = Gpu::new(GpuOptions { adapter: common::adapter(), ..Default::default() })
        .expect("an adapter for the tests");
    common::announce(&gpu);
    // LEMMA_GPU_OP=conv runs the cases whose names begin so.
    let only = std::env::var("LEMMA_GPU_OP").unwrap_or_default();
    let failures: Vec<String> = CASES
        .iter()
        .filter(|(name, _)| name.starts_with(&only))
        .flat_map(|case| [(case, false), (case, true)])
        .filter_map(|(case, taped)| match complaint(&golden, &gpu, case, taped) {
            Ok(None) => None,
            Ok(Some(what)) => Some(format!("{}: {what}", case.0)),
            Err(e) => Some(format!("{}: {e}", case.0)),
        })
        .collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Four steps of Adam on two groups behind the clip of their joint norm, both rates halved after the third.
#[test]
fn the_optimizer_agrees_with_pytorch() {
    let golden = Golden::open("ops");
    let gpu = Gpu::new(GpuOptions { adapter: common::adapter(), ..Default::default() })
        .expect("an adapter for the tests");
    let input = |name: &str| golden.get(&format!("adam.clip.in.{name}")).expect("an input");
    let clock = Tensor::upload(&gpu, [CLOCK_SIZE], &[0.0; CLOCK_SIZE]);
    let params = ["p0", "p1"].map(|name| input(name).upload(&gpu));
    let moments = params
        .each_ref()
        .map(|p| [(); 2].map(|()| Tensor::upload(&gpu, p.shape(), &vec![0.0; p.len()])));
    for step in 0..4 {
        let grads = [0, 1].map(|i| input(&format!("g{i}_step{step}")).upload(&gpu));
        let cx = Cx::new(&gpu);
        norm_and_clock(&cx, &[&grads[0], &grads[1]], &[], &clock, 0.25, 0.5, 0.999)
            .expect("a norm");
        let left = Tensor::upload_u32(&gpu, [1], &[0]);
        let factor = Tensor::upload(&gpu, [1], &[if step < 3 { 1.0 } else { 0.5 }]);
        for (i, lr) in [1e-3, 1e-4].into_iter().enumerate() {
            let how = Adam { lr, beta1: 0.5, beta2: 0.999, eps: 1e-8, decay: 0.0, clips: true };
            let [m, v] = &moments[i];
            let state = [&clock, &factor, &left];
            adam(&cx, &params[i], &grads[i], [m, v], state, &how).expect("a step");
        }
        cx.submit().expect("submits");
        let check = |name: String, got: &[f64]| {
            let want = &golden.get(&format!("adam.clip.out.{name}")).expect("an output").data;
            let error = relative_l2(got, want);
            assert!(error <= BOUND, "{name}: relative L2 error {error:.3e}, bound {BOUND:e}");
        };
        check(format!("norm_step{step}"), &clock.to_host(&gpu).expect("a clock").data[..1]);
        for (i, p) in params.iter().enumerate() {
            check(format!("p{i}_step{step}"), &p.to_host(&gpu).expect("numbers").data);
        }
    }
}

#[test]
fn every_case_of_the_file_is_compared() {
    let golden = Golden::open("ops");
    let cases = golden.names().filter_map(|n| n.split_once(".out.")).map(|(case, _)| case);
    for case in cases.filter(|c| !ELSEWHERE.iter().any(|e| c.starts_with(e))) {
        let compared = case == "pe" || CASES.iter().any(|(name, _)| *name == case);
        assert!(compared, "{case} is not compared");
    }
}

#[test]
fn position_tables_agree_with_pytorch() {
    let golden = Golden::open("ops");
    for (name, d, step) in [("n26_d512", 512, 1), ("n1024_d64", 64, 16)] {
        let want = golden.get(&format!("pe.out.{name}")).expect("a table");
        let rows = want.dims()[0];
        let table = sinusoid_table((rows - 1) * step + 1, d);
        let got = table.chunks_exact(d).step_by(step).flatten().map(|v| f64::from(*v));
        let error = relative_l2(&got.collect::<Vec<_>>(), &want.data);
        assert!(error <= BOUND, "{name}: relative L2 error {error:.3e}, bound {BOUND:e}");
    }
}
