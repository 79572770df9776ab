//! The nodes of a pass: operations with their operands, and those that no rule looks into.

use super::{Bind, Kernels, Tensor};
use crate::gpu::{Gpu, Grid, Kernel, Variant};
use crate::{Error, Result};
use std::any::Any;
use std::sync::Arc;

/// One operation of a pass with its operands.
pub(crate) trait Op: Any {
    /// Shows every tensor that it reads, each as often as it holds it.
    fn reads<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor));

    /// Shows every tensor that it writes.
    fn writes<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor));

    /// Dispatches its kernels.
    ///
    /// # Errors
    /// Those of the kernels.
    fn lower(&self, k: &Kernels) -> Result<()>;

    /// Measures which of its kernels is fastest, where that is wanted and not known.
    ///
    /// # Errors
    /// Those of the kernels.
    fn tune(&self, _gpu: &Gpu) -> Result<()> {
        Ok(())
    }

    /// Whether it must run whoever reads what it writes.
    fn is_effect(&self) -> bool {
        false
    }
}

/// An operation and the label of its dispatches.
pub(crate) struct Node {
    pub(super) op: Box<dyn Op>,
    pub(super) scope: Arc<str>,
}

/// A kernel with its operands: an operation that no rule looks into.
pub(super) struct Dispatch {
    pub(super) kernel: &'static Kernel,
    pub(super) variant: Variant,
    pub(super) grid: Grid,
    pub(super) params: Vec<u8>,
    pub(super) binds: Vec<Operand>,
}

/// A [`Bind`] that owns its tensor.
pub(super) enum Operand {
    Read(Tensor),
    Write(Tensor),
    Image(Tensor),
    Absent,
}

impl From<&Bind<'_>> for Operand {
    fn from(bind: &Bind<'_>) -> Self {
        match bind {
            Bind::Read(t) => Operand::Read((*t).clone()),
            Bind::Write(t) => Operand::Write((*t).clone()),
            Bind::Image(t) => Operand::Image((*t).clone()),
            Bind::Absent => Operand::Absent,
        }
    }
}

impl Operand {
    fn bind(&self) -> Bind<'_> {
        match self {
            Operand::Read(t) => Bind::Read(t),
            Operand::Write(t) => Bind::Write(t),
            Operand::Image(t) => Bind::Image(t),
            Operand::Absent => Bind::Absent,
        }
    }
}

impl Op for Dispatch {
    fn reads<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        for operand in &self.binds {
            if let Operand::Read(t) | Operand::Image(t) = operand {
                see(t);
            }
        }
    }

    fn writes<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        for operand in &self.binds {
            if let Operand::Write(t) = operand {
                see(t);
            }
        }
    }

    fn lower(&self, k: &Kernels) -> Result<()> {
        let binds: Vec<_> = self.binds.iter().map(Operand::bind).collect();
        k.dispatch(self.kernel, &self.variant, self.grid, &self.params, &binds)
    }
}

/// All elements of one tensor into another, from the byte `at` on.
pub(super) struct Copy {
    pub(super) from: Tensor,
    pub(super) to: Tensor,
    pub(super) at: u64,
}

impl Op for Copy {
    fn reads<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.from);
    }

    fn writes<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.to);
    }

    fn lower(&self, k: &Kernels) -> Result<()> {
        k.copy(&self.from, &self.to, self.at)
    }
}

/// A value that is known before the pass runs.
pub(crate) struct Known {
    /// A constant, stored as `y` is.
    pub(crate) value: Tensor,
    pub(crate) y: Tensor,
}

impl Op for Known {
    fn reads<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.value);
    }

    fn writes<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.y);
    }

    fn lower(&self, k: &Kernels) -> Result<()> {
        k.share(&self.value, &self.y)
    }
}

/// The end of a forward pass, where [`MemoryUse`](crate::gpu::MemoryUse) sees what its backward needs.
pub(super) struct Turn;

impl Op for Turn {
    fn reads<'a>(&'a self, _: &mut dyn FnMut(&'a Tensor)) {}

    fn writes<'a>(&'a self, _: &mut dyn FnMut(&'a Tensor)) {}

    fn lower(&self, k: &Kernels) -> Result<()> {
        k.gpu().turn();
        Ok(())
    }

    fn is_effect(&self) -> bool {
        true
    }
}

/// Names what went wrong in the lowering of a node.
pub(super) fn placed(node: &Node, e: Error) -> Error {
    if node.scope.is_empty() { e } else { e.within(&*node.scope) }
}
