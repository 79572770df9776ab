//! Initial weights: random values by the official rules, from a seed and the tensor's name.

use crate::data::checkpoint::HostTensor;
use crate::models::procedural::{Stream, control};
use crate::nn::Source;
use crate::ops::sinusoid_table;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;

/// Weights of a network that starts from nothing (LEMMA's specification, "Initial values").
pub struct Initial {
    seed: u64,
    /// Inputs of each unit by path: a bias is drawn from the range of its weight.
    fans: RefCell<HashMap<String, usize>>,
}

impl Initial {
    /// The weights of one seed.
    pub fn new(seed: u64) -> Self {
        Initial { seed, fans: RefCell::default() }
    }

    fn values(&self, name: &str, shape: &[usize]) -> Vec<f32> {
        let len: usize = shape.iter().product();
        let (path, leaf) = name.rsplit_once('.').unwrap_or(("", name));
        let stream = Stream::new(self.seed, &format!("initial:{name}"));
        let constant = |v: f32| vec![v; len];
        let uniform =
            |bound: f64| (0..len).map(|i| (bound * stream.signed(i)) as f32).collect::<Vec<f32>>();
        let normal = |std: f64| gaussian(stream, len, std);
        let fan_in: usize = shape.iter().skip(1).product();
        let fan_out = || shape[0] * shape.iter().skip(2).product::<usize>();
        match leaf {
            "pe" => {
                let d = shape.last().copied().unwrap_or(1).max(1);
                sinusoid_table(len / d, d)
            }
            "running_mean" | "in_proj_bias" | "b_2" => constant(0.0),
            "running_var" | "a_2" => constant(1.0),
            "bias" if path.ends_with("stn_fc2") => (0..len).map(|i| control(i) as f32).collect(),
            "bias" if path.ends_with("out_proj") => constant(0.0),
            "bias" if name.contains("stn_convnet") || path.ends_with("stn_fc1.0") => constant(0.0),
            "bias" => match self.fans.borrow().get(path) {
                Some(fan) => uniform(1.0 / (*fan as f64).sqrt()),
                None => constant(0.0),
            },
            "weight" if shape == [1] => constant(0.25),
            "weight" if shape.len() == 1 => constant(1.0),
            _ if leaf.starts_with("weight_") || leaf.starts_with("bias_") => {
                uniform(1.0 / (shape[0] as f64 / 3.0).sqrt())
            }
            "weight" if path.ends_with("stn_fc2") => constant(0.0),
            "weight" if path.ends_with("stn_fc1.0") => normal(0.001),
            "weight" if name.contains("stn_convnet") => {
                normal((2.0 / (9.0 * shape[0] as f64)).sqrt())
            }
            "weight" if path.ends_with("embedding_word.lut") => normal(1.0),
            "in_proj_weight" => uniform((6.0 / (shape[0] + shape[1]) as f64).sqrt()),
            _ => {
                self.fans.borrow_mut().insert(path.into(), fan_in);
                if name.starts_with("guidanceGen.") {
                    uniform((6.0 / (fan_in + fan_out()) as f64).sqrt())
                } else {
                    uniform(1.0 / (fan_in as f64).sqrt())
                }
            }
        }
    }
}

/// Normal values by Box and Muller.
fn gaussian(stream: Stream, len: usize, std: f64) -> Vec<f32> {
    let value = |i: usize| {
        let (u, v) = (1.0 - stream.unit(2 * i), stream.unit(2 * i + 1));
        (std * (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
    };
    (0..len).map(value).collect()
}

impl Source for Initial {
    fn tensor(&self, name: &str, shape: &[usize]) -> Option<Cow<'_, HostTensor>> {
        HostTensor::from_f32(shape, &self.values(name, shape)).ok().map(Cow::Owned)
    }

    fn names(&self) -> Vec<&str> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_the_rules() {
        let initial = Initial::new(3);
        let largest = |v: &[f32]| v.iter().fold(0f32, |m, x| m.max(x.abs()));
        let w = initial.values("block1.0.weight", &[64, 4, 9, 9]);
        assert!((0.95..1.0).contains(&(largest(&w) * 18.0)), "{}", largest(&w));
        let b = initial.values("block1.0.bias", &[64]);
        assert!((0.5..1.0).contains(&(largest(&b) * 18.0)));
        assert_eq!(initial.values("block2.bn1.bias", &[2]), [0.0, 0.0]);
        assert_eq!(initial.values("block1.1.weight", &[1]), [0.25]);
        let g = initial.values("guidanceGen.DWC.weight", &[64, 64, 3, 3]);
        assert!((0.95..1.0).contains(&(largest(&g) / (6f32 / 1152.0).sqrt())));
        let r = initial.values("block2.gru1.gru.bias_hh_l0", &[96]);
        assert!((0.9..1.0).contains(&(largest(&r) * 32f32.sqrt())));
        let points = initial.values("stn_head.stn_fc2.bias", &[40]);
        assert_eq!(points[..2], [0.01, 0.01]);
        assert_eq!(points[38..], [0.99, 0.99]);
        assert_eq!(initial.values("block1.0.weight", &[64, 4, 9, 9]), w);
    }
}
