//! The largest of several maps at every pixel, maps beyond the length counting as zero.

use super::{Case, KernelUse, Row, element};
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(MASKED_MAX = "reduce/masked_max_fwd", Params, MaskedMaxBinds { maps, lengths, y, winner });
kernel!(BACKWARD = "reduce/masked_max_bwd", Params, BackwardBinds { winner, lengths, dy, dmaps });
params! { struct Params { n: u32, steps: u32, pixels: u32 } }

/// `max over t of maps[n, t, p]·[t < lengths[n]]`: `maps [N, T, P]` and u32 `[N]` → the maximum `[N, P]` and the lowest t that
/// attains it, u32 `[N, P]` (LEMMA, the compression of section 3.2). The gradient goes to that t alone, and nowhere where a zero beyond the length wins.
///
/// # Errors
/// No map at all, or lengths that do not fit.
pub fn masked_max(cx: &Cx, maps: &Tensor, lengths: &Tensor) -> Result<(Tensor, Tensor)> {
    let [n, steps, pixels] = maps.shape().nlc("masked_max")?;
    cx.expect("masked_max", "lengths", lengths, [n])?;
    if steps == 0 {
        return Err(Error::new(ErrorKind::Shape, "masked_max", "number of maps")
            .expected("at least 1")
            .got(maps.shape()));
    }
    // What is compared further.
    let (y, winner) = (cx.out_f32([n, pixels]), cx.out_u32([n, pixels]));
    if y.is_empty() {
        return Ok((y, winner));
    }
    let p = Params { n: to_u32(y.len()), steps: to_u32(steps), pixels: to_u32(pixels) };
    let binds = MaskedMaxBinds {
        maps: maps.read(),
        lengths: lengths.read(),
        y: y.write(),
        winner: winner.write(),
    };
    cx.run(&MASKED_MAX, &element::scalar(), element::grid(y.len()), &p, binds)?;
    let (won, lengths, shape) = (winner.clone(), lengths.clone(), maps.shape());
    let y = cx.record("masked_max", [maps], y, move |cx, dy, _| {
        let dmaps = cx.out(shape);
        let p = Params { n: to_u32(dmaps.len()), ..p };
        let binds = BackwardBinds {
            winner: won.read(),
            lengths: lengths.read(),
            dy: dy.read(),
            dmaps: dmaps.write(),
        };
        cx.run(&BACKWARD, &element::scalar(), element::grid(dmaps.len()), &p, binds)?;
        Ok([Some(dmaps)])
    });
    Ok((y, winner))
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "masked_max",
    kernels: &[
        KernelUse { kernel: &MASKED_MAX, variants: || vec![element::scalar()] },
        KernelUse { kernel: &BACKWARD, variants: || vec![element::scalar()] },
    ],
    tolerance: 0.0,
    gradient: 1e-6,
    cases,
};

fn cases() -> Vec<Case> {
    let maps = |why: &str, [n, t, p]: [usize; 3], low: f64, lengths: &[u32], apart: f64| {
        let label = format!("[{n}, {t}, {p}] from {low}, lengths {lengths:?}: {why}");
        let mut s = Seeded::new(&label);
        // Coarse values, then each map shifted by an odd multiple of `apart`: no two maps tie, and none is zero.
        let mut maps = s.uniform([n, t, p], low, low + 2.0);
        let shift = |i: usize| apart * (2 * (i / p % t) + 1) as f64;
        let values = maps.data.iter_mut().enumerate();
        values.for_each(|(i, v)| *v = (*v * 8.0).round() / 8.0 + shift(i));
        let lengths: Vec<f64> = lengths.iter().map(|l| f64::from(*l)).collect();
        Case::new(
            label,
            vec![maps, Host::new([n], lengths).into_u32()],
            |cx, t| masked_max(cx, &t[0], &t[1]).map(|(y, winner)| vec![y, winner]),
            |h| oracle(&h[0], &h[1]),
        )
    };
    let case = |why: &str, shape: [usize; 3], low: f64, lengths: &[u32]| {
        maps(why, shape, low, lengths, 1.0 / 1024.0)
    };
    vec![
        case("one value", [1, 1, 1], -2.0, &[1]),
        case("nothing valid", [1, 3, 5], -1.0, &[0]),
        case("primes", [3, 7, 67], -1.0, &[3, 7, 1]),
        case("negative maps lose to the zeros beyond the length", [2, 5, 9], -3.0, &[2, 5]),
        case("a length beyond the maps", [1, 4, 65], -1.0, &[99]),
        case("guidance", [2, 26, 1024], -0.1, &[9, 26]).bench(2.0 * 26.0 * 1024.0),
        // Where two are equal there is no derivative to compare with.
        maps("ties", [3, 7, 67], -1.0, &[3, 7, 1], 0.0).without_gradient(),
    ]
}

/// Reference by plain loops.
fn oracle(maps: &Host, lengths: &Host) -> Vec<Host> {
    let [n, steps, pixels] = maps.shape.nlc("oracle").expect("three axes");
    let mut y = Host::zeros([n, pixels]);
    let mut winner = Host::zeros([n, pixels]).into_u32();
    for i in 0..n {
        for p in 0..pixels {
            let value = |t: usize| {
                let valid = (t as f64) < lengths.data[i];
                if valid { maps.data[(i * steps + t) * pixels + p] } else { 0.0 }
            };
            let mut best = 0;
            let wins = |t: usize, best: usize| value(t) > value(best) || value(t).is_nan();
            (1..steps).for_each(|t| best = if wins(t, best) { t } else { best });
            y.data[i * pixels + p] = value(best);
            winner.data[i * pixels + p] = best as f64;
        }
    }
    vec![y, winner]
}
