//! One step of a gated recurrent unit, between the products of its gates.

use super::{Case, KernelUse, Row, element};
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(FWD = "recurrent/gru_cell_fwd", Params, CellBinds { x, a, h, y });
params! { struct Params { n: u32, units: u32 } }

/// `torch.nn.GRUCell` behind its products: `x [R, 3U]` is W_ih·input + b_ih, `a [R, 3U]` is W_hh·h + b_hh, gates in PyTorch's
/// order r, z, n; `h [R, U]` is the state before. r = σ(x_r + a_r), z likewise, n = tanh(x_n + r ⊙ a_n), h' = (1 − z) ⊙ n + z ⊙ h.
///
/// # Errors
/// Shapes that do not fit, and operands that a gradient is asked of.
pub fn gru_cell(cx: &Cx, x: &Tensor, a: &Tensor, h: &Tensor) -> Result<Tensor> {
    const OP: &str = "gru_cell";
    let (rows, units) = h.shape().rows_by_last();
    cx.expect(OP, "x", x, [rows, 3 * units])?;
    cx.expect(OP, "a", a, [rows, 3 * units])?;
    cx.expect(OP, "h", h, [rows, units])?;
    if cx.tracks(&[x, a, h]) {
        return Err(Error::new(ErrorKind::Argument, OP, "a gradient").expected("none to be asked"));
    }
    let y = cx.out(h.shape());
    let p = Params { n: to_u32(y.len()), units: to_u32(units) };
    let binds = CellBinds { x: x.read(), a: a.read(), h: h.read(), y: y.write() };
    cx.run(&FWD, &element::scalar(), element::grid(y.len()), &p, binds)?;
    Ok(y)
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "gru_cell",
    kernels: &[KernelUse { kernel: &FWD, variants: || vec![element::scalar()] }],
    tolerance: 1e-6,
    gradient: 1e-6,
    cases,
};

fn cases() -> Vec<Case> {
    let case = |why: &str, rows: usize, units: usize| {
        let label = format!("{rows} rows of {units} units: {why}");
        let mut s = Seeded::new(&label);
        let gates = [rows, 3 * units];
        let inputs =
            vec![s.uniform(gates, -3.0, 3.0), s.uniform(gates, -3.0, 3.0), s.signed([rows, units])];
        let run = |cx: &Cx, t: &[Tensor]| Ok(vec![gru_cell(cx, &t[0], &t[1], &t[2])?]);
        let case = Case::new(label, inputs, run, |h| vec![oracle(h)]).without_gradient();
        case.bench(12.0 * (rows * units) as f64)
    };
    vec![
        case("one unit", 1, 1),
        case("primes, one above a workgroup", 5, 13),
        case("five beams of two images", 10, 512),
    ]
}

/// Reference in f64.
fn oracle(h: &[Host]) -> Host {
    let (rows, units) = h[2].shape.rows_by_last();
    let mut y = h[2].clone();
    let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
    for (row, u) in (0..rows).flat_map(|r| (0..units).map(move |u| (r, u))) {
        let gate = |of: usize, g: usize| h[of].data[(row * 3 + g) * units + u];
        let r = sigmoid(gate(0, 0) + gate(1, 0));
        let z = sigmoid(gate(0, 1) + gate(1, 1));
        let new = (gate(0, 2) + r * gate(1, 2)).tanh();
        let state = &mut y.data[row * units + u];
        *state = (1.0 - z) * new + z * *state;
    }
    y
}
