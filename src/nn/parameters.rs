//! The parameters of a network in training, and how they lie in a state dict.

use crate::Result;
use crate::data::checkpoint::{HostTensor, StateDict};
use crate::gpu::Gpu;
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// The official shape of a tensor, and the order of its axes on the device.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    pub official: Vec<usize>,
    /// Axis `i` on the device is axis `order[i]` of the file.
    pub order: &'static [usize],
}

impl Layout {
    /// As it stands in the file.
    pub(super) fn same(shape: &[usize]) -> Self {
        Layout { official: shape.into(), order: &[] }
    }

    pub(super) fn device_shape(&self) -> Vec<usize> {
        if self.order.is_empty() {
            return self.official.clone();
        }
        self.order.iter().map(|&o| self.official[o]).collect()
    }

    pub(super) fn to_device(&self, values: &[f32]) -> Vec<f32> {
        permuted(values, &self.official, self.order)
    }

    fn to_official(&self, values: &[f32]) -> Vec<f32> {
        let mut back = vec![0; self.order.len()];
        self.order.iter().enumerate().for_each(|(to, from)| back[*from] = to);
        permuted(values, &self.device_shape(), &back)
    }
}

/// Values with their axes in another order.
fn permuted(values: &[f32], dims: &[usize], order: &[usize]) -> Vec<f32> {
    let Some((&last, outer)) = order.split_last() else { return values.to_vec() };
    let mut strides = vec![1; dims.len()];
    for i in (1..dims.len()).rev() {
        strides[i - 1] = strides[i] * dims[i];
    }
    let mut out = Vec::with_capacity(values.len());
    let mut index = vec![0; outer.len()];
    while out.len() < values.len() {
        let base: usize = index.iter().zip(outer).map(|(i, &o)| i * strides[o]).sum();
        out.extend((0..dims[last]).map(|i| values[base + i * strides[last]]));
        for axis in (0..outer.len()).rev() {
            index[axis] += 1;
            if index[axis] < dims[outer[axis]] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

/// One tensor of a network in training.
pub struct Parameter {
    /// Its name in the state dict.
    pub name: String,
    /// Whether it is trained; if not, it is frozen or a buffer.
    pub learns: bool,
    /// Whether it is a running statistic, which a layer that is trained moves.
    pub moves: bool,
    /// Its values, where the layers read them.
    pub tensor: Tensor,
    pub(super) layout: Layout,
}

impl Parameter {
    /// Its shape in the state dict.
    pub fn official_shape(&self) -> &[usize] {
        &self.layout.official
    }

    /// Permutes the parameter, its gradient or a moment from the device's layout to the file's.
    pub fn to_official(&self, values: &[f32]) -> Vec<f32> {
        self.layout.to_official(values)
    }

    /// Values in the file's order as they lie on the device.
    pub fn to_device(&self, values: &[f32]) -> Vec<f32> {
        self.layout.to_device(values)
    }
}

/// Every tensor of a network in training: parameters, frozen ones and buffers in the order of the graph, and what its file
/// holds besides.
pub struct Parameters {
    list: Vec<Parameter>,
    carried: BTreeMap<String, HostTensor>,
}

impl Parameters {
    pub(super) fn new(list: Vec<Parameter>, carried: BTreeMap<String, HostTensor>) -> Self {
        Parameters { list, carried }
    }

    /// All of them; those that learn are leaves of a tape by their place here.
    pub fn all(&self) -> &[Parameter] {
        &self.list
    }

    /// Those that learn.
    pub fn learning(&self) -> impl Iterator<Item = &Parameter> {
        self.list.iter().filter(|p| p.learns)
    }

    /// Waits for the device and returns the whole state dict in the official layout.
    ///
    /// # Errors
    /// A lost device.
    pub fn state_dict(&self, gpu: &Gpu) -> Result<StateDict> {
        let tensors: Vec<&Tensor> = self.list.iter().map(|p| &p.tensor).collect();
        let mut state = StateDict { tensors: self.carried.clone(), ..Default::default() };
        for (p, host) in self.list.iter().zip(Tensor::read_all(gpu, &tensors)?) {
            let values = p.to_official(&host.to_f32());
            let tensor = HostTensor::from_f32(p.layout.official.clone(), &values)?;
            state.tensors.insert(p.name.clone(), tensor);
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_the_device_and_back() {
        let layout = Layout { official: vec![2, 3, 1, 4], order: &[2, 3, 1, 0] };
        let file: Vec<f32> = (0..24u8).map(f32::from).collect();
        let device = layout.to_device(&file);
        assert_eq!(layout.device_shape(), [1, 4, 3, 2]);
        assert_eq!(device[..4], [0.0, 12.0, 4.0, 16.0]);
        assert_eq!(layout.to_official(&device), file);
        let same = Layout::same(&[2, 12]);
        assert_eq!(same.to_official(&same.to_device(&file)), file);
    }
}
