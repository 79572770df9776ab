//! Operations: one file per family with its kernels, its function and its oracle in f64.
//!
//! A row of [`TABLE`] makes an operation known to the tests, the benches, the kernel catalogue and the self-test. An operation
//! that is composed of others is just a function and needs no row.

mod element;
mod elementary;
mod epilogue;
mod row;
mod strided;

mod adaptive_max_pool;
mod additive_attention;
mod attention;
mod batch_norm;
mod beam;
mod broadcast;
pub mod catalogue;
mod channel_affine;
pub mod check;
mod columns;
mod conv;
mod ctc;
mod ctc_places;
mod deformable;
mod depthwise;
mod depthwise_window;
mod dropout;
mod gather;
mod gemm;
mod grid_sample;
mod gru;
mod gru_cell;
mod instance_norm;
mod layer_norm;
mod layout;
mod loss;
mod lstm;
mod mask_scores;
mod masked_max;
mod matmul;
mod max_pool;
pub mod measure;
mod norm_affine;
mod numerics;
mod optim;
mod peak;
mod pixel_shuffle;
mod pointwise;
mod reorder;
mod resize;
mod sequence;
mod sinusoid;
mod softmax;
mod topk;
mod tps;
mod tracked;

pub use adaptive_max_pool::adaptive_max_pool;
pub use additive_attention::{Memory, additive_attention};
pub use attention::{Attention, Heads, attention};
pub use batch_norm::{BatchStats, batch_norm_eval, batch_norm_train};
pub use beam::{Beams, NEVER, beam_step};
pub use broadcast::{expand, repeat, sum_to};
pub use channel_affine::channel_affine;
pub use conv::winograd::{suits_winograd, winograd, winograd_weight};
pub use conv::{conv_transpose2d, conv2d, spread};
pub use ctc::ctc_loss;
pub use ctc_places::ctc_places;
pub use deformable::deformable_depthwise;
pub use depthwise::global_depthwise;
pub use depthwise_window::depthwise_conv2d;
pub use dropout::dropout;
pub use elementary::{ln, reciprocal, sqrt};
pub use epilogue::{Act, Epilogue};
pub use gather::{gather_rows, keep_rows, scatter_rows};
pub use grid_sample::{grid_sample, tps_grid};
pub use gru::{Along, Direction, bidirectional_gru};
pub use gru_cell::gru_cell;
pub use instance_norm::instance_norm;
pub use layer_norm::{Deviation, layer_norm};
pub use layout::{concat_last, permute, slice_last};
pub use loss::{cross_entropy, mean_absolute, mean_squared};
pub use lstm::bidirectional_lstm;
pub use mask_scores::{Mask, mask_scores};
pub use masked_max::masked_max;
pub use matmul::{batched_matmul, linear, linear_columns};
pub use max_pool::max_pool;
pub use numerics::Function;
pub use optim::{Adam, CLOCK_SIZE, adam, average, exchange, norm_and_clock, settle};
pub use peak::{TOOLS, copy_bandwidth, fma_peak};
pub use pixel_shuffle::pixel_shuffle;
#[cfg(feature = "train")]
pub(crate) use pointwise::activation;
pub use pointwise::{activate, add, mean_to, mix, mul, scale};

pub use resize::{Filter, resize};
pub use row::{Case, Cost, KernelUse, Row};
pub use sequence::{argmax, clamp, embedding, lengths};
pub use sinusoid::sinusoid_table;
pub use softmax::softmax;
pub use topk::{Order, sort_descending};
pub use tps::Spline;
#[cfg(feature = "train")]
pub(crate) use tps::inverse;

/// Nodes of a pass that rules look into.
pub(crate) mod nodes {
    pub(crate) use super::attention::Attend;
    pub(crate) use super::channel_affine::Affine;
    pub(crate) use super::conv::winograd::Output as WinogradOutput;
    pub(crate) use super::epilogue::{Residual, Tail, Tailed};
    pub(crate) use super::gemm::Product;
    pub(crate) use super::gru::Recurrence;
    pub(crate) use super::instance_norm::InstanceNorm;
    pub(crate) use super::layout::CopyColumns;
    pub(crate) use super::pixel_shuffle::Shuffle;
    pub(crate) use super::pointwise::{Activate, Binary};
    pub(crate) use super::resize::Resize;
    pub(crate) use super::sequence::{Clamp, Lengths};
}

use crate::Result;
use crate::tensor::{Cx, Grads, Sink, Tensor};

/// Every operation that has kernels of its own.
pub const TABLE: &[&Row] = &[
    &adaptive_max_pool::ROW,
    &additive_attention::ROW,
    &attention::ROW,
    &batch_norm::ROW,
    &beam::ROW,
    &broadcast::ROW,
    &channel_affine::ROW,
    &conv::ROW,
    &ctc::ROW,
    &ctc_places::ROW,
    &deformable::ROW,
    &depthwise::ROW,
    &depthwise_window::ROW,
    &dropout::ROW,
    &elementary::ROW,
    &gather::ROW,
    &grid_sample::ROW,
    &gru::ROW,
    &gru_cell::ROW,
    &instance_norm::ROW,
    &layer_norm::ROW,
    &layout::ROW,
    &loss::ROW,
    &lstm::ROW,
    &mask_scores::ROW,
    &masked_max::ROW,
    &matmul::ROW,
    &max_pool::ROW,
    &optim::ROW,
    &pixel_shuffle::ROW,
    &pointwise::ROW,
    &resize::ROW,
    &sequence::ROW,
    &softmax::ROW,
    &topk::ROW,
    &conv::winograd::ROW,
];

/// Every kernel in use, with the operation whose row names it; a kernel that several rows name comes once for each.
pub fn kernels() -> impl Iterator<Item = (Option<&'static str>, &'static KernelUse)> {
    TABLE
        .iter()
        .flat_map(|row| row.kernels.iter().map(|k| (Some(row.op), k)))
        .chain(TOOLS.iter().map(|k| (None, k)))
}

/// Gradients of `loss`, one number, times `scale`; takes the tape off the pass.
///
/// # Errors
/// A loss of more than one number; errors of the operations' gradients.
pub fn backward(cx: &Cx, loss: &Tensor, scale: f32) -> Result<Grads> {
    cx.expect("backward", "loss", &loss.reshape([loss.len()])?, [1])?;
    let seed = Tensor::upload(cx.gpu(), [1], &[scale]);
    cx.backward_by(add, &[(loss, &seed)])
}

/// The same, handing the gradient of each leaf to `sink`.
///
/// # Errors
/// As [`backward`], and those of `sink`.
pub fn backward_to(cx: &Cx, loss: &Tensor, scale: f32, sink: &mut Sink<'_>) -> Result<()> {
    cx.expect("backward", "loss", &loss.reshape([loss.len()])?, [1])?;
    let seed = Tensor::upload(cx.gpu(), [1], &[scale]);
    cx.backward_to(add, &[(loss, &seed)], sink)
}
