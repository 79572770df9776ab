//! What an adapter and its shader compiler make of single functions of floats: evaluated, never folded, since the operands
//! come from a buffer.

use crate::gpu::{Gpu, Grid, Variant};
use crate::shape::to_u32;
use crate::tensor::{Cx, Tensor};
use crate::{Result, kernel, params};

kernel!(EVALUATE = "bench/numerics", Evaluate, EvaluateBinds { x, y });
params! { struct Evaluate { n: u32 } }

/// A function of up to three floats a, b and c, in the order of the kernel's cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are WGSL's")]
#[repr(u32)]
pub enum Function {
    Add,
    Multiply,
    Divide,
    Fma,
    Max,
    Min,
    Clamp,
    Pow,
    Exp,
    Log,
    Tanh,
    InverseSqrt,
    Sqrt,
    Sign,
    Round,
    /// `a != b`, 1 or 0.
    Unequal,
    /// `a == b`
    Equal,
    /// `!(a == b)`
    NotEqual,
    /// `a < b`
    Less,
    /// `!(a < b)`
    NotLess,
    /// `u32(a)`
    ToU32,
    /// `i32(a)`, its bits.
    ToI32,
    /// Bits of the lower half of `pack2x16float`.
    PackHalf,
    /// The first of `unpack2x16float(bits of a)`.
    UnpackHalf,
}

impl Function {
    const LAST: Function = Function::UnpackHalf;

    pub(super) fn variants() -> Vec<Variant> {
        (0..=Self::LAST as u32).map(|which| Variant::new().set("WHICH", which)).collect()
    }

    /// Bits of the function's values for operands a, b and c.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn of(self, gpu: &Gpu, operands: &[[f32; 3]]) -> Result<Vec<u32>> {
        let n = operands.len();
        let columns: Vec<u32> =
            (0..3).flat_map(|i| operands.iter().map(move |o| o[i].to_bits())).collect();
        let x = Tensor::upload_u32(gpu, [3, n], &columns);
        let cx = Cx::new(gpu);
        let y = cx.out_u32([n]);
        let variant = Variant::new().set("WHICH", self as u32);
        let p = Evaluate { n: to_u32(n) };
        cx.run(
            &EVALUATE,
            &variant,
            Grid::linear(n.div_ceil(64)),
            &p,
            EvaluateBinds { x: x.read(), y: y.write() },
        )?;
        cx.submit()?;
        Ok(y.to_host(gpu)?.to_u32())
    }
}
