//! Max pooling; padding counts as −∞.

use super::{Case, KernelUse, Row, element};
use crate::shape::Window;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(MAX_POOL = "sample/max_pool_fwd", Params);
params! { struct Params {
    n: u32, channels: u32, height: u32, width: u32, out_height: u32, out_width: u32,
    kernel_y: u32, kernel_x: u32, stride_y: u32, stride_x: u32, pad_y: u32, pad_x: u32,
} }

/// The largest value of every window of `x [N, H, W, C]`, channel by channel: `torch.nn.MaxPool2d`.
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
    let unit = element::width(&[c]);
    let elements = y.len() / unit;
    let p = Params {
        n: elements as u32,
        channels: (c / unit) as u32,
        height: height as u32,
        width: width as u32,
        out_height: h as u32,
        out_width: w as u32,
        kernel_y: kernel.0 as u32,
        kernel_x: kernel.1 as u32,
        stride_y: stride.0 as u32,
        stride_x: stride.1 as u32,
        pad_y: pad.0 as u32,
        pad_x: pad.1 as u32,
    };
    let binds = [x.read(), y.write()];
    cx.run(&MAX_POOL, &element::variant(unit), element::grid(elements), &p, &binds)?;
    Ok(y)
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "max_pool",
    kernels: &[KernelUse { kernel: &MAX_POOL, variants: element::variants }],
    tolerance: 0.0,
    gradient: 1e-5,
    cases,
};

fn cases() -> Vec<Case> {
    let case = |why: &str, x: [usize; 4], window: Window| {
        let label = format!("{x:?} {window:?}: {why}");
        let inputs = vec![Seeded::new(&label).uniform(x, -2.0, -1.0)];
        Case::new(
            label,
            inputs,
            move |cx, t| Ok(vec![max_pool(cx, &t[0], window)?]),
            move |h| vec![oracle(&h[0], window)],
        )
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
    ]
}

/// Reference by plain loops.
fn oracle(x: &Host, window: Window) -> Host {
    let [n, height, width, c] = x.shape.nhwc("oracle").expect("an image");
    let (h, w) = window.output("oracle", height, width).expect("fits");
    let mut y = Host::new([n, h, w, c], vec![f64::NEG_INFINITY; n * h * w * c]);
    for (at, most) in y.data.iter_mut().enumerate() {
        let (channel, pixel) = (at % c, at / c);
        let (image, i, j) = (pixel / (h * w), pixel / w % h, pixel % w);
        for u in 0..window.kernel.0 {
            for v in 0..window.kernel.1 {
                let row = (i * window.stride.0 + u).wrapping_sub(window.pad.0);
                let column = (j * window.stride.1 + v).wrapping_sub(window.pad.1);
                if row < height && column < width {
                    let from = ((image * height + row) * width + column) * c + channel;
                    *most = most.max(x.data[from]);
                }
            }
        }
    }
    y
}
