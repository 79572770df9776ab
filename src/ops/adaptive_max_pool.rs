//! Max pooling to a given size, whatever the image's.

use super::{Case, KernelUse, Row, element};
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(FWD = "sample/adaptive_max_pool_fwd", Params, FwdBinds { x, y });
kernel!(BWD = "sample/adaptive_max_pool_bwd", Params, BwdBinds { x, y, dy, dx });
params! { struct Params {
    n: u32, channels: u32, height: u32, width: u32, out_height: u32, out_width: u32,
} }

/// `x [N, H, W, C]` → `[N, OH, OW, C]` with `size` (OH, OW): `torch.nn.AdaptiveMaxPool2d`. Windows overlap where sizes do not
/// divide. Of equal values the first of a window, row by row, gets its gradient.
///
/// # Errors
/// [`ErrorKind::Shape`] for an image or a size without pixels.
pub fn adaptive_max_pool(cx: &Cx, x: &Tensor, size: (usize, usize)) -> Result<Tensor> {
    const OP: &str = "adaptive_max_pool";
    let [n, height, width, c] = x.shape().nhwc(OP)?;
    if [height, width, size.0, size.1].contains(&0) {
        return Err(Error::new(ErrorKind::Shape, OP, "height and width, before and after")
            .expected("at least 1 each")
            .got(format!("{} to {} × {}", x.shape(), size.0, size.1)));
    }
    let y = cx.out([n, size.0, size.1, c]);
    if y.is_empty() {
        return Ok(y);
    }
    let unit = element::width(&[c]);
    let variant = element::variant(unit);
    let p = Params {
        n: to_u32(y.len() / unit),
        channels: to_u32(c / unit),
        height: to_u32(height),
        width: to_u32(width),
        out_height: to_u32(size.0),
        out_width: to_u32(size.1),
    };
    cx.run(
        &FWD,
        &variant,
        element::grid(y.len() / unit),
        &p,
        FwdBinds { x: x.read(), y: y.write() },
    )?;
    let (of, most) = (x.detached(), y.clone());
    Ok(cx.record(OP, [x], y, move |cx, dy, _| {
        let dx = cx.out(of.shape());
        let elements = dx.len() / unit;
        let p = Params { n: to_u32(elements), ..p };
        let binds = BwdBinds { x: of.read(), y: most.read(), dy: dy.read(), dx: dx.write() };
        cx.run(&BWD, &variant, element::grid(elements), &p, binds)?;
        Ok([Some(dx)])
    }))
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "adaptive_max_pool",
    kernels: &[
        KernelUse { kernel: &FWD, variants: element::variants },
        KernelUse { kernel: &BWD, variants: element::variants },
    ],
    tolerance: 0.0,
    gradient: 1e-6,
    cases,
};

fn cases() -> Vec<Case> {
    let case = |why: &str, x: [usize; 4], size: (usize, usize)| {
        let label = format!("{x:?} to {size:?}: {why}");
        // No two values are near each other.
        let mut values = Seeded::new(&label).uniform(x, -2.0, -1.0);
        let mut order: Vec<usize> = (0..values.data.len()).collect();
        order.sort_by(|i, j| values.data[*i].total_cmp(&values.data[*j]));
        order.iter().enumerate().for_each(|(at, i)| values.data[*i] = at as f64 / 1024.0 - 9.0);
        Case::new(
            label,
            vec![values],
            move |cx, t| Ok(vec![adaptive_max_pool(cx, &t[0], size)?]),
            move |h| vec![oracle(&h[0], size)],
        )
    };
    vec![
        case("one pixel", [1, 1, 1, 1], (1, 1)),
        case("everything", [2, 5, 7, 3], (1, 1)),
        case("sizes that divide", [2, 8, 12, 4], (4, 3)),
        case("windows that overlap", [2, 7, 10, 8], (3, 4)),
        case("more than there is", [1, 3, 2, 5], (5, 3)),
    ]
}

/// Reference in f64.
pub fn oracle(x: &Host, (oh, ow): (usize, usize)) -> Host {
    let [n, h, w, c] = x.shape.nhwc("oracle").expect("an image");
    let mut y = Host::zeros([n, oh, ow, c]);
    let window =
        |at: usize, size: usize, count: usize| at * size / count..((at + 1) * size).div_ceil(count);
    for (i, v) in y.data.iter_mut().enumerate() {
        let (channel, pixel) = (i % c, i / c);
        let (image, oy, ox) = (pixel / (oh * ow), pixel / ow % oh, pixel % ow);
        let places =
            window(oy, h, oh).flat_map(|y| window(ox, w, ow).map(move |x| (image * h + y) * w + x));
        *v = places.map(|at| x.data[at * c + channel]).fold(f64::NEG_INFINITY, f64::max);
    }
    y
}
