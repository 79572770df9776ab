//! How often to repeat, and what to say of the times.

use crate::Result;
use std::time::{Duration, Instant};

/// Rounds at least, and at most.
const LEAST: usize = 3;
const MOST: usize = 10_000;

/// Calls `once` for `seconds`, at least three times; collects what it returns.
pub(super) fn repeat<T>(seconds: f64, mut once: impl FnMut() -> Result<T>) -> Result<Vec<T>> {
    let end = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    let begun = Instant::now();
    let mut all = Vec::new();
    while all.len() < LEAST || (begun.elapsed() < end && all.len() < MOST) {
        all.push(once()?);
    }
    Ok(all)
}

/// The least value that `percent` of all values do not exceed (the nearest rank); 0 of none.
pub fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or_default()
}

/// The 50th percentile.
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 50.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_by_their_nearest_rank() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(
            [0.0, 1.0, 50.0, 99.0, 100.0].map(|p| percentile(&hundred, p)),
            [1.0, 1.0, 50.0, 99.0, 100.0]
        );
        assert_eq!(percentile(&[3.0, 1.0, 2.0], 99.0), 3.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn what_takes_long_runs_three_times_and_errors_end_it() {
        let mut calls = 0;
        let mut next = || {
            calls += 1;
            Ok(calls)
        };
        assert_eq!(repeat(0.0, &mut next).unwrap(), [1, 2, 3]);
        let no = || Err::<(), _>(crate::Error::new(crate::ErrorKind::Device, "a", "b"));
        assert!(repeat(1e9, no).is_err());
    }
}
