//! The orders in which PARSeq learns the symbols of words.

use crate::data::random::Random;

/// Orders of a batch, each with its mirror, and how many symbols a word must have for so many.
const PAIRS: usize = 3;
/// Of the 24 orders of four symbols, by the alphabet, one of each pair of mirrors; the natural one first.
const OF_FOUR: [usize; 12] = [0, 3, 4, 6, 9, 10, 12, 16, 17, 18, 19, 21];

/// Orders of the start, the `symbols` of the longest word of a batch and the end, as places 0 to `symbols` + 1: the natural one,
/// its mirror and others at random, each before its mirror. The mirror of the natural one asks for the end behind the start.
pub fn orders(symbols: usize, random: &mut Random) -> Vec<Vec<usize>> {
    let natural: Vec<usize> = (0..symbols).collect();
    let mut forwards = vec![natural.clone()];
    match symbols {
        0 | 1 => return vec![(0..symbols + 2).collect()],
        2 => {}
        3 => {
            let [a, b] = if random.chance(0.5) { [1, 2] } else { [2, 1] };
            forwards.extend([a, b].map(|i| lexicographic(3, i)));
        }
        4 => {
            let mut others = OF_FOUR[1..].to_vec();
            for _ in 1..PAIRS {
                let at = random.below(others.len());
                forwards.push(lexicographic(4, others.remove(at)));
            }
        }
        _ => forwards.extend((1..PAIRS).map(|_| shuffled(natural.clone(), random))),
    }
    let mut all = Vec::new();
    for forward in forwards {
        let mirror: Vec<usize> = forward.iter().rev().copied().collect();
        all.extend([forward, mirror].map(|order| {
            let symbols_of = order.into_iter().map(|symbol| symbol + 1);
            [0].into_iter().chain(symbols_of).chain([symbols + 1]).collect::<Vec<usize>>()
        }));
    }
    all[1] = [0, symbols + 1].into_iter().chain((1..=symbols).rev()).collect();
    all
}

/// What the places of an order may not look at: 1 in row i and column j where the symbol at j comes no earlier than that at i + 1,
/// which row i asks for; `[L, L]` of an order of L + 1 places.
pub fn blocked(order: &[usize]) -> Vec<u32> {
    let steps = order.len() - 1;
    let mut when = vec![0; order.len()];
    for (time, place) in order.iter().enumerate() {
        when[*place] = time;
    }
    let row = |i: usize| (0..steps).map(move |j| (i, j)).collect::<Vec<_>>();
    let pairs = (0..steps).flat_map(row);
    pairs.map(|(i, j)| u32::from(when[j] >= when[i + 1])).collect()
}

/// The order of 0 to `n` − 1 with this number in the alphabet's sense.
fn lexicographic(n: usize, mut number: usize) -> Vec<usize> {
    let mut left: Vec<usize> = (0..n).collect();
    let mut order = Vec::new();
    while !left.is_empty() {
        let rest: usize = (1..left.len()).product();
        order.push(left.remove(number / rest));
        number %= rest;
    }
    order
}

fn shuffled(mut order: Vec<usize>, random: &mut Random) -> Vec<usize> {
    for i in (1..order.len()).rev() {
        order.swap(i, random.below(i + 1));
    }
    order
}
