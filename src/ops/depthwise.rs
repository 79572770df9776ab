//! Depthwise convolution whose kernel covers the whole image:  y[n, c] = b[c] + Σₚ x[n, p, c]·w[p, c].

use super::gemm::kept;
use super::{Case, KernelUse, Row, expand, mul, sum_to};
use crate::gpu::{Grid, Variant};
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Result, kernel, params};

kernel!(FWD = "conv/global_depthwise", Params, FwdBinds { x, w, bias, y });
params! { struct Params { images: u32, pixels: u32, channels: u32 } }

/// Channels that one workgroup sums.
const WIDTH: usize = 16;

/// `x [N, H, W, C]` with `w [H, W, C]` and `bias [C]` → `[N, 1, 1, C]`. `torch.nn.Conv2d` with `groups = C` and a kernel of the
/// image's size, without padding.
///
/// # Errors
/// Operands whose shapes do not fit.
pub fn global_depthwise(cx: &Cx, x: &Tensor, w: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let [n, height, width, c] = x.shape().nhwc("global_depthwise")?;
    cx.expect("global_depthwise", "weight", w, [height, width, c])?;
    cx.expect("global_depthwise", "bias", bias, [c])?;
    let y = cx.out([n, 1, 1, c]);
    let p = Params { images: to_u32(n), pixels: to_u32(height * width), channels: to_u32(c) };
    let grid = Grid::linear(n * c.div_ceil(WIDTH));
    cx.run(
        &FWD,
        &variant(),
        grid,
        &p,
        FwdBinds { x: x.read(), w: w.read(), bias: bias.read(), y: y.write() },
    )?;
    let [x_kept, w_kept] = kept(cx, x, w);
    Ok(cx.record("global_depthwise", [x, w, bias], y, move |cx, dy, [.., need_bias]| {
        let of_x = |w: Tensor| mul(cx, &expand(cx, &dy, [n, height, width, c])?, &w);
        let of_w = |x: Tensor| sum_to(cx, &mul(cx, &x, &dy)?, [1, height, width, c]);
        let dbias = need_bias.then(|| sum_to(cx, &dy, [c])).transpose()?;
        Ok([w_kept.map(of_x).transpose()?, x_kept.map(of_w).transpose()?, dbias])
    }))
}

fn variant() -> Variant {
    Variant::new().set("WIDTH", to_u32(WIDTH))
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "global_depthwise",
    kernels: &[KernelUse { kernel: &FWD, variants: || vec![variant()] }],
    tolerance: 2e-6,
    gradient: 2e-6,
    cases,
};

fn cases() -> Vec<Case> {
    let case = |why: &str, dims: [usize; 4]| {
        let label = format!("{dims:?}: {why}");
        let mut s = Seeded::new(&label);
        let [_, h, w, c] = dims;
        let inputs = vec![s.signed(dims), s.signed([h, w, c]), s.signed([c])];
        Case::new(
            label,
            inputs,
            |cx, t| Ok(vec![global_depthwise(cx, &t[0], &t[1], &t[2])?]),
            |h| vec![oracle(&h[0], &h[1], &h[2])],
        )
    };
    let flops = |[n, h, w, c]: [usize; 4]| 2.0 * (n * h * w * c) as f64;
    vec![
        case("one number", [1, 1, 1, 1]),
        case("primes, one above a block", [3, 5, 7, 17]),
        case("one below a block", [2, 4, 4, 15]),
        case("spatial attention", [2, 16, 64, 64]).bench(flops([2, 16, 64, 64])),
        case("spatial attention, nano", [8, 16, 64, 32]).bench(flops([8, 16, 64, 32])),
        case("more blocks than one grid axis", [65_537, 1, 1, 3]),
    ]
}

/// Reference in f64.
pub fn oracle(x: &Host, w: &Host, bias: &Host) -> Host {
    let [n, _, _, c] = x.shape.nhwc("x").expect("an image");
    let mut y = Host::zeros([n, 1, 1, c]);
    for (image, sums) in x.data.chunks_exact(w.data.len()).zip(y.data.chunks_exact_mut(c)) {
        sums.copy_from_slice(&bias.data);
        for (i, (v, weight)) in image.iter().zip(&w.data).enumerate() {
            sums[i % c] += v * weight;
        }
    }
    y
}
