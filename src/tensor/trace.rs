//! Named activations of a pass, kept for a look at them.

use super::{Host, Tensor};

/// How the axes of a tensor here map to the layout that PyTorch's modules use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axes {
    /// Already in the official layout.
    Same,
    /// `[N, H, W, C]` here, `[N, C, H, W]` there.
    Image,
    /// `[N, L, C]` here, `[L, N, C]` there.
    Sequence,
}

impl Axes {
    /// Values in the official layout.
    pub fn official(self, host: &Host) -> Host {
        match self {
            Axes::Same => host.clone(),
            Axes::Image => host.permute(&[0, 3, 1, 2]),
            Axes::Sequence => host.permute(&[1, 0, 2]),
        }
    }
}

/// One named activation.
#[derive(Debug, Clone)]
pub struct Tap {
    /// Its path: the official name of the module whose output it is, or of the value.
    pub name: String,
    /// Its value.
    pub tensor: Tensor,
    /// Its layout.
    pub axes: Axes,
}
