//! Bidirectional recurrent layers: GRUs over the rows or columns of an image, LSTMs over sequences.

use super::Scope;
use crate::Result;
use crate::ops::{Along, Direction, Epilogue, bidirectional_gru, bidirectional_lstm, linear};
use crate::tensor::{Axes, Cx, Tensor};

/// Weights of both directions of one layer.
struct Weights([OneWay; 2]);

struct OneWay {
    input_weight: Tensor,
    input_bias: Tensor,
    hidden_weight: Tensor,
    hidden_bias: Tensor,
}

impl Weights {
    /// Layer `layer` of `gates` gates for `input` channels and `hidden` units each way.
    fn load(s: &Scope, layer: usize, gates: usize, input: usize, hidden: usize) -> Self {
        let rows = gates * hidden;
        let one_way = |suffix: &str| {
            let name = |part: &str| format!("{part}_l{layer}{suffix}");
            OneWay {
                input_weight: s.transposed(&name("weight_ih"), rows, input),
                input_bias: s.param(&name("bias_ih"), &[rows]),
                hidden_weight: s.transposed(&name("weight_hh"), rows, hidden),
                hidden_bias: s.param(&name("bias_hh"), &[rows]),
            }
        };
        Weights(["", "_reverse"].map(one_way))
    }

    /// What `recur` makes of both directions on `x`.
    fn walk(
        &self,
        cx: &Cx,
        x: &Tensor,
        recur: impl FnOnce(Direction, Direction) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let [f, b] = &self.0;
        let project = |d: &OneWay| linear(cx, x, &d.input_weight, &Epilogue::bias(&d.input_bias));
        let inputs = [project(f)?, project(b)?];
        let [forward, backward] = [(f, &inputs[0]), (b, &inputs[1])].map(|(d, input)| Direction {
            input,
            weight: &d.hidden_weight,
            bias: &d.hidden_bias,
        });
        recur(forward, backward)
    }
}

/// `torch.nn.GRU(bidirectional=True)` with one layer and zero initial state.
pub struct BiGru {
    path: String,
    weights: Weights,
}

impl BiGru {
    /// Loads both directions for `input` channels and `hidden` units each.
    pub fn load(s: &Scope, input: usize, hidden: usize) -> Self {
        BiGru { path: s.path().into(), weights: Weights::load(s, 0, 3, input, hidden) }
    }

    /// `x [N, H, W, C]` to `[N, H, W, 2·hidden]`, sequences running along rows or columns.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, x: &Tensor, along: Along) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let recur = |f: Direction, b: Direction| bidirectional_gru(cx, f, b, along);
        self.weights.walk(cx, x, recur).map_err(|e| e.within(&self.path))
    }

    /// The path in the state dict.
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// `torch.nn.LSTM(bidirectional=True)` with zero initial state.
pub struct BiLstm {
    path: String,
    layers: Vec<Weights>,
}

impl BiLstm {
    /// Loads so many layers, the first for `input` channels, of `hidden` units each way.
    pub fn load(s: &Scope, layers: usize, input: usize, hidden: usize) -> Self {
        let inputs = std::iter::once(input).chain(std::iter::repeat(2 * hidden));
        let layer = |(i, input)| Weights::load(s, i, 4, input, hidden);
        BiLstm {
            path: s.path().into(),
            layers: inputs.take(layers).enumerate().map(layer).collect(),
        }
    }

    /// `x [N, T, C]` to `[N, T, 2·hidden]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let mut y = x.clone();
        for layer in &self.layers {
            let recur = |f: Direction, b: Direction| bidirectional_lstm(cx, f, b);
            y = layer.walk(cx, &y, recur).map_err(|e| e.within(&self.path))?;
        }
        cx.tap(&self.path, "", &y, Axes::Sequence);
        Ok(y)
    }
}
