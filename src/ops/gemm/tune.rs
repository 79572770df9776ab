//! Which tile is the fastest for a class of products, by trying.

use super::plan::{Plan, by_rule, candidates};
use super::tile::Means;
use super::{Epilogue, Gemm};
use crate::Result;
use crate::gpu::Gpu;
use crate::ops::measure::once;
use crate::tensor::Seeded;
use std::time::Instant;

/// Times that each tile is tried, of which the shortest counts; more while there is time, in seconds for each class.
const LEAST_ROUNDS: usize = 3;
const SECONDS: f64 = 0.15;

/// What another tile's time must come to for it to be taken rather than the rule's.
const GAIN: f64 = 0.96;

impl Gemm {
    /// What products are measured by: kind, rows of A up to the next power of two, length of these, columns of B, batch.
    pub(super) fn class(&self) -> String {
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

/// Measures all candidates for a product of this class, unless that was done, and notes the fastest. `sizes` are the
/// elements of A, B and the result.
pub(super) fn measure(gpu: &Gpu, g: &Gemm, means: Means, sizes: [usize; 3]) -> Result<()> {
    let tiles = candidates(gpu, g, means);
    if tiles.len() < 2 || gpu.chosen(|| g.class()).is_some() {
        return Ok(());
    }
    let mut random = Seeded::new(&g.class());
    let [a, b] = [sizes[0], sizes[1]].map(|n| random.uniform([n], -1.0, 1.0).upload(gpu));
    let time = |tile| -> Result<f64> {
        let plan = Plan::with(gpu, g, tile);
        let run = once(gpu, |cx| {
            let y = cx.out([sizes[2]]);
            Ok(vec![g.run_as(cx, plan, &a, &b, &Epilogue::default(), y)?])
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
    let rule = by_rule(gpu, g, means);
    let of_rule = tiles.iter().position(|t| *t == rule).expect("the rule takes a candidate");
    let fastest = (0..tiles.len()).min_by(|a, b| best[*a].total_cmp(&best[*b]));
    let fastest = fastest.expect("more than one");
    let taken = if best[fastest] < GAIN * best[of_rule] { fastest } else { of_rule };
    gpu.choose(g.class(), tiles[taken].to_string());
    Ok(())
}
