//! Where the pixels that ask for text lie: learned numbers, which a recurrent layer turns.
//!
//! The released code hands this layer the columns of the image as its batch and the images as its time steps. All images bring
//! the same numbers, so an image differs from its neighbors by its place among them alone.

use crate::Result;
use crate::models::textzoom::LOW;
use crate::nn::Scope;
use crate::ops::{
    Act, Epilogue, activate, add, concat_last, expand, linear, mix, mul, permute, slice_last,
};
use crate::tensor::{Axes, Cx, Tensor};

/// Whether an image's place in its batch counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbors {
    /// Each image is as if it were alone.
    Unseen,
    /// As released: an image's result differs with its place in the batch, and with the size of that.
    Counted,
}

/// One direction of `torch.nn.GRU`.
struct Direction {
    input_weight: Tensor,
    input_bias: Tensor,
    hidden_weight: Tensor,
    hidden_bias: Tensor,
    units: usize,
}

impl Direction {
    fn load(s: &Scope, input: usize, suffix: &str) -> Self {
        let units = input / 2;
        Direction {
            input_weight: s.transposed(&format!("weight_ih_l0{suffix}"), 3 * units, input),
            input_bias: s.param(&format!("bias_ih_l0{suffix}"), &[3 * units]),
            hidden_weight: s.transposed(&format!("weight_hh_l0{suffix}"), 3 * units, units),
            hidden_bias: s.param(&format!("bias_hh_l0{suffix}"), &[3 * units]),
            units,
        }
    }

    /// States `[B, U]` after 1 to `steps` steps on the same input `x [B, C]`.
    fn states(&self, cx: &Cx, x: &Tensor, steps: usize) -> Result<Vec<Tensor>> {
        let (rows, units) = (x.dims()[0], self.units);
        let input = linear(cx, x, &self.input_weight, &Epilogue::bias(&self.input_bias))?;
        let gate = |of: &Tensor, i: usize| slice_last(cx, of, i * units..(i + 1) * units);
        let mut before = Tensor::upload(cx.gpu(), [rows, units], &vec![0.0; rows * units]);
        let mut states = Vec::with_capacity(steps);
        for step in 0..steps {
            let hidden = match step {
                0 => expand(cx, &self.hidden_bias, [rows, 3 * units])?,
                _ => linear(cx, &before, &self.hidden_weight, &Epilogue::bias(&self.hidden_bias))?,
            };
            let open = |i: usize| {
                let sum = add(cx, &gate(&input, i)?, &gate(&hidden, i)?)?;
                activate(cx, &sum, Act::Sigmoid)
            };
            let (r, z) = (open(0)?, open(1)?);
            let new = add(cx, &gate(&input, 2)?, &mul(cx, &r, &gate(&hidden, 2)?)?)?;
            before = mix(cx, &z, &before, &activate(cx, &new, Act::Tanh)?)?;
            states.push(before.clone());
        }
        Ok(states)
    }
}

/// `init_factor` and `transformer.gru_encoding`.
pub(super) struct Queries {
    path: String,
    table: Tensor,
    directions: [Direction; 2],
    neighbors: Neighbors,
}

impl Queries {
    pub(super) fn load(s: &Scope, channels: usize, neighbors: Neighbors) -> Self {
        let gru = s.at("transformer.gru_encoding");
        Queries {
            path: gru.path().into(),
            table: s.at("init_factor").param("weight", &[LOW.0 * LOW.1, channels]),
            directions: ["", "_reverse"]
                .map(|suffix| Direction::load(&gru, LOW.0 * channels, suffix)),
            neighbors,
        }
    }

    /// `[N, 1024, C]` for a batch of `n` images, or `[1, 1024, C]` for all of them.
    pub(super) fn forward(&self, cx: &Cx, n: usize) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let n = if self.neighbors == Neighbors::Counted { n } else { 1 };
        let (h, w) = LOW;
        let c = self.table.shape().last();
        // The numbers of each column in one row.
        let columns = permute(cx, &self.table.reshape([h, w, c])?, &[1, 0, 2])?;
        let columns = columns.reshape([w, h * c])?;
        let [forward, backward] = self.directions.each_ref().map(|d| d.states(cx, &columns, n));
        let (forward, backward) = (forward?, backward?);
        let mut images = Vec::with_capacity(n);
        for i in 0..n {
            let state = concat_last(cx, &[&forward[i], &backward[n - 1 - i]])?;
            images.push(state.reshape([1, w * h * c])?);
        }
        let all = concat_last(cx, &images.iter().collect::<Vec<_>>())?.reshape([n, w, h * c])?;
        cx.tap(&self.path, "", &all, Axes::Sequence);
        let pixels = permute(cx, &all.reshape([n, w, h, c])?, &[0, 2, 1, 3])?;
        pixels.reshape([n, h * w, c])
    }
}
