//! Modulated deformable convolution, 3×3 and depthwise: every tap of every channel looks at a place of its own.

use super::{Case, KernelUse, Row, element};
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(FWD = "conv/deformable_fwd", Params, FwdBinds { x, offsets, modulation, w, bias, y });
params! { struct Params { n: u32, channels: u32, height: u32, width: u32 } }

/// `x [N, H, W, C]` with `w [3, 3, C]` and `bias [C]` → `[N, H, W, C]`. Tap k of channel c looks away from its place by
/// `offsets [N, H, W, 18·C]`, down 2·(9·c + k) and right the one behind it, and counts `modulation [N, H, W, 9·C]`, 9·c + k, times;
/// bilinear, 0 outside. `torchvision.ops.deform_conv2d` with padding 1 and as many groups of weights and offsets as channels.
/// No gradient is known of it.
///
/// # Errors
/// Operands whose shapes do not fit, and operands that a gradient is asked of.
pub fn deformable_depthwise(
    cx: &Cx,
    x: &Tensor,
    offsets: &Tensor,
    modulation: &Tensor,
    w: &Tensor,
    bias: &Tensor,
) -> Result<Tensor> {
    const OP: &str = "deformable_depthwise";
    let [n, height, width, c] = x.shape().nhwc(OP)?;
    cx.expect(OP, "offsets", offsets, [n, height, width, 18 * c])?;
    cx.expect(OP, "modulation", modulation, [n, height, width, 9 * c])?;
    cx.expect(OP, "weight", w, [3, 3, c])?;
    cx.expect(OP, "bias", bias, [c])?;
    if cx.tracks(&[x, offsets, modulation, w, bias]) {
        return Err(Error::new(ErrorKind::Argument, OP, "gradient").expected("none asked of it"));
    }
    let y = cx.out([n, height, width, c]);
    let p = Params {
        n: to_u32(y.len()),
        channels: to_u32(c),
        height: to_u32(height),
        width: to_u32(width),
    };
    let binds = FwdBinds {
        x: x.read(),
        offsets: offsets.read(),
        modulation: modulation.read(),
        w: w.read(),
        bias: bias.read(),
        y: y.write(),
    };
    cx.run(&FWD, &element::scalar(), element::grid(y.len()), &p, binds)?;
    Ok(y)
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "deformable_depthwise",
    kernels: &[KernelUse { kernel: &FWD, variants: || vec![element::scalar()] }],
    tolerance: 5e-6,
    gradient: 0.0,
    cases,
};

fn cases() -> Vec<Case> {
    let case = |why: &str, dims: [usize; 4], reach: f64| {
        let label = format!("{dims:?} within {reach}: {why}");
        let mut s = Seeded::new(&label);
        let [n, h, w, c] = dims;
        let inputs = vec![
            s.signed(dims),
            s.uniform([n, h, w, 18 * c], -reach, reach),
            s.uniform([n, h, w, 9 * c], 0.0, 1.0),
            s.signed([3, 3, c]),
            s.signed([c]),
        ];
        Case::new(
            label,
            inputs,
            |cx, t| Ok(vec![deformable_depthwise(cx, &t[0], &t[1], &t[2], &t[3], &t[4])?]),
            |h| vec![oracle(h)],
        )
        .without_gradient()
    };
    vec![
        case("one pixel", [1, 1, 1, 1], 0.5),
        case("clue", [2, 1, 9, 8], 2.0),
        case("primes, far outside", [2, 5, 7, 3], 40.0).f32_only(),
    ]
}

/// Reference in f64, of x, offsets, modulation, weight and bias.
pub fn oracle(h: &[Host]) -> Host {
    let [x, offsets, modulation, w, bias] = h else { panic!("five operands") };
    let [_, height, width, c] = x.shape.nhwc("x").expect("an image");
    let mut y = Host::zeros(x.shape);
    for (e, sum) in y.data.iter_mut().enumerate() {
        let (channel, place) = (e % c, e / c);
        let image = place / (height * width);
        let (row, column) = ((place / width % height) as f64, (place % width) as f64);
        let pixel = |i: f64, j: f64| {
            let inside = (0.0..height as f64).contains(&i) && (0.0..width as f64).contains(&j);
            let at = || ((image * height + i as usize) * width + j as usize) * c + channel;
            if inside { x.data[at()] } else { 0.0 }
        };
        *sum = bias.data[channel];
        for k in 0..9 {
            let tap = place * 9 * c + 9 * channel + k;
            let i = row - 1.0 + (k / 3) as f64 + offsets.data[2 * tap];
            let j = column - 1.0 + (k % 3) as f64 + offsets.data[2 * tap + 1];
            let ((i0, j0), mut value) = ((i.floor(), j.floor()), 0.0);
            for (di, dj) in [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)] {
                let near = |f: f64, d: f64| if d == 0.0 { 1.0 - f } else { f };
                value += near(i - i0, di) * near(j - j0, dj) * pixel(i0 + di, j0 + dj);
            }
            *sum += w.data[k * c + channel] * modulation.data[tap] * value;
        }
    }
    y
}
