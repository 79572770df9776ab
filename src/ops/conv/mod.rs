//! Convolution of channels-last images, as a product of windows with the weight (implicit GEMM).

mod reference;
mod weight;
pub(super) mod winograd;

use super::epilogue::Epilogue;
use super::gemm::{self, Gemm, kept};
use super::reorder::read_by;
use super::strided::View;
use super::tracked::Parts;
use super::{Case, KernelUse, Row, concat_last, element, linear};
use crate::shape::{Window, to_u32};
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};
use reference::{apart, oracle, transposed_oracle};
use std::sync::Arc;
use weight::{FLIP_USE, flip};
use winograd::{suits_winograd, winograd, winograd_weight};

kernel!(DILATE = "layout/dilate_fwd", Dilation, DilateBinds { x, y });
params! { struct Dilation {
    n: u32, height: u32, width: u32, channels: u32, stride_y: u32, stride_x: u32,
} }

/// `x [N, H, W, Cin]` with `w [KH, KW, Cin, Cout]` → `[N, OH, OW, Cout]`, then the epilogue. `torch.nn.Conv2d`, zero padding,
/// no dilation, one group.
///
/// # Errors
/// Operands whose shapes do not fit, and a kernel larger than the padded image.
pub fn conv2d(cx: &Cx, x: &Tensor, w: &Tensor, window: Window, ep: &Epilogue) -> Result<Tensor> {
    let (inputs, outputs) = (x.shape().last(), w.shape().last());
    let transformed = suits_winograd(window, inputs, outputs);
    if transformed && w.is_constant() && w.len() == 9 * inputs * outputs && !cx.tracks(&[x]) {
        let of = |values: &[Arc<Vec<f32>>]| winograd_weight(&values[0]);
        let u = w.derived(cx.gpu(), "winograd", &[], [4, 4, inputs, outputs], of)?;
        return winograd(cx, x, &u, ep);
    }
    let taps = window.kernel.0 * window.kernel.1;
    if inputs == 3
        && taps > 1
        && w.is_constant()
        && w.len() == taps * 3 * outputs
        && !cx.tracks(&[x])
    {
        // By fours channels are read at once.
        let shape = [window.kernel.0, window.kernel.1, 4, outputs];
        let w = w.derived(cx.gpu(), "a fourth channel", &[], shape, |v| fourth(&v[0], outputs))?;
        let nothing = x.shape().with_last(1);
        let nothing = Tensor::upload(cx.gpu(), nothing, &vec![0.0; nothing.len()]);
        let x = concat_last(cx, &[x, &nothing])?;
        return convolved(cx, &x, &w, window, ep, false);
    }
    convolved(cx, x, w, window, ep, transformed)
}

/// A weight `[KH, KW, 3, outputs]` with a fourth channel of zeros.
fn fourth(w: &[f32], outputs: usize) -> Vec<f32> {
    let zeros = vec![0.0; outputs];
    w.chunks_exact(3 * outputs).flat_map(|tap| tap.iter().chain(&zeros).copied()).collect()
}

/// [`conv2d`] with its gradients in Winograd's domain where they are to be `transformed`, which takes a window of 3×3 and multiples of four
/// channels.
fn convolved(
    cx: &Cx,
    x: &Tensor,
    w: &Tensor,
    window: Window,
    ep: &Epilogue,
    transformed: bool,
) -> Result<Tensor> {
    let dims @ [n, height, width, channels] = x.shape().nhwc("conv2d")?;
    let out_channels = w.shape().last();
    let (kh, kw) = window.kernel;
    cx.expect("conv2d", "weight", w, [kh, kw, channels, out_channels])?;
    let (oh, ow) = window.output("conv2d", height, width)?;
    let shape = [n, oh, ow, out_channels].into();
    ep.check(cx, "conv2d", out_channels, shape)?;
    if window == Window::same(1) {
        return linear(cx, x, &w.reshape([channels, out_channels])?, ep);
    }
    let gemm = Gemm::windows(dims, (oh, ow), window, out_channels);
    ep.after(cx, [x, w], &(0..out_channels), |ep| {
        let y = gemm.run(cx, x, w, ep, shape)?;
        let [x_kept, w_kept] = kept(cx, x, w);
        Ok(ep.record(cx, "conv2d", [x, w], 0..out_channels, y, move |cx, dy| {
            let of_x = |w: Tensor| match transformed {
                true => winograd::input_gradient(cx, dy, &w),
                false => input_gradient(cx, dy, &w, window, dims),
            };
            let of_w = |x: Tensor| {
                if transformed {
                    return winograd::weight_gradient(cx, &x, dy);
                }
                let shape = [kh, kw, channels, out_channels].into();
                gemm.transposed().run(cx, &x, dy, &Epilogue::default(), shape)
            };
            Ok([w_kept.map(of_x).transpose()?, x_kept.map(of_w).transpose()?])
        }))
    })
}

/// What lowering makes of [`conv2d`] and `torch.nn.PixelShuffle(2)` behind it, for the cases: `w [KH, KW, Cin, 4·C]`, whose
/// columns are ordered by row, column and channel of the four pixels → `[N, 2·OH, 2·OW, C]`, C a multiple of 4.
///
/// # Errors
/// As [`conv2d`]; other numbers of channels, a residual, and operands that a gradient is asked of.
fn conv2d_shuffled(
    cx: &Cx,
    x: &Tensor,
    w: &Tensor,
    window: Window,
    ep: &Epilogue,
) -> Result<Tensor> {
    const OP: &str = "conv2d_shuffled";
    let dims @ [n, height, width, channels] = x.shape().nhwc(OP)?;
    let columns = w.shape().last();
    let (kh, kw) = window.kernel;
    cx.expect(OP, "weight", w, [kh, kw, channels, columns])?;
    if !columns.is_multiple_of(16) || ep.residual.is_some() || cx.tracks(&[x, w]) {
        return Err(Error::new(ErrorKind::Shape, OP, "columns of the weight")
            .expected("a multiple of 16, no residual and no gradient")
            .got(w.shape()));
    }
    let (oh, ow) = window.output(OP, height, width)?;
    ep.check(cx, OP, columns, [n, oh, ow, columns].into())?;
    let gemm = Gemm::windows(dims, (oh, ow), window, columns).shuffled();
    gemm.run(cx, x, w, ep, [n, 2 * oh, 2 * ow, columns / 4].into())
}

/// `x [N, H, W, Cin]` with `w [KH, KW, Cout, Cin]` → `[N, OH, OW, Cout]`, OH = (H − 1)·SY − 2·PY + KH and OW likewise: the adjoint
/// of [`conv2d`] with this window, `torch.nn.ConvTranspose2d` without bias and output padding.
///
/// # Errors
/// Operands whose shapes do not fit, and padding that leaves nothing.
pub fn conv_transpose2d(cx: &Cx, x: &Tensor, w: &Tensor, window: Window) -> Result<Tensor> {
    const OP: &str = "conv_transpose2d";
    let [n, h, width, inputs] = x.shape().nhwc(OP)?;
    let [_, _, outputs, _] = w.shape().nhwc(OP)?;
    let (kh, kw) = window.kernel;
    cx.expect(OP, "weight", w, [kh, kw, outputs, inputs])?;
    let size = |n: usize, k: usize, s: usize, p: usize| {
        (n.checked_sub(1)? * s + k).checked_sub(2 * p).filter(|size| *size > 0)
    };
    let size = size(h, kh, window.stride.0, window.pad.0).zip(size(
        width,
        kw,
        window.stride.1,
        window.pad.1,
    ));
    let Some((oh, ow)) = size else {
        return Err(Error::new(ErrorKind::Shape, OP, "size of the result")
            .expected("at least one pixel")
            .got(format!("{window:?} on {}", x.shape())));
    };
    let dims = [n, oh, ow, outputs];
    let y = input_gradient(cx, x, w, window, dims)?;
    let [x_kept, w_kept] = kept(cx, x, w);
    Ok(cx.record(OP, [x, w], y, move |cx, dy, _| {
        let of_x = |w: Tensor| conv2d(cx, &dy, &w, window, &Epilogue::default());
        let of_w = |x: Tensor| {
            let gemm = Gemm::windows(dims, (h, width), window, inputs).transposed();
            gemm.run(cx, &dy, &x, &Epilogue::default(), [kh, kw, outputs, inputs].into())
        };
        Ok([w_kept.map(of_x).transpose()?, x_kept.map(of_w).transpose()?])
    }))
}

/// dX: windows of dY, dilated by the stride, times the weight with its taps reversed and its channels exchanged.
fn input_gradient(
    cx: &Cx,
    dy: &Tensor,
    w: &Tensor,
    window: Window,
    dims: [usize; 4],
) -> Result<Tensor> {
    let [_, height, width, channels] = dims;
    let before = |kernel: usize, pad: usize| kernel as isize - 1 - pad as isize;
    let before = (before(window.kernel.0, window.pad.0), before(window.kernel.1, window.pad.1));
    let dy = dilate(cx, dy, window.stride)?;
    let flipped = flip(cx, w, false)?;
    let strideless = Window { stride: (1, 1), pad: (0, 0), ..window };
    Gemm::windows(dy.shape().nhwc("conv2d")?, (height, width), strideless, channels)
        .starting(before)
        .run(cx, &dy, &flipped, &Epilogue::default(), dims.into())
}

/// A weight `[KH, KW, Cin, Cout]` with `dilation - 1` zeros between its taps, (DY·(KH − 1) + 1) rows and as many columns of DX:
/// what makes [`conv2d`] a `torch.nn.Conv2d` with that dilation.
///
/// # Errors
/// A weight of other axes.
pub fn spread(cx: &Cx, w: &Tensor, dilation: (usize, usize)) -> Result<Tensor> {
    let [kh, kw, inputs, outputs] = w.shape().nhwc("spread")?;
    let between = |size: usize, by: usize| (size.max(1) - 1) * by.max(1) + 1;
    let (height, width) = (between(kh, dilation.0), between(kw, dilation.1));
    let channels = inputs * outputs;
    let image = w.detached().reshape([1, kh, kw, channels])?;
    let y = dilate(cx, &image, dilation)?.reshape([height, width, inputs, outputs])?;
    Ok(cx.record("spread", [w], y, move |cx, dy, _| {
        let (row, column) = (dilation.0 * width * channels, dilation.1 * channels);
        let view = View::new(&[(kh, row), (kw, column), (channels, 1)]);
        Ok([Some(read_by(cx, &dy, &view, [kh, kw, inputs, outputs].into())?)])
    }))
}

/// An image with `stride - 1` zeros between its pixels.
fn dilate(cx: &Cx, x: &Tensor, stride: (usize, usize)) -> Result<Tensor> {
    if stride == (1, 1) {
        return Ok(x.clone());
    }
    let [n, height, width, channels] = x.shape().nhwc("conv2d")?;
    let between = |size: usize, stride: usize| (size - 1) * stride + 1;
    let y = cx.out([n, between(height, stride.0), between(width, stride.1), channels]);
    let wide = element::width(&[channels]);
    let elements = y.len() / wide;
    let p = Dilation {
        n: to_u32(elements),
        height: to_u32(height),
        width: to_u32(width),
        channels: to_u32(channels / wide),
        stride_y: to_u32(stride.0),
        stride_x: to_u32(stride.1),
    };
    let binds = DilateBinds { x: x.read(), y: y.write() };
    cx.run(&DILATE, &element::variant(wide), element::grid(elements), &p, binds)?;
    Ok(y)
}

/// The row of the table.
pub const ROW: Row = Row { op: "conv2d", kernels: KERNELS, tolerance: 4e-6, gradient: 4e-6, cases };

const KERNELS: &[KernelUse] = &{
    let [a, b, c, d, e, f, g] = *gemm::KERNELS else { panic!("the kernels of the core") };
    [a, b, c, d, e, f, g, KernelUse { kernel: &DILATE, variants: element::variants }, FLIP_USE]
};

fn cases() -> Vec<Case> {
    let case = |why: &str, dims: [usize; 4], out: usize, window: Window, parts: Parts| {
        let ((kh, kw), (sy, sx)) = (window.kernel, window.stride);
        let label = format!("{dims:?} → {out} {kh}×{kw}/{sy}×{sx}{parts}: {why}");
        let mut s = Seeded::new(&label);
        let [n, h, w, c] = dims;
        let (oh, ow) = window.output("case", h, w).expect("a window that fits");
        // Sums of about one, where activations bend.
        let bound = (kh as f64 * kw as f64 * c as f64).sqrt().recip();
        let mut inputs = vec![s.signed(dims), s.uniform([kh, kw, c, out], -bound, bound)];
        inputs.extend(parts.inputs(&mut s, out, [n, oh, ow, out].into()));
        let flops = 2.0 * (n * oh * ow * out * kh * kw * c) as f64;
        let case = parts.case(
            label,
            inputs,
            flops,
            move |cx, t| Ok(vec![conv2d(cx, &t[0], &t[1], window, &parts.tensors(&t[2..]))?]),
            move |h| {
                let mut y = oracle(&h[0], &h[1], window);
                parts.apply(&mut y, &h[2..], 0);
                vec![y]
            },
        );
        (case, flops)
    };
    let same = Window::same;
    let plain = |why, dims, out, window, parts| case(why, dims, out, window, parts).0;
    let timed = |why, dims, out, window, parts| {
        let (case, flops) = case(why, dims, out, window, parts);
        case.bench(flops)
    };
    let shuffled = |why: &str, dims: [usize; 4], out: usize, parts: Parts| {
        let label = format!("{dims:?} → {out} 3×3, shuffled{parts}: {why}");
        let mut s = Seeded::new(&label);
        let [n, h, w, c] = dims;
        let mut inputs = vec![s.signed(dims), s.uniform([3, 3, c, out], -0.2, 0.2)];
        inputs.extend(parts.inputs(&mut s, out, [n, h, w, out].into()));
        let run = move |cx: &Cx, t: &[Tensor]| {
            let ep = parts.tensors(&t[2..]);
            Ok(vec![conv2d_shuffled(cx, &t[0], &t[1], same(3), &ep)?])
        };
        let reference = move |x: &[Host]| {
            let mut y = oracle(&x[0], &x[1], same(3));
            parts.apply(&mut y, &x[2..], 0);
            let y = Host::new([n, h, w, 2, 2, out / 4], y.data).permute(&[0, 1, 3, 2, 4, 5]);
            vec![Host::new([n, 2 * h, 2 * w, out / 4], y.data)]
        };
        Case::new(label, inputs, run, reference).without_gradient()
    };
    let dilated = |why: &str, kernel: (usize, usize), dilation: (usize, usize)| {
        let label = format!("{kernel:?} taps, {dilation:?} apart: {why}");
        let mut s = Seeded::new(&label);
        let inputs = vec![s.signed([2, 9, 8, 5]), s.uniform([kernel.0, kernel.1, 5, 4], -0.2, 0.2)];
        let wide = |k: usize, d: usize| (k - 1) * d + 1;
        let window = Window {
            kernel: (wide(kernel.0, dilation.0), wide(kernel.1, dilation.1)),
            stride: (2, 2),
            pad: (kernel.0 / 2 * dilation.0, kernel.1 / 2 * dilation.1),
        };
        Case::new(
            label,
            inputs,
            move |cx, t| {
                let w = spread(cx, &t[1], dilation)?;
                Ok(vec![conv2d(cx, &t[0], &w, window, &Epilogue::default())?])
            },
            move |h| vec![oracle(&h[0], &apart(&h[1], dilation), window)],
        )
    };
    let transposed = |why: &str, dims: [usize; 4], out: usize, window: Window| {
        let label = format!("{dims:?} ← {out} {window:?}, transposed: {why}");
        let mut s = Seeded::new(&label);
        let (kh, kw) = window.kernel;
        let inputs = vec![s.signed(dims), s.uniform([kh, kw, out, dims[3]], -0.3, 0.3)];
        Case::new(
            label,
            inputs,
            move |cx, t| Ok(vec![conv_transpose2d(cx, &t[0], &t[1], window)?]),
            move |h| vec![transposed_oracle(&h[0], &h[1], window)],
        )
    };
    let folded = Parts { residual: false, ..Parts::ALL }.with_act(1);
    vec![
        transposed("no padding", [2, 1, 5, 7], 6, Window { pad: (0, 0), ..same(3).strided(2, 2) }),
        transposed("strides by height", [2, 3, 5, 4], 8, same(3).strided(2, 1)),
        transposed("fours", [1, 3, 4, 8], 4, same(3).strided(2, 2)),
        dilated("down", (3, 1), (3, 1)),
        dilated("across", (1, 3), (1, 2)),
        dilated("both ways", (3, 3), (2, 4)),
        plain("one pixel", [1, 1, 1, 1], 1, same(3), Parts::ALL),
        plain("primes", [3, 7, 11, 5], 13, same(3), Parts::ALL),
        plain("positions", [3, 4, 6, 8], 12, same(3), Parts::PLACED),
        plain("positions, 1×1", [2, 3, 5, 8], 8, same(1), Parts::PLACED.with_act(1)),
        plain("positions, few columns", [2, 3, 17, 8], 4, same(9), Parts::PLACED),
        plain("three channels", [2, 5, 7, 3], 8, same(9), Parts::ALL),
        plain("three channels, strides", [2, 5, 7, 3], 5, same(3).strided(2, 2), Parts::BIAS),
        plain("few columns, five taps", [2, 6, 19, 8], 3, same(5), Parts::ALL),
        timed("colors", [8, 32, 128, 3], 64, same(9), Parts::BIAS),
        timed("to colors", [8, 32, 128, 32], 3, same(5), Parts::BIAS),
        shuffled("fours", [2, 5, 7, 8], 32, Parts::BIAS.with_act(3)),
        shuffled("odd channels", [1, 3, 4, 5], 16, folded),
        shuffled("in parts along K", [1, 2, 3, 120], 16, folded),
        plain("no padding", [2, 5, 9, 6], 7, Window::pool(2, 2).strided(1, 1), Parts::BIAS),
        plain("2×2 windows side by side", [2, 7, 9, 8], 12, Window::pool(2, 2), Parts::BIAS),
        plain("strides by height", [2, 9, 8, 4], 36, same(3).strided(2, 1), Parts::ALL),
        plain("strides by width", [2, 8, 9, 4], 33, same(3).strided(1, 2), Parts::ALL),
        plain("one channel below a subgroup", [1, 8, 16, 31], 31, same(3), Parts::ALL),
        plain("one channel above a subgroup", [1, 8, 16, 33], 65, same(1), Parts::ALL),
        plain("a window wider than the image", [2, 3, 2, 4], 4, same(9), Parts::BIAS),
        plain(
            "more padding than kernel",
            [2, 3, 5, 4],
            3,
            Window { pad: (2, 3), ..same(3) },
            Parts::BIAS,
        ),
        plain(
            "a stride that leaves pixels over",
            [3, 9, 10, 5],
            7,
            same(1).strided(2, 2),
            Parts::default(),
        ),
        plain(
            "no padding, strided",
            [2, 8, 7, 3],
            5,
            Window::pool(2, 2).strided(2, 1),
            Parts::default(),
        ),
        plain("first layer, small", [3, 5, 7, 4], 12, same(9), Parts::BIAS),
        plain("few pixels", [1, 1, 2, 128], 64, same(3), folded),
        plain("few pixels, strided", [1, 2, 4, 64], 128, same(3).strided(2, 2), folded),
        plain("three columns, many taps", [2, 5, 21, 8], 3, same(9), Parts::ALL.with_act(4)),
        plain("four columns, an odd line", [2, 3, 17, 36], 4, same(3), Parts::ALL),
        plain("four columns, strided", [2, 8, 12, 4], 4, same(3).strided(2, 2), Parts::BIAS),
        timed("stem", [1, 32, 128, 3], 32, same(3), folded),
        timed(
            "first layer of the network",
            [1, 16, 64, 4],
            64,
            same(9),
            Parts::default().with_act(4),
        ),
        timed("first layer, nano", [1, 16, 64, 4], 32, same(9), Parts::BIAS),
        timed("last layer, nano", [1, 32, 128, 32], 4, same(9), Parts::BIAS.with_act(4)),
        timed("trunk, nano", [2, 16, 64, 32], 32, same(3), folded),
        timed("up-sampling, nano", [1, 16, 64, 32], 128, same(3), Parts::BIAS),
        timed("fusion, nano", [1, 16, 64, 64], 32, same(1), Parts::BIAS),
        timed("trunk", [1, 16, 64, 64], 64, same(3), folded),
        timed("fusion", [1, 16, 64, 128], 64, same(1), Parts::BIAS),
        timed("backbone, strided", [1, 32, 128, 32], 32, same(3).strided(2, 2), folded),
        timed(
            "backbone, strided shortcut",
            [1, 32, 128, 32],
            64,
            same(1).strided(2, 2),
            Parts::BIAS,
        ),
        timed("backbone, 128 channels", [1, 8, 32, 128], 128, same(3), Parts::ALL.with_act(1)),
        timed("backbone, 1×1", [1, 8, 32, 512], 512, same(1), folded),
        timed("backbone, 256 channels", [1, 8, 32, 256], 256, same(3), Parts::ALL.with_act(1)),
    ]
}
