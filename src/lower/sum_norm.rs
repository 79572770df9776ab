//! A scale and a shift of every channel behind a sum: a batch norm of two branches.
//!
//! scale ⊙ (p + q) + shift = scale ⊙ p + (scale ⊙ q + shift): where p and q are products, each is scaled by itself and no kernel
//! is left of the norm. Other sums are computed where the norm is.

use super::{maker, tailed};
use crate::Result;
use crate::ops::nodes::{Affine, Binary, Tail, Tailed};
use crate::tensor::{Graph, Rule, Tensor};

pub(super) static RULE: Rule = Rule { name: "sum_norm", wanted: |_| true, apply };

fn apply(graph: &mut Graph, to: usize) -> Result<()> {
    let Some(affine) = graph.at::<Affine>(to).filter(|a| a.tail().residual.is_none()) else {
        return Ok(());
    };
    let Some(from) = maker(graph, &affine.x, to) else { return Ok(()) };
    if let Some(sum) = graph.at::<Binary>(from) {
        if !sum.product && sum.a.shape() == sum.b.shape() {
            let (x, addend) = (sum.a.clone(), sum.b.clone());
            let fused = affine.of_sum(x.reshape(affine.x.shape())?, addend);
            graph.merge(from, to, fused);
        }
        return Ok(());
    }
    let (norm, y) = (affine.tail().clone(), affine.result().clone());
    let (Some(scale), Some(shift)) = (&norm.scale, &norm.shift) else { return Ok(()) };
    let Some(own) = plain(graph, from, scale) else { return Ok(()) };
    let Some(other) = own.residual.clone() else { return Ok(()) };
    let Some(before) = maker(graph, &other, from) else { return Ok(()) };
    let Some(theirs) = plain(graph, before, scale).filter(|t| t.residual.is_none()) else {
        return Ok(());
    };
    let constants = [Some(scale), Some(shift), own.shift.as_ref(), theirs.shift.as_ref()];
    if !constants.into_iter().flatten().all(Tensor::is_constant) {
        return Ok(());
    }
    let scaled = |bias: &Tensor| {
        bias.derived(graph.gpu(), "a scaled bias", &[scale], bias.shape(), |v| {
            v[0].iter().zip(&*v[1]).map(|(b, s)| (f64::from(*b) * f64::from(*s)) as f32).collect()
        })
    };
    let shift = match &own.shift {
        None => shift.clone(),
        Some(bias) => super::affine::shift_of_bias(graph.gpu(), scale, shift, bias)?,
    };
    let shift_before = theirs.shift.as_ref().map(scaled).transpose()?;
    let other_tail = Tail { scale: Some(scale.clone()), shift: shift_before, ..theirs };
    // Another value than the one it was before, which may have a name.
    let scaled = graph.value(other.shape(), &other);
    let residual = Some(scaled.clone());
    let tail = Tail { residual, scale: Some(scale.clone()), shift: Some(shift), ..norm };
    let first = tailed(graph, before, |n| n.merge(other_tail, scaled)).expect("the node of before");
    let second = tailed(graph, from, |n| n.merge(tail, y)).expect("the node of before");
    first(graph, before, before);
    second(graph, from, to);
    Ok(())
}

/// What stands behind a product that neither scales nor bends.
fn plain(graph: &Graph, at: usize, scale: &Tensor) -> Option<Tail> {
    tailed(graph, at, |node| {
        let own = node.tail();
        let plain = own.scale.is_none() && own.act == 0 && node.has_channels(scale.len());
        plain.then(|| own.clone())
    })
    .flatten()
}
