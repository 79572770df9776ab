//! A sum behind a product goes into its epilogue: shortcuts, skip connections, positions that are the same for all images.

use super::{maker, tailed};
use crate::Result;
use crate::ops::nodes::{Binary, Residual, Tail};
use crate::tensor::{Graph, Rule};

pub(super) static RULE: Rule = Rule { name: "residual", wanted: |_| true, apply };

fn apply(graph: &mut Graph, to: usize) -> Result<()> {
    let Some(sum) = graph.at::<Binary>(to).filter(|b| !b.product) else { return Ok(()) };
    let Some(copies) = sum.copies else { return Ok(()) };
    let (a, b, y) = (&sum.a, &sum.b, sum.y.clone());
    let mut ways = vec![(a, Residual { tensor: b.clone(), copies })];
    if a.shape() == b.shape() {
        ways.push((b, Residual { tensor: a.clone(), copies: 1 }));
    }
    let served = ways.into_iter().filter_map(|(made, residual)| {
        let from = maker(graph, made, to)?;
        let free = tailed(graph, from, |node| {
            let own = node.tail();
            own.residual.is_none() && own.act == 0 && node.takes(&residual)
        });
        free?.then_some((from, residual.tensor))
    });
    // The later of two products, so that the other may run before it.
    let Some((from, residual)) = served.max_by_key(|(from, _)| *from) else { return Ok(()) };
    let merge = tailed(graph, from, |node| {
        node.merge(Tail { residual: Some(residual), ..node.tail().clone() }, y)
    });
    merge.expect("the node of before")(graph, from, to);
    Ok(())
}
