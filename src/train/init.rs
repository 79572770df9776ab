//! Initial weights: random values by the official rules, from a seed and the tensor's name.

use crate::data::checkpoint::HostTensor;
use crate::models::ModelKind;
use crate::models::initial::{Start, exceptions};
use crate::models::procedural::{Stream, control, fits};
use crate::nn::Source;
use crate::ops::sinusoid_table;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;

/// Weights of a network that starts from nothing (LEMMA's specification, "Initial values").
pub struct Initial {
    seed: u64,
    /// What does not start as PyTorch's layers do.
    exceptions: &'static [(&'static str, Start)],
    /// Inputs of each unit by path: a bias is drawn from the range of its weight.
    fans: RefCell<HashMap<String, usize>>,
    /// Lengths of the directions of normalized weights by path: the weights start as they would without the norm.
    lengths: RefCell<HashMap<String, Vec<f32>>>,
}

impl Initial {
    /// The weights of one seed.
    pub fn new(seed: u64) -> Self {
        Initial { seed, exceptions: &[], fans: RefCell::default(), lengths: RefCell::default() }
    }

    /// The weights of one seed of a network that LEMMA is compared with.
    pub fn of(kind: ModelKind, seed: u64) -> Self {
        Initial { exceptions: exceptions(kind), ..Initial::new(seed) }
    }

    fn values(&self, name: &str, shape: &[usize]) -> Vec<f32> {
        let exception = self.exceptions.iter().find(|(pattern, _)| fits(pattern, name));
        let values = exception.and_then(|(_, start)| self.exceptional(*start, name, shape));
        values.unwrap_or_else(|| self.usual(name, shape))
    }

    /// What an exception makes of a tensor, if it is one for tensors of that shape.
    fn exceptional(&self, start: Start, name: &str, shape: &[usize]) -> Option<Vec<f32>> {
        let len: usize = shape.iter().product();
        let (path, leaf) = name.rsplit_once('.').unwrap_or(("", name));
        let stream = Stream::new(self.seed, &format!("initial:{name}"));
        let fan_in: usize = shape.iter().skip(1).product();
        if leaf == "weight" && shape.len() > 1 {
            self.fans.borrow_mut().insert(path.into(), fan_in);
        }
        Some(match start {
            Start::Zero => vec![0.0; len],
            Start::Normal => gaussian(stream, len, 1.0),
            Start::Xavier if shape.len() < 2 || leaf == "pe" => return None,
            Start::Xavier => {
                let fan_out = shape[0] * shape.iter().skip(2).product::<usize>();
                let bound = (6.0 / (fan_in + fan_out) as f64).sqrt();
                (0..len).map(|i| (bound * stream.signed(i)) as f32).collect()
            }
            Start::Identity => (0..len).map(|i| f32::from(i / fan_in == i % fan_in)).collect(),
            Start::Fixed(values) => values.iter().map(|v| *v as f32).collect(),
        })
    }

    fn usual(&self, name: &str, shape: &[usize]) -> Vec<f32> {
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
            "weight_v" => {
                self.fans.borrow_mut().insert(path.into(), fan_in);
                let values = uniform(1.0 / (fan_in as f64).sqrt());
                let length = |v: &[f32]| v.iter().map(|v| v * v).sum::<f32>().sqrt();
                let lengths = values.chunks_exact(fan_in.max(1)).map(length).collect();
                self.lengths.borrow_mut().insert(path.into(), lengths);
                values
            }
            "weight_g" => self.lengths.borrow().get(path).cloned().unwrap_or_else(|| constant(1.0)),
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

    /// The largest value, the mean and the standard deviation.
    fn spread(v: &[f32]) -> [f64; 3] {
        let n = v.len() as f64;
        let values = || v.iter().map(|v| f64::from(*v));
        let mean = values().sum::<f64>() / n;
        let deviation = (values().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        [values().fold(0.0, |m, v| f64::max(m, v.abs())), mean, deviation]
    }

    #[test]
    fn compared_networks_start_as_their_authors_have_it() {
        let of = |kind| Initial::of(kind, 5);
        let uniform = |v: &[f32], bound: f64| {
            let [most, mean, deviation] = spread(v);
            assert!((0.99 * bound..=bound).contains(&most), "{most} of {bound}");
            assert!(mean.abs() < 0.03 * bound, "{mean}");
            assert!((deviation * 3f64.sqrt() / bound - 1.0).abs() < 0.03, "{deviation}");
        };
        let normal = |v: &[f32]| {
            let [most, mean, deviation] = spread(v);
            assert!((3.0..6.0).contains(&most) && mean.abs() < 0.05, "{most}, {mean}");
            assert!((deviation - 1.0).abs() < 0.03, "{deviation}");
        };
        let tbsrn = of(ModelKind::Tbsrn);
        let xavier = (6f64 / 256.0).sqrt();
        let linear = "block3.feature_enhancer.multihead.linears.2";
        uniform(&tbsrn.values(&format!("{linear}.weight"), &[128, 128]), xavier);
        let bias = tbsrn.values(&format!("{linear}.bias"), &[128]);
        assert!(spread(&bias)[0] <= 1.0 / 128f64.sqrt());
        uniform(&tbsrn.values("block2.conv1.weight", &[64, 64, 3, 3]), (6f64 / 1152.0).sqrt());
        uniform(&tbsrn.values("block8.0.conv.weight", &[256, 64, 3, 3]), 1.0 / 24.0);
        assert_eq!(tbsrn.values("block2.bn1.weight", &[3]), [1.0; 3]);

        let tatt = of(ModelKind::Tatt);
        normal(&tatt.values("infoGen.init_factor.weight", &[1024, 64]));
        let gru = "infoGen.transformer.gru_encoding.weight_ih_l0";
        uniform(&tatt.values(gru, &[384, 256]), (6f64 / 640.0).sqrt());
        let inner = "infoGen.transformer.encoder.layers.0.linear1.weight";
        uniform(&tatt.values(inner, &[64, 64]), (6f64 / 128.0).sqrt());
        uniform(&tatt.values("infoGen.fc_in.weight", &[64, 37]), 1.0 / 37f64.sqrt());

        let pcan = of(ModelKind::Pcan);
        normal(&pcan.values("spatial_attention.vertical_conv_weight", &[80, 80, 3, 1]));
        normal(&pcan.values("spatial_attention.horizontal_conv_bias", &[4000]));
        uniform(
            &pcan.values("spatial_attention.conv1.weight", &[80, 320, 1, 1]),
            1.0 / 320f64.sqrt(),
        );

        let san = of(ModelKind::San);
        assert_eq!(san.values("gamma", &[1]), [0.0]);
        assert_eq!(san.values("non_local.non_local.W.weight", &[2, 1, 1, 1]), [0.0; 2]);
        assert_eq!(san.values("non_local.non_local.W.bias", &[2]), [0.0; 2]);
        let theta = san.values("non_local.non_local.theta.weight", &[8, 64, 1, 1]);
        assert!((0.9..=1.0).contains(&(spread(&theta)[0] * 8.0)));

        let rcan = of(ModelKind::Rcan);
        let identity = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        assert_eq!(rcan.values("sub_mean.weight", &[3, 3, 1, 1]), identity);
        let mean = rcan.values("add_mean.bias", &[3]);
        assert!((mean[0] - 114.444).abs() < 1e-3 && (mean[2] - 103.02).abs() < 1e-3, "{mean:?}");

        let c3 = of(ModelKind::C3);
        let v = c3.values("gated.gated1.2.weight_v", &[64, 1, 3, 3]);
        uniform(&v, 1.0 / 3.0);
        let g = c3.values("gated.gated1.2.weight_g", &[64, 1, 1, 1]);
        for (g, v) in g.iter().zip(v.chunks_exact(9)) {
            assert!((g * g - v.iter().map(|v| v * v).sum::<f32>()).abs() < 1e-6);
        }
    }

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
