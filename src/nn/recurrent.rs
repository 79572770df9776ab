//! Recurrent layers: GRUs over the rows or columns of an image, LSTMs over sequences, and one step of a GRU.

use super::{Linear, Scope};
use crate::Result;
use crate::ops::{
    Along, Direction, Epilogue, bidirectional_gru, bidirectional_lstm, gru_cell, linear,
};
use crate::tensor::{Axes, Cx, Tensor};

/// Weights of both directions of one layer.
struct Weights([OneWay; 2]);

struct OneWay {
    input_weight: Tensor,
    input_bias: Tensor,
    hidden_weight: Tensor,
    hidden_bias: Tensor,
}

impl OneWay {
    /// Of so many `gates`; its names end in `suffix`.
    fn load(s: &Scope, suffix: &str, gates: usize, input: usize, hidden: usize) -> Self {
        let rows = gates * hidden;
        let name = |part: &str| format!("{part}{suffix}");
        OneWay {
            input_weight: s.transposed(&name("weight_ih"), rows, input),
            input_bias: s.param(&name("bias_ih"), &[rows]),
            hidden_weight: s.transposed(&name("weight_hh"), rows, hidden),
            hidden_bias: s.param(&name("bias_hh"), &[rows]),
        }
    }
}

impl Weights {
    /// Layer `layer` of `gates` gates for `input` channels and `hidden` units each way.
    fn load(s: &Scope, layer: usize, gates: usize, input: usize, hidden: usize) -> Self {
        Weights(
            ["", "_reverse"]
                .map(|way| OneWay::load(s, &format!("_l{layer}{way}"), gates, input, hidden)),
        )
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

/// A bidirectional LSTM and a linear layer on each of its steps.
pub struct LstmLinear {
    path: String,
    lstm: BiLstm,
    linear: Linear,
}

impl LstmLinear {
    /// Loads `rnn`, of `units` each way, and `embedding`.
    pub fn load(s: &Scope, input: usize, units: usize, output: usize) -> Self {
        LstmLinear {
            path: s.path().into(),
            lstm: BiLstm::load(&s.at("rnn"), 1, input, units),
            linear: Linear::load(&s.at("embedding"), 2 * units, output, true),
        }
    }

    /// `x [N, T, input]` to `[N, T, output]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, x: &Tensor) -> Result<Tensor> {
        let y = self.linear.forward(cx, &self.lstm.forward(cx, x)?, Axes::Steps)?;
        cx.tap(&self.path, "", &y, Axes::Sequence);
        Ok(y)
    }
}

/// `torch.nn.GRUCell`.
pub struct GruCell {
    path: String,
    weights: OneWay,
}

impl GruCell {
    /// Loads the weights whose names end in `suffix`.
    pub fn load(s: &Scope, suffix: &str, input: usize, hidden: usize) -> Self {
        GruCell { path: s.path().into(), weights: OneWay::load(s, suffix, 3, input, hidden) }
    }

    /// The state behind a step: of `x [R, input]` and `state [R, hidden]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, x: &Tensor, state: &Tensor) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let w = &self.weights;
        let compute = || {
            let gates = linear(cx, x, &w.input_weight, &Epilogue::bias(&w.input_bias))?;
            let hidden = linear(cx, state, &w.hidden_weight, &Epilogue::bias(&w.hidden_bias))?;
            gru_cell(cx, &gates, &hidden, state)
        };
        compute().map_err(|e| e.within(&self.path))
    }
}
