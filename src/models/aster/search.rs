//! From the trail of a beam search to its best sequence.

use super::END;
use crate::tensor::Host;

/// A symbol of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Emitted {
    /// Its class.
    pub symbol: usize,
    /// Its probability.
    pub confidence: f32,
    /// Where it was seen, as a share of the width.
    pub center: f32,
}

/// The best sequence of each image, of a trail `[T, N, W, 4]` of score, parent, symbol and place. All of its T symbols are given;
/// those behind its end are what is left over from worse ones.
pub fn best(trail: &Host) -> Vec<Vec<Emitted>> {
    (0..trail.dims()[1]).map(|image| Trail { trail, image }.best()).collect()
}

/// The trail of one image.
struct Trail<'a> {
    trail: &'a Host,
    image: usize,
}

impl Trail<'_> {
    fn entry(&self, t: usize, beam: usize) -> [f64; 4] {
        let [_, n, beams, _] = self.trail.shape.nhwc("trail").expect("four axes");
        let at = ((t * n + self.image) * beams + beam) * 4;
        [0, 1, 2, 3].map(|i| self.trail.data[at + i])
    }

    fn score(&self, t: usize, beam: usize) -> f64 {
        self.entry(t, beam)[0]
    }

    /// What `beam` emitted at step t, and its parent.
    fn emitted(&self, t: usize, beam: usize) -> (Emitted, usize) {
        let [score, parent, symbol, place] = self.entry(t, beam);
        let before = if t == 0 { 0.0 } else { self.score(t - 1, parent as usize) };
        let confidence = (score - before).min(0.0).exp() as f32;
        let emitted = Emitted { symbol: symbol as usize, confidence, center: place as f32 };
        (emitted, parent as usize)
    }

    /// Walks back from the last step. The result has as many places as there are beams: the last step's, best first, and each
    /// sequence that ended before takes the place of one of them, from the last on, and then of those that ended after it.
    fn best(&self) -> Vec<Emitted> {
        let (steps, beams) = (self.trail.dims()[0], self.trail.dims()[2]);
        let Some(last) = steps.checked_sub(1) else { return Vec::new() };
        let mut at: Vec<usize> = (0..beams).collect();
        at.sort_by(|a, b| self.score(last, *b).total_cmp(&self.score(last, *a)));
        let mut scores: Vec<f64> = at.iter().map(|beam| self.score(last, *beam)).collect();
        let mut sequences = vec![vec![Emitted::default(); steps]; beams];
        let mut ended = 0;
        for t in (0..steps).rev() {
            let mut place = |at: &mut [usize], k: usize, beam: usize| {
                (sequences[k][t], at[k]) = self.emitted(t, beam);
            };
            (0..beams).for_each(|k| {
                let beam = at[k];
                place(&mut at, k, beam);
            });
            for beam in (0..beams).rev().filter(|b| self.emitted(t, *b).0.symbol == END) {
                let k = beams - 1 - ended % beams;
                ended += 1;
                place(&mut at, k, beam);
                scores[k] = self.score(t, beam);
            }
        }
        // Of equal scores the first.
        let better = |a: usize, b: usize| if scores[b] > scores[a] { b } else { a };
        let first = (0..beams).reduce(better).expect("beams");
        sequences.swap_remove(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of two beams one ends at the second step with the best score; what it had at the third is left over.
    #[test]
    fn a_sequence_that_ended_early_wins_by_its_score() {
        let end = END as f64;
        let trail = [
            [[-0.1, 0.0, 5.0, 0.1], [-1.0, 0.0, 6.0, 0.1]],
            [[-0.2, 0.0, end, 0.6], [-1.5, 1.0, 7.0, 0.3]],
            [[-4.0, 1.0, 8.0, 0.9], [-5.0, 1.0, 9.0, 0.9]],
        ];
        let data = trail.iter().flatten().flatten().copied().collect();
        let sequence = &best(&Host::new([3, 1, 2, 4], data))[0];
        let symbols: Vec<usize> = sequence.iter().map(|e| e.symbol).collect();
        assert_eq!(symbols, [5, END, 9]);
        assert!((sequence[1].confidence - 0.1f32.exp().recip()).abs() < 1e-6);
        assert_eq!(sequence[1].center, 0.6);
    }
}
