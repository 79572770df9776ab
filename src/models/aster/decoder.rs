//! ASTER's decoder: one symbol at each step, by a beam search of fixed length.

use super::{CLASSES, END};
use crate::Result;
use crate::models::attention_decoder::{AttentionDecoder, Parts, Sizes, along_steps};
use crate::nn::Scope;
use crate::ops::{NEVER, beam_step, gather_rows};
use crate::shape::to_u32;
use crate::tensor::{Cx, Tensor};

/// Beams, and steps that are always made.
const BEAMS: usize = 5;
const STEPS: usize = 100;
const UNITS: usize = 512;
/// The symbol before the first.
const START: u32 = 97;

/// The layers.
pub(super) struct Decoder(AttentionDecoder);

impl Decoder {
    /// Loads `attention_unit`, `tgt_embedding`, `gru` and `fc`.
    pub(super) fn load(s: &Scope) -> Self {
        let parts = Parts {
            query: "attention_unit.sEmbed",
            keys: ("attention_unit.xEmbed", true),
            vector: ("attention_unit.wEmbed", true),
            table: "tgt_embedding.weight",
            cell: ("gru", "_l0"),
            classes: "fc",
            context_first: false,
        };
        let sizes = Sizes { column: 512, units: UNITS, symbols: CLASSES + 1, classes: CLASSES };
        Decoder(AttentionDecoder::load(s, &parts, sizes))
    }

    /// The trail `[T, N, W, 4]` of a beam search over `columns [N, L, 512]`.
    pub(super) fn search(&self, cx: &Cx, columns: &Tensor) -> Result<Tensor> {
        let n = columns.dims()[0];
        let rows = n * BEAMS;
        let keys = self.0.keys(cx, columns)?;
        let table = self.0.symbols_from(0)?;
        let mut state = self.0.start(cx, rows);
        let mut symbols = Tensor::upload_u32(cx.gpu(), [rows, 1], &vec![START; rows]);
        // All beams are alike at first: one goes on.
        let first: Vec<f32> = (0..rows).map(|i| if i % BEAMS == 0 { 0.0 } else { NEVER }).collect();
        let mut scores = Tensor::upload(cx.gpu(), [n, BEAMS], &first);
        let trail = cx.out_f32([STEPS, n, BEAMS, 4]);
        for t in 0..STEPS {
            let step = self.0.step(cx, (columns, &keys), (&symbols, &table), &state)?;
            let logits = step.logits.reshape([n, BEAMS, CLASSES])?;
            let places = step.places.reshape([n, BEAMS])?;
            let beams = beam_step(cx, &logits, &scores, &places, &trail, t, to_u32(END))?;
            let states = step.state.reshape([n, BEAMS, UNITS])?;
            state = gather_rows(cx, &states, &beams.parents, BEAMS)?.reshape([rows, UNITS])?;
            symbols = beams.symbols.reshape([rows, 1])?;
            scores = beams.scores;
        }
        Ok(trail)
    }

    /// Class scores `[N, T, 97]` where the symbol before each step is given.
    pub(super) fn along(&self, cx: &Cx, columns: &Tensor, symbols: &[u32]) -> Result<Tensor> {
        let n = columns.dims()[0];
        let keys = self.0.keys(cx, columns)?;
        let table = self.0.symbols_from(0)?;
        let mut state = self.0.start(cx, n);
        let mut logits = Vec::new();
        for symbol in std::iter::once(&START).chain(symbols) {
            let symbol = Tensor::upload_u32(cx.gpu(), [n, 1], &vec![*symbol; n]);
            let step = self.0.step(cx, (columns, &keys), (&symbol, &table), &state)?;
            logits.push(step.logits);
            state = step.state;
        }
        along_steps(cx, &logits)
    }
}
