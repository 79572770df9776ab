//! Attention as a node of a pass.

use super::tiles::{Plan, Scores, ScoresBinds, Values, ValuesBinds};
use crate::Result;
use crate::gpu::Grid;
use crate::shape::to_u32;
use crate::tensor::{Kernels, Op, Tensor};

/// Attention as a node of a pass.
pub(crate) struct Attend {
    /// Queries, keys and values: the tensor that holds the heads, and its first channel of theirs.
    pub(super) parts: [(Tensor, usize); 3],
    pub(super) lengths: Option<Tensor>,
    /// What does not depend on where the heads lie.
    pub(super) scores: Scores,
    pub(super) y: Tensor,
    /// The weights, where they are asked for.
    pub(super) soft: Option<Tensor>,
}

impl Attend {
    /// Queries, keys and values.
    pub(crate) fn parts(&self) -> &[(Tensor, usize); 3] {
        &self.parts
    }

    /// The same of heads that lie elsewhere.
    pub(crate) fn with(&self, parts: [(Tensor, usize); 3]) -> Self {
        let (lengths, scores) = (self.lengths.clone(), self.scores);
        Attend { parts, lengths, scores, y: self.y.clone(), soft: self.soft.clone() }
    }

    /// The weights, where they are asked for.
    pub(crate) fn weights(&self) -> Option<&Tensor> {
        self.soft.as_ref()
    }

    /// The same without writing its weights.
    pub(crate) fn without_weights(&self) -> Self {
        Attend { soft: None, ..self.with(self.parts.clone()) }
    }

    /// What the kernels must know.
    fn params(&self) -> Scores {
        let step = |t: &Tensor| if t.dims()[0] == 1 { 0 } else { t.len() / t.dims()[0] };
        let [q, k, v] =
            self.parts.each_ref().map(|(t, first)| [step(t), t.shape().last(), *first].map(to_u32));
        Scores {
            q_image: q[0],
            q_row: q[1],
            q_first: q[2],
            k_image: k[0],
            k_row: k[1],
            k_first: k[2],
            v_image: v[0],
            v_row: v[1],
            v_first: v[2],
            ..self.scores
        }
    }
}

impl Op for Attend {
    fn reads<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        self.parts.iter().map(|(t, _)| t).chain(&self.lengths).for_each(see);
    }

    fn writes<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        std::iter::once(&self.y).chain(&self.soft).for_each(see);
    }

    fn lower(&self, kernels: &Kernels) -> Result<()> {
        let s = self.params();
        let [n, lq, lk, width, heads] =
            [s.images, s.lq, s.lk, s.width, s.heads].map(|x| x as usize);
        let plan = Plan::of(kernels.gpu());
        let (tile, fused) = plan.scores(width, self.soft.is_some());
        let aligned = [s.width, s.q_row, s.q_first, s.k_row, s.k_first, s.v_row, s.v_first]
            .iter()
            .all(|x| x % 4 == 0);
        let between = || kernels.between([n, heads, lq, lk]);
        let soft = self.soft.clone().or_else(|| (!fused).then(between));

        // An output that a variant does not write is bound all the same.
        let unused = kernels.between_as([1], &self.y);
        let y_out = if fused { &self.y } else { &unused };
        let soft_out = soft.as_ref().unwrap_or(&unused);
        let [q, k, v] = self.parts.each_ref().map(|(t, _)| t.read());
        let binds = ScoresBinds {
            q,
            k,
            v,
            lengths: Tensor::read_or_absent(self.lengths.as_ref()),
            y: y_out.write(),
            weights: soft_out.write(),
        };
        let grid = Grid::linear(n * heads * lq.div_ceil(tile.queries));
        let variant = tile.scores(aligned, fused, soft.is_some());
        kernels.run(tile.kernel, &variant, grid, &s, binds)?;

        if let (false, Some(soft)) = (fused, &soft) {
            let Scores {
                images, lq: queries, lk, heads, width: d, v_image, v_row, v_first, ..
            } = s;
            let p = Values { images, lq: queries, lk, heads, width: d, v_image, v_row, v_first };
            let tile = &plan.values;
            let groups = lq.div_ceil(tile.queries) * width.div_ceil(tile.channels);
            let grid = Grid::linear(n * self.scores.heads as usize * groups);
            let binds = ValuesBinds { weights: soft.read(), v, y: self.y.write() };
            kernels.run(tile.kernel, &tile.variant(aligned), grid, &p, binds)?;
        }
        Ok(())
    }
}
