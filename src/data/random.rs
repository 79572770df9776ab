//! Random numbers that depend on nothing but their key, and a shuffle that needs no memory.
//!
//! A generator is made for a key, for instance (seed, epoch, index): whichever thread asks, and
//! however often a run was interrupted, the same key gives the same numbers.

/// xoshiro256++ of Blackman and Vigna, seeded by splitmix64.
#[derive(Debug, Clone)]
pub struct Random([u64; 4]);

impl Random {
    /// The generator of a key.
    pub fn new(key: &[u64]) -> Self {
        let mut state = mix(key.len() as u64);
        for &k in key {
            state = mix(state ^ mix(k.wrapping_add(0x9E37_79B9_7F4A_7C15)));
        }
        Random([1u64, 2, 3, 4].map(|i| mix(state.wrapping_add(i.wrapping_mul(STEP)))))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Uniform between `low` and `high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform in 0..`n`; 0 when `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// One of `items`, which are at least one.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// Normal with mean 0 and variance 1 (Box and Muller).
    pub fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f32::consts::TAU * self.unit()).cos()
    }

    /// Nearly normal with mean 0 and variance 1, never beyond ±3.5: cheap enough for every pixel.
    pub fn noise(&mut self) -> f32 {
        let bits = self.bits();
        let sum: u64 = (0..4).map(|i| bits >> (16 * i) & 0xFFFF).sum();
        (sum as f32 / 65535.0 - 2.0) * 3f32.sqrt()
    }
}

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finaliser of splitmix64.
fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A seeded permutation of 0..`len` that is computed, not stored: a Feistel network on the next
/// power of four, walked until it lands inside. Any place of it can be had at once.
#[derive(Debug, Clone, Copy)]
pub struct Shuffle {
    len: u64,
    half_bits: u32,
    keys: [u64; Self::ROUNDS],
}

impl Shuffle {
    const ROUNDS: usize = 6;

    /// The permutation of 0..`len` that belongs to `key`.
    pub fn new(len: u64, key: &[u64]) -> Self {
        let bits = u64::BITS - len.saturating_sub(1).leading_zeros();
        let mut random = Random::new(key);
        let keys = std::array::from_fn(|_| random.bits());
        Shuffle { len, half_bits: bits.div_ceil(2).max(1), keys }
    }

    /// What stands at `place`, which is below the length.
    pub fn at(&self, place: u64) -> u64 {
        assert!(place < self.len, "place {place} of a permutation of {}", self.len);
        let mask = (1u64 << self.half_bits) - 1;
        let mut x = place;
        loop {
            let (mut left, mut right) = (x >> self.half_bits, x & mask);
            for key in self.keys {
                (left, right) = (right, left ^ (mix(right ^ key) & mask));
            }
            x = left << self.half_bits | right;
            if x < self.len {
                return x;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_its_numbers_and_another_key_gives_others() {
        let draw = |key: &[u64]| {
            let mut random = Random::new(key);
            [random.bits(), random.bits()]
        };
        assert_eq!(draw(&[1, 2]), draw(&[1, 2]));
        for other in [&[2, 1][..], &[1], &[1, 2, 0], &[]] {
            assert_ne!(draw(&[1, 2]), draw(other));
        }
    }

    #[test]
    fn numbers_have_the_moments_of_their_distribution() {
        let mut random = Random::new(&[7]);
        let n = 20_000;
        for draw in [Random::normal, Random::noise] {
            let draws: Vec<f64> = (0..n).map(|_| f64::from(draw(&mut random))).collect();
            let mean = draws.iter().sum::<f64>() / f64::from(n);
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
            assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        }
        let mean = (0..n).map(|_| f64::from(random.between(2.0, 4.0))).sum::<f64>() / f64::from(n);
        assert!((mean - 3.0).abs() < 0.02, "{mean}");
        assert!((0..1000).all(|_| random.below(3) < 3) && random.below(0) == 0);
    }

    #[test]
    fn a_shuffle_visits_everything_once_and_mixes() {
        for len in [1, 2, 3, 5, 16, 17, 1000] {
            let shuffle = Shuffle::new(len, &[3, len]);
            let mut seen: Vec<u64> = (0..len).map(|p| shuffle.at(p)).collect();
            if len == 1000 {
                let still = seen.iter().enumerate().filter(|(i, x)| *i as u64 == **x).count();
                assert!(still < 10, "{still} of 1000 stayed");
                let rises = seen.windows(2).filter(|w| w[0] < w[1]).count();
                assert!((400..600).contains(&rises), "{rises} of 999 rise");
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..len).collect::<Vec<_>>());
        }
        let order = |key| (0..50).map(|p| Shuffle::new(50, &[key]).at(p)).collect::<Vec<_>>();
        assert_ne!(order(1), order(2));
    }
}
