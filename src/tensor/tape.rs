//! What was computed that a gradient is asked of, in order. Knows no operation and no pass.

use super::Tensor;
use super::label::Place;
use crate::Result;
use crate::shape::Shape;

/// Where a tensor stands in differentiation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Var {
    /// Nothing asks for its gradient.
    #[default]
    Constant,
    /// A parameter, or another input whose gradient is wanted, by its number.
    Leaf(u32),
    /// An output of a recorded operation.
    Value(u32),
}

/// Gradients of the inputs from those of the outputs, appended to the pass.
pub(super) type Backward<C> =
    Box<dyn FnOnce(&C, Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>>>;

/// An operation that a gradient passes through.
pub(super) struct Record<C> {
    pub(super) op: &'static str,
    pub(super) place: Option<Place>,
    pub(super) inputs: Vec<(Var, usize)>,
    pub(super) outputs: Vec<(u32, Shape)>,
    pub(super) backward: Backward<C>,
}

/// The operations of a pass `C` in order.
pub(super) struct Tape<C> {
    pub(super) records: Vec<Record<C>>,
    pub(super) values: u32,
    pub(super) watched: Vec<Tensor>,
}

impl<C> Default for Tape<C> {
    fn default() -> Self {
        Tape { records: Vec::new(), values: 0, watched: Vec::new() }
    }
}
