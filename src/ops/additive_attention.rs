//! Additive attention of one step ("Neural machine translation by jointly learning to align and translate"): a query that is
//! compared with the positions of a short sequence by a small network.

use super::{Case, KernelUse, Row};
use crate::gpu::{Grid, Variant};
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(
    FWD = "attention/additive_fwd",
    Params,
    AdditiveBinds { query, keys, values, vector, context, places }
);
params! { struct Params { rows: u32, per_image: u32, length: u32, width: u32, channels: u32 } }

/// Most positions of a sequence.
const MOST: usize = 32;
const WG: usize = 64;

/// What queries attend to.
#[derive(Clone, Copy)]
pub struct Memory<'a> {
    /// Projected positions `[N, L, A]`.
    pub keys: &'a Tensor,
    /// What is mixed, `[N, L, C]`.
    pub values: &'a Tensor,
    /// What weighs the channels of a comparison, `[A]`.
    pub vector: &'a Tensor,
}

/// For each `query [R, A]`, R / N of them for each image: e_j = v·tanh(q + k_j), α = soft-max(e). Returns the context
/// Σ α_j x_j, `[R, C]`, and where the query looked as a share of the length, Σ α_j·(j + ½)/L, `[R]`.
///
/// # Errors
/// Shapes that do not fit, sequences of none or more than 32 positions, and operands that a gradient is asked of.
pub fn additive_attention(cx: &Cx, query: &Tensor, memory: Memory) -> Result<[Tensor; 2]> {
    const OP: &str = "additive_attention";
    let Memory { keys, values, vector } = memory;
    let [n, length, width] = keys.shape().nlc(OP)?;
    let channels = values.shape().last();
    let (rows, _) = query.shape().rows_by_last();
    cx.expect(OP, "query", query, [rows, width])?;
    cx.expect(OP, "values", values, [n, length, channels])?;
    cx.expect(OP, "vector", vector, [width])?;
    if !(1..=MOST).contains(&length) || n == 0 || !rows.is_multiple_of(n) {
        return Err(Error::new(ErrorKind::Shape, OP, "keys")
            .expected(format!("1 to {MOST} positions of a divisor of {rows} images"))
            .got(keys.shape()));
    }
    if cx.tracks(&[query, keys, values, vector]) {
        return Err(Error::new(ErrorKind::Argument, OP, "a gradient").expected("none to be asked"));
    }
    let (context, places) = (cx.out([rows, channels]), cx.out_f32([rows]));
    let p = Params {
        rows: to_u32(rows),
        per_image: to_u32(rows / n),
        length: to_u32(length),
        width: to_u32(width),
        channels: to_u32(channels),
    };
    let binds = AdditiveBinds {
        query: query.read(),
        keys: keys.read(),
        values: values.read(),
        vector: vector.read(),
        context: context.write(),
        places: places.write(),
    };
    cx.run(&FWD, &variant(), Grid::linear(rows), &p, binds)?;
    Ok([context, places])
}

fn variant() -> Variant {
    Variant::new().set("WG", to_u32(WG))
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "additive_attention",
    kernels: &[KernelUse { kernel: &FWD, variants: || vec![variant()] }],
    tolerance: 3e-6,
    gradient: 1e-6,
    cases,
};

fn cases() -> Vec<Case> {
    let case = |why: &str, n: usize, rows: usize, [length, width, channels]: [usize; 3]| {
        let label = format!("{rows} rows on [{n}, {length}] of {width} and {channels}: {why}");
        let mut s = Seeded::new(&label);
        let inputs = vec![
            s.signed([rows, width]),
            s.signed([n, length, width]),
            s.signed([n, length, channels]),
            s.signed([width]),
        ];
        let run = |cx: &Cx, t: &[Tensor]| {
            let memory = Memory { keys: &t[1], values: &t[2], vector: &t[3] };
            Ok(additive_attention(cx, &t[0], memory)?.into())
        };
        let case = Case::new(label, inputs, run, oracle).without_gradient();
        case.bench((rows * length * (3 * width + 2 * channels)) as f64)
    };
    vec![
        case("one of each", 1, 1, [1, 1, 1]),
        case("primes", 2, 6, [7, 5, 3]),
        case("as many positions as fit", 1, 2, [32, 65, 66]),
        case("five beams", 2, 10, [25, 512, 512]),
    ]
}

/// Reference: one query after the other.
fn oracle(h: &[Host]) -> Vec<Host> {
    let [query, keys, values, vector] = [0, 1, 2, 3].map(|i| &h[i]);
    let [n, length, width] = keys.shape.nlc("oracle").expect("a sequence");
    let (rows, channels) = (query.dims()[0], values.shape.last());
    let mut context = Host::zeros([rows, channels]);
    let mut places = Host::zeros([rows]);
    for row in 0..rows {
        let first = row / (rows / n) * length;
        let score = |j: usize| -> f64 {
            let key = &keys.data[(first + j) * width..][..width];
            let own = &query.data[row * width..][..width];
            own.iter().zip(key).zip(&vector.data).map(|((q, k), v)| v * (q + k).tanh()).sum()
        };
        let scores: Vec<f64> = (0..length).map(score).collect();
        let most = scores.iter().fold(f64::NEG_INFINITY, |m, v| m.max(*v));
        let total: f64 = scores.iter().map(|v| (v - most).exp()).sum();
        for (j, score) in scores.iter().enumerate() {
            let weight = (score - most).exp() / total;
            places.data[row] += weight * (j as f64 + 0.5) / length as f64;
            for c in 0..channels {
                context.data[row * channels + c] +=
                    weight * values.data[(first + j) * channels + c];
            }
        }
    }
    vec![context, places]
}
