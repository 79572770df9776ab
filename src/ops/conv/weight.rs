//! The weight of a convolution for the gradient of its input.

use crate::gpu::Variant;
use crate::ops::{KernelUse, element};
use crate::shape::to_u32;
use crate::tensor::{Cx, Tensor};
use crate::{Result, kernel, params};

kernel!(FLIP = "conv/flip_weight_fwd", Flip, FlipBinds { x, y });
params! { struct Flip { n: u32, taps: u32, inputs: u32, outputs: u32 } }

/// `w [KH, KW, Cin, Cout]` to `[KH, KW, Cout, Cin]` with KH and KW reversed; a `transformed` one `[4, 4, Cin, Cout]` to the
/// transform of that.
pub(super) fn flip(cx: &Cx, w: &Tensor, transformed: bool) -> Result<Tensor> {
    let [kh, kw, inputs, outputs] = w.shape().nhwc("conv2d")?;
    let y = cx.out([kh, kw, outputs, inputs]);
    let width = element::width(&[inputs, outputs]);
    let n = w.len() / (width * width);
    let p = Flip {
        n: to_u32(n),
        taps: to_u32(kh * kw),
        inputs: to_u32(inputs / width),
        outputs: to_u32(outputs / width),
    };
    let binds = FlipBinds { x: w.read(), y: y.write() };
    cx.run(&FLIP, &flipping(transformed, width), element::grid(n), &p, binds)?;
    Ok(y)
}

fn flipping(transformed: bool, width: usize) -> Variant {
    element::variant(width).set("TRANSFORMED", transformed)
}

/// The kernel behind [`flip`].
pub(super) const FLIP_USE: KernelUse = KernelUse { kernel: &FLIP, variants: flips };

fn flips() -> Vec<Variant> {
    [false, true].into_iter().flat_map(|t| [1, 4].map(|width| flipping(t, width))).collect()
}
