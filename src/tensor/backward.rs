//! Reverse-mode differentiation: what was computed, and how to walk it back. Knows no operation.
//!
//! An operation that has a gradient ends in [`Cx::record`] with a closure that owns exactly what its backward needs. On a pass
//! without a tape, and for inputs that nothing asks a gradient of, the closure is dropped on the spot with the tensors it holds.
//!
//! Who owns what: the first gradient that arrives at a value is moved, later ones are added to it; a value's gradient is gone
//! as soon as its node has used it, and a leaf's stays until [`Grads::take`], or goes where [`Cx::backward_to`] is told.

use super::tape::{Entry, Record, Tape, Var};
use super::{Cx, Tensor};
use crate::shape::Shape;
use crate::{Error, ErrorKind, Result};
use std::collections::HashMap;

/// Gradients of a pass.
#[derive(Default)]
pub struct Grads(HashMap<Var, Tensor>);

impl Grads {
    /// The gradient of a leaf or of a watched value, in the shape that `of` has; none where the loss does not depend on it.
    pub fn take(&mut self, of: &Tensor) -> Option<Tensor> {
        let grad = self.0.remove(&of.var)?;
        Some(grad.reshape(of.shape()).expect("as many elements as checked on arrival"))
    }

    fn arrive(&mut self, cx: &Cx, add: Add, var: Var, grad: Tensor) -> Result<()> {
        let sum = match self.0.remove(&var) {
            None => grad,
            Some(old) => add(cx, &old, &grad.reshape(old.shape())?)?,
        };
        self.0.insert(var, sum);
        Ok(())
    }
}

/// Takes the gradient of a leaf.
pub type Sink<'a> = dyn FnMut(&Cx, u32, Tensor) -> Result<()> + 'a;

/// The sum of two tensors of one shape.
pub type Add = fn(&Cx, &Tensor, &Tensor) -> Result<Tensor>;

impl Tensor {
    /// The same tensor as leaf `number` of a tape.
    pub fn leaf(self, number: u32) -> Self {
        Tensor { var: Var::Leaf(number), ..self }
    }

    /// The same values without a gradient: `torch.Tensor.detach`.
    pub fn detached(&self) -> Self {
        Tensor { var: Var::Constant, ..self.clone() }
    }

    /// Where it stands in differentiation.
    pub fn var(&self) -> Var {
        self.var
    }
}

impl Cx {
    /// Whether a gradient of one of these will be asked for: the pass has a tape and one of them is a leaf, or was computed
    /// from one.
    pub fn tracks(&self, inputs: &[&Tensor]) -> bool {
        self.tape.borrow().is_some() && inputs.iter().any(|t| t.var != Var::Constant)
    }

    /// Puts an operation with one output on the tape. `backward` gets the output's gradient and which inputs want one, and
    /// returns one for each of those, in its input's number of elements.
    pub fn record<const N: usize>(
        &self,
        op: &'static str,
        inputs: [&Tensor; N],
        output: Tensor,
        backward: impl FnOnce(&Cx, Tensor, [bool; N]) -> Result<[Option<Tensor>; N]> + 'static,
    ) -> Tensor {
        let [output] = self.record_all(op, inputs, [output], |cx, [grad], need| match grad {
            Some(grad) => backward(cx, grad, need),
            None => Ok([const { None }; N]),
        });
        output
    }

    /// Puts an operation with several outputs on the tape. An output that the loss does not depend on has no gradient.
    pub fn record_all<const N: usize, const M: usize>(
        &self,
        op: &'static str,
        inputs: [&Tensor; N],
        outputs: [Tensor; M],
        backward: impl FnOnce(&Cx, [Option<Tensor>; M], [bool; N]) -> Result<[Option<Tensor>; N]>
        + 'static,
    ) -> [Tensor; M] {
        if !self.tracks(&inputs) {
            return outputs;
        }
        let mut tape = self.tape.borrow_mut();
        let Some(tape) = tape.as_mut() else { return outputs };
        let need = inputs.map(|t| t.var != Var::Constant);
        let outputs = outputs.map(|t| {
            tape.values += 1;
            Tensor { var: Var::Value(tape.values), ..t }
        });
        let record = Record {
            op,
            place: self.place(),
            inputs: inputs.iter().map(|t| (t.var, t.len())).collect(),
            outputs: outputs
                .iter()
                .map(|t| match t.var {
                    Var::Value(i) => (i, t.shape()),
                    _ => unreachable!("numbered above"),
                })
                .collect(),
            backward: Box::new(move |cx, grads| {
                let grads = grads.try_into().expect("one gradient for each output");
                Ok(backward(cx, grads, need)?.into())
            }),
        };
        self.entries.borrow_mut().push(Entry::Record(record));
        outputs
    }

    /// Keeps the gradient of this value, to be taken from [`Grads`].
    pub fn watch(&self, value: &Tensor) {
        if let (Some(tape), Var::Value(_)) = (self.tape.borrow_mut().as_mut(), value.var) {
            tape.watched.push(value.clone());
        }
    }

    /// Walks the list back from `seeds`, values with their gradients, and takes the tape off the pass. `add` sums gradients that
    /// meet at one value.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] for a gradient that does not fit its value, which would be a mistake of the operation that is
    /// named; errors of the kernels.
    pub fn backward_by(&self, add: Add, seeds: &[(&Tensor, &Tensor)]) -> Result<Grads> {
        self.walk_back(add, seeds, None)
    }

    /// The same, handing each leaf's gradient to `sink` with the leaf's number as soon as nothing more is added to it, so that
    /// no two of them need be there at once.
    ///
    /// # Errors
    /// As [`Cx::backward_by`], and those of `sink`.
    pub fn backward_to(
        &self,
        add: Add,
        seeds: &[(&Tensor, &Tensor)],
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        self.walk_back(add, seeds, Some(sink)).map(drop)
    }

    /// What is recorded so far, in order, and the tape. Both leave the list, which goes on with gradients.
    fn recorded(&self) -> (Vec<Record<Cx>>, Tape) {
        let mut entries = self.entries.borrow_mut();
        let is_record = |entry: &mut Entry<Cx>| matches!(entry, Entry::Record(_));
        let records = entries.extract_if(.., is_record).filter_map(|entry| match entry {
            Entry::Record(record) => Some(record),
            Entry::Node(_) => None,
        });
        (records.collect(), self.tape.borrow_mut().take().unwrap_or_default())
    }

    fn walk_back(
        &self,
        add: Add,
        seeds: &[(&Tensor, &Tensor)],
        mut sink: Option<&mut Sink<'_>>,
    ) -> Result<Grads> {
        let (records, tape) = self.recorded();
        self.turn();
        let mut grads = Grads::default();
        let mut watched = HashMap::new();
        for (value, grad) in seeds {
            fits("seed", value.len(), grad)?;
            if value.var != Var::Constant {
                grads.arrive(self, add, value.var, (*grad).clone())?;
            }
        }
        let mut uses: HashMap<Var, usize> = HashMap::new();
        for (var, _) in records.iter().flat_map(|n| &n.inputs) {
            *uses.entry(*var).or_default() += 1;
        }
        for node in records.into_iter().rev() {
            let _scope = self.back_at(node.place);
            // A value may have been used under another shape than the operation gave it.
            let shaped = |(i, shape): &(u32, Shape)| {
                grads.0.remove(&Var::Value(*i)).map(|g| g.reshape(*shape)).transpose()
            };
            let arrived = node.outputs.iter().map(shaped).collect::<Result<Vec<_>>>()?;
            for ((i, _), grad) in node.outputs.iter().zip(&arrived) {
                let var = Var::Value(*i);
                if let (Some(g), true) = (grad, tape.watched.iter().any(|t| t.var == var)) {
                    watched.insert(var, g.clone());
                }
            }
            let found = match arrived.iter().all(Option::is_none) {
                true => node.inputs.iter().map(|_| None).collect(),
                false => (node.backward)(self, arrived).map_err(|e| e.within(node.op))?,
            };
            for ((var, len), grad) in node.inputs.into_iter().zip(found) {
                if let (Some(grad), true) = (grad, var != Var::Constant) {
                    fits(node.op, len, &grad)?;
                    grads.arrive(self, add, var, grad.detached())?;
                }
                let left = uses.entry(var).or_default();
                *left -= 1;
                if let (Var::Leaf(number), 0, Some(sink)) = (var, *left, &mut sink) {
                    grads.0.remove(&var).map_or(Ok(()), |grad| sink(self, number, grad))?;
                }
            }
        }
        grads.0.extend(watched);
        Ok(grads)
    }
}

fn fits(op: &str, len: usize, grad: &Tensor) -> Result<()> {
    if grad.len() == len {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Shape, op, "elements of a gradient").expected(len).got(grad.shape()))
}
