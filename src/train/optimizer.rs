//! Adam over every parameter of a network, on the device.
//!
//! Parameters lie side by side in a few buffers ([`Arena`](crate::tensor::Arena)); gradients and moments lie alike in buffers of
//! their own. So the norm and the update each take one dispatch for every run of neighbors with the same settings.

use crate::data::checkpoint::{Dtype as HostDtype, HostTensor, StateDict};
use crate::gpu::{BufferSlice, Gpu};
use crate::nn::{OPTIMIZER, Parameter, Parameters};
use crate::ops::{Adam, CLOCK_SIZE, adam, add, norm_and_clock};
use crate::tensor::{Cx, Dtype, Host, Tensor, Var};
use crate::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::sync::Arc;

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
    /// Elements of parameters that were left as they were, because their new value was not finite: the sum over all steps of
    /// the run.
    pub left: usize,
}

/// Gradients and moments of every learning parameter, and the clock of the bias corrections.
pub struct Optimizer {
    homes: Vec<Home>,
    /// In the order of [`Parameters::learning`].
    slots: Vec<Slot>,
    by_leaf: HashMap<u32, usize>,
    factor: Tensor,
    clock: Tensor,
    left: Tensor,
}

/// A buffer of parameters and what belongs to them, each as one row.
struct Home {
    parameters: Tensor,
    gradients: Tensor,
    moments: [Tensor; 2],
}

/// Where a parameter lies: home, first element and length.
#[derive(Clone, Copy)]
struct Slot {
    home: usize,
    first: usize,
    len: usize,
}

/// Which parameters have a gradient in a step, in the order of [`Parameters::learning`].
pub(super) type Collected = Vec<bool>;

/// Elements that slots begin at a multiple of; those between two slots are zero.
const ALIGN: usize = BufferSlice::ALIGN as usize / 4;

const MOMENTS: [&str; 2] = ["optimizer.m", "optimizer.v"];
impl Optimizer {
    /// What the clock is called in a state dict.
    pub(super) const CLOCK: &str = "optimizer.clock";
    /// What the count of elements that were left as they were is called in a state dict; none in those of earlier versions.
    const LEFT: &str = "optimizer.left";

    /// Before the first step.
    ///
    /// # Errors
    /// Parameters that do not lie in their buffers as they should, which would be a mistake of their loading.
    pub fn new(gpu: &Gpu, parameters: &Parameters) -> Result<Self> {
        let clock = Tensor::upload(gpu, [CLOCK_SIZE], &[0.0; CLOCK_SIZE]);
        Self::with(gpu, parameters, [clock, Tensor::upload_u32(gpu, [1], &[0])], |_, p| {
            Ok(vec![0.0; p.tensor.len()])
        })
    }

    /// With moments from `moment`, by the name of the moment.
    fn with(
        gpu: &Gpu,
        parameters: &Parameters,
        [clock, left]: [Tensor; 2],
        mut moment: impl FnMut(&str, &Parameter) -> Result<Vec<f32>>,
    ) -> Result<Self> {
        let mut buffers: Vec<&Arc<_>> = Vec::new();
        let mut slots: Vec<Slot> = Vec::new();
        let mut by_leaf = HashMap::new();
        for p in parameters.learning() {
            let part = p.tensor.part();
            if buffers.last().is_none_or(|b| !Arc::ptr_eq(b, part.buffer)) {
                buffers.push(part.buffer);
            }
            if let Var::Leaf(number) = p.tensor.var() {
                by_leaf.insert(number, slots.len());
            }
            let first = part.offset as usize / 4;
            slots.push(Slot { home: buffers.len() - 1, first, len: p.tensor.len() });
        }
        let mut homes = Vec::new();
        for (i, buffer) in buffers.into_iter().enumerate() {
            let own = || slots.iter().zip(parameters.learning()).filter(|(s, _)| s.home == i);
            let end = own().map(|(s, _)| s.first + s.len).max().unwrap_or(0);
            let len = end.next_multiple_of(ALIGN);
            let mut moments = Vec::new();
            for name in MOMENTS {
                let mut values = vec![0.0; len];
                for (slot, p) in own() {
                    values[slot.first..][..slot.len].copy_from_slice(&moment(name, p)?);
                }
                moments.push(Tensor::upload(gpu, [len], &values));
            }
            let moments = moments.try_into().expect("two moments");
            let gradients = Tensor::upload(gpu, [len], &vec![0.0; len]);
            let parameters = Tensor::from_buffer(buffer.clone(), [len].into(), Dtype::F32)?;
            homes.push(Home { parameters, gradients, moments });
        }
        let factor = Tensor::upload(gpu, [1], &[1.0]);
        Ok(Optimizer { homes, slots, by_leaf, factor, clock, left })
    }

    /// No gradient yet.
    pub(super) fn nothing_collected(&self) -> Collected {
        vec![false; self.slots.len()]
    }

    /// Records that the gradient of leaf `number` is taken into the step, or added to what was taken before.
    ///
    /// # Errors
    /// Errors of the kernels.
    pub(super) fn collect(
        &self,
        cx: &Cx,
        number: u32,
        gradient: &Tensor,
        collected: &mut Collected,
    ) -> Result<()> {
        let Some(&place) = self.by_leaf.get(&number) else { return Ok(()) };
        let Slot { home, first, len } = self.slots[place];
        let sum = self.homes[home].gradients.view(first, [len])?;
        let gradient = gradient.reshape([len])?;
        match std::mem::replace(&mut collected[place], true) {
            true => cx.copy_into(&add(cx, &sum, &gradient)?, &sum, 0),
            false => cx.copy_into(&gradient, &sum, 0),
        }
    }

    /// Multiplies the rates of later steps by `factor`.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`] where the driver has none.
    pub fn set_factor(&self, gpu: &Gpu, factor: f32) -> Result<()> {
        self.factor.write_values(gpu, &[factor])
    }

    /// Records one step over the gradients that were `collected`, with `settings` by name. A step whose gradients are not all
    /// finite changes nothing but the count of such steps.
    ///
    /// # Errors
    /// Errors of the kernels.
    pub(super) fn step(
        &self,
        cx: &Cx,
        parameters: &Parameters,
        collected: &Collected,
        clip: f32,
        settings: impl Fn(&str) -> Adam,
    ) -> Result<()> {
        let present = parameters.learning().zip(&self.slots).zip(collected).filter(|(_, c)| **c);
        let mut runs: Vec<(Slot, Adam)> = Vec::new();
        for ((p, slot), _) in present {
            let how = settings(&p.name);
            match runs.last_mut() {
                Some((run, same)) if *same == how && run.reaches(slot) => {
                    run.len = slot.first + slot.len - run.first;
                }
                _ => runs.push((*slot, how)),
            }
        }
        let of =
            |run: &Slot, whole: &Tensor| whole.view(run.first, [run.len.next_multiple_of(ALIGN)]);
        let gradients = runs.iter().map(|(run, _)| of(run, &self.homes[run.home].gradients));
        let gradients = gradients.collect::<Result<Vec<_>>>()?;
        let those = |clips: bool| {
            let of_runs =
                runs.iter().zip(&gradients).filter(move |((_, how), _)| how.clips == clips);
            of_runs.map(|(_, gradient)| gradient).collect::<Vec<&Tensor>>()
        };
        let betas = settings("");
        let (limited, beside) = (those(true), those(false));
        norm_and_clock(cx, &limited, &beside, &self.clock, clip, betas.beta1, betas.beta2)?;
        for ((run, how), gradient) in runs.iter().zip(&gradients) {
            let home = &self.homes[run.home];
            let [m, v] = [of(run, &home.moments[0])?, of(run, &home.moments[1])?];
            let parameters = of(run, &home.parameters)?;
            let state = [&self.clock, &self.factor, &self.left];
            adam(cx, &parameters, gradient, [&m, &v], state, how)?;
        }
        Ok(())
    }

    /// The clock of [`norm_and_clock`](crate::ops::norm_and_clock).
    pub fn clock(&self) -> &Tensor {
        &self.clock
    }

    /// The tensors that [`Progress`] is read from.
    pub(super) fn said(&self) -> [&Tensor; 2] {
        [&self.clock, &self.left]
    }

    /// What the values of [`Optimizer::said`] say.
    pub(super) fn progress([clock, left]: [&Host; 2]) -> Progress {
        let count = |i: usize| clock.data[i] as usize;
        Progress {
            norm: clock.data[0] as f32,
            taken: count(4),
            skipped: count(5),
            skipped_in_a_row: count(6),
            left: left.data[0] as usize,
        }
    }

    /// How the steps went; waits for those that are under way.
    ///
    /// # Errors
    /// A lost device.
    pub fn read(&self, gpu: &Gpu) -> Result<Progress> {
        let hosts = Tensor::read_all(gpu, &self.said())?;
        Ok(Self::progress([&hosts[0], &hosts[1]]))
    }

    /// Adds the moments and the clock to a state dict, under the parameters' names with a prefix.
    ///
    /// # Errors
    /// A lost device.
    pub fn save(&self, gpu: &Gpu, parameters: &Parameters, state: &mut StateDict) -> Result<()> {
        for (i, prefix) in MOMENTS.iter().enumerate() {
            let tensors: Vec<&Tensor> = self.homes.iter().map(|h| &h.moments[i]).collect();
            let hosts = Tensor::read_all(gpu, &tensors)?;
            for (p, slot) in parameters.learning().zip(&self.slots) {
                let values = &hosts[slot.home].data[slot.first..][..slot.len];
                let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
                let tensor = HostTensor::from_f32(p.official_shape(), &p.to_official(&values))?;
                state.tensors.insert(format!("{prefix}.{}", p.name), tensor);
            }
        }
        let clock = HostTensor::from_f32([CLOCK_SIZE], &self.clock.to_host(gpu)?.to_f32())?;
        state.tensors.insert(Self::CLOCK.into(), clock);
        let left = self.left.to_host(gpu)?.to_u32();
        let left = left.iter().flat_map(|n| n.to_le_bytes()).collect();
        let left = HostTensor::new(HostDtype::U32, [1], left)?;
        state.tensors.insert(Self::LEFT.into(), left);
        Ok(())
    }

    /// Takes moments and clock out of a state dict that [`Optimizer::save`] wrote.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] naming a tensor that is missing or misshapen.
    pub fn load(gpu: &Gpu, parameters: &Parameters, state: &mut StateDict) -> Result<Self> {
        let left = match state.tensors.remove(Self::LEFT) {
            Some(t) if (t.dtype(), t.shape()) == (HostDtype::U32, &[1][..]) => {
                u32::from_le_bytes(t.bytes().try_into().expect("four bytes"))
            }
            Some(t) => {
                return Err(Error::new(ErrorKind::Format, "checkpoint", Self::LEFT)
                    .expected("U32 [1]")
                    .got(format!("{} {:?}", t.dtype(), t.shape())));
            }
            None => 0,
        };
        let left = Tensor::upload_u32(gpu, [1], &[left]);
        let mut take = |name: String, shape: &[usize]| -> Result<Vec<f32>> {
            match state.tensors.remove(&name) {
                Some(t) if t.shape() == shape => t.to_f32(),
                other => Err(Error::new(ErrorKind::Format, "checkpoint", name)
                    .expected(format!("{shape:?}"))
                    .got(other.map_or("nothing".into(), |t| format!("{:?}", t.shape())))),
            }
        };
        let clock = Tensor::upload(gpu, [CLOCK_SIZE], &take(Self::CLOCK.into(), &[CLOCK_SIZE])?);
        Self::with(gpu, parameters, [clock, left], |prefix, p| {
            Ok(p.to_device(&take(format!("{prefix}.{}", p.name), p.official_shape())?))
        })
    }

    /// Whether a tensor of a checkpoint is the optimizer's.
    pub fn owns(name: &str) -> bool {
        name.starts_with(OPTIMIZER)
    }
}

impl Slot {
    /// Whether `next` is the neighbor behind.
    fn reaches(&self, next: &Slot) -> bool {
        let end = (self.first + self.len).next_multiple_of(ALIGN);
        self.home == next.home && end == next.first
    }
}
