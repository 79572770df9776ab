//! A pixel shuffle behind a convolution is done by where the convolution stores its columns.
//!
//! The weight's columns are put into the order of the pixels once. An adapter that compiles slowly would take longer to compile
//! the kernel than the shuffle ever takes.

use super::maker;
use crate::Result;
use crate::ops::nodes::{Product, Shuffle, Tail, Tailed};
use crate::tensor::{Graph, Rule};

pub(super) static RULE: Rule =
    Rule { name: "shuffle_store", wanted: |gpu| !gpu.traits().compiles_slowly, apply };

fn apply(graph: &mut Graph, to: usize) -> Result<()> {
    let Some(shuffle) = graph.at::<Shuffle>(to).filter(|s| s.r == 2) else { return Ok(()) };
    let Some(from) = maker(graph, &shuffle.x, to) else { return Ok(()) };
    let Some(product) = graph.at::<Product>(from).filter(|p| p.tail().act == 0) else {
        return Ok(());
    };
    let Tail { act, slope, .. } = shuffle.tail().clone();
    let tail = Tail { act, slope, ..product.tail().clone() };
    if let Some(fused) = product.shuffled(graph.gpu(), tail, shuffle.result().clone())? {
        graph.merge(from, to, fused);
    }
    Ok(())
}
