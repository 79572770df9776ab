//! Instance normalization:  y = (x − μ)/√(σ² + ε) ⊙ times,  μ and σ² of each sample and channel over its pixels.

use super::columns::{self, LANES};
use super::{Case, KernelUse, Row, element, mul};
use crate::gpu::{Grid, Variant};
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Kernels, Op, Seeded, Tensor};
use crate::{Result, kernel, params};

kernel!(FWD = "norm/instance_norm_fwd", Params, FwdBinds { x, times, y });
kernel!(BWD = "norm/instance_norm_bwd", Params, BwdBinds { x, dy, dx });
params! { struct Params { samples: u32, pixels: u32, channels: u32, eps: f32 } }

/// Normalizes every channel of every sample of `x [N, H, W, C]` over its pixels with the biased variance:
/// `torch.nn.InstanceNorm2d` without parameters. The result is multiplied by `times`, of the shape of `x`.
///
/// # Errors
/// Operands whose shapes do not fit.
pub fn instance_norm(cx: &Cx, x: &Tensor, times: Option<&Tensor>, eps: f32) -> Result<Tensor> {
    let [n, h, w, c] = x.shape().nhwc("instance_norm")?;
    if let Some(t) = times {
        cx.expect("instance_norm", "times", t, x.shape())?;
        if cx.tracks(&[x, t]) {
            return mul(cx, &instance_norm(cx, x, None, eps)?, t);
        }
    }
    let y = cx.out(x.shape());
    if x.is_empty() {
        return Ok(y);
    }
    let width = element::width(&[c]);
    let elements = c / width;
    let (samples, pixels) = (to_u32(n), to_u32(h * w));
    let p = Params { samples, pixels, channels: to_u32(elements), eps };
    let grid = Grid::linear(n * elements.div_ceil(LANES));
    let tile = columns::by(cx.gpu(), width);
    let (own, times) = (tile.clone(), times.map(Tensor::detached));
    cx.push(InstanceNorm { x: x.detached(), times, p, grid, tile: own, y: y.clone() });
    let of = x.clone();
    Ok(cx.record("instance_norm", [x], y, move |cx, dy, _| {
        let dx = cx.out(of.shape());
        cx.run(&BWD, &tile, grid, &p, BwdBinds { x: of.read(), dy: dy.read(), dx: dx.write() })?;
        Ok([Some(dx)])
    }))
}

/// The normalization as a node of a pass.
pub(crate) struct InstanceNorm {
    x: Tensor,
    times: Option<Tensor>,
    p: Params,
    grid: Grid,
    tile: Variant,
    y: Tensor,
}

impl InstanceNorm {
    /// The same with its result multiplied by `times`, unless there is such a factor already.
    pub(crate) fn times(&self, times: Tensor, y: Tensor) -> Option<Self> {
        let InstanceNorm { p, grid, .. } = *self;
        let (x, tile) = (self.x.clone(), self.tile.clone());
        self.times.is_none().then_some(InstanceNorm { x, times: Some(times), p, grid, tile, y })
    }
}

impl Op for InstanceNorm {
    fn reads<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.x);
        self.times.iter().for_each(see);
    }

    fn writes<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.y);
    }

    fn lower(&self, k: &Kernels) -> Result<()> {
        let times = self.times.as_ref();
        let binds =
            FwdBinds { x: self.x.read(), times: Tensor::read_or_absent(times), y: self.y.write() };
        let variant = self.tile.clone().set("HAS_TIMES", times.is_some());
        k.run(&FWD, &variant, self.grid, &self.p, binds)
    }
}

fn variants() -> Vec<Variant> {
    let with = |times: bool| columns::by_all().into_iter().map(move |t| t.set("HAS_TIMES", times));
    [false, true].into_iter().flat_map(with).collect()
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "instance_norm",
    kernels: &[
        KernelUse { kernel: &FWD, variants },
        KernelUse { kernel: &BWD, variants: columns::by_all },
    ],
    tolerance: 2e-6,
    gradient: 1e-5,
    cases,
};

fn cases() -> Vec<Case> {
    let case = |why: &str, shape: [usize; 4], times: bool, offset: f64| {
        let label = format!("{shape:?} times={times}, about {offset}: {why}");
        let mut s = Seeded::new(&label);
        let mut inputs = vec![s.uniform(shape, offset - 1.0, offset + 1.0)];
        if times {
            inputs.push(s.signed(shape));
        }
        let flops = 7.0 * inputs[0].data.len() as f64;
        let run = |cx: &Cx, t: &[Tensor]| Ok(vec![instance_norm(cx, &t[0], t.get(1), 1e-5)?]);
        Case::new(label, inputs, run, |h| vec![oracle(&h[0], h.get(1), 1e-5f32.into())])
            .bench(flops)
    };
    vec![
        case("one pixel becomes 0", [1, 1, 1, 3], false, 0.0),
        case("primes, fewer channels than lanes", [3, 5, 7, 5], true, 0.0),
        case("one above the lanes, a mean", [2, 3, 11, 9], false, 5.0),
        case("location enhancement", [1, 16, 64, 64], true, 0.3),
        case("nano", [2, 16, 64, 32], true, 0.3),
    ]
}

/// Reference in f64.
pub fn oracle(x: &Host, times: Option<&Host>, eps: f64) -> Host {
    let &[_, h, w, c] = x.dims() else { panic!("an image") };
    let n = (h * w) as f64;
    let mut y = x.clone();
    for image in y.data.chunks_exact_mut(h * w * c) {
        for channel in 0..c {
            let pixels = || (channel..h * w * c).step_by(c);
            let mean = pixels().map(|i| image[i]).sum::<f64>() / n;
            let var = pixels().map(|i| (image[i] - mean).powi(2)).sum::<f64>() / n;
            pixels().for_each(|i| image[i] = (image[i] - mean) / (var + eps).sqrt());
        }
    }
    if let Some(t) = times {
        y.data.iter_mut().zip(&t.data).for_each(|(v, t)| *v *= t);
    }
    y
}
