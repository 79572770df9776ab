//! Symbols of sequences: arg-max, the length rule, bounds, and embedding.

use super::{Case, KernelUse, Row, element};
use crate::gpu::{Grid, Variant};
use crate::shape::to_u32;
use crate::tensor::{Cx, Dtype, Host, Kernels, Op, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(ARGMAX = "index/argmax_fwd", Rows, ArgmaxBinds { x, y });
kernel!(LENGTHS = "index/lengths_fwd", Steps, LengthsBinds { x, y });
kernel!(CLAMP = "index/clamp_fwd", Bounds, ClampBinds { x, y });
kernel!(EMBEDDING = "index/embedding_fwd", Table, EmbeddingBinds { ids, table, y });
kernel!(EMBEDDING_BWD = "index/embedding_bwd", Uses, EmbeddingBwdBinds { ids, dy, dtable });
params! { struct Rows { rows: u32, classes: u32 } }
params! { struct Steps {
    samples: u32, steps: u32, classes: u32, absent: u32, low: u32, high: u32,
} }
params! { struct Bounds { len: u32, low: u32, high: u32 } }
params! { struct Table { rows: u32, entries: u32, width: u32, scale: f32 } }
params! { struct Uses { n: u32, rows: u32, entries: u32, cols: u32, scale: f32 } }

const WG: usize = 64;

/// Length of every sequence of `logits [N, T, C]`: the first step whose arg-max is class 0, plus 1, or `absent` when there is
/// none. Among equal classes the lowest counts. Gives u32 `[N]`.
///
/// # Errors
/// Logits of another rank, or without classes.
pub fn lengths(cx: &Cx, logits: &Tensor, absent: u32) -> Result<Tensor> {
    let [n, steps, classes] = logits.shape().nlc("lengths")?;
    at_least_one("lengths", "classes", classes)?;
    let y = cx.out_u32([n]);
    let (samples, steps, classes) = (to_u32(n), to_u32(steps), to_u32(classes));
    let p = Steps { samples, steps, classes, absent, low: 0, high: u32::MAX };
    Grid::linear(n).check(&LENGTHS)?;
    cx.push(Lengths { x: logits.detached(), p, y: y.clone() });
    Ok(y)
}

/// Lengths as a node of a pass.
pub(crate) struct Lengths {
    x: Tensor,
    p: Steps,
    y: Tensor,
}

impl Lengths {
    /// The same within the bounds of `clamp`.
    pub(crate) fn within(&self, clamp: &Clamp) -> Self {
        // Bounds that were there hold first.
        let bounded = |v: u32| v.clamp(clamp.low, clamp.high);
        let p = Steps { low: bounded(self.p.low), high: bounded(self.p.high), ..self.p };
        Lengths { x: self.x.clone(), p, y: clamp.y.clone() }
    }
}

impl Op for Lengths {
    fn reads<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.x);
    }

    fn writes<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.y);
    }

    fn lower(&self, k: &Kernels) -> Result<()> {
        let binds = LengthsBinds { x: self.x.read(), y: self.y.write() };
        k.run(&LENGTHS, &variant(32), Grid::linear(self.p.samples as usize), &self.p, binds)
    }
}

/// Index of the largest element of every row of `x [.., C]`, the lowest among equals. Gives u32 `[..]`.
///
/// # Errors
/// Rows without elements.
pub fn argmax(cx: &Cx, x: &Tensor) -> Result<Tensor> {
    let (rows, classes) = x.shape().rows_by_last();
    at_least_one("argmax", "classes", classes)?;
    let y = cx.out_u32(&x.dims()[..x.dims().len().saturating_sub(1)]);
    let p = Rows { rows: to_u32(rows), classes: to_u32(classes) };
    let grid = Grid::linear(rows.div_ceil(WG));
    cx.run(&ARGMAX, &variant(WG), grid, &p, ArgmaxBinds { x: x.read(), y: y.write() })?;
    Ok(y)
}

/// Every element of the u32 tensor `x` within `low..=high`.
///
/// # Errors
/// A tensor of floats.
pub fn clamp(cx: &Cx, x: &Tensor, low: u32, high: u32) -> Result<Tensor> {
    indices("clamp", "x", x)?;
    let y = cx.out_u32(x.shape());
    cx.push(Clamp { x: x.detached(), low, high, y: y.clone() });
    Ok(y)
}

/// Bounded integers as a node of a pass.
pub(crate) struct Clamp {
    pub(crate) x: Tensor,
    low: u32,
    high: u32,
    y: Tensor,
}

impl Op for Clamp {
    fn reads<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.x);
    }

    fn writes<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.y);
    }

    fn lower(&self, k: &Kernels) -> Result<()> {
        let Clamp { x, low, high, y } = self;
        let p = Bounds { len: to_u32(x.len()), low: *low, high: *high };
        let grid = Grid::linear(x.len().div_ceil(WG));
        k.run(&CLAMP, &variant(WG), grid, &p, ClampBinds { x: x.read(), y: y.write() })
    }
}

/// Row `ids[n, l]` of `table [V, E]` times `scale`, for u32 `ids [N, L]`: `torch.nn.Embedding`, then the square root of the
/// width in the text-focus transformer. Gives `[N, L, E]`. An id beyond the table takes its last row.
///
/// # Errors
/// Ids that are floats or of another rank, or an empty table.
pub fn embedding(cx: &Cx, ids: &Tensor, table: &Tensor, scale: f32) -> Result<Tensor> {
    indices("embedding", "ids", ids)?;
    let (&[n, l], &[entries, width]) = (ids.dims(), table.dims()) else {
        return Err(Error::new(ErrorKind::Shape, "embedding", "axes of ids and table")
            .expected("[N, L] and [V, E]")
            .got(format!("{} and {}", ids.shape(), table.shape())));
    };
    at_least_one("embedding", "rows of the table", entries)?;
    let y = cx.out([n, l, width]);
    let p = Table { rows: to_u32(n * l), entries: to_u32(entries), width: to_u32(width), scale };
    let grid = Grid::linear(n * l);
    let binds = EmbeddingBinds { ids: ids.read(), table: table.read(), y: y.write() };
    cx.run(&EMBEDDING, &variant(WG), grid, &p, binds)?;
    let (ids, shape) = (ids.clone(), table.shape());
    Ok(cx.record("embedding", [table], y, move |cx, dy, _| {
        let dtable = cx.out(shape);
        let unit = element::width(&[width]);
        let elements = dtable.len() / unit;
        let p = Uses {
            n: to_u32(elements),
            rows: to_u32(ids.len()),
            entries: to_u32(entries),
            cols: to_u32(width / unit),
            scale,
        };
        let binds = EmbeddingBwdBinds { ids: ids.read(), dy: dy.read(), dtable: dtable.write() };
        cx.run(&EMBEDDING_BWD, &element::variant(unit), element::grid(elements), &p, binds)?;
        Ok([Some(dtable)])
    }))
}

fn indices(op: &str, operand: &str, tensor: &Tensor) -> Result<()> {
    if tensor.dtype() == Dtype::U32 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Argument, op, format!("type of {operand}"))
        .expected("u32")
        .got(format!("{tensor:?}")))
}

fn at_least_one(op: &str, what: &str, size: usize) -> Result<()> {
    if size > 0 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Shape, op, what).expected("at least 1").got(size))
}

fn variant(workgroup: usize) -> Variant {
    Variant::new().set("WG", to_u32(workgroup))
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "sequence",
    kernels: &[
        KernelUse { kernel: &ARGMAX, variants: || vec![variant(WG)] },
        KernelUse { kernel: &LENGTHS, variants: || vec![variant(32)] },
        KernelUse { kernel: &CLAMP, variants: || vec![variant(WG)] },
        KernelUse { kernel: &EMBEDDING, variants: || vec![variant(WG)] },
        KernelUse { kernel: &EMBEDDING_BWD, variants: element::variants },
    ],
    tolerance: 0.0,
    gradient: 1e-6,
    cases,
};

fn cases() -> Vec<Case> {
    // Few distinct values, so that many classes tie.
    let logits = |label: &str, shape: &[usize], values: u32| {
        let mut h = Seeded::new(label).ints(shape, 0, values);
        h.data.iter_mut().for_each(|v| *v -= f64::from(values / 2));
        Host::new(h.shape, h.data)
    };
    let argmax_case = |why: &str, shape: &[usize]| {
        let label = format!("argmax {shape:?}: {why}");
        let x = logits(&label, shape, 9);
        let run = |cx: &Cx, t: &[Tensor]| Ok(vec![argmax(cx, &t[0])?]);
        // An index has no derivative; nor has a length, or a bounded integer.
        Case::new(label, vec![x], run, |h| vec![oracle(&h[0])]).without_gradient()
    };
    let lengths_case = |why: &str, shape: [usize; 3], values: u32, absent: u32| {
        let label = format!("lengths {shape:?} absent {absent}: {why}");
        let x = logits(&label, &shape, values);
        let run = move |cx: &Cx, t: &[Tensor]| Ok(vec![lengths(cx, &t[0], absent)?]);
        Case::new(label, vec![x], run, move |h| vec![lengths_oracle(&h[0], absent)])
            .without_gradient()
    };
    let clamp_case = |why: &str, len: usize| {
        let label = format!("clamp [{len}]: {why}");
        let x = Seeded::new(&label).ints([len], 0, 40);
        Case::new(
            label,
            vec![x],
            |cx, t| Ok(vec![clamp(cx, &t[0], 2, 26)?]),
            |h| {
                let bounded = h[0].data.iter().map(|v| v.clamp(2.0, 26.0)).collect();
                vec![Host::new(h[0].shape, bounded).into_u32()]
            },
        )
    };
    let embedding_case = |why: &str, n: usize, l: usize, entries: u32, width: usize| {
        let label = format!("embedding [{n}, {l}] of [{entries}, {width}]: {why}");
        let mut s = Seeded::new(&label);
        let inputs = vec![s.ints([n, l], 0, entries), s.signed([entries as usize, width])];
        Case::new(
            label,
            inputs,
            |cx, t| Ok(vec![embedding(cx, &t[0], &t[1], 32.0)?]),
            |h| {
                let (width, ids) = (h[1].shape.last(), &h[0]);
                let row = |id: &f64| &h[1].data[*id as usize * width..][..width];
                let data = ids.data.iter().flat_map(row).map(|v| v * 32.0).collect();
                vec![Host::new([ids.dims()[0], ids.dims()[1], width], data)]
            },
        )
    };
    vec![
        argmax_case("one class", &[3, 1]),
        argmax_case("characters, with ties", &[2, 26, 37]),
        argmax_case("one above a workgroup", &[65, 3]),
        lengths_case("one step that is null", [1, 1, 1], 3, 26),
        lengths_case("ties with the null class", [7, 26, 5], 2, 26),
        lengths_case("mostly absent", [64, 26, 37], 1000, 26),
        lengths_case("more steps than invocations, absent is 0", [5, 67, 11], 3, 0),
        lengths_case("more samples than one grid axis", [65_537, 2, 3], 5, 2),
        clamp_case("one", 1),
        clamp_case("one above a workgroup", 65),
        embedding_case("one", 1, 1, 1, 1),
        embedding_case("characters", 2, 21, 37, 512),
        embedding_case("primes, one above a workgroup", 3, 7, 11, 65),
    ]
}

/// Reference of [`argmax`].
pub fn oracle(x: &Host) -> Host {
    let (rows, classes) = x.shape.rows_by_last();
    let best = |row: &[f64]| {
        let most = row.iter().fold(f64::NEG_INFINITY, |m, v| m.max(*v));
        row.iter().position(|v| *v == most).expect("a maximum") as f64
    };
    let data: Vec<f64> = x.data.chunks_exact(classes).map(best).collect();
    debug_assert_eq!(data.len(), rows);
    let dims = x.dims();
    Host::new(&dims[..dims.len() - 1], data).into_u32()
}

/// Reference of [`lengths`].
pub fn lengths_oracle(x: &Host, absent: u32) -> Host {
    let best = oracle(x);
    let (n, steps) = (x.dims()[0], x.dims()[1]);
    let length = |row: &[f64]| {
        row.iter().position(|c| *c == 0.0).map_or(f64::from(absent), |t| (t + 1) as f64)
    };
    Host::new([n], best.data.chunks_exact(steps).map(length).collect()).into_u32()
}
