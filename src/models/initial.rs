//! Where the networks that LEMMA is compared with do not start from the usual initial values.

use super::{ModelKind, rcan};

/// What a tensor starts as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Start {
    /// All elements 0.
    Zero,
    /// Standard normal values.
    Normal,
    /// Uniform within ±√(6/(fan_in + fan_out)), `torch.nn.init.xavier_uniform_`, if it has two axes or more.
    Xavier,
    /// 1 where row and column are the same, else 0.
    Identity,
    /// These.
    Fixed(&'static [f64]),
}

/// Names, in which `*` stands for any run of characters, of tensors of `kind` that start otherwise than PyTorch's layers.
pub(crate) fn exceptions(kind: ModelKind) -> &'static [(&'static str, Start)] {
    use Start::{Fixed, Identity, Normal, Xavier, Zero};
    match kind {
        ModelKind::Tbsrn => &[
            ("block2.*", Xavier),
            ("block3.*", Xavier),
            ("block4.*", Xavier),
            ("block5.*", Xavier),
            ("block6.*", Xavier),
        ],
        ModelKind::Tatt | ModelKind::TattInBatch => {
            &[("infoGen.init_factor.weight", Normal), ("infoGen.transformer.*", Xavier)]
        }
        ModelKind::Pcan => &[
            ("spatial_attention.vertical_conv_*", Normal),
            ("spatial_attention.horizontal_conv_*", Normal),
        ],
        ModelKind::Rcan | ModelKind::RcanUnit => &[
            ("*_mean.weight", Identity),
            ("sub_mean.bias", Fixed(&rcan::LESS_MEAN)),
            ("add_mean.bias", Fixed(&rcan::MEAN)),
        ],
        ModelKind::San => &[("gamma", Zero), ("non_local.non_local.W.*", Zero)],
        _ => &[],
    }
}
