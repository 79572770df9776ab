//! A long short-term memory that walks sequences in both directions.

use super::gru::{BEFORE_USE, Direction, Owned, states_before};
use super::matmul::weight_gradient;
use super::{Case, Epilogue, KernelUse, Row, linear, permute, sum_to};
use crate::gpu::{Gpu, Grid, Variant};
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(
    FWD = "recurrent/lstm_fwd",
    Params,
    ForwardBinds { input_0, weight_0, bias_0, input_1, weight_1, bias_1, y, cells }
);
kernel!(
    BWD = "recurrent/lstm_bwd",
    BackwardParams,
    BackwardBinds { x, a, cells, transposed, dy, da }
);
params! { struct Params { sequences: u32, steps: u32, units: u32 } }
params! { struct BackwardParams { sequences: u32, steps: u32, units: u32, direction: u32 } }

/// Most hidden units.
const MOST_UNITS: usize = 256;
/// Rounds of a kernel's loops at most: llvmpipe ends the loops of an invocation after 65,535 of them, whatever is left to do.
const MOST_ROUNDS: usize = 65_000;
/// Sequences that a workgroup walks side by side, by four.
const FOURS: [u32; 2] = [1, 2];
/// Invocations of a workgroup: one for each unit of the models, fewer where a workgroup runs on one thread.
const WG: [u32; 2] = [256, 64];

/// `torch.nn.LSTM(bidirectional=True)` from a zero state: `[N, T, 4U]` of each direction → `[N, T, 2U]`, forward half first.
/// c' = σ(f) ⊙ c + σ(i) ⊙ tanh(g), h' = σ(o) ⊙ tanh(c'), each gate its input plus W h + b.
///
/// # Errors
/// Shapes that do not fit, more than 256 hidden units, or more steps than the kernels' loops take: 63 of 256 units.
pub fn bidirectional_lstm(cx: &Cx, forward: Direction, backward: Direction) -> Result<Tensor> {
    const OP: &str = "bidirectional_lstm";
    let shape = forward.input.shape();
    let [n, steps, gates] = shape.nlc(OP)?;
    let units = gates / 4;
    if !gates.is_multiple_of(4) || units == 0 || units > MOST_UNITS {
        return Err(Error::new(ErrorKind::Shape, OP, "channels of the input")
            .expected(format!("four gates of 1 to {MOST_UNITS} units"))
            .got(shape));
    }
    let rounds = steps * units * units.div_ceil(WG[1] as usize);
    if rounds > MOST_ROUNDS {
        return Err(Error::new(ErrorKind::Shape, OP, "steps of the input")
            .expected(format!("at most {}", MOST_ROUNDS * steps / rounds))
            .got(shape));
    }
    cx.expect(OP, "backward input", backward.input, shape)?;
    for (name, d) in [("forward", forward), ("backward", backward)] {
        cx.expect(OP, &format!("{name} weight"), d.weight, [units, gates])?;
        cx.expect(OP, &format!("{name} bias"), d.bias, [gates])?;
    }
    let y = cx.out([n, steps, 2 * units]);
    if y.is_empty() {
        return Ok(y);
    }
    let cells = cx.out_f32(y.shape());
    let p = Params { sequences: to_u32(n), steps: to_u32(steps), units: to_u32(units) };
    let (f, b) = (forward, backward);
    let inputs = [f.input, f.weight, f.bias, b.input, b.weight, b.bias];
    let binds = ForwardBinds {
        input_0: f.input.read(),
        weight_0: f.weight.read(),
        bias_0: f.bias.read(),
        input_1: b.input.read(),
        weight_1: b.weight.read(),
        bias_1: b.bias.read(),
        y: y.write(),
        cells: cells.write(),
    };
    let fours = FOURS[usize::from(n > 4)];
    let grid = Grid::linear(2 * n.div_ceil(4 * fours as usize));
    cx.run(&FWD, &variant(cx.gpu()).tile("FOURS", fours), grid, &p, binds)?;
    let saved = Saved { directions: [f, b].map(Owned::of), states: y.clone(), cells, p };
    Ok(cx.record(OP, inputs, y, move |cx, dy, need| {
        let [fx, fw, fb] = saved.gradients(cx, 0, &dy, [need[0], need[1], need[2]])?;
        let [bx, bw, bb] = saved.gradients(cx, 1, &dy, [need[3], need[4], need[5]])?;
        Ok([fx, fw, fb, bx, bw, bb])
    }))
}

/// Saved for backward. The gates are computed again: they follow from the states, all steps at once. The cells do not.
struct Saved {
    directions: [Owned; 2],
    states: Tensor,
    cells: Tensor,
    p: Params,
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
        let Params { sequences, steps, units } = self.p;
        let Owned { input, weight, bias } = &self.directions[direction];
        let before = states_before(cx, &self.states, direction, 1, steps)?;
        let a = linear(cx, &before, weight, &Epilogue::bias(bias))?;
        let transposed = permute(cx, weight, &[1, 0])?;
        let da = cx.out(input.shape());
        let binds = BackwardBinds {
            x: input.read(),
            a: a.read(),
            cells: self.cells.read(),
            transposed: transposed.read(),
            dy: dy.read(),
            da: da.write(),
        };
        let p = BackwardParams { sequences, steps, units, direction: to_u32(direction) };
        cx.run(&BWD, &variant(cx.gpu()), Grid::linear(sequences as usize), &p, binds)?;
        let dw = need[1].then(|| {
            let gates = da.shape().last();
            weight_gradient(cx, &da, &before, 0..gates, gates)
        });
        let db = need[2].then(|| sum_to(cx, &da, bias.shape()));
        Ok([need[0].then_some(da.clone()), dw.transpose()?, db.transpose()?])
    }
}

fn variant(gpu: &Gpu) -> Variant {
    of(WG[usize::from(gpu.traits().barriers_are_costly)])
}

fn of(workgroup: u32) -> Variant {
    Variant::new().set("WG", workgroup)
}

fn forward_variants() -> Vec<Variant> {
    WG.into_iter().flat_map(|wg| FOURS.map(|fours| of(wg).tile("FOURS", fours))).collect()
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "lstm",
    kernels: &[
        KernelUse { kernel: &FWD, variants: forward_variants },
        BEFORE_USE,
        KernelUse { kernel: &BWD, variants: || WG.map(of).to_vec() },
    ],
    tolerance: 3e-6,
    gradient: 3e-6,
    cases,
};

fn cases() -> Vec<Case> {
    let case = |why: &str, [n, steps, units]: [usize; 3]| {
        let label = format!("[{n}, {steps}] {units} units: {why}");
        let mut s = Seeded::new(&label);
        let bound = 1.0 / (units as f64).sqrt();
        let mut inputs = Vec::new();
        for _ in 0..2 {
            inputs.push(s.uniform([n, steps, 4 * units], -2.0, 2.0));
            inputs.push(s.uniform([units, 4 * units], -bound, bound));
            inputs.push(s.uniform([4 * units], -bound, bound));
        }
        let large = n * steps * units > 5_000;
        let case = Case::new(
            label,
            inputs,
            |cx, t| {
                let d = |i: usize| Direction { input: &t[i], weight: &t[i + 1], bias: &t[i + 2] };
                Ok(vec![bidirectional_lstm(cx, d(0), d(3))?])
            },
            |h| vec![oracle(h)],
        );
        let case = case.bench(16.0 * (n * steps * units * units) as f64);
        // The oracle takes its time for every single element of a bias; the others are looked at along a few directions.
        if large { case.gradient_of(&[0, 1, 3, 4]) } else { case }
    };
    vec![
        case("one step of one unit", [1, 1, 1]),
        case("primes", [2, 7, 5]),
        case("one above a workgroup", [1, 3, 65]).not_benched(),
        case("more workgroups than one grid axis", [262_145, 1, 1])
            .without_gradient()
            .not_benched(),
        case("sequences side by side, and one more", [9, 4, 5]).not_benched(),
        case("fewer of them than side by side", [3, 2, 66]).not_benched(),
        case("recognizer", [1, 26, 256]),
        case("recognizer, batch 8", [8, 26, 256]).without_gradient(),
        case("as long as fits", [1, 63, 256]).not_benched(),
    ]
}

/// Reference: one sequence after the other, one unit after the other.
fn oracle(inputs: &[Host]) -> Host {
    let [n, steps, gates] = inputs[0].shape.nlc("oracle").expect("sequences");
    let units = gates / 4;
    let mut y = Host::zeros([n, steps, 2 * units]);
    for (sequence, back) in (0..n).flat_map(|s| [(s, false), (s, true)]) {
        let [x, weight, bias] = [0, 1, 2].map(|i| &inputs[i + 3 * usize::from(back)].data);
        let (mut state, mut cells) = (vec![0.0; units], vec![0.0; units]);
        for t in 0..steps {
            let step = sequence * steps + if back { steps - 1 - t } else { t };
            let gate = |g: usize| -> f64 {
                let hidden = (0..units).map(|k| state[k] * weight[k * gates + g]).sum::<f64>();
                x[step * gates + g] + bias[g] + hidden
            };
            let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
            let mut after = vec![0.0; units];
            for u in 0..units {
                let [i, f, g, o] = [0, 1, 2, 3].map(|k| gate(k * units + u));
                cells[u] = sigmoid(f) * cells[u] + sigmoid(i) * g.tanh();
                after[u] = sigmoid(o) * cells[u].tanh();
            }
            let at = (step * 2 + usize::from(back)) * units;
            y.data[at..at + units].copy_from_slice(&after);
            state = after;
        }
    }
    y
}
