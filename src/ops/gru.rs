//! A gated recurrent unit that walks the rows or the columns of a feature map in both directions.

use super::matmul::weight_gradient;
use super::{Case, Epilogue, KernelUse, Row, element, linear, permute, sum_to};
use crate::gpu::{Gpu, Grid, Variant};
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Kernels, Op, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(
    GRU = "recurrent/gru_fwd",
    Params,
    ForwardBinds { input_0, weight_0, bias_0, input_1, weight_1, bias_1, y }
);
kernel!(REGISTERS = "recurrent/gru_registers_fwd", RegistersParams, ForwardBinds);
kernel!(BEFORE = "recurrent/gru_before", BeforeParams, BeforeBinds { y, h });
kernel!(
    BACKWARD = "recurrent/gru_bwd",
    BackwardParams,
    BackwardBinds { x, a, before, transposed, dy, dx, da }
);
kernel!(REGISTERS_BACKWARD = "recurrent/gru_registers_bwd", RegistersBackwardParams, BackwardBinds);
params! { struct Params {
    sequences: u32, across: u32, image: u32, apart: u32, step: u32, steps: u32, units: u32,
    row: u32, first_0: u32, first_1: u32,
} }
params! { struct RegistersParams {
    sequences: u32, across: u32, image: u32, apart: u32, step: u32, steps: u32, run: u32,
    row: u32, first_0: u32, first_1: u32,
} }
params! { struct BeforeParams { n: u32, units: u32, step: u32, steps: u32, direction: u32 } }
params! { struct BackwardParams {
    sequences: u32, across: u32, image: u32, apart: u32, step: u32, steps: u32, units: u32,
    direction: u32,
} }
params! { struct RegistersBackwardParams {
    sequences: u32, across: u32, image: u32, apart: u32, step: u32, steps: u32, run: u32,
    direction: u32,
} }

/// Most hidden units.
const MOST_UNITS: usize = 256;
/// Hidden units of the models: the small one's and the official one's.
const MODEL_UNITS: [u32; 2] = [16, 32];
/// Invocations of a workgroup of the backward kernel for any other size.
const WG_ANY: u32 = 64;
/// Sequences that [`run_length`] gives a subgroup of a software adapter.
const SOFTWARE_RUN: u32 = 4;

/// What one direction of a recurrence works with, its G gates in PyTorch's order: r, z, n of a GRU, i, f, g, o of an LSTM.
#[derive(Clone, Copy)]
pub struct Direction<'a> {
    /// The projected input W_ih x + b_ih, `[.., G·U]`.
    pub input: &'a Tensor,
    /// W_hh transposed, `[U, G·U]`.
    pub weight: &'a Tensor,
    /// b_hh, `[G·U]`.
    pub bias: &'a Tensor,
}

/// The axis that a recurrent layer walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Along {
    /// Over W: every row is a sequence.
    Rows,
    /// Over H: every column is a sequence.
    Columns,
}

/// `torch.nn.GRU(bidirectional=True)` from a zero state: `[N, H, W, 3U]` of each direction → `[N, H, W, 2U]`, forward half
/// first. r = σ(x_r + W_r h + b_r), z likewise, n = tanh(x_n + r ⊙ (W_n h + b_n)), h' = (1 − z) ⊙ n + z ⊙ h.
///
/// # Errors
/// Shapes that do not fit, or more than 256 hidden units.
pub fn bidirectional_gru(
    cx: &Cx,
    forward: Direction,
    backward: Direction,
    along: Along,
) -> Result<Tensor> {
    let shape = forward.input.shape();
    let [n, h, w, gates] = shape.nhwc("bidirectional_gru")?;
    let units = gates / 3;
    if !gates.is_multiple_of(3) || units == 0 || units > MOST_UNITS {
        return Err(Error::new(ErrorKind::Shape, "bidirectional_gru", "channels of the input")
            .expected(format!("three gates of 1 to {MOST_UNITS} units"))
            .got(shape));
    }
    cx.expect("bidirectional_gru", "backward input", backward.input, shape)?;
    for (name, d) in [("forward", forward), ("backward", backward)] {
        cx.expect("bidirectional_gru", &format!("{name} weight"), d.weight, [units, gates])?;
        cx.expect("bidirectional_gru", &format!("{name} bias"), d.bias, [gates])?;
    }
    let y = cx.out([n, h, w, 2 * units]);
    if y.is_empty() {
        return Ok(y);
    }
    let (across, apart, step, steps) = match along {
        Along::Rows => (h, w, 1, w),
        Along::Columns => (w, 1, w, h),
    };
    let sequences = n * across;
    let p = Params {
        sequences: to_u32(sequences),
        across: to_u32(across),
        image: to_u32(h * w),
        apart: to_u32(apart),
        step: to_u32(step),
        steps: to_u32(steps),
        units: to_u32(units),
        ..Params::default()
    };
    let inputs = [forward, backward].map(|d| (d.input.detached(), 0));
    let hidden = [forward, backward].map(|d| [d.weight.detached(), d.bias.detached()]);
    cx.push(Recurrence { inputs, hidden, p, y: y.clone() });
    let (f, b) = (forward, backward);
    let saved = Saved { directions: [f, b].map(Owned::of), states: y.clone(), p };
    let inputs = [f.input, f.weight, f.bias, b.input, b.weight, b.bias];
    Ok(cx.record("bidirectional_gru", inputs, y, move |cx, dy, need| {
        let [fx, fw, fb] = saved.gradients(cx, 0, &dy, [need[0], need[1], need[2]])?;
        let [bx, bw, bb] = saved.gradients(cx, 1, &dy, [need[3], need[4], need[5]])?;
        Ok([fx, fw, fb, bx, bw, bb])
    }))
}

/// Both directions as a node of a pass.
pub(crate) struct Recurrence {
    /// Of each direction, the tensor that holds its inputs, and their first channel there.
    inputs: [(Tensor, usize); 2],
    /// Of each direction, weight and bias.
    hidden: [[Tensor; 2]; 2],
    p: Params,
    y: Tensor,
}

impl Recurrence {
    /// The inputs of each direction.
    pub(crate) fn inputs(&self) -> &[(Tensor, usize); 2] {
        &self.inputs
    }

    /// The same with inputs that lie in one tensor.
    pub(crate) fn with(&self, inputs: [(Tensor, usize); 2]) -> Self {
        Recurrence { inputs, hidden: self.hidden.clone(), p: self.p, y: self.y.clone() }
    }
}

impl Op for Recurrence {
    fn reads<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        self.inputs.iter().map(|(t, _)| t).chain(self.hidden.iter().flatten()).for_each(see);
    }

    fn writes<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.y);
    }

    fn lower(&self, k: &Kernels) -> Result<()> {
        let [(f, first_0), (b, first_1)] = &self.inputs;
        let [row, first_0, first_1] = [f.shape().last(), *first_0, *first_1].map(to_u32);
        let [[fw, fb], [bw, bb]] = self.hidden.each_ref().map(|d| d.each_ref().map(Tensor::read));
        let binds = ForwardBinds {
            input_0: f.read(),
            weight_0: fw,
            bias_0: fb,
            input_1: b.read(),
            weight_1: bw,
            bias_1: bb,
            y: self.y.write(),
        };
        let p = Params { row, first_0, first_1, ..self.p };
        let Params { sequences, units, across, image, apart, step, steps, .. } = p;
        let gpu = k.gpu();
        match gpu.traits().subgroup.and_then(|lanes| registers_variant(units, lanes)) {
            Some(variant) => {
                let run = run_length(gpu);
                let own = RegistersParams {
                    sequences,
                    across,
                    image,
                    apart,
                    step,
                    steps,
                    run,
                    row,
                    first_0,
                    first_1,
                };
                let grid = Grid::linear(2 * sequences.div_ceil(run) as usize);
                k.run(&REGISTERS, &variant, grid, &own, binds)
            }
            None => {
                let grid = Grid::linear(2 * sequences as usize);
                k.run(&GRU, &Variant::new(), grid, &p, binds)
            }
        }
    }
}

/// Saved for backward. The gates are computed again: they follow from the states, all steps at once.
struct Saved {
    directions: [Owned; 2],
    states: Tensor,
    p: Params,
}

/// A [`Direction`] that owns its tensors.
pub(super) struct Owned {
    pub(super) input: Tensor,
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
}

impl Owned {
    pub(super) fn of(d: Direction) -> Self {
        let [input, weight, bias] = [d.input, d.weight, d.bias].map(Tensor::detached);
        Owned { input, weight, bias }
    }
}

impl Saved {
    /// Gradients of input, weight and bias of one direction. Only what hands the gradient from step to step walks the
    /// sequences; the products before and after it take all steps together.
    fn gradients(
        &self,
        cx: &Cx,
        direction: usize,
        dy: &Tensor,
        need: [bool; 3],
    ) -> Result<[Option<Tensor>; 3]> {
        if need == [false; 3] {
            return Ok([const { None }; 3]);
        }
        let Owned { input, weight, bias } = &self.directions[direction];
        let Params { step, steps, .. } = self.p;
        let before = states_before(cx, &self.states, direction, step, steps)?;
        let ep = Epilogue { shift: Some(bias), ..Default::default() };
        let a = linear(cx, &before, weight, &ep)?;
        let transposed = permute(cx, weight, &[1, 0])?;
        let (dx, da) = (cx.out(input.shape()), cx.out(input.shape()));
        let Params { sequences, across, image, apart, step, steps, units, .. } = self.p;
        let direction = to_u32(direction);
        let binds = BackwardBinds {
            x: input.read(),
            a: a.read(),
            before: before.read(),
            transposed: transposed.read(),
            dy: dy.read(),
            dx: dx.write(),
            da: da.write(),
        };
        match cx.gpu().subgroup().and_then(|lanes| registers_variant(units, lanes)) {
            Some(variant) => {
                let run = run_length(cx.gpu());
                let p = RegistersBackwardParams {
                    sequences,
                    across,
                    image,
                    apart,
                    step,
                    steps,
                    run,
                    direction,
                };
                let grid = Grid::linear(sequences.div_ceil(run) as usize);
                cx.run(&REGISTERS_BACKWARD, &variant, grid, &p, binds)?;
            }
            None => {
                let p = BackwardParams {
                    sequences,
                    across,
                    image,
                    apart,
                    step,
                    steps,
                    units,
                    direction,
                };
                let grid = Grid::linear(sequences as usize);
                cx.run(&BACKWARD, &backward_variant(units), grid, &p, binds)?;
            }
        }
        let dw = need[1].then(|| {
            let cols = da.shape().last();
            weight_gradient(cx, &da, &before, 0..cols, cols)
        });
        let db = need[2].then(|| sum_to(cx, &da, bias.shape()));
        Ok([need[0].then_some(dx), dw.transpose()?, db.transpose()?])
    }
}

/// The state that every step of a direction starts from, `[.., U]`: of `states [.., 2U]`, whose `steps` steps lie `step` pixels apart.
pub(super) fn states_before(
    cx: &Cx,
    states: &Tensor,
    direction: usize,
    step: u32,
    steps: u32,
) -> Result<Tensor> {
    let units = states.shape().last() / 2;
    let before = cx.out(states.shape().with_last(units));
    let width = element::width(&[units]);
    let n = before.len() / width;
    let p = BeforeParams {
        n: to_u32(n),
        units: to_u32(units / width),
        step,
        steps,
        direction: to_u32(direction),
    };
    let binds = BeforeBinds { y: states.read(), h: before.write() };
    cx.run(&BEFORE, &element::variant(width), element::grid(n), &p, binds)?;
    Ok(before)
}

/// That kernel in a row of the table.
pub(super) const BEFORE_USE: KernelUse = KernelUse { kernel: &BEFORE, variants: element::variants };

/// Sequences per subgroup: several on adapters that few workgroups fill, one on GPUs.
fn run_length(gpu: &Gpu) -> u32 {
    if gpu.traits().few_workgroups_fill_it { SOFTWARE_RUN } else { 1 }
}

/// The backward variant: the models' hidden sizes keep the weights in registers, one invocation for each unit.
fn backward_variant(units: u32) -> Variant {
    let (group, fours) =
        if MODEL_UNITS.contains(&units) { (units, 3 * units / 4) } else { (WG_ANY, 0) };
    Variant::new().set("WG", group).tile("FOURS", fours)
}

/// The variant that keeps the weights in registers, for the hidden sizes of the models and subgroups of `lanes`.
fn registers_variant(units: u32, lanes: u32) -> Option<Variant> {
    let used = lanes.min(units);
    let per = units / used;
    let fits = MODEL_UNITS.contains(&units) && units.is_multiple_of(used) && per <= 4;
    fits.then(|| {
        Variant::new()
            .set("WG", lanes)
            .tile("LANES", used)
            .tile("PER", per)
            .tile("SHIFTED", 3 * (units - 1) * per)
    })
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "gru",
    kernels: &[
        KernelUse { kernel: &GRU, variants: || vec![Variant::new()] },
        KernelUse { kernel: &REGISTERS, variants: registers_variants },
        BEFORE_USE,
        KernelUse { kernel: &BACKWARD, variants: || [16, 32, 1].map(backward_variant).to_vec() },
        KernelUse { kernel: &REGISTERS_BACKWARD, variants: registers_variants },
    ],
    tolerance: 3e-6,
    gradient: 3e-6,
    cases,
};

fn registers_variants() -> Vec<Variant> {
    let sizes = MODEL_UNITS.into_iter().flat_map(|u| [4, 8, 16, 32, 64].map(|lanes| (u, lanes)));
    sizes.filter_map(|(units, lanes)| registers_variant(units, lanes)).collect()
}

fn cases() -> Vec<Case> {
    let case = |why: &str, [n, h, w]: [usize; 3], units: usize, along: Along| {
        let label = format!("[{n}, {h}, {w}] {units} units along {along:?}: {why}");
        let mut s = Seeded::new(&label);
        let bound = 1.0 / (units as f64).sqrt();
        let mut inputs = Vec::new();
        for _ in 0..2 {
            inputs.push(s.uniform([n, h, w, 3 * units], -2.0, 2.0));
            inputs.push(s.uniform([units, 3 * units], -bound, bound));
            inputs.push(s.uniform([3 * units], -bound, bound));
        }
        let large = n * h * w * units > 10_000;
        let case = Case::new(
            label,
            inputs,
            move |cx, t| {
                let d = |i: usize| Direction { input: &t[i], weight: &t[i + 1], bias: &t[i + 2] };
                Ok(vec![bidirectional_gru(cx, d(0), d(3), along)?])
            },
            move |h| vec![oracle(h, along)],
        );
        let case = case.bench(12.0 * (n * h * w * units * units) as f64);
        // The oracle takes its time for every single element of a bias; the others are looked at along a few directions.
        if large { case.gradient_of(&[0, 1, 3, 4]) } else { case }
    };
    use Along::{Columns, Rows};
    vec![
        case("one step of one unit", [1, 1, 1], 1, Rows),
        case("primes", [2, 3, 7], 5, Rows),
        case("primes", [2, 7, 3], 5, Columns),
        case("one above a workgroup", [1, 2, 3], 65, Rows).not_benched(),
        case("more workgroups than one grid axis", [32_769, 1, 1], 1, Rows).not_benched(),
        case("as many as no run of sequences divides", [1, 3, 5], 16, Rows).not_benched(),
        case("block, first", [1, 16, 64], 32, Columns),
        case("block, second", [1, 16, 64], 32, Rows),
        case("small model, first", [2, 16, 64], 16, Columns),
        case("small model, second", [2, 16, 64], 16, Rows),
    ]
}

/// Reference: one sequence after the other, one unit after the other.
fn oracle(inputs: &[Host], along: Along) -> Host {
    let [n, h, w, gates] = inputs[0].shape.nhwc("oracle").expect("a feature map");
    let units = gates / 3;
    let mut y = Host::zeros([n, h, w, 2 * units]);
    let (across, steps) = if along == Along::Rows { (h, w) } else { (w, h) };
    for (image, s, back) in
        (0..n).flat_map(|i| (0..across).flat_map(move |s| [(i, s, false), (i, s, true)]))
    {
        let [x, weight, bias] = [0, 1, 2].map(|i| &inputs[i + 3 * usize::from(back)].data);
        let mut state = vec![0.0; units];
        for t in 0..steps {
            let t = if back { steps - 1 - t } else { t };
            let pixel = image * h * w + if along == Along::Rows { s * w + t } else { t * w + s };
            let x = &x[pixel * gates..][..gates];
            let hidden = |g: usize| -> f64 {
                bias[g] + (0..units).map(|k| state[k] * weight[k * gates + g]).sum::<f64>()
            };
            let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
            let next = |u: usize| {
                let r = sigmoid(x[u] + hidden(u));
                let z = sigmoid(x[units + u] + hidden(units + u));
                let new = (x[2 * units + u] + r * hidden(2 * units + u)).tanh();
                (1.0 - z) * new + z * state[u]
            };
            let after: Vec<f64> = (0..units).map(next).collect();
            let at = (pixel * 2 + usize::from(back)) * units;
            y.data[at..at + units].copy_from_slice(&after);
            state = after;
        }
    }
    y
}
