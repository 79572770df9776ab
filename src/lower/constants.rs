//! A product of constants is a constant: it is computed once, on the host in f64, and kept beside its weight.

use crate::Result;
use crate::ops::nodes::{Product, Tailed};
use crate::tensor::{Graph, Known, Rule};

pub(super) static RULE: Rule = Rule { name: "constants", wanted: |_| true, apply };

fn apply(graph: &mut Graph, at: usize) -> Result<()> {
    let Some(product) = graph.at::<Product>(at) else { return Ok(()) };
    let y = product.result().clone();
    let Some(value) = product.constant(graph.gpu())? else { return Ok(()) };
    if value.dtype() == y.dtype() {
        graph.replace(at, Known { value, y });
    }
    Ok(())
}
