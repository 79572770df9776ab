//! Attention does not write weights that nobody reads.

use crate::Result;
use crate::ops::nodes::Attend;
use crate::tensor::{Graph, Rule, Tensor};

pub(super) static RULE: Rule = Rule { name: "weights", wanted: |_| true, apply };

fn apply(graph: &mut Graph, at: usize) -> Result<()> {
    let Some(attend) = graph.at::<Attend>(at) else { return Ok(()) };
    let unread = |soft: &&Tensor| !graph.is_wanted(soft) && graph.all_readers(soft).is_empty();
    if attend.weights().filter(unread).is_some() {
        let less = attend.without_weights();
        graph.replace(at, less);
    }
    Ok(())
}
