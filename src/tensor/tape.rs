//! The list of a pass, and what a walk back over it needs to know. Knows no operation and no pass.

use super::Tensor;
use super::label::Place;
use super::node::Node;
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

/// An entry of the list that a pass `C` is: what lowering turns into dispatches, and what a walk back over the same list turns
/// into gradients.
pub(super) enum Entry<C> {
    Node(Node),
    Record(Record<C>),
}

/// What a pass knows of its tape besides the list: how many values have a number, and whose gradients are to be kept.
#[derive(Default)]
pub(super) struct Tape {
    pub(super) values: u32,
    pub(super) watched: Vec<Tensor>,
}
