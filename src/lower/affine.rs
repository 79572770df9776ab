//! A scale and a shift of every channel behind a product go into its epilogue: a batch norm by running statistics is folded.
//!
//! act(scale ⊙ (acc + bias) + shift + residual) = act(scale ⊙ acc + (shift + bias ⊙ scale) + residual), the shift computed once.

use super::{maker, tailed};
use crate::Result;
use crate::gpu::Gpu;
use crate::ops::nodes::{Affine, Tail, Tailed};
use crate::tensor::{Graph, Rule, Tensor};

pub(super) static RULE: Rule = Rule { name: "affine", wanted: |_| true, apply };

fn apply(graph: &mut Graph, to: usize) -> Result<()> {
    let Some(affine) = graph.at::<Affine>(to) else { return Ok(()) };
    let Some(from) = maker(graph, &affine.x, to) else { return Ok(()) };
    let (tail, y) = (affine.tail().clone(), affine.result().clone());
    let (Some(scale), Some(shift)) = (&tail.scale, &tail.shift) else { return Ok(()) };
    let bias = tailed(graph, from, |node| {
        let own = node.tail();
        let plain = own.scale.is_none() && own.residual.is_none() && own.act == 0;
        (plain && node.has_channels(scale.len())).then(|| own.shift.clone())
    });
    let Some(Some(bias)) = bias else { return Ok(()) };
    let shift = match &bias {
        None => shift.clone(),
        Some(bias) if [scale, shift, bias].into_iter().all(Tensor::is_constant) => {
            shift_of_bias(graph.gpu(), scale, shift, bias)?
        }
        Some(_) => return Ok(()),
    };
    let tail = Tail { shift: Some(shift), ..tail };
    let merge = tailed(graph, from, |node| node.merge(tail, y)).expect("the node of before");
    merge(graph, from, to);
    Ok(())
}

/// shift + bias ⊙ scale of constants.
pub(super) fn shift_of_bias(
    gpu: &Gpu,
    scale: &Tensor,
    shift: &Tensor,
    bias: &Tensor,
) -> Result<Tensor> {
    shift.derived(gpu, "shift of a bias", &[bias, scale], shift.shape(), |values| {
        let [shift, bias, scale] = values else { unreachable!("three constants") };
        let of = |c: usize| f64::from(shift[c]) + f64::from(bias[c]) * f64::from(scale[c]);
        (0..shift.len()).map(|c| of(c) as f32).collect()
    })
}
