//! What MATRN hides in training: cells at which a character is looked at, so that it has to be known from the others.

use super::PLACE;
use crate::Result;
use crate::data::random::Random;
use crate::gpu::Gpu;
use crate::models::abinet::CELLS;
use crate::ops::{batched_matmul, embedding, gather_rows, sort_descending};
use crate::tensor::{Cx, Tensor};

/// Share of words in which something is hidden, and of its cells that are.
const SHARE: f32 = 0.9;
/// Cells that may be hidden: those where the character is looked at most.
const MOST: usize = 10;
const STEPS: usize = 26;

/// Choices of a round, made before it is known what will be read.
pub struct Hiding {
    /// The character of each word for every length that may be read, `[N, 27, 26]`: 1 at it.
    characters: Tensor,
    /// 1 for places in the order of attention that are hidden, `[N, 256, 1]`.
    places: Tensor,
}

impl Hiding {
    /// The choices of rounds for `n` words, which follow from the seed and the number of the step.
    pub fn drawn(gpu: &Gpu, (seed, step): (u64, u64), rounds: usize, n: usize) -> Vec<Self> {
        let round = |round: usize| {
            let (mut characters, mut places) = (Vec::new(), Vec::new());
            for word in 0..n {
                let mut random = Random::new(&[seed, step, round as u64, word as u64]);
                let hides = random.unit() <= SHARE;
                let character = random.unit();
                for length in 0..=STEPS {
                    let chosen = (character * length as f32) as usize;
                    characters.extend((0..STEPS).map(|t| f32::from(t == chosen)));
                }
                let hidden = |place: usize| place < MOST && random.unit() <= SHARE && hides;
                places.extend((0..CELLS.0 * CELLS.1).map(hidden).map(f32::from));
            }
            Hiding {
                characters: Tensor::upload(gpu, [n, STEPS + 1, STEPS], &characters),
                places: Tensor::upload(gpu, [n, CELLS.0 * CELLS.1, 1], &places),
            }
        };
        (0..rounds).map(round).collect()
    }

    /// The hidden cells `[N, 256, 1]`, 1 each, of words with attention `maps [N, 26, 8, 32]` that are read with u32 `lengths [N]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn cells(&self, cx: &Cx, maps: &Tensor, lengths: &Tensor) -> Result<Tensor> {
        let n = self.places.dims()[0];
        let cells = CELLS.0 * CELLS.1;
        cx.expect(PLACE, "maps of the words to hide from", maps, [n, STEPS, CELLS.0, CELLS.1])?;
        let each: Vec<f32> =
            (0..=STEPS).flat_map(|i| (0..=STEPS).map(move |j| f32::from(i == j))).collect();
        let each = Tensor::upload(cx.gpu(), [STEPS + 1, STEPS + 1], &each);
        let length = embedding(cx, &lengths.reshape([n, 1])?, &each, 1.0)?;
        let character = batched_matmul(cx, &length, &self.characters)?;
        let maps = maps.detached().reshape([n, STEPS, cells])?;
        let attention = batched_matmul(cx, &character, &maps)?.reshape([n, cells])?;
        let sorted = sort_descending(cx, &attention)?;
        gather_rows(cx, &self.places, &sorted.rank, cells)
    }
}
