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
    /// `[N, L, C]` here, `[L·N, C]` there.
    Steps,
    /// `[N, H, W, C]` here, rows as sequences `[N·H, W, C]` there.
    Rows,
    /// `[N, H, W, C]` here, columns as sequences `[N·W, H, C]` there.
    Columns,
    /// `[N, H, W, C]` here, `[N, C, W, H]` there.
    Turned,
    /// `[N, L, C]` here, `[N, C, L]` there.
    Transposed,
}

impl Axes {
    /// Values that lie as here, as they lie there.
    pub fn official(self, host: &Host) -> Host {
        match self {
            Axes::Same => host.clone(),
            Axes::Image => host.permute(&[0, 3, 1, 2]),
            Axes::Sequence => host.permute(&[1, 0, 2]),
            Axes::Steps => merge_first(host.permute(&[1, 0, 2])),
            Axes::Rows => merge_first(host.clone()),
            Axes::Columns => merge_first(host.permute(&[0, 2, 1, 3])),
            Axes::Turned => host.permute(&[0, 3, 2, 1]),
            Axes::Transposed => host.permute(&[0, 2, 1]),
        }
    }
}

/// `[A, B, ..]` as `[A·B, ..]`.
fn merge_first(mut host: Host) -> Host {
    let mut dims = host.dims().to_vec();
    let first = dims.remove(0);
    dims[0] *= first;
    host.shape = dims.as_slice().into();
    host
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
    /// How often it is repeated along the batch in the official layout.
    pub copies: usize,
    /// Whether it is the output of a module.
    pub module: bool,
}

impl Tap {
    /// Whether the pass computes it, rather than what it was fused into alone.
    pub fn is_there(&self) -> bool {
        self.tensor.part_if_there().is_some()
    }

    /// Values in the official layout, repeated along the batch.
    pub fn official(&self, host: &Host) -> Host {
        let mut dims = host.dims().to_vec();
        let mut repeated = host.clone();
        if self.copies > 1 {
            dims[0] *= self.copies;
            repeated = Host { data: host.data.repeat(self.copies), ..repeated };
            repeated.shape = dims.as_slice().into();
        }
        self.axes.official(&repeated)
    }
}
