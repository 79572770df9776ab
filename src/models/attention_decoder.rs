//! The decoder of ASTER and MORAN: at each step a state looks at the columns of an image, takes the symbol before into account,
//! and tells the next one.

use crate::Result;
use crate::nn::{GruCell, Linear, Scope};
use crate::ops::{Memory, additive_attention, concat_last, embedding};
use crate::tensor::{Axes, Cx, Tensor};

/// Names of a decoder's parts in the state dict, and in what order its cell takes its input.
pub(crate) struct Parts<'a> {
    /// The projection of the state.
    pub query: &'a str,
    /// The projection of the columns, and whether it has a bias.
    pub keys: (&'a str, bool),
    /// What weighs the channels of a comparison, and whether there is a bias beside it.
    pub vector: (&'a str, bool),
    /// The table of symbols.
    pub table: &'a str,
    /// The recurrent cell, and the ending of its names.
    pub cell: (&'a str, &'a str),
    /// The classes' scores.
    pub classes: &'a str,
    /// Whether the context comes before the symbol.
    pub context_first: bool,
}

/// Sizes of a decoder.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// Channels of a column.
    pub column: usize,
    /// Units of the state, and channels of comparisons and of symbols.
    pub units: usize,
    /// Symbols of the table.
    pub symbols: usize,
    /// Classes.
    pub classes: usize,
}

/// The layers.
pub(crate) struct AttentionDecoder {
    query: Linear,
    keys: Linear,
    vector: Tensor,
    table: Tensor,
    cell: GruCell,
    classes: Linear,
    context_first: bool,
    units: usize,
}

/// What a decoder says at a step, for each row.
pub(crate) struct Step {
    /// Class scores `[R, classes]`.
    pub logits: Tensor,
    /// The state `[R, units]`.
    pub state: Tensor,
    /// Where it looked, as a share of the width, `[R]`.
    pub places: Tensor,
}

impl AttentionDecoder {
    /// Loads the parts below `s`.
    pub(crate) fn load(s: &Scope, parts: &Parts, sizes: Sizes) -> Self {
        let Sizes { column, units, symbols, classes } = sizes;
        let vector = s.at(parts.vector.0);
        if parts.vector.1 {
            // It shifts all scores alike, which the soft-max does not see.
            vector.param("bias", &[1]);
        }
        let weight = vector.param("weight", &[1, units]);
        AttentionDecoder {
            query: Linear::load(&s.at(parts.query), units, units, true),
            keys: Linear::load(&s.at(parts.keys.0), column, units, parts.keys.1),
            vector: weight.reshape([units]).expect("as many elements"),
            table: s.param(parts.table, &[symbols, units]),
            cell: GruCell::load(&s.at(parts.cell.0), parts.cell.1, column + units, units),
            classes: Linear::load(&s.at(parts.classes), units, classes, true),
            context_first: parts.context_first,
            units,
        }
    }

    /// What the columns `[N, L, C]` are compared by, `[N, L, units]`: once for all steps.
    pub(crate) fn keys(&self, cx: &Cx, columns: &Tensor) -> Result<Tensor> {
        self.keys.forward(cx, columns, Axes::Same)
    }

    /// The table of symbols from its row `first` on.
    pub(crate) fn symbols_from(&self, first: usize) -> Result<Tensor> {
        let rows = self.table.dims()[0] - first;
        self.table.view(first * self.units, [rows, self.units])
    }

    /// The state before the first step, of so many rows.
    pub(crate) fn start(&self, cx: &Cx, rows: usize) -> Tensor {
        Tensor::upload(cx.gpu(), [rows, self.units], &vec![0.0; rows * self.units])
    }

    /// One step of R rows, R / N for each image: `symbols` u32 `[R, 1]` are rows of `table`.
    pub(crate) fn step(
        &self,
        cx: &Cx,
        (columns, keys): (&Tensor, &Tensor),
        (symbols, table): (&Tensor, &Tensor),
        state: &Tensor,
    ) -> Result<Step> {
        let query = self.query.forward(cx, state, Axes::Same)?;
        let memory = Memory { keys, values: columns, vector: &self.vector };
        let [context, places] = additive_attention(cx, &query, memory)?;
        let rows = state.dims()[0];
        let symbol = embedding(cx, symbols, table, 1.0)?.reshape([rows, self.units])?;
        let input = match self.context_first {
            true => concat_last(cx, &[&context, &symbol])?,
            false => concat_last(cx, &[&symbol, &context])?,
        };
        let state = self.cell.forward(cx, &input, state)?;
        let logits = self.classes.forward(cx, &state, Axes::Same)?;
        Ok(Step { logits, state, places })
    }
}

/// Results `[R, C]` of steps as one, `[R, T, C]`.
pub(crate) fn along_steps(cx: &Cx, steps: &[Tensor]) -> Result<Tensor> {
    let all = concat_last(cx, &steps.iter().collect::<Vec<_>>())?;
    let (rows, width) = (all.dims()[0], all.dims()[1] / steps.len());
    all.reshape([rows, steps.len(), width])
}
