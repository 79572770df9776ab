//! Depthwise convolution with a small kernel of odd sizes, its taps apart, on an image that keeps its size.

use super::{Case, KernelUse, Row, element};
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(FWD = "conv/depthwise_fwd", Params, FwdBinds { x, w, bias, y });
params! { struct Params {
    n: u32, channels: u32, height: u32, width: u32, kernel_y: u32, kernel_x: u32, dilation: u32,
} }

/// `x [N, H, W, C]` with `w [KH, KW, C]`, whose taps are `dilation` pixels apart, and `bias [C]` → `[N, H, W, C]`. `torch.nn.Conv2d`
/// with `groups = C` and as much padding as keeps the size. No gradient is known of it.
///
/// # Errors
/// Operands whose shapes do not fit, a kernel of even sizes, and operands that a gradient is asked of.
pub fn depthwise_conv2d(
    cx: &Cx,
    x: &Tensor,
    w: &Tensor,
    bias: &Tensor,
    dilation: usize,
) -> Result<Tensor> {
    const OP: &str = "depthwise_conv2d";
    let [n, height, width, c] = x.shape().nhwc(OP)?;
    let [kh, kw, _] = w.shape().nlc(OP)?;
    cx.expect(OP, "weight", w, [kh, kw, c])?;
    cx.expect(OP, "bias", bias, [c])?;
    if kh.is_multiple_of(2) || kw.is_multiple_of(2) || dilation == 0 || cx.tracks(&[x, w, bias]) {
        return Err(Error::new(ErrorKind::Shape, OP, "weight")
            .expected("odd sizes, taps at least one pixel apart, and no gradient asked of it")
            .got(format!("{} {dilation} apart", w.shape())));
    }
    let y = cx.out([n, height, width, c]);
    if y.is_empty() {
        return Ok(y);
    }
    let unit = element::width(&[c]);
    let p = Params {
        n: to_u32(y.len() / unit),
        channels: to_u32(c / unit),
        height: to_u32(height),
        width: to_u32(width),
        kernel_y: to_u32(kh),
        kernel_x: to_u32(kw),
        dilation: to_u32(dilation),
    };
    let binds = FwdBinds { x: x.read(), w: w.read(), bias: bias.read(), y: y.write() };
    cx.run(&FWD, &element::variant(unit), element::grid(y.len() / unit), &p, binds)?;
    Ok(y)
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "depthwise_conv2d",
    kernels: &[KernelUse { kernel: &FWD, variants: element::variants }],
    tolerance: 2e-6,
    gradient: 0.0,
    cases,
};

fn cases() -> Vec<Case> {
    let case = |why: &str, dims: [usize; 4], kernel: (usize, usize), dilation: usize| {
        let label = format!("{dims:?} {kernel:?} taps {dilation} apart: {why}");
        let mut s = Seeded::new(&label);
        let c = dims[3];
        let inputs = vec![s.signed(dims), s.signed([kernel.0, kernel.1, c]), s.signed([c])];
        Case::new(
            label,
            inputs,
            move |cx, t| Ok(vec![depthwise_conv2d(cx, &t[0], &t[1], &t[2], dilation)?]),
            move |h| vec![oracle(&h[0], &h[1], &h[2], dilation)],
        )
        .without_gradient()
    };
    vec![
        case("one pixel", [1, 1, 1, 1], (3, 3), 1),
        case("primes", [2, 5, 7, 3], (3, 5), 2),
        case("wider than the image", [1, 4, 6, 4], (3, 3), 8),
        case("gate", [2, 16, 64, 64], (3, 3), 4).bench(2.0 * 9.0 * 131_072.0),
    ]
}

/// Reference in f64.
pub fn oracle(x: &Host, w: &Host, bias: &Host, dilation: usize) -> Host {
    let [_, h, width, c] = x.shape.nhwc("x").expect("an image");
    let [kh, kw, _] = w.shape.nlc("w").expect("a weight");
    let mut y = Host::zeros(x.shape);
    for (e, sum) in y.data.iter_mut().enumerate() {
        let (channel, pixel) = (e % c, e / c);
        let (image, i, j) = (pixel / (h * width), pixel / width % h, pixel % width);
        *sum = bias.data[channel];
        for (tap, weights) in w.data.chunks_exact(c).enumerate() {
            let row = (i + tap / kw * dilation).wrapping_sub(kh / 2 * dilation);
            let column = (j + tap % kw * dilation).wrapping_sub(kw / 2 * dilation);
            if row < h && column < width {
                let at = ((image * h + row) * width + column) * c + channel;
                *sum += weights[channel] * x.data[at];
            }
        }
    }
    y
}
