//! What PARSeq is trained on: the cross entropy of the words' symbols, known in several orders.

use super::CLASSES;
use super::orders::{blocked, orders};
use crate::data::random::Random;
use crate::gpu::Gpu;
use crate::ops::{add, cross_entropy};
use crate::tensor::{Cx, Tensor};
use crate::{Error, ErrorKind, Result};

/// The symbol behind the end of shorter words.
const PADDING: u32 = 96;
const END: u32 = 0;
/// From this order on the end is not asked for.
const WITHOUT_END: usize = 2;

/// The words of a batch, and the orders in which their symbols come to be known.
pub struct Orders {
    /// What is known, u32 `[N, L]`: the start, the characters, the end of shorter words, padding.
    pub input: Tensor,
    /// What is asked for, u32 `[N·L]`: the characters, the end, padding.
    pub output: Tensor,
    /// Of each order, which symbols a place does not see, u32 `[N, L, L]`.
    pub hidden: Vec<Tensor>,
    /// Of each order, the share of each place in the loss, `[N·L]`.
    pub shares: Vec<Tensor>,
}

impl Orders {
    /// Of `words [N, L + 1]`, start, characters, end and padding, in orders that follow from the seed and the number of the step.
    ///
    /// # Errors
    /// As [`Orders::new`].
    pub fn drawn(gpu: &Gpu, words: &[u32], steps: usize, (seed, step): (u64, u64)) -> Result<Self> {
        let orders = orders(steps.max(1) - 1, &mut Random::new(&[seed, step]));
        let blocked: Vec<u32> = orders.iter().flat_map(|order| blocked(order)).collect();
        Orders::new(gpu, words, steps, &blocked)
    }

    /// Of `words [N, L + 1]`, start, characters, end and padding, and of `blocked [K, L, L]`, which is not 0 where a place may not
    /// look in an order.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] for numbers that do not fit.
    pub fn new(gpu: &Gpu, words: &[u32], steps: usize, blocked: &[u32]) -> Result<Self> {
        let square = steps * steps;
        let fits = steps > 1
            && words.len().is_multiple_of(steps + 1)
            && blocked.len().is_multiple_of(square);
        if !fits || words.is_empty() || words.iter().any(|w| *w > PADDING) {
            return Err(Error::new(ErrorKind::Shape, "PARSeq", "words and orders")
                .expected(format!("words of {} symbols below 97, tables of {square}", steps + 1))
                .got(format!("{} and {}", words.len(), blocked.len())));
        }
        let rows: Vec<&[u32]> = words.chunks_exact(steps + 1).collect();
        let n = rows.len();
        let input: Vec<u32> = rows.iter().flat_map(|row| row[..steps].to_vec()).collect();
        let output: Vec<u32> = rows.iter().flat_map(|row| row[1..].to_vec()).collect();
        let orders: Vec<&[u32]> = blocked.chunks_exact(square).collect();
        let counts =
            |order: usize, symbol: u32| symbol != PADDING && (order < WITHOUT_END || symbol != END);
        let counted = |order: usize| output.iter().filter(|s| counts(order, **s)).count();
        let all: usize = (0..orders.len()).map(counted).sum();
        let shares = (0..orders.len()).map(|order| {
            let share = |s: &u32| if counts(order, *s) { 1.0 / all as f32 } else { 0.0 };
            Tensor::upload(gpu, [n * steps], &output.iter().map(share).collect::<Vec<f32>>())
        });
        let hidden = orders.iter().map(|order| {
            let beyond = |symbol: u32| symbol == PADDING || symbol == END;
            let hides = |at: usize| {
                let (sample, pair) = (at / square, at % square);
                u32::from(order[pair] != 0 || beyond(input[sample * steps + pair % steps]))
            };
            let table: Vec<u32> = (0..n * square).map(hides).collect();
            Tensor::upload_u32(gpu, [n, steps, steps], &table)
        });
        Ok(Orders {
            shares: shares.collect(),
            hidden: hidden.collect(),
            input: Tensor::upload_u32(gpu, [n, steps], &input),
            output: Tensor::upload_u32(gpu, [n * steps], &output),
        })
    }
}

/// The mean cross entropy over all orders and all places that count, of the `logits [N, L, 95]` of each order.
///
/// # Errors
/// Shapes that do not fit.
pub fn loss(cx: &Cx, logits: &[Tensor], orders: &Orders) -> Result<Tensor> {
    let _part = cx.part("loss");
    let rows = orders.output.len();
    let mut total: Option<Tensor> = None;
    for (logits, share) in logits.iter().zip(&orders.shares) {
        let logits = logits.reshape([rows, CLASSES])?;
        let one = cross_entropy(cx, &logits, &orders.output, share, None)?;
        total = Some(match total {
            Some(sum) => add(cx, &sum, &one)?,
            None => one,
        });
    }
    total.ok_or_else(|| Error::new(ErrorKind::Shape, "PARSeq", "orders").expected("at least one"))
}
