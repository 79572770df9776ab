//! An affine map that is copied into columns of a wider tensor is computed there: a norm that is joined to a feature.

use super::maker;
use crate::Result;
use crate::ops::nodes::{Affine, CopyColumns};
use crate::tensor::{Graph, Rule};

pub(super) static RULE: Rule = Rule { name: "place", wanted: |_| true, apply };

fn apply(graph: &mut Graph, to: usize) -> Result<()> {
    let Some(copy) = graph.at::<CopyColumns>(to).filter(|c| c.is_of_all()) else { return Ok(()) };
    let Some(from) = maker(graph, &copy.x, to) else { return Ok(()) };
    let Some(affine) = graph.at::<Affine>(from) else { return Ok(()) };
    if let Some(placed) = affine.at_columns(copy.y.clone(), copy.to) {
        graph.merge(from, to, placed);
    }
    Ok(())
}
