//! Gradients against finite differences of the oracle, in f64 on the host.

use super::{Case, Checker, Row, guards_whole};
use crate::gpu::Gpu;
use crate::ops::add;
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor, Var};
use crate::{Error, ErrorKind, Result};

/// Inputs of at most so many elements are differentiated element by element.
const ALL: usize = 160;
/// Elements that are looked at one by one in larger ones.
const SOME: usize = 6;
/// Most floating-point operations of a case whose single elements are looked at.
const CHEAP: f64 = 2e6;
const STEP: f64 = 1e-5;

/// The gradients of Σ g·y for random cotangents g of the outputs that the operation records, against central differences of
/// the oracle: every element of a small input; of a large one its projection on random signs, and some elements.
pub(super) fn check(checker: &Checker, row: &Row, case: &Case, want: &[Host]) -> Result<()> {
    if case.wrt.is_empty() {
        return Ok(());
    }
    // Not the stream of the inputs: cotangents that go along with them make the loss large and its differences coarse.
    let mut seeded = Seeded::new(&format!("cotangents of {}", case.label));
    let cotangents: Vec<Host> = want.iter().map(|w| seeded.signed(w.shape)).collect();
    let (grads, recorded) = gradients(&checker.checked, case, &cotangents, 1)?;
    let (again, _) = gradients(&checker.checked, case, &cotangents, 1)?;
    if grads != again {
        return Err(Error::new(ErrorKind::Result, "", "two gradients differ"));
    }
    let (twice, _) = gradients(&checker.checked, case, &cotangents, 2)?;
    expect_double(row, case, &twice, &grads)?;
    let mut all = vec![("", grads)];
    for (gpu, how) in checker.unchecked() {
        all.push((how, gradients(gpu, case, &cotangents, 1)?.0));
    }
    let loss = |inputs: &[Host]| -> f64 {
        let outputs = (case.oracle)(inputs);
        let each = recorded.iter().zip(outputs.iter().zip(&cotangents));
        each.filter(|(r, _)| **r)
            .flat_map(|(_, (y, g))| y.data.iter().zip(&g.data))
            .map(|(y, g)| y * g)
            .sum()
    };
    let mut inputs = case.inputs.clone();
    for (place, i) in case.wrt.iter().enumerate() {
        let exact = &all[0].1[place].data;
        let largest = exact.iter().fold(0f64, |m, v| m.max(v.abs()));
        let norm = exact.iter().map(|v| v * v).sum::<f64>().sqrt();
        // Finite differences themselves are good to about this share of the loss's own terms.
        let floor = 1e-9 * want.iter().flat_map(|w| &w.data).fold(1f64, |m, v| m.max(v.abs()));
        for direction in directions(exact.len(), case.flops, &mut seeded) {
            let want = difference(&mut inputs, *i, &direction, &loss);
            let size = if matches!(direction, Direction::Signs(_)) { norm } else { largest };
            for (how, grads) in &all {
                let got = direction.of(&grads[place].data);
                let error = (got - want).abs();
                if error <= row.gradient * size + floor {
                    continue;
                }
                let what = format!("gradient of input {i}: {direction} {how}");
                return Err(Error::new(ErrorKind::Result, "", what.trim_end())
                    .expected(want)
                    .got(got)
                    .detail(format!(
                        "error {error:.3e} at size {size:.3e}, tolerance {:.1e}",
                        row.gradient
                    )));
            }
        }
    }
    Ok(())
}

/// What an operation that a pass records twice gives to inputs that both share, beside what it gives them once.
fn expect_double(row: &Row, case: &Case, twice: &[Host], once: &[Host]) -> Result<()> {
    for ((twice, once), i) in twice.iter().zip(once).zip(&case.wrt) {
        let largest = once.data.iter().fold(0f64, |m, v| m.max(v.abs()));
        for (at, (got, one)) in twice.data.iter().zip(&once.data).enumerate() {
            if (got - 2.0 * one).abs() > 2.0 * row.gradient * largest || got.is_nan() {
                let what = format!("gradient of input {i} that a pass uses twice: element {at}");
                return Err(Error::new(ErrorKind::Result, "", what).expected(2.0 * one).got(got));
            }
        }
    }
    Ok(())
}

/// A direction in which an input moves.
enum Direction {
    /// One element alone.
    Element(usize),
    /// All elements, by one of either sign.
    Signs(Vec<f64>),
}

impl Direction {
    /// The derivative in this direction, of a gradient.
    fn of(&self, gradient: &[f64]) -> f64 {
        match self {
            Direction::Element(at) => gradient[*at],
            Direction::Signs(signs) => gradient.iter().zip(signs).map(|(g, s)| g * s).sum(),
        }
    }
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Direction::Element(at) => write!(f, "element {at}"),
            Direction::Signs(_) => f.write_str("projection"),
        }
    }
}

/// The directions in which an input of `n` elements is differentiated.
fn directions(n: usize, flops: f64, seeded: &mut Seeded) -> Vec<Direction> {
    if n <= ALL {
        return (0..n).map(Direction::Element).collect();
    }
    let mut sign = || if seeded.unit() < 0.5 { -1.0 } else { 1.0 };
    let mut all = vec![Direction::Signs((0..n).map(|_| sign()).collect())];
    if flops <= CHEAP {
        let others = (2..SOME).map(|_| (seeded.unit() * n as f64) as usize);
        all.extend([0, n - 1].into_iter().chain(others).map(Direction::Element));
    }
    all
}

/// The central difference of `loss` in a direction of one input; leaves the inputs as they were.
fn difference(
    inputs: &mut [Host],
    of: usize,
    direction: &Direction,
    loss: &dyn Fn(&[Host]) -> f64,
) -> f64 {
    let before = inputs[of].data.clone();
    let mut at = |step: f64| {
        let data = &mut inputs[of].data;
        match direction {
            Direction::Element(i) => data[*i] = before[*i] + step,
            Direction::Signs(signs) => {
                let places = data.iter_mut().zip(before.iter().zip(signs));
                places.for_each(|(v, (b, s))| *v = b + step * s);
            }
        }
        loss(inputs)
    };
    let difference = (at(STEP) - at(-STEP)) / (2.0 * STEP);
    inputs[of].data = before;
    difference
}

/// The gradients of the wanted inputs, and which outputs are recorded, of an operation that is recorded so many times.
fn gradients(
    gpu: &Gpu,
    case: &Case,
    cotangents: &[Host],
    times: usize,
) -> Result<(Vec<Host>, Vec<bool>)> {
    let inputs: Vec<Tensor> = case
        .inputs
        .iter()
        .enumerate()
        .map(|(i, h)| match case.wrt.contains(&i) {
            true => h.upload(gpu).leaf(to_u32(i)),
            false => h.upload(gpu),
        })
        .collect();
    let cx = Cx::new(gpu).with_tape();
    let mut outputs = Vec::new();
    for _ in 0..times {
        outputs.extend((case.run)(&cx, &inputs)?);
    }
    let recorded: Vec<bool> = outputs.iter().map(|y| y.var() != Var::Constant).collect();
    // Of the pass, with guard words: an operation may hand its output's gradient on as it is.
    let seed = |g: &Host| {
        let seed = cx.out(g.shape);
        cx.copy_into(&g.upload(gpu), &seed, 0)?;
        Ok(seed)
    };
    let each = (0..times).flat_map(|_| cotangents);
    let seeds = each.map(seed).collect::<Result<Vec<Tensor>>>()?;
    let pairs: Vec<(&Tensor, &Tensor)> = outputs
        .iter()
        .zip(&seeds)
        .zip(&recorded)
        .filter(|(_, recorded)| **recorded)
        .map(|(pair, _)| pair)
        .collect();
    let mut grads = cx.backward_by(add, &pairs)?;
    let mut found = Vec::new();
    for i in &case.wrt {
        found.push(grads.take(&inputs[*i]).ok_or_else(|| {
            Error::new(ErrorKind::Result, "", format!("input {i} has no gradient"))
        })?);
    }
    cx.submit()?;
    if gpu.options().poison {
        guards_whole(gpu, "input", &inputs)?;
        guards_whole(gpu, "gradient", &found)?;
    }
    let hosts = Tensor::read_all(gpu, &found.iter().collect::<Vec<_>>())?;
    Ok((hosts, recorded))
}
