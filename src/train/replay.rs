//! Passes of steps, kept to be run again: a step whose parts have shapes that were there before costs no recording.

use super::inputs::{InputBinder, Inputs};
use super::losses::Losses;
use super::optimizer::Collected;
use crate::gpu::{Gpu, ReplayablePass, SharedPool};
use crate::tensor::{Cx, Tensor};
use crate::{Error, ErrorKind, Result};

/// What the recording of a part depends on.
#[derive(Clone, PartialEq)]
pub(super) struct Key {
    /// Images of the part, and of the batch.
    pub(super) images: [usize; 2],
    /// Characters of the batch's longest word.
    pub(super) longest: usize,
    /// Whether places of characters are known.
    pub(super) known: bool,
    /// What the parts before have left.
    pub(super) before: Produced,
}

/// What the micro-batches so far have produced: gradients and losses.
#[derive(Clone, PartialEq)]
pub(super) struct Produced {
    /// Which gradients.
    pub(super) gradients: Collected,
    /// Which losses, in the order of their names' first coming.
    pub(super) losses: Vec<&'static str>,
}

/// Parts kept at once; they share the memory that the largest takes.
const MOST: usize = 32;

/// Passes that were recorded, all in one shared pool; parts that were used last are at the end.
#[derive(Default)]
pub(super) struct ReplayableSteps {
    parts: Vec<(Key, MicroBatch)>,
    update: Option<(Collected, ReplayablePass)>,
    /// Where parts sum each loss up.
    sums: Losses,
    shared_pool: Option<SharedPool>,
}

/// A part of a step.
struct MicroBatch {
    pass: ReplayablePass,
    inputs: Vec<Tensor>,
    after: Produced,
}

impl ReplayableSteps {
    /// Records a micro-batch unless it is kept; returns the state after it. `record` takes what was fed, where losses are summed,
    /// and the state before.
    ///
    /// # Errors
    /// Those of recording; what is kept must then be dropped.
    pub(super) fn part(
        &mut self,
        gpu: &Gpu,
        key: &Key,
        inputs: impl FnOnce(&mut InputBinder) -> Result<Inputs>,
        record: impl FnOnce(Cx, &Inputs, &mut Losses, &mut Produced) -> Result<Cx>,
    ) -> Result<Produced> {
        if let Some(place) = self.parts.iter().position(|(k, _)| k == key) {
            let known = self.parts.remove(place);
            let after = known.1.after.clone();
            self.parts.push(known);
            return Ok(after);
        }
        if self.parts.len() == MOST {
            self.parts.remove(0);
        }
        let mut feed = InputBinder::new(gpu);
        let fed = inputs(&mut feed)?;
        let mut after = key.before.clone();
        let cx = record(self.cx(gpu), &fed, &mut self.sums, &mut after)?;
        let inputs = feed.into_tensors();
        let part = MicroBatch { pass: cx.into_replayable()?, inputs, after: after.clone() };
        self.parts.push((key.clone(), part));
        Ok(after)
    }

    /// Records the update of what `collected` names unless it is kept.
    ///
    /// # Errors
    /// As [`ReplayableSteps::part`].
    pub(super) fn update(
        &mut self,
        gpu: &Gpu,
        collected: &Collected,
        record: impl FnOnce(&Cx) -> Result<()>,
    ) -> Result<()> {
        if self.update.as_ref().is_none_or(|(known, _)| known != collected) {
            let cx = self.cx(gpu);
            record(&cx)?;
            self.update = Some((collected.clone(), cx.into_replayable()?));
        }
        Ok(())
    }

    /// Records that the sums of these losses are copied, since the next step writes over them.
    ///
    /// # Errors
    /// As [`ReplayableSteps::part`].
    pub(super) fn losses(&self, gpu: &Gpu, losses: &[&'static str]) -> Result<(Cx, Losses)> {
        let cx = Cx::new(gpu);
        let copy = |name: &&'static str| {
            let sum = self.sums.get(name).expect("a sum");
            let own = cx.out_f32([1]);
            cx.copy_into(sum, &own, 0)?;
            Ok((*name, own))
        };
        let own = losses.iter().map(copy).collect::<Result<Vec<_>>>()?;
        Ok((cx, Losses(own)))
    }

    /// Feeds a recorded part and runs it by `submit`.
    ///
    /// # Errors
    /// Errors of the device; what is kept must then be dropped.
    pub(super) fn run_part(
        &self,
        gpu: &Gpu,
        key: &Key,
        inputs: impl FnOnce(&mut InputBinder) -> Result<Inputs>,
        submit: &mut Submit<'_>,
    ) -> Result<()> {
        let (_, part) = self.parts.iter().find(|(k, _)| k == key).expect("a recorded part");
        inputs(&mut InputBinder::again(gpu, part.inputs.clone()))?;
        submit(&part.pass)
    }

    /// Runs the recorded update by `submit`: the last thing of a step.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] whatever went wrong, since the weights may have moved in part.
    pub(super) fn run_update(&self, submit: &mut Submit<'_>) -> Result<()> {
        submit(&self.update.as_ref().expect("a recorded update").1).map_err(|e| {
            Error::new(ErrorKind::Device, "training", "the update of the weights broke off")
                .detail(e)
        })
    }

    fn cx(&mut self, gpu: &Gpu) -> Cx {
        Cx::new_in(gpu, self.shared_pool.get_or_insert_with(|| gpu.shared_pool()))
    }
}

/// How a pass is run.
pub(super) type Submit<'a> = dyn FnMut(&ReplayablePass) -> Result<()> + 'a;
