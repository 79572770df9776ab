//! Convolution 3×3 by Winograd's F(2×2, 3×3): sixteen multiplications for four pixels rather than thirty-six.
//!
//! Y = Aᵀ·[U ⊙ (Bᵀ·d·B)]·A with U = G·g·Gᵀ for every 4×4 pixels d around 2×2 outputs (Lavin and Gray 2016, arXiv 1509.09308).
//! Over the channels, ⊙ is sixteen products of matrices. The weight of [`winograd`] is transformed once, when it is loaded.
//!
//! The gradients of a convolution go the same way, that of the weight by the adjoint: ḡ = Gᵀ·Ū·G with Ū = Vᵀ·M̄ for each of the
//! sixteen, V = Bᵀ·d·B and M̄ = A·Ȳ·Aᵀ. A convolution that is trained takes these for its gradients; its values it sums directly,
//! since Winograd's rounding can flip a following ReLU and change gradients.

use super::reference::oracle;
use super::weight::{FLIP_USE, flip};
use crate::gpu::{Gpu, Grid, Kernel, Variant};
use crate::ops::epilogue::{Epilogue, Residual, Tail, Tailed};
use crate::ops::gemm::Gemm;
use crate::ops::tracked::Parts;
use crate::ops::{Case, KernelUse, Row, element};
use crate::shape::{Window, to_u32};
use crate::tensor::{Bind, Cx, Dtype, Host, Kernels, Op, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(INPUT = "conv/winograd_input", Tiles, InputBinds { x, v });
kernel!(
    OUTPUT = "conv/winograd_output",
    Pixels,
    OutputBinds { m, b, scale, shift, residual, slope, y }
);
kernel!(OUTPUT_BWD = "conv/winograd_output_bwd", Tiles, InputBinds);
kernel!(WEIGHT = "conv/winograd_weight", Weights, WeightBinds { w, u });
kernel!(WEIGHT_BWD = "conv/winograd_weight_bwd", Weights, WeightBwdBinds { du, dw });
params! { struct Weights { n: u32 } }
params! { struct Tiles { n: u32, height: u32, width: u32, fours: u32, down: u32, across: u32 } }
params! { struct Pixels {
    n: u32, height: u32, width: u32, cols: u32, down: u32, across: u32, b_first: u32, epilogue: u32,
    residual_step: u32,
} }

/// G of F(2×2, 3×3).
const G: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];

/// Channels, in and out, from which the fewer multiplications outweigh the transforms.
const FROM_CHANNELS: usize = 128;

/// Whether [`winograd`] takes a convolution, and takes less time than [`conv2d`](crate::ops::conv2d()).
pub fn suits_winograd(window: Window, inputs: usize, outputs: usize) -> bool {
    let enough = |channels: usize| channels >= FROM_CHANNELS && channels.is_multiple_of(4);
    window == Window::same(3) && enough(inputs) && enough(outputs)
}

/// U `[4, 4, in, out]` of a weight g `[3, 3, in, out]`.
pub fn winograd_weight(g: &[f32]) -> Vec<f32> {
    let plane = g.len() / 9;
    let mut u = vec![0.0; 16 * plane];
    for i in 0..plane {
        let tap = |t: usize| f64::from(g[t * plane + i]);
        let rows = G.map(|row| [0, 1, 2].map(|x| along(row, |y| tap(3 * y + x))));
        for (place, value) in rows.iter().flat_map(|r| G.map(|g| along(g, |x| r[x]))).enumerate() {
            u[place * plane + i] = value as f32;
        }
    }
    u
}

fn along(g: [f64; 3], of: impl Fn(usize) -> f64) -> f64 {
    (0..3).map(|i| g[i] * of(i)).sum()
}

/// `x [N, H, W, Cin]` with a transformed weight `u [4, 4, Cin, Cout]` → `[N, H, W, Cout]`, then the epilogue: `torch.nn.Conv2d` with
/// a kernel of 3×3 and padding 1. Differentiable in `x` and the epilogue, not in `u`.
///
/// # Errors
/// Operands whose shapes do not fit, and numbers of channels that are no multiples of four.
pub fn winograd(cx: &Cx, x: &Tensor, u: &Tensor, ep: &Epilogue) -> Result<Tensor> {
    let [n, height, width, inputs] = x.shape().nhwc("winograd")?;
    let outputs = u.shape().last();
    if !inputs.is_multiple_of(4) || !outputs.is_multiple_of(4) {
        return Err(Error::new(ErrorKind::Shape, "winograd", "channels, in and out")
            .expected("multiples of four")
            .got(format!("{inputs} and {outputs}")));
    }
    cx.expect("winograd", "weight", u, [4, 4, inputs, outputs])?;
    let shape = [n, height, width, outputs].into();
    ep.check(cx, "winograd", outputs, shape)?;
    ep.after(cx, [x, u], &(0..outputs), |ep| {
        let y = cx.out(shape);
        if !y.is_empty() {
            transformed(cx, x, u, ep, &y)?;
        }
        let kept = u.clone();
        Ok(ep.record(cx, "winograd", [x, u], 0..outputs, y, move |cx, dy| {
            let flipped = flip(cx, &kept, true)?;
            Ok([Some(winograd(cx, dy, &flipped, &Epilogue::default())?), None])
        }))
    })
}

/// X̄ `[N, H, W, Cin]` of a convolution with `w [3, 3, Cin, Cout]`, and `dy [N, H, W, Cout]`.
pub(super) fn input_gradient(cx: &Cx, dy: &Tensor, w: &Tensor) -> Result<Tensor> {
    let flipped = flip(cx, w, false)?;
    let [.., outputs, inputs] = flipped.shape().nhwc("winograd")?;
    let u = cx.out_f32([4, 4, outputs, inputs]);
    let (p, words, grid) = by_fours(cx, &flipped, &u);
    cx.run(&WEIGHT, &words, grid, &p, WeightBinds { w: flipped.read(), u: u.write() })?;
    winograd(cx, dy, &u, &Epilogue::default())
}

/// W̄ `[3, 3, Cin, Cout]` of a convolution of `x [N, H, W, Cin]`, and `dy [N, H, W, Cout]`.
pub(super) fn weight_gradient(cx: &Cx, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let (v, dm) = (by_tiles(cx, &INPUT, x)?, by_tiles(cx, &OUTPUT_BWD, dy)?);
    let [_, tiles, inputs] = v.shape().nlc("winograd")?;
    let outputs = dm.shape().last();
    let gemm = Gemm::matrix(tiles, inputs, outputs).batch(16).transposed();
    let du = gemm.run(cx, &v, &dm, &Epilogue::default(), [4, 4, inputs, outputs].into())?;
    let dw = cx.out_f32([3, 3, inputs, outputs]);
    let (p, words, grid) = by_fours(cx, &du, &dw);
    cx.run(&WEIGHT_BWD, &words, grid, &p, WeightBwdBinds { du: du.read(), dw: dw.write() })?;
    Ok(dw)
}

/// How a weight is taken into the other domain, four output channels at a time.
fn by_fours(cx: &Cx, from: &Tensor, to: &Tensor) -> (Weights, Variant, Grid) {
    let [.., inputs, outputs] = to.dims() else { unreachable!("a weight has four axes") };
    let n = inputs * outputs / 4;
    (Weights { n: to_u32(n) }, words_of(cx.gpu(), [Some(from), Some(to)]), element::grid(n))
}

/// Whether vec4 operands are loaded and stored as two `u64` words.
fn words(wide: bool) -> Variant {
    Variant::new().tile("WORDS", wide.into())
}

/// As words where that is cheaper, and all of these are floats.
fn words_of(gpu: &Gpu, tensors: [Option<&Tensor>; 2]) -> Variant {
    let floats = tensors.into_iter().flatten().all(|t| t.dtype() == Dtype::F32);
    words(floats && gpu.traits().loads_cost_by_component)
}

/// An image `[N, H, W, C]` as sixteen numbers for each of its tiles, `[16, T, C]`.
fn by_tiles(cx: &Cx, kernel: &'static Kernel, x: &Tensor) -> Result<Tensor> {
    let [n, height, width, channels] = x.shape().nhwc("winograd")?;
    let v = cx.out([16, n * height.div_ceil(2) * width.div_ceil(2), channels]);
    element::grid(v.len() / 64).check(kernel)?;
    cx.push(Input { kernel, x: x.detached(), v: v.clone() });
    Ok(v)
}

/// An image in the other domain as a node of a pass: which loads serve it is known when its values have a type.
struct Input {
    kernel: &'static Kernel,
    x: Tensor,
    v: Tensor,
}

impl Op for Input {
    fn reads<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.x);
    }

    fn writes<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.v);
    }

    fn lower(&self, k: &Kernels) -> Result<()> {
        let Input { kernel, x, v } = self;
        let [_, height, width, channels] = x.shape().nhwc("winograd")?;
        let fours = v.len() / 64;
        let p = Tiles {
            n: to_u32(fours),
            height: to_u32(height),
            width: to_u32(width),
            fours: to_u32(channels / 4),
            down: to_u32(height.div_ceil(2)),
            across: to_u32(width.div_ceil(2)),
        };
        let words = words_of(k.gpu(), [Some(x), Some(v)]);
        let binds = InputBinds { x: x.read(), v: v.write() };
        k.run(kernel, &words, element::grid(fours), &p, binds)
    }
}

fn transformed(cx: &Cx, x: &Tensor, u: &Tensor, ep: &Epilogue, y: &Tensor) -> Result<()> {
    let v = by_tiles(cx, &INPUT, x)?;
    let [_, tiles, inputs] = v.shape().nlc("winograd")?;
    let outputs = y.shape().last();
    let gemm = Gemm::matrix(tiles, inputs, outputs).batch(16);
    // Still to be summed.
    let products = [16, tiles, outputs].into();
    let m = cx.in_full(|cx| gemm.run(cx, &v, u, &Epilogue::default(), products))?;
    cx.push(Output { m, tail: ep.into(), y: y.clone() });
    Ok(())
}

/// The way out of Winograd's domain, as a node of a pass.
pub(crate) struct Output {
    /// Sixteen numbers for each tile, `[16, T, Cout]`.
    m: Tensor,
    tail: Tail,
    y: Tensor,
}

impl Op for Output {
    fn reads<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.m);
        self.tail.see(see);
    }

    fn writes<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.y);
    }

    fn lower(&self, k: &Kernels) -> Result<()> {
        let Output { m, tail, y } = self;
        let [_, height, width, outputs] = y.shape().nhwc("winograd")?;
        let ep = tail.epilogue();
        let fours = m.len() / 64;
        let repeats = ep.residual.is_some_and(|r| r.len() < y.len());
        let p = Pixels {
            n: to_u32(fours),
            height: to_u32(height),
            width: to_u32(width),
            cols: to_u32(outputs),
            down: to_u32(height.div_ceil(2)),
            across: to_u32(width.div_ceil(2)),
            b_first: 0,
            epilogue: ep.word(),
            residual_step: if repeats { 0 } else { to_u32(height * width * outputs / 4) },
        };
        let optional = Tensor::read_or_absent;
        let [scale, shift, residual] = [ep.scale, ep.shift, ep.residual].map(optional);
        let binds = OutputBinds {
            m: m.read(),
            b: Bind::Absent,
            scale,
            shift,
            residual,
            slope: ep.act.slope(),
            y: y.write(),
        };
        let words = words_of(k.gpu(), [ep.residual, Some(y)]);
        k.run(&OUTPUT, &ep.on(words), element::grid(fours), &p, binds)
    }
}

impl Tailed for Output {
    fn tail(&self) -> &Tail {
        &self.tail
    }

    fn result(&self) -> &Tensor {
        &self.y
    }

    fn takes(&self, residual: &Residual) -> bool {
        residual.copies == 1 || residual.copies == self.y.dims()[0]
    }

    fn with(&self, tail: Tail, y: Tensor) -> Self {
        Output { m: self.m.clone(), tail, y }
    }
}

/// The row of the table.
pub const ROW: Row =
    Row { op: "winograd", kernels: KERNELS, tolerance: 4e-6, gradient: 4e-6, cases };

const KERNELS: &[KernelUse] = &[
    KernelUse { kernel: &INPUT, variants: both },
    KernelUse { kernel: &OUTPUT_BWD, variants: both },
    KernelUse { kernel: &WEIGHT, variants: both },
    KernelUse { kernel: &WEIGHT_BWD, variants: both },
    KernelUse {
        kernel: &OUTPUT,
        variants: || [false, true].map(|w| Epilogue::all(words(w))).concat(),
    },
    FLIP_USE,
];

fn both() -> Vec<Variant> {
    [false, true].map(words).to_vec()
}

fn cases() -> Vec<Case> {
    let case = |why: &str, dims: [usize; 4], out: usize, parts: Parts| {
        let label = format!("{dims:?} → {out}{parts}: {why}");
        let mut s = Seeded::new(&label);
        let [n, h, w, c] = dims;
        // Eighths: exact before and after the transform.
        let mut g = s.uniform([3, 3, c, out], -1.5, 1.5);
        g.data.iter_mut().for_each(|v| *v = v.round() / 8.0);
        let u = winograd_weight(&g.to_f32()).into_iter().map(f64::from).collect();
        let mut inputs = vec![s.signed(dims), Host::new([4, 4, c, out], u)];
        inputs.extend(parts.inputs(&mut s, out, [n, h, w, out].into()));
        let flops = 2.0 * (n * h * w * out * 9 * c) as f64;
        let mut case = parts.case(
            label,
            inputs,
            flops,
            move |cx, t| Ok(vec![winograd(cx, &t[0], &t[1], &parts.tensors(&t[2..]))?]),
            move |h| {
                let mut y = oracle(&h[0], &taps(&h[1]), Window::same(3));
                parts.apply(&mut y, &h[2..], 0);
                vec![y]
            },
        );
        // No gradient goes to `u`.
        case.wrt.retain(|&input| input != 1);
        (case, flops)
    };
    let trained = |why: &str, dims: [usize; 4], out: usize, parts: Parts| {
        let label = format!("{dims:?} → {out}, trained{parts}: {why}");
        let mut s = Seeded::new(&label);
        let [n, h, w, c] = dims;
        let mut inputs = vec![s.signed(dims), s.uniform([3, 3, c, out], -0.2, 0.2)];
        inputs.extend(parts.inputs(&mut s, out, [n, h, w, out].into()));
        let run = move |cx: &Cx, t: &[Tensor]| {
            let ep = parts.tensors(&t[2..]);
            Ok(vec![super::convolved(cx, &t[0], &t[1], Window::same(3), &ep, true)?])
        };
        let reference = move |x: &[Host]| {
            let mut y = oracle(&x[0], &x[1], Window::same(3));
            parts.apply(&mut y, &x[2..], 0);
            vec![y]
        };
        parts.case(label, inputs, 2.0 * (n * h * w * out * 9 * c) as f64, run, reference)
    };
    let plain = |why, dims, out, parts| case(why, dims, out, parts).0;
    let timed = |why, dims, out, parts| {
        let (case, flops) = case(why, dims, out, parts);
        case.bench(flops)
    };
    let folded = Parts { residual: false, ..Parts::ALL }.with_act(1);
    vec![
        plain("one pixel", [1, 1, 1, 4], 4, Parts::ALL),
        plain("half tiles at both edges", [2, 5, 7, 8], 12, Parts::ALL),
        plain("positions", [3, 4, 6, 8], 8, Parts::PLACED),
        trained("one tile", [1, 2, 2, 4], 4, Parts::default()),
        trained("half tiles at both edges", [2, 5, 7, 8], 12, Parts::BIAS),
        trained("the rest behind it", [2, 4, 9, 4], 8, Parts::ALL.with_act(3)),
        plain("a line", [3, 1, 6, 20], 8, Parts::BIAS.with_act(4)),
        plain("rows of one tile", [2, 9, 2, 16], 36, folded),
        timed("trunk, nano", [2, 16, 64, 32], 32, folded),
        timed("trunk", [1, 16, 64, 64], 64, folded),
        timed("backbone, 128 channels", [1, 8, 32, 128], 128, Parts::ALL.with_act(1)),
        timed("backbone, 256 channels", [1, 8, 32, 256], 256, Parts::ALL.with_act(1)),
    ]
}

/// g `[3, 3, in, out]` of its transform U: rows and columns 0 and 3 of U are those of g, and row 1 less row 2 is row 1 of g.
fn taps(u: &Host) -> Host {
    const LEFT: [[f64; 4]; 3] = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, -1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
    let [_, _, inputs, outputs] = u.shape.nhwc("u").expect("four axes");
    let plane = inputs * outputs;
    let mut g = Host::zeros([3, 3, inputs, outputs]);
    for (i, v) in g.data.iter_mut().enumerate() {
        let (tap, at) = (i / plane, i % plane);
        for (place, value) in u.data[at..].iter().step_by(plane).enumerate() {
            *v += LEFT[tap / 3][place / 4] * LEFT[tap % 3][place % 4] * value;
        }
    }
    g
}
