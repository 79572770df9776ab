//! Dropout:  y = x·m / (1 − p),  m = 1 with probability 1 − p and else 0.
//!
//! The mask is a function of seed, step, part, site and element and of nothing else, so that no tensor holds it: the gradient
//! computes it again.

use super::{Case, KernelUse, Row, element};
use crate::shape::to_u32;
use crate::tensor::{Cx, Dropout, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(FWD = "elementwise/dropout_fwd", Params, FwdBinds { x, place, y });
params! { struct Params { n: u32, seed: u32, site: u32, threshold: u32, scale: f32 } }

/// Drops values of `x` as the pass's mode says: `x` itself where nothing is dropped. `torch.nn.Dropout`, with other random
/// numbers.
///
/// # Errors
/// A probability outside [0, 1).
pub fn dropout(cx: &Cx, x: &Tensor) -> Result<Tensor> {
    match cx.next_dropout() {
        Some(at) => dropout_at(cx, x, &at),
        None => Ok(x.clone()),
    }
}

/// [`dropout`] with its random numbers named. At most 2³² values.
fn dropout_at(cx: &Cx, x: &Tensor, at: &Dropout) -> Result<Tensor> {
    cx.expect("dropout", "step and part", &at.at, [2])?;
    if !(0.0..1.0).contains(&at.probability) {
        return Err(Error::new(ErrorKind::Argument, "dropout", "probability")
            .expected("at least 0 and below 1")
            .got(at.probability));
    }
    let (y, at) = (masked(cx, x, at)?, at.clone());
    Ok(cx.record("dropout", [x], y, move |cx, dy, _| Ok([Some(masked(cx, &dy, &at)?)])))
}

fn masked(cx: &Cx, x: &Tensor, at: &Dropout) -> Result<Tensor> {
    let y = cx.out(x.shape());
    let Dropout { probability, seed, site, .. } = *at;
    let (threshold, scale) = (threshold(probability), 1.0 / (1.0 - probability));
    let width = element::width(&[x.len()]);
    let n = x.len() / width;
    let p = Params { n: to_u32(n), seed, site, threshold, scale };
    let binds = FwdBinds { x: x.read(), place: at.at.read(), y: y.write() };
    cx.run(&FWD, &element::variant(width), element::grid(n), &p, binds)?;
    Ok(y)
}

/// Random words below this are dropped.
fn threshold(probability: f32) -> u32 {
    (f64::from(probability) * 4_294_967_296.0) as u32
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "dropout",
    kernels: &[KernelUse { kernel: &FWD, variants: element::variants }],
    tolerance: 2e-7,
    gradient: 1e-6,
    cases,
};

fn cases() -> Vec<Case> {
    let case = |why: &str, shape: &[usize], probability: f32, site: u32| {
        let label = format!("{shape:?} with {probability} at site {site}: {why}");
        let x = Seeded::new(&label).signed(shape);
        let flops = x.data.len() as f64;
        let at = Key { probability, seed: 0xfeed_beef, step: 70_001, part: 3, site };
        let run = move |cx: &Cx, t: &[Tensor]| {
            let place = Tensor::upload_u32(cx.gpu(), [2], &[at.step, at.part]);
            let at = Dropout { probability, seed: at.seed, at: place, site };
            Ok(vec![dropout_at(cx, &t[0], &at)?])
        };
        Case::new(label, vec![x], run, move |h| vec![oracle(&h[0], at)]).bench(flops)
    };
    vec![
        case("nothing dropped", &[3, 5], 0.0, 0),
        case("one value", &[1], 0.5, 1),
        case("primes", &[7, 11], 0.3, 2),
        case("one above a workgroup", &[65], 0.9, 3),
        case("feed-forward of the recognizer", &[8, 256, 512], 0.1, 4),
    ]
}

/// What a mask is a function of, besides the element.
#[derive(Debug, Clone, Copy)]
struct Key {
    probability: f32,
    seed: u32,
    step: u32,
    part: u32,
    site: u32,
}

/// Reference in f64, with the mask in integers.
fn oracle(x: &Host, at: Key) -> Host {
    let (limit, keep) = (threshold(at.probability), 1.0 - f64::from(at.probability));
    let masked = |(i, v): (usize, &f64)| if word(at, to_u32(i)) < limit { 0.0 } else { v / keep };
    Host { data: x.data.iter().enumerate().map(masked).collect(), ..x.clone() }
}

/// The random word of element `i`, as `shaders/shared/random.wgsl` makes it.
fn word(at: Key, i: u32) -> u32 {
    [at.step, at.site | (at.part << 16), i]
        .into_iter()
        .fold(pcg(at.seed), |state, part| pcg(state ^ part))
}

/// One step of PCG-RXS-M-XS with 32 bits of state (O'Neill 2014).
fn pcg(value: u32) -> u32 {
    let state = value.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_fair_and_sites_and_steps_independent() {
        const N: u32 = 100_000;
        let at = Key { probability: 0.25, seed: 7, step: 3, part: 0, site: 5 };
        let dropped = |at: Key, i| word(at, i) < threshold(at.probability);
        let count =
            |f: &dyn Fn(u32) -> bool| (0..N).filter(|i| f(*i)).count() as f64 / f64::from(N);
        assert!((count(&|i| dropped(at, i)) - 0.25).abs() < 0.005);
        let others = [
            Key { seed: 8, ..at },
            Key { step: 4, ..at },
            Key { site: 6, ..at },
            Key { step: 5, site: 3, ..at },
            Key { part: 1, ..at },
        ];
        for other in others {
            let both = count(&|i| dropped(at, i) && dropped(other, i));
            assert!((both - 0.0625).abs() < 0.004, "{other:?}: {both}");
        }
        let neighbors = count(&|i| dropped(at, i) && dropped(at, i + 1));
        assert!((neighbors - 0.0625).abs() < 0.004, "{neighbors}");
    }
}
