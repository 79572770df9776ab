//! How sure a counted share is, and whether two readers differ by more than luck.

/// 97.5 % point of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Wilson's 95 % interval of a share, of which `right` of `of` were counted. Without any it is all of 0..=1.
pub fn wilson(right: usize, of: usize) -> (f64, f64) {
    if of == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (of as f64, right as f64 / of as f64);
    let center = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    (((center - half) / scale).max(0.0), ((center + half) / scale).min(1.0))
}

/// McNemar's exact test of two readers on the same words: the two-sided probability that chance alone splits the words of
/// which just one reader is right at least as unevenly as `only_a` to `only_b`.
pub fn mcnemar(only_a: usize, only_b: usize) -> f64 {
    let n = only_a + only_b;
    // ln of C(n, i) / 2ⁿ, from i to i + 1 by its ratio; the smaller tail.
    let mut term = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for i in 0..=only_a.min(only_b) {
        tail += term.exp();
        term += ((n - i) as f64).ln() - ((i + 1) as f64).ln();
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_book() {
        let near = |(a, b): (f64, f64), (c, d): (f64, f64)| {
            assert!((a - c).abs() < 5e-5 && (b - d).abs() < 5e-5, "{a} {b}");
        };
        near(wilson(8, 10), (0.4902, 0.9433));
        near(wilson(0, 20), (0.0, 0.1611));
        near(wilson(500, 1000), (0.4691, 0.5309));
        near(wilson(0, 0), (0.0, 1.0));
    }

    #[test]
    fn luck_is_a_binomial() {
        assert_eq!(mcnemar(0, 0), 1.0);
        assert_eq!(mcnemar(7, 7), 1.0);
        assert!((mcnemar(1, 9) - 22.0 / 1024.0).abs() < 1e-12);
        assert!((mcnemar(9, 1) - mcnemar(1, 9)).abs() < 1e-15);
        // Beyond what 2⁻ⁿ alone could hold.
        assert!((mcnemar(1000, 1000) - 1.0).abs() < 1e-9);
        assert!(mcnemar(1200, 800) < 1e-18 && mcnemar(1200, 800) > 0.0);
    }
}
