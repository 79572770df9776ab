//! Invocations that share nothing: for CPUs without subgroups, whose workgroup memory is as far away as any other.
//!
//! A tile is `[rows, vecs, 0, 0]`: eight by eight invocations, each for `rows` by `4·vecs` outputs.

use super::super::{Gemm, Operands, Params};
use super::{AccessMode, Adapter, LoadPaths, MatrixKernel, Size, Tile, stored};
use crate::gpu::Variant;
use crate::kernel;

kernel!(REGISTERS = "matmul/gemm_registers", Params, Operands);

pub(super) const KERNEL: MatrixKernel = MatrixKernel {
    kernel: &REGISTERS,
    tiles: |adapter, g, _| if fits(adapter, g) { vec![tile(g)] } else { Vec::new() },
    heuristic,
    outputs,
    down: |size, p| p.rows.div_ceil(outputs(size)[0]),
    variant,
    name,
    variants: || AccessMode::plain().flat_map(|a| stored(variant(SIZE, a))).collect(),
    split_k: true,
};

const SIZE: Size = [8, 2, 0, 0];

fn tile(g: &Gemm) -> Tile {
    Tile { of: &KERNEL, size: SIZE, access: AccessMode::of(&g.p, SIZE[1], LoadPaths::PLAIN) }
}

fn fits(adapter: &Adapter, g: &Gemm) -> bool {
    adapter.lanes().is_none() && !g.transposed
}

fn heuristic(adapter: &Adapter, g: &Gemm, _: LoadPaths) -> Option<Tile> {
    let serves = fits(adapter, g) && adapter.traits.barriers_are_costly && g.p.cols > 4;
    serves.then(|| tile(g))
}

fn outputs([rows, vecs, ..]: Size) -> [u32; 2] {
    [8 * rows, 32 * vecs]
}

fn variant([rows, vecs, ..]: Size, access: AccessMode) -> Variant {
    access.on(Variant::new().tile("ROWS", rows), vecs)
}

fn name(size: Size) -> String {
    let [m, n] = outputs(size);
    format!("registers for {m}×{n}")
}
