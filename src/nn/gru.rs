//! Bidirectional gated recurrent layers over the rows or columns of an image.

use super::Scope;
use crate::Result;
use crate::ops::{Along, Epilogue, GruDirection, bidirectional_gru, linear};
use crate::tensor::{Cx, Tensor};

struct Direction {
    input_weight: Tensor,
    input_bias: Tensor,
    hidden_weight: Tensor,
    hidden_bias: Tensor,
}

/// `torch.nn.GRU(bidirectional=True)` with one layer and zero initial state.
pub struct BiGru {
    path: String,
    directions: [Direction; 2],
}

impl BiGru {
    /// Loads both directions for `input` channels and `hidden` units each.
    pub fn load(s: &Scope, input: usize, hidden: usize) -> Self {
        let direction = |suffix: &str| Direction {
            input_weight: s.transposed(&format!("weight_ih_l0{suffix}"), 3 * hidden, input),
            input_bias: s.param(&format!("bias_ih_l0{suffix}"), &[3 * hidden]),
            hidden_weight: s.transposed(&format!("weight_hh_l0{suffix}"), 3 * hidden, hidden),
            hidden_bias: s.param(&format!("bias_hh_l0{suffix}"), &[3 * hidden]),
        };
        BiGru { path: s.path().into(), directions: [direction(""), direction("_reverse")] }
    }

    /// `x [N, H, W, C]` to `[N, H, W, 2·hidden]`, sequences running along rows or columns.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, x: &Tensor, along: Along) -> Result<Tensor> {
        let _scope = cx.scope(&self.path);
        let project =
            |d: &Direction| linear(cx, x, &d.input_weight, &Epilogue::bias(&d.input_bias));
        let inputs = [project(&self.directions[0])?, project(&self.directions[1])?];
        let [forward, backward] = [0, 1].map(|i| GruDirection {
            input: &inputs[i],
            weight: &self.directions[i].hidden_weight,
            bias: &self.directions[i].hidden_bias,
        });
        bidirectional_gru(cx, forward, backward, along).map_err(|e| e.within(&self.path))
    }

    /// The path in the state dict.
    pub fn path(&self) -> &str {
        &self.path
    }
}
