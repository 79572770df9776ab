//! Weights and inputs that are a pure function of a seed and a name, in IEEE f64 with separate multiply and add, rounded to
//! f32 once: for tests against reference tensors, for traces and for benches of the official sizes.

use super::ModelKind;
use super::recipe::{
    Recipe,
    Rule::{self, Affine, Bump, Control, Fixed, Gain, Identity, Row0},
};
use crate::data::checkpoint::HostTensor;
use crate::nn::Source;
use crate::ops::sinusoid_table;
use std::borrow::Cow;

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's finalizer.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The random numbers of one name.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    key: u64,
}

impl Stream {
    /// The stream of `name` under `seed`.
    pub fn new(seed: u64, name: &str) -> Self {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
        });
        Stream { key: hash ^ mix(seed.wrapping_add(GAMMA)) }
    }

    fn bits(self, i: usize) -> u64 {
        mix(self.key.wrapping_add((i as u64 + 1).wrapping_mul(GAMMA))) >> 40
    }

    /// Element `i` in [0, 1).
    pub fn unit(self, i: usize) -> f64 {
        self.bits(i) as f64 / f64::from(1 << 24)
    }

    /// Element `i` in [−1, 1).
    pub fn signed(self, i: usize) -> f64 {
        self.bits(i) as f64 / f64::from(1 << 23) - 1.0
    }
}

const COMMON: &[(&str, Rule)] =
    &[("*.running_mean", Affine(0.0, 0.1)), ("*.running_var", Affine(1.0, 0.25))];

/// Whether `name` fits `pattern`, in which `*` stands for any run of characters.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            (0..=tail.len()).any(|i| tail.is_char_boundary(i) && fits(rest, &tail[i..]))
        }),
    }
}

/// The weights of one network under one seed.
#[derive(Debug, Clone, Copy)]
pub struct Procedural {
    /// The network.
    pub model: ModelKind,
    /// The seed.
    pub seed: u64,
}

impl Procedural {
    fn rule(self, name: &str, shape: &[usize]) -> Rule {
        let own = self.model.recipe().rules;
        let listed = own.iter().copied().chain([COMMON]).flatten().find(|(p, _)| fits(p, name));
        if let Some((_, rule)) = listed {
            return *rule;
        }
        let last = name.rsplit('.').next().unwrap_or(name);
        match shape.len() {
            4.. => Gain(2f64.sqrt()),
            2 | 3 => Gain(1.0),
            _ if ["weight", "a_2"].contains(&last) && shape == [1] => Affine(0.25, 0.05),
            _ if ["weight", "a_2"].contains(&last) => Affine(1.0, 0.2),
            _ => Affine(0.0, 0.1),
        }
    }

    /// The values of the tensor `name` in `shape`.
    pub fn values(self, name: &str, shape: &[usize]) -> Vec<f32> {
        if name == "pe" || name.ends_with(".pe") {
            let d = shape.last().copied().unwrap_or(1);
            return sinusoid_table(shape.iter().product::<usize>() / d.max(1), d);
        }
        let Recipe { key, suffixes, .. } = self.model.recipe();
        let suffix = suffixes.iter().find(|(n, _)| *n == name).map_or("", |(_, s)| s);
        let stream = Stream::new(self.seed, &format!("{key}:{name}{suffix}"));
        let fan_in: usize = shape.iter().skip(1).product();
        let scale = (3.0 / fan_in as f64).sqrt();
        let rule = self.rule(name, shape);
        let value = |i: usize| {
            let x = stream.signed(i);
            match rule {
                Affine(a, b) => a + b * x,
                Gain(a) => (a * scale) * x,
                Row0(a, b) if i < fan_in => (a * scale) * x * b,
                Row0(a, _) => (a * scale) * x,
                Bump(at, a, b) if i == at => b * x + a,
                Bump(_, _, b) => b * x,
                Control(b) => control(i) + b * x,
                Identity if i / fan_in == i % fan_in => 1.0,
                Identity => 0.0,
                Fixed(values) => values[i % values.len()],
            }
        };
        (0..shape.iter().product()).map(|i| value(i) as f32).collect()
    }
}

/// Coordinate `i` of 20 points (x, y) in two rows near the upper and the lower border.
pub(crate) fn control(i: usize) -> f64 {
    let (point, is_y) = (i / 2, i % 2 == 1);
    match (is_y, point < 10) {
        (false, _) => 0.01 + 0.98 * (point % 10) as f64 / 9.0,
        (true, true) => 0.01,
        (true, false) => 0.99,
    }
}

impl Source for Procedural {
    fn tensor(&self, name: &str, shape: &[usize]) -> Option<Cow<'_, HostTensor>> {
        let values = self.values(name, shape);
        HostTensor::from_f32(shape, &values).ok().map(Cow::Owned)
    }

    fn names(&self) -> Vec<&str> {
        Vec::new()
    }
}

/// `n` 8-bit RGB images of `h`×`w`, channels-last, from the streams of `name`: a flat color, a bilinear grid of cells of
/// `cell` pixels and noise.
pub fn images(seed: u64, name: &str, n: usize, h: usize, w: usize, cell: usize) -> Vec<u8> {
    let [flat, grid, noise] =
        ["flat", "grid", "noise"].map(|part| Stream::new(seed, &format!("{name}.{part}")));
    let (gh, gw) = (h / cell + 1, w / cell + 1);
    let mut out = Vec::with_capacity(n * h * w * 3);
    for (image, y, x, c) in
        (0..n * h * w * 3).map(|i| (i / (h * w * 3), i / (w * 3) % h, i / 3 % w, i % 3))
    {
        let plane = image * 3 + c;
        let at = |gy: usize, gx: usize| grid.unit((plane * gh + gy) * gw + gx);
        let (y0, x0) = (y / cell, x / cell);
        let (fy, fx) = ((y % cell) as f64 / cell as f64, (x % cell) as f64 / cell as f64);
        let along_y = |gx: usize| {
            let low = at(y0, gx) * (1.0 - fy);
            if fy == 0.0 { low } else { low + at(y0 + 1, gx) * fy }
        };
        let low = along_y(x0) * (1.0 - fx);
        let smooth = if fx == 0.0 { low } else { low + along_y(x0 + 1) * fx };
        let v =
            (0.25 * flat.unit(plane) + 0.70 * smooth) + 0.05 * noise.unit((plane * h + y) * w + x);
        out.push((256.0 * v).floor() as u8);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(model: ModelKind, seed: u64, name: &str, shape: &[usize]) -> (Vec<u32>, u32, f64) {
        let values = Procedural { model, seed }.values(name, shape);
        let first = values.iter().take(3).map(|v| v.to_bits()).collect();
        let sum = values.iter().map(|v| f64::from(*v)).sum();
        (first, values[values.len() - 1].to_bits(), sum)
    }

    #[test]
    fn test_vectors() {
        type Row<'a> = (ModelKind, u64, &'a str, &'a [usize], &'a [u32], u32, f64);
        let vision = "position_prior.vision";
        let bn2 = format!("{vision}.backbone.resnet.layer1.0.bn2.weight");
        let (cls, bias) = (format!("{vision}.cls.weight"), format!("{vision}.cls.bias"));
        let rows: &[Row] = &[
            (
                ModelKind::Lemma,
                1,
                "block1.0.weight",
                &[64, 4, 9, 9],
                &[0x3d577153, 0xbd52322b, 0x3dccbce6],
                0x3dce354d,
                -1.45098911,
            ),
            (ModelKind::Lemma, 1, "block1.1.weight", &[1], &[0x3e4e7cea], 0x3e4e7cea, 0.201648384),
            (
                ModelKind::Lemma,
                1,
                "block2.bn1.running_var",
                &[64],
                &[0x3f8e3b53, 0x3f5d0c11, 0x3f9e1288],
                0x3f85eca4,
                64.0190065,
            ),
            (
                ModelKind::Lemma,
                1,
                "block2.gru1.gru.weight_hh_l0_reverse",
                &[96, 32],
                &[0xbd3fb976, 0xbd36633c, 0xbde66f85],
                0x3c6fe23d,
                -3.27810968,
            ),
            (
                ModelKind::Lemma,
                1,
                &bn2,
                &[32],
                &[0x3ebf1c2a, 0x3eb193c2, 0x3ee3b8c1],
                0x3e9059e6,
                12.1290802,
            ),
            (
                ModelKind::Lemma,
                1,
                &cls,
                &[37, 512],
                &[0x3cdc81e6, 0xbc4acc20, 0x3c961646],
                0x3e85ade3,
                -2.88304024,
            ),
            (
                ModelKind::Lemma,
                1,
                &bias,
                &[37],
                &[0x40d1931c, 0x3d80e0a6, 0x3c23575a],
                0xbd66c246,
                6.7602104,
            ),
            (
                ModelKind::Lemma,
                1,
                "guidanceGen.attn_conv.0.weight",
                &[32, 1, 3, 3],
                &[0x401b1399, 0xbf4071ce, 0x3f1ad686],
                0x40802d0c,
                14.7376698,
            ),
            (
                ModelKind::Abinet,
                1,
                "alignment.cls.weight",
                &[37, 512],
                &[0xbc84be43, 0xbcdbef5e, 0x3b9d11a1],
                0xbe65f1b5,
                4.04893585,
            ),
            (
                ModelKind::TextFocus,
                1,
                "decoder.mul_layernorm1.a_2",
                &[1024],
                &[0x3f7ed3d0, 0x3f822323, 0x3f52885c],
                0x3f9657cb,
                1025.45571,
            ),
            (
                ModelKind::TextFocus,
                1,
                "embedding_word.lut.weight",
                &[37, 512],
                &[0xbadfbc1d, 0x3bccd03f, 0x3d6d1856],
                0xbcc9ad5a,
                10.7192413,
            ),
            (
                ModelKind::Lemma,
                2,
                "block1.0.weight",
                &[64, 4, 9, 9],
                &[0x3e03475a, 0x3daedf5c, 0xbda524b7],
                0x3dd31a19,
                38.45659,
            ),
        ];
        for (model, seed, name, shape, first, last, sum) in rows {
            let (got_first, got_last, got_sum) = bits(*model, *seed, name, shape);
            assert_eq!((got_first.as_slice(), got_last), (*first, *last), "{name}");
            assert!((got_sum - sum).abs() < 1e-7 * sum.abs(), "{name}: {got_sum}");
        }
    }

    #[test]
    fn image_vectors() {
        let low = images(1, "input:lr", 8, 16, 64, 8);
        let red: Vec<u8> = low.iter().step_by(3).take(8).copied().collect();
        assert_eq!(red, [48, 55, 60, 77, 77, 84, 95, 103]);
        assert_eq!(low.iter().map(|v| u64::from(*v)).sum::<u64>(), 3_079_381);
        let high = images(1, "input:hr", 8, 32, 128, 16);
        assert_eq!(high.iter().map(|v| u64::from(*v)).sum::<u64>(), 12_527_447);
    }
}
