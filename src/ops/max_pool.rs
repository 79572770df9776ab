//! Max pooling; padding counts as −∞.

use super::{Case, KernelUse, Row, element};
use crate::shape::{Window, to_u32};
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(MAX_POOL = "sample/max_pool_fwd", Params, MaxPoolBinds { x, y });
kernel!(BACKWARD = "sample/max_pool_bwd", Params, BackwardBinds { x, y, dy, dx });
params! { struct Params {
    n: u32, channels: u32, height: u32, width: u32, out_height: u32, out_width: u32,
    kernel_y: u32, kernel_x: u32, stride_y: u32, stride_x: u32, pad_y: u32, pad_x: u32,
} }

/// The largest value of every window of `x [N, H, W, C]`, channel by channel: `torch.nn.MaxPool2d`. Of equal values
/// the first of a window, row by row, gets its gradient.
///
/// # Errors
/// A window larger than the padded image, an empty one, or padding above half the window.
pub fn max_pool(cx: &Cx, x: &Tensor, window: Window) -> Result<Tensor> {
    let [n, height, width, c] = x.shape().nhwc("max_pool")?;
    let Window { kernel, stride, pad } = window;
    let empty = [kernel.0, kernel.1, stride.0, stride.1, height, width].contains(&0);
    if empty || pad.0 > kernel.0 / 2 || pad.1 > kernel.1 / 2 {
        return Err(Error::new(ErrorKind::Shape, "max_pool", "window")
            .expected("kernel, stride and image of at least 1, padding of at most half the kernel")
            .got(format!("{window:?} on {}", x.shape())));
    }
    let (h, w) = window.output("max_pool", height, width)?;
    let y = cx.out([n, h, w, c]);
    if y.is_empty() {
        return Ok(y);
    }
    let (p, unit) = parameters(x, &y, window)?;
    let binds = MaxPoolBinds { x: x.read(), y: y.write() };
    let grid = element::grid(p.n as usize);
    cx.run(&MAX_POOL, &element::variant(unit), grid, &p, binds)?;
    let saved = (x.detached(), y.clone());
    Ok(cx.record("max_pool", [x], y, move |cx, dy, _| {
        Ok([Some(backward(cx, &saved.0, &saved.1, &dy, window)?)])
    }))
}

/// The gradient of `x`; the windows' maxima are found again in it.
fn backward(cx: &Cx, x: &Tensor, y: &Tensor, dy: &Tensor, window: Window) -> Result<Tensor> {
    let (p, unit) = parameters(x, y, window)?;
    let dx = cx.out(x.shape());
    let elements = dx.len() / unit;
    let p = Params { n: to_u32(elements), ..p };
    let binds = BackwardBinds { x: x.read(), y: y.read(), dy: dy.read(), dx: dx.write() };
    cx.run(&BACKWARD, &element::variant(unit), element::grid(elements), &p, binds)?;
    Ok(dx)
}

/// Parameters for every element of `y`, and its width.
fn parameters(x: &Tensor, y: &Tensor, window: Window) -> Result<(Params, usize)> {
    let Window { kernel, stride, pad } = window;
    let [_, height, width, c] = x.shape().nhwc("max_pool")?;
    let [_, h, w, _] = y.shape().nhwc("max_pool")?;
    let unit = element::width(&[c]);
    let p = Params {
        n: to_u32(y.len() / unit),
        channels: to_u32(c / unit),
        height: to_u32(height),
        width: to_u32(width),
        out_height: to_u32(h),
        out_width: to_u32(w),
        kernel_y: to_u32(kernel.0),
        kernel_x: to_u32(kernel.1),
        stride_y: to_u32(stride.0),
        stride_x: to_u32(stride.1),
        pad_y: to_u32(pad.0),
        pad_x: to_u32(pad.1),
    };
    Ok((p, unit))
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "max_pool",
    kernels: &[
        KernelUse { kernel: &MAX_POOL, variants: element::variants },
        KernelUse { kernel: &BACKWARD, variants: element::variants },
    ],
    tolerance: 0.0,
    gradient: 1e-6,
    cases,
};

fn cases() -> Vec<Case> {
    let case = |why: &str, x: [usize; 4], window: Window| {
        let label = format!("{x:?} {window:?}: {why}");
        // No two values are near each other.
        let values = Seeded::new(&label).uniform(x, -2.0, -1.0);
        let mut order: Vec<usize> = (0..values.data.len()).collect();
        order.sort_by(|i, j| values.data[*i].total_cmp(&values.data[*j]));
        let mut apart = values;
        order.iter().enumerate().for_each(|(at, i)| apart.data[*i] = at as f64 / 1024.0 - 100.0);
        Case::new(
            label,
            vec![apart],
            move |cx, t| Ok(vec![max_pool(cx, &t[0], window)?]),
            move |h| vec![oracle(&h[0], window)],
        )
    };
    let ties = |x: [usize; 4], window: Window| {
        let label = format!("{x:?} {window:?}: of equal values the first gets the gradient");
        let mut s = Seeded::new(&label);
        let values: Vec<f64> = s.ints(x, 0, 3).data.iter().map(|v| v - 3.0).collect();
        let values = Host::new(x, values);
        let dy = s.ints(oracle(&values, window).shape, 1, 9);
        let dy = Host::new(dy.shape, dy.data);
        Case::new(
            label,
            vec![values, dy],
            move |cx, t| {
                let y = max_pool(cx, &t[0], window)?;
                Ok(vec![backward(cx, &t[0], &y, &t[1], window)?])
            },
            move |h| vec![backward_oracle(&h[0], &h[1], window)],
        )
        // It is a gradient itself, where there is no derivative.
        .without_gradient()
    };
    let crnn = Window { kernel: (2, 2), stride: (2, 1), pad: (0, 1) };
    vec![
        case("one pixel", [1, 1, 1, 1], Window::pool(1, 1)),
        case("spatial transformer", [2, 16, 64, 32], Window::pool(2, 2)).bench(32_768.0),
        case("spatial transformer, last", [2, 1, 4, 256], Window::pool(1, 2)),
        case("padding is less than any value", [2, 6, 8, 3], crnn),
        case("by fours", [2, 6, 8, 4], crnn),
        case("overlapping", [2, 4, 12, 1], Window { stride: (1, 1), ..Window::pool(2, 2) }),
        case("primes", [1, 7, 11, 5], Window::same(3).strided(2, 3)),
        ties([2, 6, 8, 4], crnn),
        ties([1, 7, 11, 3], Window::same(3)),
    ]
}

/// Reference by plain loops.
fn oracle(x: &Host, window: Window) -> Host {
    let winners = winners(x, window);
    let data = winners.data.iter().map(|at| x.data[*at as usize]).collect();
    Host::new(winners.shape, data)
}

/// Reference of the gradient: every winner gets what arrives at its window.
fn backward_oracle(x: &Host, dy: &Host, window: Window) -> Host {
    let mut dx = Host::zeros(x.shape);
    for (at, g) in winners(x, window).data.iter().zip(&dy.data) {
        dx.data[*at as usize] += g;
    }
    dx
}

/// Where each window has its maximum first.
fn winners(x: &Host, window: Window) -> Host {
    let [n, height, width, c] = x.shape.nhwc("oracle").expect("an image");
    let (h, w) = window.output("oracle", height, width).expect("fits");
    let mut at = Host::zeros([n, h, w, c]);
    for (out, winner) in at.data.iter_mut().enumerate() {
        let (channel, pixel) = (out % c, out / c);
        let (image, i, j) = (pixel / (h * w), pixel / w % h, pixel % w);
        let mut most = f64::NEG_INFINITY;
        for u in 0..window.kernel.0 {
            for v in 0..window.kernel.1 {
                let row = (i * window.stride.0 + u).wrapping_sub(window.pad.0);
                let column = (j * window.stride.1 + v).wrapping_sub(window.pad.1);
                if row < height && column < width {
                    let from = ((image * height + row) * width + column) * c + channel;
                    if x.data[from] > most {
                        (most, *winner) = (x.data[from], from as f64);
                    }
                }
            }
        }
    }
    at
}
