//! One step of a beam search: which continuations of which beams go on.

use super::{Case, KernelUse, Row};
use crate::gpu::{Grid, Variant};
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(
    FWD = "index/beam_fwd",
    Params,
    BeamBinds { logits, before, places, after, parents, symbols, trail }
);
params! { struct Params { images: u32, beams: u32, classes: u32, step: u32, end: u32 } }

/// Most beams of an image.
const MOST: usize = 8;
const WG: usize = 64;
/// Score of a beam that does not go on.
pub const NEVER: f32 = -1e30;

/// The beams of a batch behind a step, best first.
pub struct Beams {
    /// Joint log-probabilities `[N, W]`; [`NEVER`] for beams that have ended.
    pub scores: Tensor,
    /// Which beam each continues, u32 `[N, W]`.
    pub parents: Tensor,
    /// Their last symbols, u32 `[N, W]`.
    pub symbols: Tensor,
}

/// Adds the log soft-max of `logits [N, W, V]` to the beams' `scores [N, W]` and takes the W best of the W·V candidates of each
/// image, of equals the lower. The beams that emit `end` do not go on. Row `step` of `trail [T, N, W, 4]` gets score, parent,
/// symbol, and of `places [N, W]` that of the parent.
///
/// # Errors
/// Shapes that do not fit, more than 8 beams, fewer classes than beams, and operands that a gradient is asked of.
pub fn beam_step(
    cx: &Cx,
    logits: &Tensor,
    scores: &Tensor,
    places: &Tensor,
    trail: &Tensor,
    step: usize,
    end: u32,
) -> Result<Beams> {
    const OP: &str = "beam_step";
    let [n, beams, classes] = logits.shape().nlc(OP)?;
    cx.expect(OP, "scores", scores, [n, beams])?;
    cx.expect(OP, "places", places, [n, beams])?;
    let steps = trail.dims().first().copied().unwrap_or(0);
    cx.expect(OP, "trail", trail, [steps, n, beams, 4])?;
    if !(1..=MOST).contains(&beams) || classes < beams || step >= steps {
        return Err(Error::new(ErrorKind::Shape, OP, "beams, classes and step")
            .expected(format!("1 to {MOST} beams, as many classes, a step below {steps}"))
            .got(format!("{} at step {step}", logits.shape())));
    }
    if cx.tracks(&[logits, scores, places]) {
        return Err(Error::new(ErrorKind::Argument, OP, "a gradient").expected("none to be asked"));
    }
    let after = Beams {
        scores: cx.out_f32([n, beams]),
        parents: cx.out_u32([n, beams]),
        symbols: cx.out_u32([n, beams]),
    };
    let p = Params {
        images: to_u32(n),
        beams: to_u32(beams),
        classes: to_u32(classes),
        step: to_u32(step),
        end,
    };
    let binds = BeamBinds {
        logits: logits.read(),
        before: scores.read(),
        places: places.read(),
        after: after.scores.write(),
        parents: after.parents.write(),
        symbols: after.symbols.write(),
        trail: trail.write(),
    };
    cx.run(&FWD, &variant(), Grid::linear(n), &p, binds)?;
    Ok(after)
}

fn variant() -> Variant {
    Variant::new().set("WG", to_u32(WG))
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "beam_step",
    kernels: &[KernelUse { kernel: &FWD, variants: || vec![variant()] }],
    tolerance: 1e-6,
    gradient: 1e-6,
    cases,
};

fn cases() -> Vec<Case> {
    let case = |why: &str, [n, beams, classes]: [usize; 3], ended: &'static [usize], end: u32| {
        let label = format!("[{n}, {beams}] of {classes}, ends with {end}: {why}");
        let mut s = Seeded::new(&label);
        let mut scores = s.uniform([n, beams], -4.0, 0.0);
        ended.iter().for_each(|b| scores.data[*b] = f64::from(NEVER));
        let inputs = vec![
            s.uniform([n, beams, classes], -6.0, 6.0),
            scores,
            s.uniform([n, beams], 0.0, 1.0),
        ];
        let run = move |cx: &Cx, t: &[Tensor]| {
            let trail = cx.out_f32([1, n, beams, 4]);
            let b = beam_step(cx, &t[0], &t[1], &t[2], &trail, 0, end)?;
            Ok(vec![b.scores, b.parents, b.symbols, trail])
        };
        // Scores that are near each other may change places where they are stored as f16.
        Case::new(label, inputs, run, move |h| oracle(h, end)).without_gradient().f32_only()
    };
    vec![
        case("one of each", [1, 1, 1], &[], 7),
        case("primes", [3, 3, 7], &[4], 2),
        case("some have ended", [2, 5, 97], &[1, 2, 9], 94),
        case("the start: only the first goes on", [2, 5, 97], &[1, 2, 3, 4, 6, 7, 8, 9], 94),
        case("none goes on: the lowest candidates", [1, 5, 97], &[0, 1, 2, 3, 4], 94),
        case("as many beams as fit, more classes than a workgroup", [2, 8, 131], &[], 1),
    ]
}

/// Reference: all candidates in order.
fn oracle(h: &[Host], end: u32) -> Vec<Host> {
    let [n, beams, classes] = h[0].shape.nlc("oracle").expect("beams");
    let mut after = Host::zeros([n, beams]);
    let (mut parents, mut symbols) = (after.clone().into_u32(), after.clone().into_u32());
    let mut trail = Host::zeros([1, n, beams, 4]);
    for image in 0..n {
        let rows = h[0].data[image * beams * classes..][..beams * classes].chunks_exact(classes);
        let mut all = Vec::new();
        for (b, row) in rows.enumerate() {
            let sum = row.iter().map(|v| v.exp()).sum::<f64>().ln();
            all.extend(row.iter().map(|v| h[1].data[image * beams + b] + (v - sum)));
        }
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by(|a, b| all[*b].total_cmp(&all[*a]));
        for (w, i) in order[..beams].iter().enumerate() {
            let (at, parent, symbol) = (image * beams + w, i / classes, i % classes);
            let ended = symbol == end as usize;
            after.data[at] = if ended { f64::from(NEVER) } else { all[*i] };
            parents.data[at] = parent as f64;
            symbols.data[at] = symbol as f64;
            let place = h[2].data[image * beams + parent];
            let row = [all[*i], parent as f64, symbol as f64, place];
            trail.data[at * 4..][..4].copy_from_slice(&row);
        }
    }
    vec![after, parents, symbols, trail]
}
