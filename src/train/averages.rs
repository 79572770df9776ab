//! Weights averaged over the steps: an exponential moving average of what is trained and of the running statistics.

use super::optimizer::Optimizer;
use crate::data::checkpoint::{HostTensor, StateDict};
use crate::gpu::{Buffer, Gpu, ReplayablePass};
use crate::nn::{Parameter, Parameters};
use crate::ops::{average, exchange};
use crate::tensor::{Cx, Dtype, Tensor};
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;

/// The averages, each buffer of parameters or statistics with one that lies alike.
pub(super) struct Averages {
    pairs: Vec<[Tensor; 2]>,
    decay: f32,
    /// Recorded beforehand, so that the way back takes no memory when there is none.
    swap: ReplayablePass,
}

const NAME: &str = "optimizer.average";

impl Averages {
    /// Averages by `decay`, from what a state dict of [`Averages::save`] holds; where it holds none, from the network as it is.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] naming one that is missing beside others or misshapen; errors of the device.
    pub(super) fn new(
        gpu: &Gpu,
        parameters: &Parameters,
        decay: f32,
        state: Option<&StateDict>,
    ) -> Result<Self> {
        let state = state.filter(|s| s.tensors.keys().any(|name| name.starts_with(NAME)));
        let mut buffers: Vec<(&Arc<Buffer>, Vec<f32>)> = Vec::new();
        for p in averaged(parameters) {
            let part = p.tensor.part();
            let place = match buffers.iter().position(|(b, _)| Arc::ptr_eq(b, part.buffer)) {
                Some(place) => place,
                None => {
                    buffers.push((part.buffer, Vec::new()));
                    buffers.len() - 1
                }
            };
            let values = &mut buffers[place].1;
            let first = part.offset as usize / 4;
            values.resize(values.len().max(first + p.tensor.len()), 0.0);
            if let Some(state) = state {
                let stored = p.to_device(&stored(state, p)?);
                values[first..][..stored.len()].copy_from_slice(&stored);
            }
        }
        let pair = |(buffer, values): (&Arc<Buffer>, Vec<f32>)| {
            let now = Tensor::from_buffer(buffer.clone(), [values.len()].into(), Dtype::F32)?;
            Ok([now, Tensor::upload(gpu, [values.len()], &values)])
        };
        let pairs: Vec<[Tensor; 2]> = buffers.into_iter().map(pair).collect::<Result<_>>()?;
        if state.is_none() {
            let cx = Cx::new(gpu);
            pairs.iter().try_for_each(|[now, average]| cx.copy_into(now, average, 0))?;
            cx.submit()?;
        }
        let cx = Cx::new(gpu);
        pairs.iter().try_for_each(|[now, own]| exchange(&cx, now, own))?;
        Ok(Averages { pairs, decay, swap: cx.into_replayable()? })
    }

    /// Records that the averages follow a step, behind its update, where it is done by the clock.
    ///
    /// # Errors
    /// Errors of the kernels.
    pub(super) fn follow(&self, cx: &Cx, optimizer: &Optimizer) -> Result<()> {
        let clock = optimizer.clock();
        self.pairs.iter().try_for_each(|[now, own]| average(cx, clock, now, own, self.decay))
    }

    /// Puts the averages in the place of the network's own numbers, and those in theirs.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] whatever went wrong, since nobody knows where the weights are then.
    pub(super) fn exchange(&self) -> Result<()> {
        self.swap.submit().map_err(|e| {
            Error::new(ErrorKind::Device, "training", "the averages cannot be exchanged").detail(e)
        })
    }

    /// Adds the averages to a state dict, under the tensors' names with a prefix.
    ///
    /// # Errors
    /// A lost device.
    pub(super) fn save(
        &self,
        gpu: &Gpu,
        parameters: &Parameters,
        state: &mut StateDict,
    ) -> Result<()> {
        let tensors: Vec<&Tensor> = self.pairs.iter().map(|[_, own]| own).collect();
        let hosts = Tensor::read_all(gpu, &tensors)?;
        for p in averaged(parameters) {
            let part = p.tensor.part();
            let home =
                self.pairs.iter().position(|[now, _]| Arc::ptr_eq(now.buffer(), part.buffer));
            let host = &hosts[home.expect("a buffer of this network")];
            let values = &host.data[part.offset as usize / 4..][..p.tensor.len()];
            let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
            let tensor = HostTensor::from_f32(p.official_shape(), &p.to_official(&values))?;
            state.tensors.insert(format!("{NAME}.{}", p.name), tensor);
        }
        Ok(())
    }
}

fn averaged(parameters: &Parameters) -> impl Iterator<Item = &Parameter> {
    parameters.all().iter().filter(|p| p.learns || p.moves)
}

fn stored(state: &StateDict, p: &Parameter) -> Result<Vec<f32>> {
    let name = format!("{NAME}.{}", p.name);
    match state.tensors.get(&name) {
        Some(t) if t.shape() == p.official_shape() => t.to_f32(),
        other => Err(Error::new(ErrorKind::Format, "checkpoint", name)
            .expected(format!("{:?}", p.official_shape()))
            .got(other.map_or("nothing".into(), |t| format!("{:?}", t.shape())))),
    }
}
