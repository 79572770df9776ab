//! What a run starts from: weights, recognizers, or nothing; and a super-resolver that starts as an enlargement: its first output is
//! a bicubic-like copy of its input, so that training improves a picture instead of discovering what one is.

use super::init::Initial;
use crate::data::checkpoint::{HostTensor, StateDict};
use crate::models::lemma::{LemmaConfig, PLANES};
use crate::nn::Source;
use crate::ops::{Act, activation, inverse};
use std::borrow::Cow;
use std::f64::consts::LN_2;

/// What a new [`Trainer`](super::Trainer) starts from.
#[derive(Default)]
pub struct Start<'a> {
    /// Weights; random ones where there are none.
    pub weights: Option<StateDict>,
    /// Recognizers that LEMMA without `weights` starts with inside it: an ABINet, or its two halves as they are pre-trained. The
    /// CRNN that TATT or C3-STISR starts with beside it, where that is another than `recognizer`.
    pub prior: Vec<StateDict>,
    /// Whether `weights` is a checkpoint with the optimizer's state.
    pub resume: bool,
    /// Parameters that stay as they are.
    pub frozen: Option<&'a dyn Fn(&str) -> bool>,
    /// The recognizer of the loss: the text-focus recognizer or the ABINet in its place, the stroke-focus recognizer, or the CRNN
    /// that another CRNN learns from.
    pub recognizer: Option<StateDict>,
    /// Weights `[37, 37]` of the text-focus loss's cross entropy.
    pub confusion: Vec<f32>,
}

/// Weights of LEMMA that enlarge: the first convolution is the identity, the trunk adds nothing, the enlargement filters
/// each color into several copies, and the last convolution combines their mish curves so that tanh is undone.
pub struct BicubicInit {
    initial: Initial,
    blocks: usize,
    channels: usize,
    units: Vec<Unit>,
    offset: f64,
}

/// One copy of a color: weight·mish(gain·v + shift).
#[derive(Debug, Clone, Copy)]
struct Unit {
    gain: f64,
    shift: f64,
    weight: f64,
}

/// Copies of each color.
const COPIES: usize = 6;
/// Largest value that tanh shall reach.
const WHITE: f64 = 0.99;

fn mish(v: f64) -> f64 {
    activation(Act::Mish.code(), v, 0.0)
}

impl BicubicInit {
    /// The weights of one seed; what takes no part in the enlargement is random.
    pub fn new(seed: u64, config: &LemmaConfig) -> Self {
        let copies = COPIES.min(config.channels() / PLANES).max(1);
        let (units, offset) = inverse_tanh(copies);
        BicubicInit {
            initial: Initial::new(seed),
            blocks: config.srb_nums,
            channels: config.channels(),
            units,
            offset,
        }
    }

    fn shape(&self, name: &str, values: &mut [f32]) {
        let (end, up) = (self.blocks + 2, self.blocks + 3);
        let c = self.channels;
        match name {
            // Color p of the image in channel p, positive as it is.
            "block1.0.weight" => {
                for p in 0..PLANES {
                    let own = &mut values[p * PLANES * 81..][..PLANES * 81];
                    own.fill(0.0);
                    own[p * 81 + 40] = 1.0;
                }
            }
            "block1.0.bias" => values[..PLANES].fill(0.0),
            n if n == format!("block{end}.1.weight") => values.fill(0.0),
            n if n == format!("block{up}.0.conv.weight") => {
                for (at, (color, unit, dy, dx)) in self.copies() {
                    let own = &mut values[at * c * 9..][..c * 9];
                    own.fill(0.0);
                    for (k, v) in own[color * 9..][..9].iter_mut().enumerate() {
                        *v = (unit.gain * taps(dy)[k / 3] * taps(dx)[k % 3]) as f32;
                    }
                }
            }
            n if n == format!("block{up}.0.conv.bias") => {
                for (at, (_, unit, ..)) in self.copies() {
                    values[at] = unit.shift as f32;
                }
            }
            n if n == format!("block{up}.1.weight") => {
                values.iter_mut().for_each(|v| *v *= 0.01);
                for p in 0..PLANES {
                    for (k, unit) in self.units.iter().enumerate() {
                        for other in 0..PLANES {
                            let own =
                                &mut values[(other * c + p * self.units.len() + k) * 81..][..81];
                            own.fill(0.0);
                            own[40] = if other == p { unit.weight as f32 } else { 0.0 };
                        }
                    }
                }
            }
            n if n == format!("block{up}.1.bias") => values.fill(self.offset as f32),
            _ => {}
        }
    }

    /// Output channels of the enlargement's convolution in use: color, copy and place in the square of four pixels.
    fn copies(&self) -> impl Iterator<Item = (usize, (usize, Unit, usize, usize))> {
        let n = self.units.len();
        (0..PLANES * n * 4).map(move |at| {
            let channel = at / 4;
            (at, (channel / n, self.units[channel % n], at / 2 % 2, at % 2))
        })
    }
}

/// Weights of three pixels for the first or second half of the middle one: bicubic (a = −0.5) without its fourth tap.
fn taps(half: usize) -> [f64; 3] {
    let [far, near, own] = [-0.0703, 0.2266, 0.8672].map(|v: f64| v / (0.8672 + 0.2266 - 0.0703));
    if half == 0 { [near, own, far] } else { [far, own, near] }
}

/// Units and an offset with Σ weight·mish(gain·v + shift) + offset ≈ tanh⁻¹(v) over 0..1, by least squares.
fn inverse_tanh(copies: usize) -> (Vec<Unit>, f64) {
    // Kinks spread towards white, where the curve is steep.
    let kink = |k: usize| 1.0 - 0.9 * (-LN_2 * 1.2 * k as f64).exp();
    let mut units: Vec<Unit> = (0..copies)
        .map(|k| {
            let gain = 2.0 + 2.0 * k as f64;
            Unit { gain, shift: if k == 0 { 4.0 } else { -gain * kink(k) }, weight: 0.0 }
        })
        .collect();
    let n = copies + 1;
    let mut normal = vec![vec![0.0; n]; n];
    let mut right = vec![0.0; n];
    for i in 0..=1000 {
        let v = f64::from(i) / 1000.0;
        let mut row: Vec<f64> = units.iter().map(|u| mish(u.gain * v + u.shift)).collect();
        row.push(1.0);
        let wanted = (v * WHITE).atanh();
        // Errors count by what tanh makes of them.
        let slope = 1.0 - (v * WHITE).powi(2);
        for a in 0..n {
            right[a] += slope * slope * row[a] * wanted;
            for b in 0..n {
                normal[a][b] += slope * slope * row[a] * row[b];
            }
        }
    }
    (0..n).for_each(|a| normal[a][a] += 1e-5);
    let product = |row: &Vec<f64>| row.iter().zip(&right).map(|(a, b)| a * b).sum();
    let solution: Vec<f64> = inverse(normal).iter().map(product).collect();
    units.iter_mut().zip(&solution).for_each(|(u, w)| u.weight = *w);
    (units, solution[copies])
}

impl Source for BicubicInit {
    fn tensor(&self, name: &str, shape: &[usize]) -> Option<Cow<'_, HostTensor>> {
        let mut values = self.initial.tensor(name, shape)?.to_f32().ok()?;
        self.shape(name, &mut values);
        HostTensor::from_f32(shape, &values).ok().map(Cow::Owned)
    }

    fn names(&self) -> Vec<&str> {
        Vec::new()
    }
}

/// The learning rate of a parameter of LEMMA that starts as an enlargement, against that of the trunk. The layers that make it
/// one take shorter steps, the last the shortest: at the trunk's rate a few steps undo what they start as.
pub fn pace(name: &str, config: &LemmaConfig) -> f32 {
    let (end, up) = (config.srb_nums + 2, config.srb_nums + 3);
    let paces = [
        ("block1.".to_string(), 1.0 / 12.0),
        (format!("block{end}."), 1.0 / 3.0),
        (format!("block{up}.0."), 1.0 / 20.0),
        (format!("block{up}.1."), 1.0 / 75.0),
    ];
    paces.iter().find(|(part, _)| name.starts_with(part)).map_or(1.0, |(_, pace)| *pace)
}

/// Weights of LEMMA whose recognizer can read already; the rest comes from another source.
pub struct PretrainedInit<'a> {
    /// An ABINet, or its vision and language models as they are pre-trained: with or without their prefix.
    pub prior: &'a [StateDict],
    /// Where everything else comes from.
    pub otherwise: &'a dyn Source,
}

impl Source for PretrainedInit<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Option<Cow<'_, HostTensor>> {
        let known = name.strip_prefix("position_prior.").and_then(|own| {
            let (half, bare) = own.split_once('.')?;
            // Either half has names of its own.
            let mark =
                if half == "vision" { "backbone.pos_encoder.pe" } else { "token_encoder.pe" };
            self.prior.iter().find_map(|state| {
                let found = state.tensors.get(own);
                let alone =
                    || state.tensors.contains_key(mark).then(|| state.tensors.get(bare)).flatten();
                found.or_else(alone)
            })
        });
        match known {
            Some(tensor) => Some(Cow::Borrowed(tensor)),
            None => self.otherwise.tensor(name, shape),
        }
    }

    fn names(&self) -> Vec<&str> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_enlarges_learns_slowly() {
        let config = LemmaConfig { srb_nums: 3, ..LemmaConfig::default() };
        let pace = |name: &str| pace(name, &config);
        assert_eq!(pace("block2.conv1.weight"), 1.0);
        assert_eq!(pace("block1.0.weight"), 1.0 / 12.0);
        assert!(pace("block6.1.weight") < pace("block6.0.conv.weight"));
        assert!(pace("block6.0.conv.weight") < pace("block5.0.weight"));
    }

    #[test]
    fn tanh_is_undone() {
        let (units, offset) = inverse_tanh(COPIES);
        for i in 0..=100 {
            let v = f64::from(i) / 100.0;
            let z: f64 = units.iter().map(|u| u.weight * mish(u.gain * v + u.shift)).sum();
            let got = (z + offset).tanh();
            assert!((got - WHITE * v).abs() < 0.01, "{v}: {got}");
        }
        for half in 0..2 {
            assert!((taps(half).iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }
}
