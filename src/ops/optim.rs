//! The optimizer: the joint norm of all gradients, the clock it moves, and Adam. Works in place, on no tape.
//!
//! The clock lives on the device, so that no step waits for the host: a step whose norm is not finite leaves every parameter
//! and moment as it is, and the host learns of it whenever it reads the clock.

use super::columns;
use super::{Case, KernelUse, Row, element, layout};
use crate::gpu::{Grid, Variant};
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Result, kernel, params};

kernel!(SQUARES = "optim/squares_partial", Squares, SquaresBinds { grad, parts });
kernel!(CLOCK_UPDATE = "optim/clock_update", Finish, ClockUpdateBinds { parts, clock });
kernel!(
    ADAM_UPDATE = "optim/adam_update",
    Update,
    AdamUpdateBinds { grad, clock, factor, param, m, v, left }
);
kernel!(SETTLE = "optim/settle", Alike, SettleBinds { clock, now, kept });
kernel!(EXCHANGE = "optim/exchange", Alike, ExchangeBinds { a, b });
kernel!(AVERAGE = "optim/average", Average, AverageBinds { clock, now, average });
params! { struct Squares { n: u32, chunk: u32, first: u32 } }
params! { struct Finish { n: u32, clipped: u32, limit: f32, beta1: f32, beta2: f32 } }
params! { struct Alike { n: u32 } }
params! { struct Average { n: u32, decay: f32 } }
params! { struct Update { n: u32, lr: f32, beta1: f32, beta2: f32, eps: f32, decay: f32, clips: u32 } }

/// Numbers of a clock.
pub const CLOCK_SIZE: usize = 8;

/// Elements of a gradient whose squares one workgroup sums.
const CHUNK: usize = 4096;

/// Hyper-parameters: `torch.optim.Adam`, or `AdamW` with a decay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Learning rate.
    pub lr: f32,
    /// Decay of the first moment; as given to [`norm_and_clock`].
    pub beta1: f32,
    /// Decay of the second moment; as given to [`norm_and_clock`].
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled decay of the weights; 0 for none.
    pub decay: f32,
    /// Whether the gradient is one of those whose joint norm is limited.
    pub clips: bool,
}

/// Computes the joint L2 norm of the gradients `grads`; those `beside` them are not limited, but have to be finite as well. Moves
/// `clock` (`[8]`, zeros before the first step) in place:
///
/// | index | content |
/// |---|---|
/// | 0 | the norm |
/// | 1 | factor of the gradients: min(1, limit/(norm + 1e-6)) as `torch.nn.utils.clip_grad_norm_`, 1 if `limit` is not above 0, 0 if a gradient is not finite |
/// | 2, 3 | 1 − β₁ᵗ and 1 − β₂ᵗ |
/// | 4 | steps done (t) |
/// | 5, 6 | steps left out because a gradient was not finite: all, and the last ones in a row |
/// | 7 | 1 if this step is done, 0 if it is left out |
///
/// # Errors
/// A clock of another shape.
pub fn norm_and_clock(
    cx: &Cx,
    grads: &[&Tensor],
    beside: &[&Tensor],
    clock: &Tensor,
    limit: f32,
    beta1: f32,
    beta2: f32,
) -> Result<()> {
    cx.expect("norm_and_clock", "clock", clock, [CLOCK_SIZE])?;
    let chunks = |t: &Tensor| t.len().div_ceil(CHUNK);
    let all = |grads: &[&Tensor]| grads.iter().map(|t| chunks(t)).sum::<usize>();
    let (clipped, total) = (all(grads), all(grads) + all(beside));
    let parts = cx.out([total.max(1)]);
    let variant = tile(cx);
    let mut first = 0;
    for grad in grads.iter().chain(beside).filter(|t| !t.is_empty()) {
        let p = Squares { n: to_u32(grad.len()), chunk: to_u32(CHUNK), first };
        let binds = SquaresBinds { grad: grad.read(), parts: parts.write() };
        cx.run(&SQUARES, &variant, Grid::linear(chunks(grad)), &p, binds)?;
        first += to_u32(chunks(grad));
    }
    let p = Finish { n: to_u32(total), clipped: to_u32(clipped), limit, beta1, beta2 };
    let binds = ClockUpdateBinds { parts: parts.read(), clock: clock.write() };
    cx.run(&CLOCK_UPDATE, &variant, Grid::linear(1), &p, binds)
}

/// One step of Adam on `param` with both its moments, all of one shape and in place: by a clock that [`norm_and_clock`] has
/// moved for this step, and a factor `[1]` of the learning rate, the schedule's. An element whose new value is not finite
/// stays as it is, with its moments, and is added to the count `left`, u32 `[1]`.
///
/// # Errors
/// Operands whose shapes do not fit.
pub fn adam(
    cx: &Cx,
    param: &Tensor,
    grad: &Tensor,
    [m, v]: [&Tensor; 2],
    [clock, factor, left]: [&Tensor; 3],
    how: &Adam,
) -> Result<()> {
    for (name, operand) in [("grad", grad), ("m", m), ("v", v)] {
        cx.expect("adam", name, operand, param.shape())?;
    }
    cx.expect("adam", "clock", clock, [CLOCK_SIZE])?;
    cx.expect("adam", "factor", factor, [1])?;
    cx.expect("adam", "left", left, [1])?;
    if param.is_empty() {
        return Ok(());
    }
    let width = element::width(&[param.len()]);
    let n = param.len() / width;
    let Adam { lr, beta1, beta2, eps, decay, clips } = *how;
    let p = Update { n: to_u32(n), lr, beta1, beta2, eps, decay, clips: clips.into() };
    let binds = AdamUpdateBinds {
        grad: grad.read(),
        clock: clock.read(),
        factor: factor.read(),
        param: param.write(),
        m: m.write(),
        v: v.write(),
        left: left.write(),
    };
    cx.run(&ADAM_UPDATE, &element::variant(width), element::grid(n), &p, binds)
}

/// Keeps the values `now` in `kept` where a step was done, by a clock that [`norm_and_clock`] has moved for it, and brings
/// back those in `kept` where it was left out. Both of one shape.
///
/// # Errors
/// Operands whose shapes do not fit.
pub fn settle(cx: &Cx, clock: &Tensor, now: &Tensor, kept: &Tensor) -> Result<()> {
    cx.expect("settle", "clock", clock, [CLOCK_SIZE])?;
    cx.expect("settle", "kept", kept, now.shape())?;
    if now.is_empty() {
        return Ok(());
    }
    let width = element::width(&[now.len()]);
    let n = now.len() / width;
    let binds = SettleBinds { clock: clock.read(), now: now.write(), kept: kept.write() };
    let p = Alike { n: to_u32(n) };
    cx.run(&SETTLE, &element::variant(width), element::grid(n), &p, binds)
}

/// Moves an `average` towards the values `now` behind a step that was done, by a clock that [`norm_and_clock`] has moved for
/// it: average + (1 − d)·(now − average) with d = min(`decay`, (1 + t)/(10 + t)) after t steps. Both of one shape.
///
/// # Errors
/// Operands whose shapes do not fit.
pub fn average(cx: &Cx, clock: &Tensor, now: &Tensor, average: &Tensor, decay: f32) -> Result<()> {
    cx.expect("average", "clock", clock, [CLOCK_SIZE])?;
    cx.expect("average", "average", average, now.shape())?;
    if now.is_empty() {
        return Ok(());
    }
    let width = element::width(&[now.len()]);
    let n = now.len() / width;
    let binds = AverageBinds { clock: clock.read(), now: now.read(), average: average.write() };
    let p = Average { n: to_u32(n), decay };
    cx.run(&AVERAGE, &element::variant(width), element::grid(n), &p, binds)
}

/// Exchanges the values of two tensors of one shape.
///
/// # Errors
/// Operands whose shapes do not fit.
pub fn exchange(cx: &Cx, a: &Tensor, b: &Tensor) -> Result<()> {
    cx.expect("exchange", "b", b, a.shape())?;
    if a.is_empty() {
        return Ok(());
    }
    let width = element::width(&[a.len()]);
    let n = a.len() / width;
    let p = Alike { n: to_u32(n) };
    cx.run(
        &EXCHANGE,
        &element::variant(width),
        element::grid(n),
        &p,
        ExchangeBinds { a: a.write(), b: b.write() },
    )
}

/// One sum along a workgroup.
fn tile(cx: &Cx) -> Variant {
    let [wide, single] = tiles();
    if columns::serial(cx.gpu()) { single } else { wide }
}

fn tiles() -> [Variant; 2] {
    [columns::of(1, 64), columns::of(1, 8)]
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "optim",
    kernels: &[
        KernelUse { kernel: &SQUARES, variants: || tiles().into() },
        KernelUse { kernel: &CLOCK_UPDATE, variants: || tiles().into() },
        KernelUse { kernel: &ADAM_UPDATE, variants: element::variants },
        KernelUse { kernel: &SETTLE, variants: element::variants },
        KernelUse { kernel: &EXCHANGE, variants: element::variants },
        KernelUse { kernel: &AVERAGE, variants: element::variants },
    ],
    tolerance: 1e-6,
    gradient: 0.0,
    cases,
};

/// Betas of the cases; not those of anybody's training.
const BETAS: [f32; 2] = [0.5, 0.96875];
/// What a schedule makes of the cases' rate.
const FACTOR: f32 = 0.75;

/// What is wrong with a case's numbers.
#[derive(Clone, Copy, PartialEq)]
enum Spoilt {
    Nothing,
    /// One number of the last gradient is this one.
    Gradient(f64),
    /// The last so many elements of each tensor have a moment that gives them no value.
    Elements(usize),
    /// Nothing; but the last gradient is not one of those that are limited.
    Unlimited,
    /// The same, and one number of it is this one.
    UnlimitedGradient(f64),
}

impl Spoilt {
    /// How many of `n` gradients are limited.
    fn limited(self, n: usize) -> usize {
        n - usize::from(matches!(self, Spoilt::Unlimited | Spoilt::UnlimitedGradient(_)))
    }
}

fn cases() -> Vec<Case> {
    use Spoilt::{Elements, Gradient, Nothing, Unlimited, UnlimitedGradient};
    // Inputs: the clock, then parameter, first and second moment and gradient of each tensor.
    let case = |why: &str, sizes: &'static [usize], limit: f32, decay: f32, spoilt: Spoilt| {
        let label = format!("{sizes:?} with limit {limit} and decay {decay}: {why}");
        let mut s = Seeded::new(&label);
        let mut inputs =
            vec![Host::new([CLOCK_SIZE], vec![0.5, 1.0, 0.875, 0.125, 3.0, 2.0, 1.0, 1.0])];
        for &n in sizes {
            let (param, mut m, v) = (s.signed([n]), s.signed([n]), s.uniform([n], 0.01, 1.0));
            if let Elements(count) = spoilt {
                let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].into_iter().cycle();
                m.data.iter_mut().rev().take(count).zip(values).for_each(|(m, value)| *m = value);
            }
            inputs.extend([param, m, v, s.signed([n])]);
        }
        if let (Some(last), Gradient(value) | UnlimitedGradient(value)) =
            (inputs.last_mut(), spoilt)
        {
            last.data[0] = value;
        }
        let flops = 18.0 * sizes.iter().sum::<usize>() as f64;
        let how =
            Adam { lr: 0.01, beta1: BETAS[0], beta2: BETAS[1], eps: 1e-8, decay, clips: true };
        let run = move |cx: &Cx, t: &[Tensor]| {
            let copy = |t: &Tensor| {
                let own = cx.out(t.shape());
                cx.copy_into(t, &own, 0)?;
                Ok(own)
            };
            let own = t.iter().map(copy).collect::<Result<Vec<Tensor>>>()?;
            let grads: Vec<&Tensor> = own[1..].chunks_exact(4).map(|p| &p[3]).collect();
            let factor = Tensor::upload(cx.gpu(), [1], &[FACTOR]);
            let left = cx.out_u32([1]);
            cx.copy_into(&Tensor::upload_u32(cx.gpu(), [1], &[LEFT]), &left, 0)?;
            let (limited, beside) = grads.split_at(spoilt.limited(grads.len()));
            norm_and_clock(cx, limited, beside, &own[0], limit, how.beta1, how.beta2)?;
            for (i, part) in own[1..].chunks_exact(4).enumerate() {
                let state = [&own[0], &factor, &left];
                let how = Adam { clips: i < limited.len(), ..how };
                adam(cx, &part[0], &part[3], [&part[1], &part[2]], state, &how)?;
            }
            // A norm that is not finite equals nothing: left out, as in the oracle. So are moments that are none.
            let from = usize::from(matches!(spoilt, Gradient(_) | UnlimitedGradient(_)));
            let clock = layout::slice_last(cx, &own[0], from..CLOCK_SIZE)?;
            let moments = if matches!(spoilt, Elements(_)) { 2..3 } else { 1..3 };
            let moved =
                own[1..].chunks_exact(4).flat_map(|p| [&p[..1], &p[moments.clone()]].concat());
            Ok([clock, left].into_iter().chain(moved).collect())
        };
        Case::new(label, inputs, run, move |h| oracle(h, limit, &how, spoilt))
            .without_gradient()
            .f32_only()
            .bench(flops)
    };
    let mut all = vec![
        case("one number", &[1], 0.0, 0.0, Nothing),
        case("clipped, primes and fours", &[7, 64, 131], 0.25, 0.0, Nothing),
        case("not clipped, decayed", &[5, 12], 1e4, 0.125, Nothing),
        case("one above a chunk", &[4097, 3], 1.0, 0.0, Nothing).not_benched(),
        case("an infinite gradient", &[7, 64], 0.25, 0.0, Gradient(f64::INFINITY)),
        case("a gradient that is no number", &[64, 5], 0.25, 0.0, Gradient(f64::NAN)),
        case("a norm that overflows", &[64, 5], 0.0, 0.125, Gradient(1e30)),
        case("some values that would not be finite", &[64, 5], 0.25, 0.125, Elements(3)),
        case("all values of a tensor that would not be", &[130, 4], 0.0, 0.0, Elements(4)),
        case("clipped but for the last", &[7, 64, 131], 0.25, 0.0, Unlimited),
        case("an infinite one beside", &[7, 64], 0.25, 0.0, UnlimitedGradient(f64::INFINITY)),
        case("a convolution", &[147_456, 64], 0.25, 0.0, Nothing),
    ];
    for n in [1, 64, 131] {
        all.extend([0.0, 1.0].map(|done| settling(n, done)));
        all.extend([(0.0, 5.0), (1.0, 5.0), (1.0, 5000.0)].map(|(done, t)| averaging(n, done, t)));
        all.push(exchanging(n));
    }
    all
}

/// A clock of `t` steps, the last of which was `done` or left out.
fn clock(done: f64, t: f64) -> Host {
    let mut clock = vec![0.0; CLOCK_SIZE];
    (clock[4], clock[CLOCK_SIZE - 1]) = (t, done);
    Host::new([CLOCK_SIZE], clock)
}

/// Copies of tensors, which an operation works on in place.
fn copies<const N: usize>(cx: &Cx, of: [&Tensor; N]) -> Result<[Tensor; N]> {
    let own = of.map(|t| cx.out(t.shape()));
    own.iter().zip(of).try_for_each(|(own, from)| cx.copy_into(from, own, 0))?;
    Ok(own)
}

/// A case of [`average`], early or late in a run.
fn averaging(n: usize, done: f64, t: f64) -> Case {
    const DECAY: f32 = 0.75;
    let label = format!("[{n}] averaged after {t} steps, the last of which counts as {done}");
    let mut s = Seeded::new(&label);
    let inputs = vec![clock(done, t), s.signed([n]), s.signed([n])];
    let run = |cx: &Cx, t: &[Tensor]| {
        let [own] = copies(cx, [&t[2]])?;
        average(cx, &t[0], &t[1], &own, DECAY)?;
        Ok(vec![own])
    };
    let oracle = move |h: &[Host]| {
        let share = done * (1.0 - f64::from(DECAY).min((1.0 + t) / (10.0 + t)));
        let mut own = h[2].clone();
        own.data.iter_mut().zip(&h[1].data).for_each(|(a, v)| *a += share * (v - *a));
        vec![own]
    };
    Case::new(label, inputs, run, oracle).without_gradient().f32_only()
}

/// A case of [`exchange`].
fn exchanging(n: usize) -> Case {
    let label = format!("[{n}] exchanged");
    let mut s = Seeded::new(&label);
    let inputs = vec![s.signed([n]), s.signed([n])];
    let run = |cx: &Cx, t: &[Tensor]| {
        let own = copies(cx, [&t[0], &t[1]])?;
        exchange(cx, &own[0], &own[1])?;
        Ok(own.into())
    };
    let oracle = |h: &[Host]| vec![h[1].clone(), h[0].clone()];
    Case::new(label, inputs, run, oracle).without_gradient().f32_only()
}

/// A case of [`settle`]; values that are brought back may stand for some that were not finite.
fn settling(n: usize, done: f64) -> Case {
    let label = format!("[{n}] settled behind a step that counts as {done}");
    let mut s = Seeded::new(&label);
    let (mut now, kept) = (s.signed([n]), s.signed([n]));
    if done == 0.0 {
        now.data[0] = f64::NAN;
    }
    let run = |cx: &Cx, t: &[Tensor]| {
        let [now, kept] = copies(cx, [&t[1], &t[2]])?;
        settle(cx, &t[0], &now, &kept)?;
        Ok(vec![now, kept])
    };
    let oracle = move |h: &[Host]| {
        let valid = if done == 0.0 { &h[2] } else { &h[1] };
        vec![valid.clone(); 2]
    };
    let inputs = vec![clock(done, 1.0), now, kept];
    Case::new(label, inputs, run, oracle).without_gradient().f32_only()
}

/// Elements left as they are before a case's step.
const LEFT: u32 = 5;

/// Reference in f64 of a step on the inputs of a case: the clock (without a norm that is not finite), the count of elements
/// left, then parameter and moments (without the first of spoilt elements) of each tensor.
fn oracle(h: &[Host], limit: f32, how: &Adam, spoilt: Spoilt) -> Vec<Host> {
    let [b1, b2, lr] = [how.beta1, how.beta2, how.lr * FACTOR].map(f64::from);
    let tensors = || h[1..].chunks_exact(4);
    let limited = spoilt.limited(tensors().len());
    let square = |p: &[Host]| p[3].data.iter().map(|g| g * g).sum::<f64>();
    let norm = tensors().take(limited).map(square).sum::<f64>().sqrt();
    let beside = tensors().skip(limited).map(square).sum::<f64>();
    let old = &h[0].data;
    let count = |n: u32| Host::new([1], vec![n.into()]).into_u32();
    let moved = |p: &[Host]| p[..3].to_vec();
    // A square beyond f32's range counts as infinite.
    if !(norm * norm + beside).is_finite() || norm * norm > f64::from(f32::MAX) {
        let clock = vec![0.0, old[2], old[3], old[4], old[5] + 1.0, old[6] + 1.0, 0.0];
        let clock = Host::new([CLOCK_SIZE - 1], clock);
        return [clock, count(LEFT)].into_iter().chain(tensors().flat_map(moved)).collect();
    }
    let factor = if limit > 0.0 { (f64::from(limit) / (norm + 1e-6)).min(1.0) } else { 1.0 };
    let (c1, c2) = (old[2] * b1 + 1.0 - b1, old[3] * b2 + 1.0 - b2);
    let clock = vec![norm, factor, c1, c2, old[4] + 1.0, old[5], 0.0, 1.0];
    let mut left = LEFT;
    let mut all = Vec::new();
    for (i, part) in tensors().enumerate() {
        let factor = if i < limited { factor } else { 1.0 };
        let [mut p, mut m, mut v] = [0, 1, 2].map(|i| part[i].clone());
        for (i, g) in part[3].data.iter().map(|g| g * factor).enumerate() {
            if !m.data[i].is_finite() {
                left += 1;
                continue;
            }
            m.data[i] = b1 * m.data[i] + (1.0 - b1) * g;
            v.data[i] = b2 * v.data[i] + (1.0 - b2) * g * g;
            p.data[i] -= lr * f64::from(how.decay) * p.data[i];
            p.data[i] -= lr * (m.data[i] / c1) / ((v.data[i] / c2).sqrt() + f64::from(how.eps));
        }
        all.push(p);
        if !matches!(spoilt, Spoilt::Elements(_)) {
            all.push(m);
        }
        all.push(v);
    }
    [Host::new([CLOCK_SIZE], clock), count(left)].into_iter().chain(all).collect()
}
