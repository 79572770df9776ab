//! Adam over every parameter of a network, on the device.

use crate::data::checkpoint::{HostTensor, StateDict};
use crate::gpu::Gpu;
use crate::nn::{OPTIMIZER, Parameter, Parameters};
use crate::ops::{Adam, CLOCK_SIZE, adam, norm_and_clock};
use crate::tensor::{Cx, Tensor};
use crate::{Error, ErrorKind, Result};

/// What the device says of the steps so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Joint norm of the last step's gradients, before clipping.
    pub norm: f32,
    /// Steps taken.
    pub taken: usize,
    /// Steps skipped, because a gradient was not finite.
    pub skipped: usize,
    /// Of these, the last ones in a row.
    pub skipped_in_a_row: usize,
}

/// Moments of every learning parameter, and the clock of the bias corrections.
pub struct Optimizer {
    moments: Vec<[Tensor; 2]>,
    clock: Tensor,
}

const MOMENTS: [&str; 2] = ["optimizer.m", "optimizer.v"];
const CLOCK_NAME: &str = "optimizer.clock";

impl Optimizer {
    /// Before the first step.
    pub fn new(gpu: &Gpu, parameters: &Parameters) -> Self {
        let zeros = |p: &Parameter| {
            let zeros = vec![0.0; p.tensor.len()];
            [(); 2].map(|()| Tensor::upload(gpu, p.tensor.shape(), &zeros))
        };
        Optimizer {
            moments: parameters.learning().map(zeros).collect(),
            clock: Tensor::upload(gpu, [CLOCK_SIZE], &[0.0; CLOCK_SIZE]),
        }
    }

    /// Records one step: `gradients` in the order of [`Parameters::learning`], `None` where the loss does not depend on a
    /// parameter; `settings` by name. A step whose gradients are not all finite changes nothing but the count of such steps.
    ///
    /// # Errors
    /// Errors of the kernels.
    pub fn step(
        &self,
        cx: &Cx,
        parameters: &Parameters,
        gradients: &[Option<Tensor>],
        clip: f32,
        settings: impl Fn(&str) -> Adam,
    ) -> Result<()> {
        let all: Vec<&Tensor> = gradients.iter().flatten().collect();
        let betas = settings("");
        norm_and_clock(cx, &all, &self.clock, clip, betas.beta1, betas.beta2)?;
        for ((p, [m, v]), grad) in parameters.learning().zip(&self.moments).zip(gradients) {
            if let Some(grad) = grad {
                adam(cx, &p.tensor, grad, m, v, &self.clock, &settings(&p.name))?;
            }
        }
        Ok(())
    }

    /// The tensor that [`Progress`] is read from.
    pub fn clock(&self) -> &Tensor {
        &self.clock
    }

    /// What the values of [`Optimizer::clock`] say.
    pub fn progress(clock: &[f64]) -> Progress {
        Progress {
            norm: clock[0] as f32,
            taken: clock[4] as usize,
            skipped: clock[5] as usize,
            skipped_in_a_row: clock[6] as usize,
        }
    }

    /// Adds the moments and the clock to a state dict, under the parameters' names with a prefix.
    ///
    /// # Errors
    /// A lost device.
    pub fn save(&self, gpu: &Gpu, parameters: &Parameters, state: &mut StateDict) -> Result<()> {
        for (i, prefix) in MOMENTS.iter().enumerate() {
            let tensors: Vec<&Tensor> = self.moments.iter().map(|m| &m[i]).collect();
            for (p, host) in parameters.learning().zip(Tensor::read_all(gpu, &tensors)?) {
                let values = p.to_official(&host.to_f32());
                let tensor = HostTensor::from_f32(p.official_shape(), &values)?;
                state.tensors.insert(format!("{prefix}.{}", p.name), tensor);
            }
        }
        let clock = HostTensor::from_f32([CLOCK_SIZE], &self.clock.to_host(gpu)?.to_f32())?;
        state.tensors.insert(CLOCK_NAME.into(), clock);
        Ok(())
    }

    /// Takes moments and clock out of a state dict that [`Optimizer::save`] wrote.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] naming a tensor that is missing or misshapen.
    pub fn load(gpu: &Gpu, parameters: &Parameters, state: &mut StateDict) -> Result<Self> {
        let mut take = |name: String, shape: &[usize]| -> Result<Vec<f32>> {
            match state.tensors.remove(&name) {
                Some(t) if t.shape() == shape => t.to_f32(),
                other => Err(Error::new(ErrorKind::Format, "checkpoint", name)
                    .expected(format!("{shape:?}"))
                    .got(other.map_or("nothing".into(), |t| format!("{:?}", t.shape())))),
            }
        };
        let mut moments = Vec::new();
        for p in parameters.learning() {
            let mut one = |prefix: &str| -> Result<Tensor> {
                let values = take(format!("{prefix}.{}", p.name), p.official_shape())?;
                Ok(Tensor::upload(gpu, p.tensor.shape(), &p.to_device(&values)))
            };
            moments.push([one(MOMENTS[0])?, one(MOMENTS[1])?]);
        }
        let clock = Tensor::upload(gpu, [CLOCK_SIZE], &take(CLOCK_NAME.into(), &[CLOCK_SIZE])?);
        Ok(Optimizer { moments, clock })
    }

    /// Whether a tensor of a checkpoint is the optimiser's.
    pub fn owns(name: &str) -> bool {
        name.starts_with(OPTIMIZER)
    }
}
