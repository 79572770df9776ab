//! Lowering: nodes become commands of a recorded pass.

use super::graph::{Graph, Rule};
use super::node::placed;
use super::tape::Entry;
use super::{Cx, Kernels, Tap};
use crate::Result;
use crate::gpu::Pass;
use std::cell::RefCell;
use std::sync::Arc;

impl Cx {
    /// Lowers the pass by `rules`; returns it with the activations that were named, some of which may
    /// have been fused away ([`Tap::is_there`]).
    ///
    /// # Errors
    /// A kernel that the device's compiler refuses, no memory, and operands of a pass that was not submitted.
    pub(crate) fn lowered(self, rules: &[&Rule]) -> Result<(Pass, Vec<Tap>)> {
        let Cx { gpu, recorder, entries, taps, holds_names, tape, .. } = self;
        drop(tape);
        // What is still recorded is for a walk back that nobody asked for.
        let nodes = entries.into_inner().into_iter().filter_map(|entry| match entry {
            Entry::Node(node) => Some(node),
            Entry::Record(_) => None,
        });
        let taps = taps.map(RefCell::into_inner).unwrap_or_default();
        if holds_names {
            // A constant that was named may be in no pass but in what was made of it.
            taps.iter().for_each(|tap| tap.tensor.storage.upload(&gpu));
        }
        let idle = taps.iter().filter(|_| !holds_names).map(|tap| &tap.tensor);
        let mut graph = Graph::new(&gpu, nodes.collect(), idle);
        graph.rewrite(rules)?;
        let nodes = graph.into_needed();
        if gpu.measures_choices() {
            nodes.iter().try_for_each(|n| n.op.tune(&gpu).map_err(|e| placed(n, e)))?;
        }
        let kernels = Kernels::new(gpu, recorder);
        let mut scope: Arc<str> = "".into();
        // A node goes when it is lowered, and with it the memory of what it was the last to read.
        for node in nodes {
            if node.scope != scope {
                scope = node.scope.clone();
                kernels.label(&scope);
            }
            node.op.lower(&kernels).map_err(|e| placed(&node, e))?;
        }
        Ok((kernels.finish(), taps))
    }
}
