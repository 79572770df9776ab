//! Selecting rows of each image by the order of a sort: taking the first k, blanking the others, putting them back.

use super::{Case, KernelUse, Row, element};
use crate::gpu::Variant;
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(GATHER = "index/gather_rows_fwd", Params, GatherBinds { x, at, y });
kernel!(INVERSE = "index/inverse_order_fwd", InverseParams, InverseBinds { at, y });
params! { struct Params {
    n: u32, cols: u32, from_rows: u32, to_rows: u32, at_cols: u32, limit: u32,
} }
params! { struct InverseParams { n: u32, rows: u32, at_cols: u32, limit: u32 } }

/// The first `k` rows by `order`: `[N, P, C]` and u32 `[N, P]` → `[N, k, C]`. A row beyond P, which no sort makes, is zero;
/// the gradient holds for orders that name no row twice.
///
/// # Errors
/// An `order` that does not fit, or more rows than there are.
pub fn gather_rows(cx: &Cx, x: &Tensor, order: &Tensor, k: usize) -> Result<Tensor> {
    let [n, p, _] = x.shape().nlc("gather_rows")?;
    cx.expect("gather_rows", "order", order, [n, p])?;
    if k > p {
        return Err(Error::new(ErrorKind::Shape, "gather_rows", "rows to take")
            .expected(format!("at most {p} of {}", x.shape()))
            .got(k));
    }
    let y = select(cx, x, order, k, p, false)?;
    let order = order.clone();
    Ok(cx.record("gather_rows", [x], y, move |cx, dy, _| {
        let rank = inverse_order(cx, &order, p, k)?;
        Ok([Some(select(cx, &dy, &rank, p, k, false)?)])
    }))
}

/// The rows whose `rank` (u32 `[N, P]`) is below `k`, in their places; the others become zero: `[N, P, C]` → `[N, P, C]`.
///
/// # Errors
/// A `rank` that does not fit.
pub fn keep_rows(cx: &Cx, x: &Tensor, rank: &Tensor, k: usize) -> Result<Tensor> {
    let [n, p, _] = x.shape().nlc("keep_rows")?;
    cx.expect("keep_rows", "rank", rank, [n, p])?;
    let y = select(cx, x, rank, p, k.min(p), true)?;
    let rank = rank.clone();
    Ok(cx.record("keep_rows", [x], y, move |cx, dy, _| Ok([Some(keep_rows(cx, &dy, &rank, k)?)])))
}

/// The inverse of [`gather_rows`]: row `rank[n, p]` of `rows [N, k, C]` goes to place p of `[N, P, C]`, zero where there is
/// none. The gradient holds for ranks that name no row twice.
///
/// # Errors
/// A `rank` whose batch differs.
pub fn scatter_rows(cx: &Cx, rows: &Tensor, rank: &Tensor) -> Result<Tensor> {
    let [n, k, _] = rows.shape().nlc("scatter_rows")?;
    let p = rank.shape().last();
    cx.expect("scatter_rows", "rank", rank, [n, p])?;
    let y = select(cx, rows, rank, p, k, false)?;
    let rank = rank.clone();
    Ok(cx.record("scatter_rows", [rows], y, move |cx, dy, _| {
        let order = inverse_order(cx, &rank, k, p)?;
        Ok([Some(select(cx, &dy, &order, k, p, false)?)])
    }))
}

/// Where among the first `limit` of `at [N, A]` each of `rows` numbers stands: u32 `[N, rows]`, beyond `limit` where nowhere.
fn inverse_order(cx: &Cx, at: &Tensor, rows: usize, limit: usize) -> Result<Tensor> {
    let (images, at_cols) = at.shape().rows_by_last();
    let y = cx.out_u32([images, rows]);
    let p = InverseParams {
        n: to_u32(y.len()),
        rows: to_u32(rows),
        at_cols: to_u32(at_cols),
        limit: to_u32(limit),
    };
    let binds = InverseBinds { at: at.read(), y: y.write() };
    cx.run(&INVERSE, &element::scalar(), element::grid(y.len()), &p, binds)?;
    Ok(y)
}

fn select(
    cx: &Cx,
    x: &Tensor,
    at: &Tensor,
    to_rows: usize,
    limit: usize,
    in_place: bool,
) -> Result<Tensor> {
    let [images, from_rows, channels] = x.shape().nlc("select")?;
    let y = cx.out([images, to_rows, channels]);
    if y.is_empty() {
        return Ok(y);
    }
    let width = element::width(&[channels]);
    let n = y.len() / width;
    let p = Params {
        n: to_u32(n),
        cols: to_u32(channels / width),
        from_rows: to_u32(from_rows),
        to_rows: to_u32(to_rows),
        at_cols: to_u32(at.shape().last()),
        limit: to_u32(limit),
    };
    let variant = variant(width, in_place);
    cx.run(
        &GATHER,
        &variant,
        element::grid(n),
        &p,
        GatherBinds { x: x.read(), at: at.read(), y: y.write() },
    )?;
    Ok(y)
}

fn variant(width: usize, in_place: bool) -> Variant {
    element::variant(width).set("IN_PLACE", in_place)
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "gather",
    kernels: &[
        KernelUse { kernel: &GATHER, variants },
        KernelUse { kernel: &INVERSE, variants: || vec![element::scalar()] },
    ],
    tolerance: 0.0,
    gradient: 1e-6,
    cases,
};

fn variants() -> Vec<Variant> {
    [1, 4].into_iter().flat_map(|w| [false, true].map(|i| variant(w, i))).collect()
}

fn cases() -> Vec<Case> {
    let case = |why: &str, [n, p, c]: [usize; 3], k: usize| {
        let label = format!("[{n}, {p}, {c}], {k} rows: {why}");
        let mut s = Seeded::new(&label);
        let (x, order) = (s.signed([n, p, c]), shuffles(&mut s, n, p));
        let rank = inverse(&order);
        Case::new(
            label,
            vec![x, order, rank],
            move |cx, t| {
                let rows = gather_rows(cx, &t[0], &t[1], k)?;
                let back = scatter_rows(cx, &rows, &t[2])?;
                Ok(vec![rows, keep_rows(cx, &t[0], &t[2], k)?, back])
            },
            move |h| oracle(&h[0], &h[1], k),
        )
    };
    let wild = || {
        let at = Host::new([1, 4], vec![2.0, 4.0, 4_294_967_295.0, 0.0]).into_u32();
        Case::new(
            "[1, 4, 3]: indices beyond the rows give zeros, not foreign memory",
            vec![Seeded::new("wild").signed([1, 4, 3]), at],
            |cx, t| Ok(vec![gather_rows(cx, &t[0], &t[1], 4)?, scatter_rows(cx, &t[0], &t[1])?]),
            |h| {
                let x = &h[0].data;
                let y = [&x[6..9], &[0.0; 6], &x[0..3]].concat();
                vec![Host::new([1, 4, 3], y.clone()), Host::new([1, 4, 3], y)]
            },
        )
    };
    vec![
        case("one row", [1, 1, 1], 1),
        case("none taken", [2, 3, 4], 0),
        case("all taken", [2, 65, 3], 65),
        case("primes", [3, 67, 7], 13),
        case("selected pixels", [2, 1024, 64], 500).bench(0.0),
        wild(),
    ]
}

/// A random order of `p` positions for each of `n` images.
fn shuffles(s: &mut Seeded, n: usize, p: usize) -> Host {
    let mut data = Vec::new();
    for _ in 0..n {
        let keys = s.signed([p]).data;
        let mut order: Vec<usize> = (0..p).collect();
        order.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
        data.extend(order.into_iter().map(|i| i as f64));
    }
    Host::new([n, p], data).into_u32()
}

fn inverse(order: &Host) -> Host {
    let mut rank = order.clone();
    let p = order.shape.last();
    for (row, to) in order.data.chunks_exact(p).zip(rank.data.chunks_exact_mut(p)) {
        row.iter().enumerate().for_each(|(place, at)| to[*at as usize] = place as f64);
    }
    rank
}

/// Reference: the rows taken, and the image with all others zero (twice: kept in place, and put back).
fn oracle(x: &Host, order: &Host, k: usize) -> Vec<Host> {
    let [n, p, c] = x.shape.nlc("oracle").expect("three axes");
    let mut rows = Host::zeros([n, k, c]);
    let mut kept = Host::zeros([n, p, c]);
    for i in 0..n {
        for j in 0..k {
            let from = (i * p + order.data[i * p + j] as usize) * c;
            let to = (i * k + j) * c;
            rows.data[to..to + c].copy_from_slice(&x.data[from..from + c]);
            kept.data[from..from + c].copy_from_slice(&x.data[from..from + c]);
        }
    }
    vec![rows, kept.clone(), kept]
}
