//! Running statistics of a network in training, which every part of a step moves before it is known whether the step is done.

use crate::Result;
use crate::gpu::{Buffer, Gpu, ReplayablePass};
use crate::nn::Parameters;
use crate::ops::settle;
use crate::tensor::{Cx, Dtype, Tensor};
use std::sync::Arc;

/// The running statistics, each buffer of them with a copy as of the last step that was done.
pub(super) struct Statistics {
    pairs: Vec<[Tensor; 2]>,
    /// Recorded beforehand, so that it takes no memory when there is none.
    back: ReplayablePass,
}

impl Statistics {
    /// Those of a network, as they are.
    ///
    /// # Errors
    /// Errors of the device.
    pub(super) fn new(gpu: &Gpu, parameters: &Parameters) -> Result<Self> {
        let mut buffers: Vec<(&Arc<Buffer>, usize)> = Vec::new();
        for p in parameters.all().iter().filter(|p| p.moves) {
            let part = p.tensor.part();
            let end = part.offset as usize / 4 + p.tensor.len();
            match buffers.last_mut().filter(|(buffer, _)| Arc::ptr_eq(buffer, part.buffer)) {
                Some((_, known)) => *known = end,
                None => buffers.push((part.buffer, end)),
            }
        }
        let pair = |(buffer, len): (&Arc<Buffer>, usize)| {
            let now = Tensor::from_buffer(buffer.clone(), [len].into(), Dtype::F32)?;
            Ok([now, Tensor::upload(gpu, [len], &vec![0.0; len])])
        };
        let pairs: Vec<[Tensor; 2]> = buffers.into_iter().map(pair).collect::<Result<_>>()?;
        let cx = Cx::new(gpu);
        pairs.iter().try_for_each(|[now, kept]| cx.copy_into(now, kept, 0))?;
        cx.submit()?;
        let cx = Cx::new(gpu);
        pairs.iter().try_for_each(|[now, kept]| cx.copy_into(kept, now, 0))?;
        Ok(Statistics { pairs, back: cx.into_replayable()? })
    }

    /// Records, behind a step's update, that what its parts made of the statistics holds if the step is done by `clock`, and
    /// that they are as before if it is left out.
    ///
    /// # Errors
    /// Errors of the kernels.
    pub(super) fn settle(&self, cx: &Cx, clock: &Tensor) -> Result<()> {
        self.pairs.iter().try_for_each(|[now, kept]| settle(cx, clock, now, kept))
    }

    /// Puts back what the parts of a step moved that ended in an error.
    ///
    /// # Errors
    /// Errors of the device.
    pub(super) fn put_back(&self) -> Result<()> {
        self.back.submit()
    }
}
