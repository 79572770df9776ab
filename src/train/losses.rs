//! The parts of a loss, by their names.

use crate::Result;
use crate::ops::{add, scale};
use crate::tensor::{Cx, Tensor};

/// Loss parts of a step, one number each on the device. What is differentiated comes first.
#[derive(Debug, Default)]
pub struct Losses(pub(super) Vec<(&'static str, Tensor)>);

impl Losses {
    /// Names and values, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, (&'static str, Tensor)> {
        self.0.iter()
    }

    /// The part of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// What is differentiated.
    pub fn total(&self) -> &Tensor {
        &self.0[0].1
    }

    /// Adds the losses of a micro-batch, weighted by `share`. A loss that is not among those `there` initializes its sum.
    pub(super) fn accumulate(
        &mut self,
        cx: &Cx,
        losses: &Losses,
        share: f32,
        there: &mut Vec<&'static str>,
    ) -> Result<()> {
        for (name, value) in losses.iter() {
            let mut value = scale(cx, &value.detached().reshape([1])?, share)?;
            if self.get(name).is_none() {
                self.0.push((name, Tensor::upload(cx.gpu(), [1], &[0.0])));
            }
            let sum = self.get(name).expect("a sum of each");
            match there.contains(name) {
                true => value = add(cx, sum, &value)?,
                false => there.push(name),
            }
            cx.copy_into(&value, sum, 0)?;
        }
        Ok(())
    }
}
