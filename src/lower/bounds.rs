//! Lengths that are only wanted within bounds are bounded where they are counted.

use super::maker;
use crate::Result;
use crate::ops::nodes::{Clamp, Lengths};
use crate::tensor::{Graph, Rule};

pub(super) static RULE: Rule = Rule { name: "bounds", wanted: |_| true, apply };

fn apply(graph: &mut Graph, to: usize) -> Result<()> {
    let Some(clamp) = graph.at::<Clamp>(to) else { return Ok(()) };
    let Some(from) = maker(graph, &clamp.x, to) else { return Ok(()) };
    if let Some(bounded) = graph.at::<Lengths>(from).map(|lengths| lengths.within(clamp)) {
        graph.merge(from, to, bounded);
    }
    Ok(())
}
