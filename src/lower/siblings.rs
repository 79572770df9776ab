//! Products of one matrix with several constant weights are one product, and what reads one of the results reads its columns.
//!
//! Serves branches of 1×1 convolutions, projections to queries, keys and values, and the inputs of a recurrence. Applies where
//! nobody else reads the results.

use crate::Result;
use crate::ops::nodes::{Attend, Product, Recurrence, Tail, Tailed};
use crate::tensor::{Graph, Rule, Tensor};
use std::ops::Range;

pub(super) static RULE: Rule = Rule { name: "siblings", wanted: |_| true, apply };

fn apply(graph: &mut Graph, first: usize) -> Result<()> {
    let Some((a, kind)) = of(graph, first) else { return Ok(()) };
    let a = a.clone();
    let mut all = graph.all_readers(&a);
    all.sort_unstable();
    all.dedup();
    all.retain(|i| *i >= first && of(graph, *i).is_some_and(|(b, k)| b.is(&a) && k == kind));
    if all.len() < 2 || !graph.is_made_before(&a, first) {
        return Ok(());
    }
    let products: Vec<&Product> = all.iter().filter_map(|i| graph.at(*i)).collect();
    // Each with the columns that its product takes of it.
    let joined = |part: &dyn Fn(&Product) -> Result<Option<Tensor>>| -> Result<Option<Tensor>> {
        let parts = products.iter().filter_map(|p| {
            let (_, _, columns) = p.columns()?;
            Some(part(p).transpose()?.and_then(|t| used(graph, &t, columns)))
        });
        let parts = parts.collect::<Result<Vec<Tensor>>>()?;
        parts.split_first().map(|(one, others)| side_by_side(graph, one, others)).transpose()
    };
    let tail = Tail {
        scale: joined(&|p| Ok(p.tail().scale.clone()))?,
        shift: joined(&|p| Ok(p.tail().shift.clone()))?,
        residual: None,
        act: products[0].tail().act,
        slope: joined(&|p| slope(graph, p))?,
    };
    let b = joined(&|p| Ok(Some(p.weight().clone())))?.expect("several weights");
    let one = products[0].result();
    let wide = graph.value(one.shape().with_last(b.shape().last()), one);
    let fused = products[0].by(b, tail, wide.clone());
    let mut places = Vec::new();
    for y in products.iter().map(|p| p.result()) {
        places
            .push((y.clone(), places.last().map_or(0, |(y, at): &(Tensor, usize)| at + width(y))));
    }
    for (y, _) in &places {
        for reader in graph.all_readers(y) {
            let place = |t: &Tensor| places.iter().find(|(y, _)| y.is(t)).map(|(_, at)| *at);
            let part = |(t, from): &(Tensor, usize)| match place(t) {
                Some(at) => Ok((wide.reshape(t.shape().with_last(width(&wide)))?, at + from)),
                None => Ok((t.clone(), *from)),
            };
            if let Some(attend) = graph.at::<Attend>(reader) {
                let [q, k, v] = attend.parts().each_ref().map(part);
                let attend = attend.with([q?, k?, v?]);
                graph.replace(reader, attend);
            } else if let Some(recurrence) = graph.at::<Recurrence>(reader) {
                let [f, b] = recurrence.inputs().each_ref().map(part);
                let recurrence = recurrence.with([f?, b?]);
                graph.replace(reader, recurrence);
            } else if let Some(product) = graph.at::<Product>(reader) {
                let product = product.of_rows(wide.clone(), place(y).expect("one of the places"));
                graph.replace(reader, product);
            }
        }
    }
    graph.replace(first, fused);
    all[1..].iter().for_each(|i| graph.remove(*i));
    Ok(())
}

fn width(t: &Tensor) -> usize {
    t.shape().last()
}

/// What siblings have in common: activation, and whether there is a scale and a shift.
type Kind = (u32, bool, bool);

/// The matrix that a product takes, and its kind, if it can be one of several siblings.
fn of(graph: &Graph, at: usize) -> Option<(&Tensor, Kind)> {
    let product = graph.at::<Product>(at)?;
    let (a, b, _) = product.columns()?;
    let tail = product.tail();
    let parts = [&tail.scale, &tail.shift, &tail.slope];
    let constant = b.is_constant() && parts.into_iter().flatten().all(Tensor::is_constant);
    let readers = graph.readers(product.result());
    let served = readers.iter().all(|i| reads_columns(graph, *i, product.result()));
    let kind = (tail.act, tail.scale.is_some(), tail.shift.is_some());
    (constant && tail.residual.is_none() && served && !readers.is_empty()).then_some((a, kind))
}

/// Whether the node there could read `y` as columns of a wider matrix.
fn reads_columns(graph: &Graph, at: usize, y: &Tensor) -> bool {
    let attends = graph.at::<Attend>(at).is_some_and(|n| n.parts().iter().any(|(t, _)| t.is(y)));
    // Both directions of a recurrence come to lie in one tensor, or none does: its kernels read rows of one width.
    let recurs = graph.at::<Recurrence>(at).is_some_and(|n| {
        let [f, b] = n.inputs().each_ref().map(|(t, _)| projection(graph, t, at));
        f.zip(b).is_some_and(|((f, one), (b, other))| f.is(b) && one == other)
    });
    let multiplies = graph.at::<Product>(at).is_some_and(|product| {
        let alone = product.tail().residual.as_ref().is_none_or(|r| !r.is(y));
        let columns = product.columns();
        alone && columns.is_some_and(|(a, b, _)| a.is(y) && b.dims()[0] == width(y))
    });
    attends || recurs || multiplies
}

/// These columns of a constant.
fn used(graph: &Graph, t: &Tensor, columns: Range<usize>) -> Result<Tensor> {
    let all = width(t);
    if columns.len() == all {
        return Ok(t.clone());
    }
    let shape = t.shape().with_last(columns.len());
    t.derived_by(graph.gpu(), ("columns", columns.clone()), &[], shape, |values| {
        values[0].chunks_exact(all).flat_map(|row| row[columns.clone()].to_vec()).collect()
    })
}

/// Whether there is a scale and a shift in the product that makes `t` of constants for the node there alone, and what matrix it
/// takes.
fn projection<'g>(graph: &'g Graph, t: &Tensor, at: usize) -> Option<(&'g Tensor, (bool, bool))> {
    let product = graph.at::<Product>(graph.maker(t)?)?;
    let (a, weight, _) = product.columns()?;
    let Tail { scale, shift, residual, act, .. } = product.tail();
    let plain = *act == 0 && residual.is_none() && weight.is_constant();
    let constant = scale.iter().chain(shift).all(Tensor::is_constant);
    let alone = graph.only_reader(t) == Some(at);
    (plain && constant && alone).then_some((a, (scale.is_some(), shift.is_some())))
}

/// Constants `[.., C]` of different C side by side, computed once.
fn side_by_side(graph: &Graph, one: &Tensor, others: &[Tensor]) -> Result<Tensor> {
    let total = width(one) + others.iter().map(width).sum::<usize>();
    let widths: Vec<usize> = std::iter::once(one).chain(others).map(width).collect();
    let others: Vec<&Tensor> = others.iter().collect();
    one.derived(graph.gpu(), "side by side", &others, one.shape().with_last(total), |values| {
        let rows = values[0].len() / widths[0];
        let row = |r: usize| {
            let part = move |(v, w): (&std::sync::Arc<Vec<f32>>, &usize)| v[r * w..][..*w].to_vec();
            values.iter().zip(&widths).flat_map(part).collect::<Vec<f32>>()
        };
        (0..rows).flat_map(row).collect()
    })
}

/// PReLU's slope for each column of a product, where that is its activation.
fn slope(graph: &Graph, product: &Product) -> Result<Option<Tensor>> {
    let Some(slope) = product.tail().slope.as_ref() else { return Ok(None) };
    let columns = width(product.result());
    if slope.len() == columns {
        return Ok(Some(slope.clone()));
    }
    // The same slope may serve layers of several widths.
    let name = "slope of each column";
    let of = product.weight();
    of.derived(graph.gpu(), name, &[slope], [columns], |v| vec![v[1][0]; columns]).map(Some)
}
