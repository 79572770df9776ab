//! On a device that stores floats as f16, so is what a pass computes, but what is to stay in full.

use crate::Result;
use crate::gpu::Precision;
use crate::tensor::{Graph, Rule};

pub(super) static RULE: Rule =
    Rule { name: "f16", wanted: |gpu| gpu.options().precision == Precision::F16, apply };

fn apply(graph: &mut Graph, at: usize) -> Result<()> {
    graph.narrow(at);
    Ok(())
}
