//! A scale and a shift of every channel:  y = act(x·scale + shift + residual).
//!
//! Batch normalization by running statistics where no convolution takes it into its epilogue, and the normalization of inputs.

use super::epilogue::{Residual, Tail, Tailed};
use super::pointwise::activation;
use super::{Act, Case, Epilogue, KernelUse, Row, activate, add, element, mul, sum_to};
use crate::gpu::{Grid, Variant};
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Kernels, Op, Seeded, Tensor};
use crate::{Result, kernel, params};

kernel!(
    FWD = "elementwise/channel_affine_fwd",
    Params,
    FwdBinds { x, scale, shift, residual, slope, y }
);
params! { struct Params { rows: u32, channels: u32, y_row: u32, y_first: u32 } }

/// `act(x·scale + shift + residual)` for `x [.., C]`, `scale [C]`, `shift [C]` and `residual` of the shape of `x`.
///
/// # Errors
/// Operands whose shapes do not fit.
pub fn channel_affine(
    cx: &Cx,
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    residual: Option<&Tensor>,
    act: Act,
) -> Result<Tensor> {
    let channels = x.shape().last();
    cx.expect("channel_affine", "scale", scale, [channels])?;
    cx.expect("channel_affine", "shift", shift, [channels])?;
    if let Some(r) = residual {
        cx.expect("channel_affine", "residual", r, x.shape())?;
    }
    act.check(cx, "channel_affine")?;
    let slope = if let Act::Prelu(slope) = act { slope } else { x };
    let tracked = cx.tracks(&[x, scale, shift, residual.unwrap_or(x), slope]);
    if tracked && (residual.is_some() || act.code() != 0) {
        let mut sum = channel_affine(cx, x, scale, shift, None, Act::None)?;
        if let Some(r) = residual {
            sum = add(cx, &sum, r)?;
        }
        return activate(cx, &sum, act);
    }
    let y = cx.out(x.shape());
    if x.is_empty() {
        return Ok(y);
    }
    let ep = Epilogue { scale: Some(scale), shift: Some(shift), residual, act };
    cx.push(Affine { x: x.detached(), tail: (&ep).into(), first: false, y: y.clone(), column: 0 });
    let (shape, by) = (x.shape(), scale.clone());
    let of = cx.tracks(&[scale]).then(|| x.clone());
    Ok(cx.record("channel_affine", [x, scale, shift], y, move |cx, dy, need| {
        let dy = dy.reshape(shape)?;
        let columns = |t: &Tensor| sum_to(cx, t, [channels]);
        let dx = need[0].then(|| mul(cx, &dy, &by)).transpose()?;
        let dscale = of.map(|x| columns(&mul(cx, &dy, &x)?)).transpose()?;
        let dshift = need[2].then(|| columns(&dy)).transpose()?;
        Ok([dx, dscale, dshift])
    }))
}

/// The affine map as a node of a pass.
pub(crate) struct Affine {
    pub(crate) x: Tensor,
    tail: Tail,
    /// Whether the residual is added before scale and shift.
    first: bool,
    y: Tensor,
    /// The first of the columns of `y` that are written, where there are more.
    column: usize,
}

impl Affine {
    /// The same into the columns of `y` from `column` on, where kernels can: in steps as wide as those of x.
    pub(crate) fn at_columns(&self, y: Tensor, column: usize) -> Option<Self> {
        let (x, tail, first) = (self.x.clone(), self.tail.clone(), self.first);
        let width = element::width(&[x.shape().last()]);
        let fits = y.shape().last().is_multiple_of(width) && column.is_multiple_of(width);
        fits.then_some(Affine { x, tail, first, y, column })
    }

    /// The same of `x + addend`.
    pub(crate) fn of_sum(&self, x: Tensor, addend: Tensor) -> Self {
        let tail = Tail { residual: Some(addend), ..self.tail.clone() };
        Affine { x, tail, first: true, y: self.y.clone(), column: 0 }
    }
}

impl Op for Affine {
    fn reads<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.x);
        self.tail.see(see);
    }

    fn writes<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.y);
    }

    fn lower(&self, k: &Kernels) -> Result<()> {
        let Affine { x, tail, first, y, column } = self;
        let (rows, channels) = x.shape().rows_by_last();
        let (grid, variant, elements) = by_channel(rows, channels);
        let Epilogue { scale, shift, residual, act } = tail.epilogue();
        let place = residual.map_or(0, |_| 1 + u32::from(*first));
        let variant = variant.set("RESIDUAL", place).set("ACT", act.code());
        let unit = element::width(&[channels]);
        let p = Params {
            rows: to_u32(rows),
            channels: elements,
            y_row: to_u32(y.shape().last() / unit),
            y_first: to_u32(column / unit),
        };
        let [scale, shift, residual] = [scale, shift, residual].map(Tensor::read_or_absent);
        let binds =
            FwdBinds { x: x.read(), scale, shift, residual, slope: act.slope(), y: y.write() };
        k.run(&FWD, &variant, grid, &p, binds)
    }
}

impl Tailed for Affine {
    fn tail(&self) -> &Tail {
        &self.tail
    }

    fn result(&self) -> &Tensor {
        &self.y
    }

    fn takes(&self, residual: &Residual) -> bool {
        residual.copies == 1
    }

    fn with(&self, tail: Tail, y: Tensor) -> Self {
        Affine { x: self.x.clone(), tail, first: self.first, y, column: 0 }
    }
}

const DEPTH: usize = 8;
const WG: usize = 64;

/// A grid and tile for elementwise work on `[rows, channels]`: neighboring invocations along the channels, and every
/// invocation at one element of channels of several rows, so that it reads what belongs to them once. Also the number of such
/// elements in a row.
pub(super) fn by_channel(rows: usize, channels: usize) -> (Grid, Variant, u32) {
    let width = element::width(&[channels]);
    let elements = channels / width;
    let lanes = elements.next_power_of_two().clamp(4, WG);
    let splits = WG / lanes;
    let groups = elements.div_ceil(lanes) * rows.div_ceil(splits * DEPTH);
    (Grid::linear(groups), tile(lanes, width), to_u32(elements))
}

fn tile(lanes: usize, width: usize) -> Variant {
    let tile = Variant::new().set("LANES", to_u32(lanes)).set("WG", to_u32(WG));
    element::of(tile.set("DEPTH", to_u32(DEPTH)), width)
}

/// Every tile that [`by_channel`] gives.
pub(super) fn tiles() -> Vec<Variant> {
    let of = |width| [4, 8, 16, 32, 64].map(|lanes| tile(lanes, width));
    [of(1), of(4)].concat()
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "channel_affine",
    kernels: &[KernelUse { kernel: &FWD, variants }],
    tolerance: 3e-6,
    gradient: 1e-5,
    cases,
};

fn variants() -> Vec<Variant> {
    let with_act = |t: Variant| (0..7u32).map(move |a| t.clone().set("ACT", a));
    tiles()
        .into_iter()
        .flat_map(with_act)
        .flat_map(|t| [0u32, 1, 2].map(|r| t.clone().set("RESIDUAL", r)))
        .collect()
}

fn cases() -> Vec<Case> {
    let case = |why: &str, shape: &[usize], residual: bool, act: u32| {
        let label = format!("{shape:?} residual={residual} activation {act}: {why}");
        let mut s = Seeded::new(&label);
        let c = shape[shape.len() - 1];
        let mut inputs = vec![s.uniform(shape, -3.0, 3.0), s.uniform([c], 0.5, 1.5), s.signed([c])];
        let slope = (act == 2).then(|| {
            inputs.push(s.uniform([1], 0.1, 0.3));
            inputs.len() - 1
        });
        let other = residual.then(|| {
            inputs.push(s.signed(shape));
            inputs.len() - 1
        });
        let flops = 3.0 * inputs[0].data.len() as f64;
        let run = move |cx: &Cx, t: &[Tensor]| {
            let act = match act {
                0 => Act::None,
                1 => Act::Relu,
                2 => Act::Prelu(&t[3]),
                3 => Act::Mish,
                4 => Act::Tanh,
                _ => Act::Sigmoid,
            };
            Ok(vec![channel_affine(cx, &t[0], &t[1], &t[2], other.map(|i| &t[i]), act)?])
        };
        Case::new(label, inputs, run, move |h| {
            let slope = slope.map_or(0.0, |i| h[i].data[0]);
            vec![oracle(&h[0], &h[1], &h[2], other.map(|i| &h[i]), act, slope)]
        })
        .bench(flops)
    };
    // Kinked activations only in small cases, none of whose sums is as near to 0 as differences reach.
    vec![
        case("smallest", &[1, 1], false, 0),
        case("primes, below a tile of lanes", &[2, 7, 3], true, 1),
        case("one above the lanes", &[3, 5, 65], true, 2),
        case("input normalization", &[2, 32, 128, 3], false, 0),
        case("an image's features", &[1, 16, 64, 64], true, 3),
        case("nano", &[1, 16, 64, 32], false, 3),
        case("prior", &[26, 24], false, 4),
        case("gate", &[26, 512], false, 5),
    ]
}

/// Reference in f64; `act` by its number in the shaders.
pub fn oracle(
    x: &Host,
    scale: &Host,
    shift: &Host,
    residual: Option<&Host>,
    act: u32,
    slope: f64,
) -> Host {
    let (_, c) = x.shape.rows_by_last();
    let mut y = x.clone();
    for (i, v) in y.data.iter_mut().enumerate() {
        let s = *v * scale.data[i % c] + shift.data[i % c] + residual.map_or(0.0, |r| r.data[i]);
        *v = activation(act, s, slope);
    }
    y
}
