//! Which tile is the fastest for a kind of products, by trying.

use super::kernels::{Adapter, LoadPaths, candidates, heuristic};
use super::plan::Plan;
use super::{Epilogue, Gemm};
use crate::Result;
use crate::gpu::Gpu;
use crate::ops::measure::once;
use crate::tensor::Seeded;
use std::time::Instant;

/// Times that each tile is tried, of which the shortest counts; more while there is time, in seconds for each kind.
const LEAST_ROUNDS: usize = 3;
const SECONDS: f64 = 0.15;

/// What another tile's time must come to for it to be taken rather than the heuristic's.
const GAIN: f64 = 0.96;

impl Gemm {
    /// What products are measured by: kind, rows of A up to the next power of two, length of these, columns of B, batch.
    pub(super) fn problem_key(&self) -> String {
        let kind = match (self.transposed, self.p.segments, self.sliding) {
            (true, ..) => "transposed",
            (_, 1, false) => "matrix",
            _ => "windows",
        };
        let p = &self.p;
        let (rows, batch) = (p.rows.next_power_of_two(), self.batch.next_power_of_two());
        format!("{kind} {rows} {} {} {batch}", p.segments * p.segment, p.cols)
    }
}

/// Measures all candidates for a product of this kind, unless that was done, and notes the fastest. `sizes` are the
/// elements of A, B and the result.
pub(super) fn measure(gpu: &Gpu, g: &Gemm, paths: LoadPaths, sizes: [usize; 3]) -> Result<()> {
    let adapter = Adapter::from(gpu);
    let tiles = candidates(&adapter, g, paths);
    if tiles.len() < 2 || gpu.chosen(|| g.problem_key()).is_some() {
        return Ok(());
    }
    let mut random = Seeded::new(&g.problem_key());
    let [a, b] = [sizes[0], sizes[1]].map(|n| random.uniform([n], -1.0, 1.0).upload(gpu));
    let time = |tile| -> Result<f64> {
        let plan = Plan::with(&adapter, g, tile);
        let run = once(gpu, |cx| {
            let ep = Epilogue::default();
            Ok(vec![g.run_by(cx, Some(plan), &a, &b, &ep, [sizes[2]].into())?])
        })?;
        Ok(run.seconds)
    };
    // In turns, so that a slow moment of the machine meets all of them; the first time a driver compiles.
    for tile in &tiles {
        time(*tile)?;
    }
    let mut best = vec![f64::INFINITY; tiles.len()];
    let start = Instant::now();
    let mut rounds = 0;
    while rounds < LEAST_ROUNDS || start.elapsed().as_secs_f64() < SECONDS {
        for (tile, best) in tiles.iter().zip(&mut best) {
            *best = best.min(time(*tile)?);
        }
        rounds += 1;
    }
    let default = heuristic(&adapter, g, paths);
    let of_default = tiles.iter().position(|t| *t == default).expect("one of the candidates");
    let fastest = (0..tiles.len()).min_by(|a, b| best[*a].total_cmp(&best[*b]));
    let fastest = fastest.expect("more than one");
    let taken = if best[fastest] < GAIN * best[of_default] { fastest } else { of_default };
    gpu.choose(g.problem_key(), tiles[taken].to_string());
    Ok(())
}
