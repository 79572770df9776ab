//! A stable sort of the scores of each image: who comes at which place, and which place everybody has.

use super::{Case, KernelUse, Row};
use crate::gpu::{Grid, Variant};
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(RANK = "index/rank_fwd", Params, RankBinds { score, order, rank });
params! { struct Params { images: u32, cols: u32, blocks: u32 } }

/// Most scores of an image.
const MOST: usize = 1024;
/// Invocations of a workgroup.
const WG: usize = 64;
/// Quads of positions of an invocation.
const OWN: usize = 2;

/// Two views of one sorting, inverse to each other.
pub struct Order {
    /// u32 `[N, P]`: positions by descending score; of equal scores the lower position comes first.
    pub order: Tensor,
    /// u32 `[N, P]`: the place of each position in that order.
    pub rank: Tensor,
}

/// Sorts `score [N, P]`, P ≤ 1024, in descending order within each image. Zeros are equal whatever their sign, and a NaN
/// counts as the largest, as in `torch.sort(descending=True, stable=True)`.
///
/// # Errors
/// Other axes than two, or more than 1024 scores.
pub fn sort_descending(cx: &Cx, score: &Tensor) -> Result<Order> {
    let &[images, cols] = score.dims() else { return Err(misfit(score)) };
    if cols > MOST {
        return Err(misfit(score));
    }
    let sorted = Order { order: cx.out_u32(score.shape()), rank: cx.out_u32(score.shape()) };
    if score.is_empty() {
        return Ok(sorted);
    }
    let blocks = cols.div_ceil(4 * OWN * WG);
    let p = Params { images: to_u32(images), cols: to_u32(cols), blocks: to_u32(blocks) };
    let binds =
        RankBinds { score: score.read(), order: sorted.order.write(), rank: sorted.rank.write() };
    cx.run(&RANK, &variant(), Grid::linear(images * blocks), &p, binds)?;
    Ok(sorted)
}

fn misfit(score: &Tensor) -> Error {
    Error::new(ErrorKind::Shape, "sort_descending", "shape of the scores")
        .expected(format!("[N, P] with P up to {MOST}"))
        .got(score.shape())
}

fn variant() -> Variant {
    Variant::new().set("WG", to_u32(WG)).tile("OWN", to_u32(OWN))
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "sort_descending",
    kernels: &[KernelUse { kernel: &RANK, variants: || vec![variant()] }],
    tolerance: 0.0,
    gradient: 1e-5,
    cases,
};

fn cases() -> Vec<Case> {
    let case = |why: &str, score: Host| {
        Case::new(
            format!("{}: {why}", score.shape),
            vec![score],
            |cx, t| {
                let sorted = sort_descending(cx, &t[0])?;
                Ok(vec![sorted.order, sorted.rank])
            },
            |h| oracle(&h[0]),
        )
        // Places are integers: there is no derivative.
        .without_gradient()
    };
    let random = |n: usize, p: usize| Seeded::new(&format!("scores {n} {p}")).signed([n, p]);
    let mut ties = Seeded::new("ties").uniform([2, 1024], -1.0, 2.0);
    ties.data.iter_mut().for_each(|v| *v = v.max(0.0));
    let edge = [0.0, -0.0, 1e-40, -1e-40, f64::INFINITY, -f64::INFINITY, 0.0, -0.0, -3.5, 3.5];
    vec![
        case("one score", random(1, 1)),
        case("primes", random(3, 67)),
        case("one below a workgroup", random(2, 511)),
        case("one above a workgroup", random(2, 513)),
        case("the pixels of an image", random(8, 1024)).bench(8.0 * 1024.0 * 1024.0),
        case("a third of the pixels tie at zero", ties),
        case("all equal", Host::zeros([2, 1000])),
        case("zeros of both signs, denormals, infinities", Host::new([1, 10], edge.to_vec())),
        case("a NaN is the largest", Host::new([1, 5], vec![2.0, -f64::NAN, 3.0, f64::NAN, -1.0])),
        case("more workgroups than one grid axis", Seeded::new("many").signed([65_537, 2])),
    ]
}

/// Reference: the standard library's stable sort.
fn oracle(score: &Host) -> Vec<Host> {
    let mut order = Host::zeros(score.shape).into_u32();
    let mut rank = order.clone();
    let cols = score.shape.last();
    for (n, row) in score.data.chunks_exact(cols).enumerate() {
        let mut sorted: Vec<usize> = (0..cols).collect();
        let less = |a: f64, b: f64| b.is_nan() && !a.is_nan() || a < b;
        sorted.sort_by(|&a, &b| less(row[a], row[b]).cmp(&less(row[b], row[a])));
        for (place, &p) in sorted.iter().enumerate() {
            order.data[n * cols + place] = p as f64;
            rank.data[n * cols + p] = place as f64;
        }
    }
    vec![order, rank]
}
