//! Resizing as `torch.nn.functional.interpolate` does it inside the networks: no antialiasing, border pixels repeated,
//! values not clamped.

use super::{Case, KernelUse, Row, element};
use crate::gpu::Variant;
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Kernels, Op, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(RESIZE = "sample/resize_fwd", Params, ResizeBinds { x, y });
kernel!(BACKWARD = "sample/resize_bwd", Axis, BackwardBinds { dy, dx });
params! { struct Params {
    n: u32, channels: u32, height: u32, width: u32, out_height: u32, out_width: u32,
    x_row: u32, x_first: u32,
    a_y: i32, b_y: i32, d_y: i32,
    a_x: i32, b_x: i32, d_x: i32,
} }
params! { struct Axis { n: u32, inner: u32, inputs: u32, outputs: u32, a: i32, b: i32, d: i32 } }

/// Largest size of an axis: numerators of source positions stay below 2³⁰.
const MOST: usize = 16_384;
/// Outputs below each other that an invocation computes.
const ROWS: usize = 8;

/// How a resized pixel is made from its neighbors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// The pixel at floor(o·in/out).
    Nearest,
    /// Two by two neighbors, linear.
    Bilinear,
    /// Four by four neighbors, Keys' cubic with a = −0.75.
    Bicubic,
}

impl Filter {
    fn taps(self) -> u32 {
        match self {
            Filter::Nearest => 1,
            Filter::Bilinear => 2,
            Filter::Bicubic => 4,
        }
    }
}

/// Resizes `x [N, H, W, C]` to `[N, to.0, to.1, C]`. Source positions are o·(in − 1)/(out − 1) with `align_corners`, else
/// (o + ½)·in/out − ½; the nearest filter knows no corners.
///
/// # Errors
/// Sizes outside 1 to 16 384.
pub fn resize(
    cx: &Cx,
    x: &Tensor,
    to: (usize, usize),
    filter: Filter,
    align_corners: bool,
) -> Result<Tensor> {
    let [n, h, w, c] = x.shape().nhwc("resize")?;
    if [h, w, to.0, to.1].iter().any(|s| !(1..=MOST).contains(s)) {
        return Err(Error::new(ErrorKind::Shape, "resize", "height and width")
            .expected(format!("1 to {MOST}"))
            .got(format!("{h} by {w} to {} by {}", to.0, to.1)));
    }
    let y = cx.out([n, to.0, to.1, c]);
    if y.is_empty() {
        return Ok(y);
    }
    element::grid(y.len()).check(&RESIZE)?;
    let from = x.detached();
    cx.push(Resize { x: from, first: 0, filter, align_corners, y: y.clone() });
    Ok(cx.record("resize", [x], y, move |cx, dy, _| {
        let columns = adjoint(cx, &dy, [n * to.0, to.1, w, c], filter, align_corners)?;
        Ok([Some(adjoint(cx, &columns, [n, to.0, h, w * c], filter, align_corners)?)])
    }))
}

/// A resized image as a node of a pass.
pub(crate) struct Resize {
    pub(crate) x: Tensor,
    /// The first of the channels of x that are resized.
    first: usize,
    filter: Filter,
    align_corners: bool,
    y: Tensor,
}

impl Resize {
    /// The same of the channels of `x` from `first` on.
    pub(crate) fn of_channels(&self, x: Tensor, first: usize) -> Self {
        let (filter, align_corners, y) = (self.filter, self.align_corners, self.y.clone());
        Resize { x, first, filter, align_corners, y }
    }
}

impl Op for Resize {
    fn reads<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.x);
    }

    fn writes<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.y);
    }

    fn lower(&self, k: &Kernels) -> Result<()> {
        let Resize { x, first, filter, align_corners, y } = self;
        let [_, h, w, row] = x.shape().nhwc("resize")?;
        let [n, out_h, out_w, c] = y.shape().nhwc("resize")?;
        let width = element::width(&[c, row, *first]);
        let elements = n * out_h.div_ceil(ROWS) * out_w * c / width;
        let (a_y, b_y, d_y) = position(h, out_h, *filter, *align_corners);
        let (a_x, b_x, d_x) = position(w, out_w, *filter, *align_corners);
        let p = Params {
            n: to_u32(elements),
            channels: to_u32(c / width),
            height: to_u32(h),
            width: to_u32(w),
            out_height: to_u32(out_h),
            out_width: to_u32(out_w),
            x_row: to_u32(row / width),
            x_first: to_u32(first / width),
            a_y,
            b_y,
            d_y,
            a_x,
            b_x,
            d_x,
        };
        let binds = ResizeBinds { x: x.read(), y: y.write() };
        k.run(&RESIZE, &forward(width, *filter), element::grid(elements), &p, binds)
    }
}

/// The gradient of one axis: `dy [outer, outputs, inner]` → `[outer, inputs, inner]`.
fn adjoint(
    cx: &Cx,
    dy: &Tensor,
    [outer, outputs, inputs, inner]: [usize; 4],
    filter: Filter,
    align_corners: bool,
) -> Result<Tensor> {
    // Every filter is the identity then.
    if inputs == outputs {
        return Ok(dy.clone());
    }
    let dx = cx.out([outer, inputs, inner]);
    let width = element::width(&[inner]);
    let elements = dx.len() / width;
    let (a, b, d) = position(inputs, outputs, filter, align_corners);
    let p = Axis {
        n: to_u32(elements),
        inner: to_u32(inner / width),
        inputs: to_u32(inputs),
        outputs: to_u32(outputs),
        a,
        b,
        d,
    };
    let variant = variant(width, filter);
    cx.run(
        &BACKWARD,
        &variant,
        element::grid(elements),
        &p,
        BackwardBinds { dy: dy.read(), dx: dx.write() },
    )?;
    Ok(dx)
}

/// The source position of output o as a fraction (a·o + b)/d.
fn position(from: usize, to: usize, filter: Filter, align_corners: bool) -> (i32, i32, i32) {
    let (from, to) = (from as i32, to as i32);
    match (filter, align_corners) {
        (Filter::Nearest, _) => (from, 0, to),
        (_, true) if to == 1 => (0, 0, 1),
        (_, true) => (from - 1, 0, to - 1),
        (_, false) => (2 * from, from - to, 2 * to),
    }
}

fn forward(width: usize, filter: Filter) -> Variant {
    variant(width, filter).tile("ROWS", to_u32(ROWS))
}

fn variant(width: usize, filter: Filter) -> Variant {
    element::variant(width).tile("TAPS", filter.taps())
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "resize",
    kernels: &[
        KernelUse { kernel: &RESIZE, variants: || variants(forward) },
        KernelUse { kernel: &BACKWARD, variants: || variants(variant) },
    ],
    tolerance: 1e-6,
    gradient: 1e-6,
    cases,
};

fn variants(of: fn(usize, Filter) -> Variant) -> Vec<Variant> {
    let filters = [Filter::Nearest, Filter::Bilinear, Filter::Bicubic];
    filters.into_iter().flat_map(|f| [1, 4].map(|width| of(width, f))).collect()
}

fn cases() -> Vec<Case> {
    let case = |why: &str, x: [usize; 4], to: (usize, usize), filter: Filter, align: bool| {
        let label = format!("{x:?} to {to:?} {filter:?} align_corners={align}: {why}");
        let inputs = vec![Seeded::new(&label).signed(x)];
        Case::new(
            label,
            inputs,
            move |cx, t| Ok(vec![resize(cx, &t[0], to, filter, align)?]),
            move |h| vec![oracle(&h[0], to, filter, align)],
        )
    };
    use Filter::{Bicubic, Bilinear, Nearest};
    vec![
        case("one pixel", [1, 1, 1, 1], (1, 1), Bicubic, true),
        case("from one pixel", [1, 1, 1, 4], (3, 5), Bicubic, false),
        case("to one pixel", [1, 5, 7, 1], (1, 1), Bilinear, true),
        case("image of the prior", [2, 16, 64, 3], (32, 128), Bicubic, true).bench(8e5),
        case("attention maps", [26, 8, 32, 1], (16, 64), Bicubic, true).bench(8.5e5),
        case("recognizer input", [2, 32, 128, 3], (32, 100), Bicubic, false),
        case("much smaller", [2, 61, 9, 4], (7, 2), Bicubic, false),
        case("primes, smaller", [2, 13, 11, 4], (7, 5), Bicubic, false),
        case("same size", [1, 5, 8, 4], (5, 8), Bicubic, false),
        case("primes, larger", [2, 5, 7, 3], (13, 11), Bilinear, false),
        case("by fours", [2, 16, 64, 64], (8, 32), Bilinear, true),
        case("U-Net", [2, 4, 16, 64], (8, 32), Nearest, false).bench(0.0),
        case("U-Net, columns only", [1, 8, 16, 64], (8, 32), Nearest, false),
        case("primes", [2, 7, 5, 3], (13, 4), Nearest, false),
        // Millions of outputs take the oracle too long for a gradient.
        case("more workgroups than one grid axis", [1, 7, 9, 1], (2051, 2051), Nearest, false)
            .without_gradient(),
    ]
}

/// Reference: every output as a sum over its taps.
fn oracle(x: &Host, to: (usize, usize), filter: Filter, align_corners: bool) -> Host {
    let [n, h, w, c] = x.shape.nhwc("oracle").expect("an image");
    let (rows, columns) =
        (taps(h, to.0, filter, align_corners), taps(w, to.1, filter, align_corners));
    let mut data = Vec::with_capacity(n * to.0 * to.1 * c);
    for image in 0..n {
        for row in &rows {
            for column in &columns {
                for channel in 0..c {
                    let mut sum = 0.0;
                    for (i, wy) in row {
                        for (j, wx) in column {
                            sum += wy * wx * x.data[((image * h + i) * w + j) * c + channel];
                        }
                    }
                    data.push(sum);
                }
            }
        }
    }
    Host::new([n, to.0, to.1, c], data)
}

/// Pixels and weights for every output of an axis.
fn taps(from: usize, to: usize, filter: Filter, align_corners: bool) -> Vec<Vec<(usize, f64)>> {
    let clamp = |i: f64| i.clamp(0.0, (from - 1) as f64) as usize;
    let cubic = |d: f64| {
        let (a, d) = (-0.75, d.abs());
        if d <= 1.0 {
            ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0
        } else {
            ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a
        }
    };
    let one = |o: usize| {
        if filter == Filter::Nearest {
            return vec![(o * from / to, 1.0)];
        }
        let s = match (align_corners, to) {
            (true, 1) => 0.0,
            (true, _) => (o * (from - 1)) as f64 / (to - 1) as f64,
            (false, _) => (o as f64 + 0.5) * from as f64 / to as f64 - 0.5,
        };
        let whole = s.floor();
        let part = s - whole;
        if filter == Filter::Bilinear {
            return vec![(clamp(whole), 1.0 - part), (clamp(whole + 1.0), part)];
        }
        (-1..3).map(|k| (clamp(whole + f64::from(k)), cubic(part - f64::from(k)))).collect()
    };
    (0..to).map(one).collect()
}
