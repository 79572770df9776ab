//! Losses: mean squared and mean absolute difference, and cross entropy with shares of rows and weights of classes.

use super::pointwise::off_kink;
use super::{Case, KernelUse, Row, element, sum_to};
use crate::gpu::Variant;
use crate::shape::to_u32;
use crate::tensor::{Cx, Dtype, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(DIFFERENCE = "loss/difference_fwd", Difference, DifferenceBinds { a, b, y });
kernel!(DIFFERENCE_BWD = "loss/difference_bwd", Difference, DifferenceBwdBinds { a, b, dy, da });
kernel!(
    ENTROPY = "loss/cross_entropy_fwd",
    Entropy,
    EntropyBinds { z, target_class, share, table, y, most, total }
);
kernel!(
    ENTROPY_BWD = "loss/cross_entropy_bwd",
    Entropy,
    EntropyBwdBinds { z, target_class, share, table, most, total, dy, dz }
);
params! { struct Difference { n: u32, factor: f32 } }
params! { struct Entropy { rows: u32, classes: u32 } }

/// Mean of (a − b)² over all elements, `[1]`, with gradients to both: `torch.nn.MSELoss`.
///
/// # Errors
/// Shapes that differ, or no element.
pub fn mean_squared(cx: &Cx, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    difference(cx, "mean_squared", a, b, false)
}

/// Mean of |a − b| over all elements, `[1]`, with gradients to both, 0 where a = b: `torch.nn.L1Loss`.
///
/// # Errors
/// Shapes that differ, or no element.
pub fn mean_absolute(cx: &Cx, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    difference(cx, "mean_absolute", a, b, true)
}

fn difference(cx: &Cx, op: &'static str, a: &Tensor, b: &Tensor, absolute: bool) -> Result<Tensor> {
    cx.expect(op, "b", b, a.shape())?;
    not_empty(op, a)?;
    let width = element::width(&[a.len()]);
    let (n, variant) = (a.len() / width, difference_variant(width, absolute));
    let terms = cx.out([a.len()]);
    let share = 1.0 / a.len() as f32;
    let p = Difference { n: to_u32(n), factor: share };
    let binds = DifferenceBinds { a: a.read(), b: b.read(), y: terms.write() };
    cx.run(&DIFFERENCE, &variant, element::grid(n), &p, binds)?;
    let loss = sum_to(cx, &terms, [1])?;
    let saved = [a, b].map(Tensor::clone);
    Ok(cx.record(op, [a, b], loss, move |cx, dy, need| {
        let [a, b] = &saved;
        let towards = |factor: f32| {
            let d = cx.out(a.shape());
            let binds =
                DifferenceBwdBinds { a: a.read(), b: b.read(), dy: dy.read(), da: d.write() };
            let p = Difference { factor, ..p };
            cx.run(&DIFFERENCE_BWD, &variant, element::grid(n), &p, binds)?;
            Ok(d)
        };
        let da = need[0].then(|| towards(share)).transpose()?;
        let db = need[1].then(|| towards(-share)).transpose()?;
        Ok([da, db])
    }))
}

fn difference_variant(width: usize, absolute: bool) -> Variant {
    element::variant(width).set("ABSOLUTE", absolute)
}

fn not_empty(op: &str, x: &Tensor) -> Result<()> {
    match x.is_empty() {
        true => {
            Err(Error::new(ErrorKind::Shape, op, "elements").expected("at least 1").got(x.shape()))
        }
        false => Ok(()),
    }
}

/// Cross entropy of `logits [M, C]` with classes `targets` (u32 `[M]`), `[1]`:
/// Σᵢ shareᵢ · −ln(w_g·e^(z_g) / Σ_c w_c·e^(z_c)), where g is the class of row i and w row g of `table [C, C]`, or all ones.
/// Shares of 1/M make it `torch.nn.CrossEntropyLoss`. A row with share 0 contributes nothing, whatever it holds. Only the
/// logits have a gradient. Classes from C on count as the last.
///
/// # Errors
/// Operands whose shapes or types do not fit, or no row.
pub fn cross_entropy(
    cx: &Cx,
    logits: &Tensor,
    targets: &Tensor,
    share: &Tensor,
    table: Option<&Tensor>,
) -> Result<Tensor> {
    const OP: &str = "cross_entropy";
    let (rows, classes) = logits.shape().rows_by_last();
    cx.expect(OP, "logits", logits, [rows, classes])?;
    not_empty(OP, logits)?;
    cx.expect(OP, "targets", targets, [rows])?;
    cx.expect(OP, "share", share, [rows])?;
    if targets.dtype() != Dtype::U32 {
        return Err(Error::new(ErrorKind::Shape, OP, "type of targets")
            .expected("u32")
            .got(format!("{targets:?}")));
    }
    if let Some(t) = table {
        cx.expect(OP, "table", t, [classes, classes])?;
    }
    let [terms, most, total] = [(); 3].map(|()| cx.out([rows]));
    let variant = entropy_variant(table.is_some());
    let p = Entropy { rows: to_u32(rows), classes: to_u32(classes) };
    let binds = EntropyBinds {
        z: logits.read(),
        target_class: targets.read(),
        share: share.read(),
        table: Tensor::read_or_absent(table),
        y: terms.write(),
        most: most.write(),
        total: total.write(),
    };
    cx.run(&ENTROPY, &variant, element::grid(rows), &p, binds)?;
    let loss = sum_to(cx, &terms, [1])?;
    let saved = [logits, targets, share, &most, &total].map(Tensor::clone);
    let table = table.cloned();
    Ok(cx.record(OP, [logits], loss, move |cx, dy, _| {
        let [logits, targets, share, most, total] = &saved;
        let dz = cx.out(logits.shape());
        let binds = EntropyBwdBinds {
            z: logits.read(),
            target_class: targets.read(),
            share: share.read(),
            table: Tensor::read_or_absent(table.as_ref()),
            most: most.read(),
            total: total.read(),
            dy: dy.read(),
            dz: dz.write(),
        };
        cx.run(&ENTROPY_BWD, &variant, element::grid(logits.len()), &p, binds)?;
        Ok([Some(dz)])
    }))
}

fn entropy_variant(table: bool) -> Variant {
    element::scalar().set("HAS_TABLE", table)
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "loss",
    kernels: &[
        KernelUse { kernel: &DIFFERENCE, variants: difference_variants },
        KernelUse { kernel: &DIFFERENCE_BWD, variants: difference_variants },
        KernelUse { kernel: &ENTROPY, variants: entropy_variants },
        KernelUse { kernel: &ENTROPY_BWD, variants: entropy_variants },
    ],
    tolerance: 1e-6,
    gradient: 5e-6,
    cases,
};

fn difference_variants() -> Vec<Variant> {
    [(1, false), (1, true), (4, false), (4, true)].map(|(w, a)| difference_variant(w, a)).into()
}

fn entropy_variants() -> Vec<Variant> {
    [false, true].map(entropy_variant).into()
}

fn cases() -> Vec<Case> {
    let difference = |why: &str, shape: &[usize], absolute: bool| {
        let label = format!("mean difference {shape:?} absolute={absolute}: {why}");
        let mut s = Seeded::new(&label);
        let (mut a, b) = (s.signed(shape), s.signed(shape));
        if absolute {
            // a − b is an odd multiple of 1/16 up to the rounding of a.
            let d = off_kink(s.uniform(shape, -2.0, 2.0));
            a.data
                .iter_mut()
                .zip(b.data.iter().zip(&d.data))
                .for_each(|(a, (b, d))| *a = f64::from((b + d) as f32));
        }
        let flops = 4.0 * a.data.len() as f64;
        let run = move |cx: &Cx, t: &[Tensor]| {
            let loss = if absolute { mean_absolute } else { mean_squared };
            Ok(vec![loss(cx, &t[0], &t[1])?])
        };
        Case::new(label, vec![a, b], run, move |h| vec![difference_oracle(h, absolute)])
            .bench(flops)
    };
    let entropy = |why: &str, m: usize, c: usize, table: bool, size: f64| {
        let label = format!("cross entropy [{m}, {c}] table={table}, logits to {size}: {why}");
        let mut s = Seeded::new(&label);
        let mut logits = s.uniform([m, c], -size, size);
        let targets = s.ints([m], 0, to_u32(c));
        let mut share = s.uniform([m], 0.5 / m as f64, 1.5 / m as f64);
        for row in (2..m).step_by(5) {
            share.data[row] = 0.0;
            logits.data[row * c..(row + 1) * c].fill(f64::from(3e38f32));
        }
        let mut inputs = vec![logits, targets, share];
        if table {
            inputs.push(s.uniform([c, c], 0.3, 50.0));
        }
        let flops = 5.0 * (m * c) as f64;
        let run =
            |cx: &Cx, t: &[Tensor]| Ok(vec![cross_entropy(cx, &t[0], &t[1], &t[2], t.get(3))?]);
        // Shares and weights are constants by contract.
        Case::new(label, inputs, run, |h| vec![entropy_oracle(h)]).gradient_of(&[0]).bench(flops)
    };
    vec![
        difference("one number", &[1], false),
        difference("primes", &[5, 7, 3], false),
        difference("primes", &[5, 7, 3], true),
        difference("super-resolved images", &[16, 32, 128, 3], false),
        difference("attention maps", &[4, 26, 256], true),
        entropy("one class is certain", 1, 1, false, 1.0),
        entropy("primes", 7, 11, true, 3.0),
        entropy("one above a workgroup", 65, 5, false, 3.0),
        entropy("probabilities taken for logits", 416, 37, false, 1.0),
        entropy("the recognizer's characters", 150, 37, true, 15.0),
        entropy("exponentials that overflow", 4, 6, true, 200.0),
    ]
}

fn difference_oracle(h: &[Host], absolute: bool) -> Host {
    let pairs = h[0].data.iter().zip(&h[1].data);
    let sum: f64 = pairs.map(|(a, b)| if absolute { (a - b).abs() } else { (a - b).powi(2) }).sum();
    Host::new([1], vec![sum / h[0].data.len() as f64])
}

fn entropy_oracle(h: &[Host]) -> Host {
    let (rows, classes) = h[0].shape.rows_by_last();
    let mut sum = 0.0;
    for row in (0..rows).filter(|row| h[2].data[*row] != 0.0) {
        let z = &h[0].data[row * classes..(row + 1) * classes];
        let g = h[1].data[row] as usize;
        let w = |c: usize| h.get(3).map_or(1.0, |t| t.data[g * classes + c]);
        let most = z.iter().fold(f64::NEG_INFINITY, |m, v| m.max(*v));
        let total: f64 = z.iter().enumerate().map(|(c, v)| w(c) * (v - most).exp()).sum();
        sum += h[2].data[row] * (most - z[g] + (total / w(g)).ln());
    }
    Host::new([1], vec![sum])
}
