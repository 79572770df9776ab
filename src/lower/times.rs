//! A product with weights behind an instance norm is computed where the norm is.

use super::maker;
use crate::Result;
use crate::ops::nodes::{Binary, InstanceNorm};
use crate::tensor::{Graph, Rule};

pub(super) static RULE: Rule = Rule { name: "times", wanted: |_| true, apply };

fn apply(graph: &mut Graph, to: usize) -> Result<()> {
    let Some(product) = graph.at::<Binary>(to).filter(|b| b.product) else { return Ok(()) };
    let (a, b, y) = (&product.a, &product.b, &product.y);
    if a.shape() != b.shape() {
        return Ok(());
    }
    let merged = [(a, b), (b, a)].into_iter().find_map(|(made, times)| {
        let from = maker(graph, made, to)?;
        Some((from, graph.at::<InstanceNorm>(from)?.times(times.clone(), y.clone())?))
    });
    if let Some((from, norm)) = merged {
        graph.merge(from, to, norm);
    }
    Ok(())
}
