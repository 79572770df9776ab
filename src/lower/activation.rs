//! An activation behind a product, an affine map or a pixel shuffle is applied before the result is written.

use super::{maker, tailed};
use crate::Result;
use crate::ops::nodes::{Activate, Tail};
use crate::tensor::{Graph, Rule};

pub(super) static RULE: Rule = Rule { name: "activation", wanted: |_| true, apply };

fn apply(graph: &mut Graph, to: usize) -> Result<()> {
    let Some(node) = graph.at::<Activate>(to) else { return Ok(()) };
    let (tail, y) = (node.tail.clone(), node.y.clone());
    let Some(from) = maker(graph, &node.x, to) else { return Ok(()) };
    let merge = tailed(graph, from, |node| {
        let own = node.tail().clone();
        let tail = Tail { act: tail.act, slope: tail.slope, ..own };
        (node.tail().act == 0).then(|| node.merge(tail, y))
    });
    if let Some(Some(merge)) = merge {
        merge(graph, from, to);
    }
    Ok(())
}
