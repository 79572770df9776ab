//! How a pass is lowered and run: the rules that turn its nodes into fewer or faster ones.
//!
//! A rule knows what operations compute, not whose they are. It is one file, with cases of its own that compare the fused with
//! the unfused. Rules apply in the order of [`RULES`], each along the whole pass.

mod activation;
mod affine;
mod bounds;
#[cfg(test)]
mod cases;
mod channels;
mod constants;
mod f16;
mod place;
mod residual;
mod shuffle_store;
mod siblings;
mod sum_norm;
mod times;
mod weights;

use crate::Result;
use crate::gpu::{ReplayablePass, Timing};
use crate::ops::nodes::{Affine, Product, Residual, Shuffle, Tail, Tailed, WinogradOutput};
use crate::tensor::{Cx, Graph, Rule, Tap, Tensor};

const RULES: &[&Rule] = &[
    &affine::RULE,
    &residual::RULE,
    &sum_norm::RULE,
    &activation::RULE,
    &times::RULE,
    &bounds::RULE,
    &channels::RULE,
    &shuffle_store::RULE,
    &siblings::RULE,
    &place::RULE,
    &weights::RULE,
    &f16::RULE,
    &constants::RULE,
];

impl Cx {
    /// Lowers the pass and runs it. Tensors of the pass can be read afterwards; returns its named activations.
    ///
    /// # Errors
    /// [`ErrorKind::Device`](crate::ErrorKind::Device) when the device refuses the pass.
    pub fn submit(self) -> Result<Vec<Tap>> {
        let (pass, taps) = self.lowered(RULES)?;
        pass.submit()?;
        Ok(taps)
    }

    /// Lowers the pass and keeps it, to be run any number of times: with what the tensors that it reads hold then
    /// ([`Tensor::write_values`]), it computes those that it writes anew.
    ///
    /// # Errors
    /// A kernel that the device's compiler refuses.
    pub fn into_replayable(self) -> Result<ReplayablePass> {
        self.lowered(RULES)?.0.keep()
    }

    /// Lowers the pass, runs it, waits, and returns the time of each dispatch by the GPU's clock.
    ///
    /// # Errors
    /// As [`Cx::submit`], and where the device was not opened with profiling.
    pub fn submit_timed(self) -> Result<Vec<Timing>> {
        self.lowered(RULES)?.0.submit_timed()
    }

    /// Lowers the pass without running it: on a device that plans, what memory it takes is known then.
    ///
    /// # Errors
    /// As [`Cx::submit`].
    pub fn plan(self) -> Result<()> {
        self.lowered(RULES).map(drop)
    }
}

/// Where the value `t`, which nobody but the node at `to` wants, is made, if that may be done as late as there.
fn maker(graph: &Graph, t: &Tensor, to: usize) -> Option<usize> {
    let from = graph.maker(t)?;
    (graph.only_reader(t) == Some(to) && graph.may_move(from, to)).then_some(from)
}

/// What `look` makes of the operation at `at`, if that can do more to its result.
fn tailed<T>(graph: &Graph, at: usize, look: impl FnOnce(&dyn AnyTailed) -> T) -> Option<T> {
    let product = graph.at::<Product>(at).filter(|product| product.has_epilogue());
    None.or_else(|| product.map(|n| n as &dyn AnyTailed))
        .or_else(|| graph.at::<WinogradOutput>(at).map(|n| n as &dyn AnyTailed))
        .or_else(|| graph.at::<Affine>(at).map(|n| n as &dyn AnyTailed))
        .or_else(|| graph.at::<Shuffle>(at).map(|n| n as &dyn AnyTailed))
        .map(look)
}

/// A [`Tailed`] of any type.
trait AnyTailed {
    fn tail(&self) -> &Tail;
    fn has_channels(&self, channels: usize) -> bool;
    fn takes(&self, residual: &Residual) -> bool;
    /// Puts the same with another tail, into `y`, in the place of the node at `to`.
    fn merge(&self, tail: Tail, y: Tensor) -> Merge;
}

/// How a graph is rewritten once nobody looks at its nodes.
type Merge = Box<dyn FnOnce(&mut Graph, usize, usize)>;

impl<T: Tailed> AnyTailed for T {
    fn tail(&self) -> &Tail {
        Tailed::tail(self)
    }

    fn has_channels(&self, channels: usize) -> bool {
        Tailed::has_channels(self, channels)
    }

    fn takes(&self, residual: &Residual) -> bool {
        Tailed::takes(self, residual)
    }

    fn merge(&self, tail: Tail, y: Tensor) -> Merge {
        let node = self.with(tail, y);
        Box::new(move |graph, from, to| graph.merge(from, to, node))
    }
}
