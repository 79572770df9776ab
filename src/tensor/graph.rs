//! A pass as a list of nodes: what operations append, rules rewrite, and lowering turns into dispatches.
//!
//! A value is the memory that nodes write and read. Who holds a tensor of it outside the list (the caller, a tape, a name of a
//! traced pass) wants it computed; a value that nobody holds may vanish where a rule computes what reads it in one kernel.

use super::Tensor;
use super::node::{Node, Op};
use crate::Result;
use crate::gpu::Gpu;
use crate::shape::Shape;
use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Rewrites nodes into fewer or faster ones that compute the same.
pub(crate) struct Rule {
    /// Its name.
    pub(crate) name: &'static str,
    /// Whether it serves a device.
    pub(crate) wanted: fn(&Gpu) -> bool,
    /// Rewrites what ends at this node, if it applies.
    pub(crate) apply: fn(&mut Graph, usize) -> Result<()>,
}

/// Nodes in their order, and who reads and writes each value.
pub(crate) struct Graph {
    gpu: Gpu,
    nodes: Vec<Option<Node>>,
    uses: HashMap<usize, Uses>,
    /// Values that somebody outside the list holds.
    wanted: HashSet<usize>,
}

#[derive(Default)]
struct Uses {
    readers: Vec<usize>,
    writers: Vec<usize>,
}

impl Uses {
    fn held(&self) -> usize {
        self.readers.len() + self.writers.len()
    }
}

fn key(t: &Tensor) -> usize {
    Arc::as_ptr(&t.storage) as usize
}

impl Graph {
    /// Of nodes in order. Tensors of `names` are not held for the sake of their values.
    pub(super) fn new<'t>(
        gpu: &Gpu,
        nodes: Vec<Node>,
        names: impl Iterator<Item = &'t Tensor>,
    ) -> Self {
        let mut graph = Graph {
            gpu: gpu.clone(),
            nodes: nodes.into_iter().map(Some).collect(),
            uses: HashMap::new(),
            wanted: HashSet::new(),
        };
        let mut named: HashMap<usize, usize> = HashMap::new();
        names.for_each(|t| *named.entry(key(t)).or_default() += 1);
        (0..graph.nodes.len()).for_each(|i| graph.enter(i));
        let mut wanted = HashSet::new();
        for node in graph.nodes.iter().flatten() {
            node.op.writes(&mut |t| {
                let inside = graph.uses.get(&key(t)).map_or(0, Uses::held);
                let idle = named.get(&key(t)).copied().unwrap_or_default();
                if t.storage.place().is_some() || Arc::strong_count(&t.storage) > inside + idle {
                    wanted.insert(key(t));
                }
            });
        }
        graph.wanted = wanted;
        graph
    }

    /// The device that the pass is for.
    pub(crate) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Rewrites by each rule in turn, along the list.
    pub(super) fn rewrite(&mut self, rules: &[&Rule]) -> Result<()> {
        for rule in rules {
            if !(rule.wanted)(&self.gpu) {
                continue;
            }
            for i in 0..self.nodes.len() {
                if self.nodes[i].is_some() {
                    (rule.apply)(self, i).map_err(|e| e.within(rule.name))?;
                }
            }
        }
        Ok(())
    }

    /// The node there, if it is one of this type.
    pub(crate) fn at<T: Op>(&self, i: usize) -> Option<&T> {
        let op: &dyn Any = &*self.nodes.get(i)?.as_ref()?.op;
        op.downcast_ref()
    }

    /// The one node that writes all of a value of this pass.
    pub(crate) fn maker(&self, t: &Tensor) -> Option<usize> {
        let uses =
            self.uses.get(&key(t)).filter(|_| t.is_whole() && t.storage.place().is_none())?;
        if let [one] = uses.writers[..] { Some(one) } else { None }
    }

    /// The one node that reads a value that nobody else wants.
    pub(crate) fn only_reader(&self, t: &Tensor) -> Option<usize> {
        let uses = self.uses.get(&key(t))?;
        if let ([one], false) = (&uses.readers[..], self.is_wanted(t)) { Some(*one) } else { None }
    }

    /// The nodes that read a value that nobody else wants.
    pub(crate) fn readers(&self, t: &Tensor) -> Vec<usize> {
        match self.uses.get(&key(t)) {
            Some(uses) if !self.is_wanted(t) => uses.readers.clone(),
            _ => Vec::new(),
        }
    }

    /// The nodes that read a value.
    pub(crate) fn all_readers(&self, t: &Tensor) -> Vec<usize> {
        self.uses.get(&key(t)).map_or_else(Vec::new, |uses| uses.readers.clone())
    }

    /// Whether all of a value of this pass is written before the node there.
    pub(crate) fn is_made_before(&self, t: &Tensor, at: usize) -> bool {
        let made = |uses: &Uses| !uses.writers.is_empty() && uses.writers.iter().all(|i| *i < at);
        t.storage.place().is_none() && self.uses.get(&key(t)).is_some_and(made)
    }

    /// A value for a node to write, to be stored as `like`.
    pub(crate) fn value(&self, shape: Shape, like: &Tensor) -> Tensor {
        Tensor::awaited(shape, like.dtype(), like.storage.narrows())
    }

    /// Stores the floats that the node there writes as f16, but those that are to be kept in full.
    pub(crate) fn narrow(&self, at: usize) {
        if let Some(node) = &self.nodes[at] {
            node.op.writes(&mut |t| t.storage.narrow());
        }
    }

    /// Whether somebody outside the list holds a value.
    pub(crate) fn is_wanted(&self, t: &Tensor) -> bool {
        self.wanted.contains(&key(t))
    }

    /// Whether the node at `from` computes the same behind those before `to`: none of these writes what it reads.
    pub(crate) fn may_move(&self, from: usize, to: usize) -> bool {
        let mut read = Vec::new();
        if let Some(node) = &self.nodes[from] {
            node.op.reads(&mut |t| read.push(key(t)));
        }
        self.nodes[from + 1..to].iter().flatten().all(|node| {
            let mut clear = true;
            node.op.writes(&mut |t| clear &= !read.contains(&key(t)));
            clear
        })
    }

    /// Puts `op` in the place of the node at `to`, with the label of the one at `from`, which goes; they may be one.
    pub(crate) fn merge(&mut self, from: usize, to: usize, op: impl Op) {
        if from == to {
            return self.replace(from, op);
        }
        self.leave(to);
        let node = self.leave(from).expect("a node to merge");
        self.nodes[to] = Some(Node { op: Box::new(op), scope: node.scope });
        self.enter(to);
    }

    /// Puts `op` in the place of a node.
    pub(crate) fn replace(&mut self, at: usize, op: impl Op) {
        let node = self.leave(at).expect("a node to replace");
        self.nodes[at] = Some(Node { op: Box::new(op), scope: node.scope });
        self.enter(at);
    }

    /// Takes a node out.
    pub(crate) fn remove(&mut self, at: usize) {
        self.leave(at);
    }

    fn enter(&mut self, i: usize) {
        let Some(node) = &self.nodes[i] else { return };
        node.op.reads(&mut |t| self.uses.entry(key(t)).or_default().readers.push(i));
        node.op.writes(&mut |t| self.uses.entry(key(t)).or_default().writers.push(i));
    }

    fn leave(&mut self, i: usize) -> Option<Node> {
        let node = self.nodes[i].take()?;
        let out = |list: &mut Vec<usize>| {
            let at = list.iter().position(|n| *n == i).expect("a use that was entered");
            list.remove(at);
        };
        node.op.reads(&mut |t| out(&mut self.uses.entry(key(t)).or_default().readers));
        node.op.writes(&mut |t| out(&mut self.uses.entry(key(t)).or_default().writers));
        Some(node)
    }

    /// The nodes that somebody wants something of, in order.
    pub(super) fn into_needed(mut self) -> Vec<Node> {
        // What needed nodes read, or write over: a kernel may read what it writes.
        let mut touched = HashSet::new();
        for i in (0..self.nodes.len()).rev() {
            let Some(node) = &self.nodes[i] else { continue };
            let mut needed = node.op.is_effect();
            node.op.writes(&mut |t| needed |= self.is_wanted(t) || touched.contains(&key(t)));
            if !needed {
                self.nodes[i] = None;
                continue;
            }
            node.op.reads(&mut |t| touched.extend([key(t)]));
            node.op.writes(&mut |t| touched.extend([key(t)]));
        }
        self.nodes.into_iter().flatten().collect()
    }
}
