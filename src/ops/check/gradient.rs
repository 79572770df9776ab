//! Gradients against finite differences of the oracle, in f64 on the host.

use super::{Case, Checker, Row, guards_whole};
use crate::gpu::Gpu;
use crate::ops::add;
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
    let (grads, recorded) = gradients(&checker.checked, case, &cotangents)?;
    let (again, _) = gradients(&checker.checked, case, &cotangents)?;
    if grads != again {
        return Err(Error::new(ErrorKind::Result, "", "two gradients differ"));
    }
    let mut all = vec![("", grads)];
    for (gpu, how) in checker.unchecked() {
        all.push((how, gradients(gpu, case, &cotangents)?.0));
    }
    let loss = |inputs: &[Host]| -> f64 {
        let outputs = (case.oracle)(inputs);
        let each = recorded.iter().zip(outputs.iter().zip(&cotangents));
        each.filter(|(r, _)| **r)
            .flat_map(|(_, (y, g))| y.data.iter().zip(&g.data))
            .map(|(y, g)| y * g)
            .sum()
    };
    for (place, i) in case.wrt.iter().enumerate() {
        let grad = &all[0].1[place];
        let n = grad.data.len();
        let differences = Differences { inputs: &case.inputs, of: *i, loss: &loss };
        let largest = grad.data.iter().fold(0f64, |m, v| m.max(v.abs()));
        let norm = grad.data.iter().map(|v| v * v).sum::<f64>().sqrt();
        // Finite differences themselves are good to about this share of the loss's own terms.
        let floor = 1e-9 * want.iter().flat_map(|w| &w.data).fold(1f64, |m, v| m.max(v.abs()));
        let judge = |name: String, size: f64, got: f64, want: f64| {
            let error = (got - want).abs();
            if error <= row.gradient * size + floor {
                return Ok(());
            }
            Err(Error::new(ErrorKind::Result, "", format!("gradient of input {i}: {name}"))
                .expected(want)
                .got(got)
                .detail(format!(
                    "error {error:.3e} at size {size:.3e}, tolerance {:.1e}",
                    row.gradient
                )))
        };
        for (name, grad) in all.iter().map(|(name, grads)| (name, &grads[place])) {
            if n > ALL {
                let signs: Vec<f64> =
                    (0..n).map(|_| if seeded.unit() < 0.5 { -1.0 } else { 1.0 }).collect();
                let got = grad.data.iter().zip(&signs).map(|(g, s)| g * s).sum();
                judge(format!("projection {name}"), norm, got, differences.along(&signs))?;
            }
            let single: Vec<usize> = match n {
                0..=ALL => (0..n).collect(),
                _ if case.flops > CHEAP => Vec::new(),
                _ => [0, n - 1]
                    .into_iter()
                    .chain((2..SOME).map(|_| (seeded.unit() * n as f64) as usize))
                    .collect(),
            };
            for at in single {
                let mut direction = vec![0.0; n];
                direction[at] = 1.0;
                let want = differences.along(&direction);
                judge(format!("element {at} {name}"), largest, grad.data[at], want)?;
            }
        }
    }
    Ok(())
}

struct Differences<'a> {
    inputs: &'a [Host],
    of: usize,
    loss: &'a dyn Fn(&[Host]) -> f64,
}

impl Differences<'_> {
    /// The derivative of the loss along `direction` of one input.
    fn along(&self, direction: &[f64]) -> f64 {
        let at = |step: f64| {
            let mut moved = self.inputs.to_vec();
            for (v, d) in moved[self.of].data.iter_mut().zip(direction) {
                *v += step * d;
            }
            (self.loss)(&moved)
        };
        (at(STEP) - at(-STEP)) / (2.0 * STEP)
    }
}

/// The gradients of the wanted inputs, and which outputs are recorded.
fn gradients(gpu: &Gpu, case: &Case, cotangents: &[Host]) -> Result<(Vec<Host>, Vec<bool>)> {
    let inputs: Vec<Tensor> = case
        .inputs
        .iter()
        .enumerate()
        .map(|(i, h)| match case.wrt.contains(&i) {
            true => h.upload(gpu).leaf(i as u32),
            false => h.upload(gpu),
        })
        .collect();
    let cx = Cx::new(gpu).with_tape();
    let outputs = (case.run)(&cx, &inputs)?;
    let recorded: Vec<bool> = outputs.iter().map(|y| y.var() != Var::Constant).collect();
    // Of the pass, with guard words: an operation may hand its output's gradient on as it is.
    let seed = |g: &Host| {
        let seed = cx.out(g.shape);
        cx.copy_into(&g.upload(gpu), &seed, 0)?;
        Ok(seed)
    };
    let seeds = cotangents.iter().map(seed).collect::<Result<Vec<Tensor>>>()?;
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
