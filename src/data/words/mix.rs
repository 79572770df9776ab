//! Several sources as one, in the order of an epoch.

use super::collection::sets;
use super::fault::{Fault, Place};
use super::identity::Identity;
use super::sample::{Sample, Source};
use super::source::open;
use crate::data::random::Shuffle;
use crate::{Error, ErrorKind, Result};
use std::path::Path;

/// Sources with weights.
///
/// A weight says how often an epoch goes through a source: `PATH@0.25` is a quarter of it, another
/// one each time, `PATH@3` is all of it three times. No sample is seen again before every other
/// of its source was.
pub struct Mix(Vec<Part>);

struct Part {
    name: String,
    source: Box<dyn Source>,
    /// Samples of an epoch.
    share: u64,
}

impl Mix {
    /// Opens data arguments, `SOURCE` or `SOURCE@WEIGHT`; see [`open`](super::open) for what a
    /// source is. A folder that is none stands for all the sets below it. Where the whole argument is
    /// the name of something, it is that and no weight.
    ///
    /// # Errors
    /// As `open`; [`ErrorKind::Argument`] without any source, for a source without samples, and for
    /// a weight that is none.
    pub fn open<S: AsRef<str>>(names: &[S]) -> Result<Self> {
        let mut parts = Vec::new();
        for name in names {
            let (name, weight) = with_weight(name.as_ref())?;
            for set in sets(name)? {
                let source = open(&set)?;
                parts.push((set, source, weight));
            }
        }
        Mix::new(parts)
    }

    /// A mix of sources with their names and weights.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] when there is none or one is empty.
    pub fn new(sources: Vec<(String, Box<dyn Source>, f64)>) -> Result<Self> {
        if sources.is_empty() {
            return Err(Error::new(ErrorKind::Argument, "data", "sources").expected("one or more"));
        }
        let part = |(name, source, weight): (String, Box<dyn Source>, f64)| {
            if source.is_empty() {
                return Err(Error::new(ErrorKind::Argument, name, "a source without samples"));
            }
            let share = ((source.len() as f64 * weight).round() as u64).max(1);
            Ok(Part { name, source, share })
        };
        Ok(Mix(sources.into_iter().map(part).collect::<Result<_>>()?))
    }

    /// Samples of an epoch.
    pub fn epoch_len(&self) -> u64 {
        self.0.iter().map(|p| p.share).sum()
    }

    /// Samples of all sources.
    pub fn len(&self) -> usize {
        self.0.iter().map(|p| p.source.len()).sum()
    }

    /// Never: a source has samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names of the sources.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|p| p.name.as_str())
    }

    /// What the sources are, in order.
    pub fn identities(&self) -> Vec<Identity> {
        self.0.iter().map(|p| Identity::of(&p.name, &*p.source, p.share)).collect()
    }

    pub(super) fn source(&self, i: usize) -> &dyn Source {
        &*self.0[i].source
    }

    /// A sample.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn sample(&self, place: Place) -> Result<Sample, Fault> {
        self.source(place.source).get(place.index)
    }

    /// The sample at place `at`, below [`Mix::len`], of all sources behind each other.
    pub fn in_order(&self, mut at: u64) -> Place {
        for (source, part) in self.0.iter().enumerate() {
            let len = part.source.len() as u64;
            if at < len {
                return Place { source, index: at as usize };
            }
            at -= len;
        }
        unreachable!("a place below the length")
    }

    /// The sample at place `at` of an epoch.
    pub(super) fn shuffled(&self, seed: u64, epoch: u64, at: u64) -> Place {
        let mut at = Shuffle::new(self.epoch_len(), &[seed, MIXED, epoch]).at(at);
        for (source, part) in self.0.iter().enumerate() {
            if at < part.share {
                let len = part.source.len() as u64;
                let ordinal = u128::from(epoch) * u128::from(part.share) + u128::from(at);
                let pass = (ordinal / u128::from(len)) as u64;
                let order = Shuffle::new(len, &[seed, WITHIN, source as u64, pass]);
                let index = order.at((ordinal % u128::from(len)) as u64) as usize;
                return Place { source, index };
            }
            at -= part.share;
        }
        unreachable!("a place below the length")
    }
}

/// Uses of the seed.
const MIXED: u64 = 1;
const WITHIN: u64 = 2;

fn with_weight(name: &str) -> Result<(&str, f64)> {
    let Some((path, weight)) = name.rsplit_once('@') else { return Ok((name, 1.0)) };
    if Path::new(name).exists() {
        return Ok((name, 1.0));
    }
    match weight.parse::<f64>() {
        Ok(w) if w > 0.0 && w <= 1e6 => Ok((path, w)),
        Ok(w) => Err(Error::new(ErrorKind::Argument, name, "a weight")
            .expected("a number above 0, at most a million")
            .got(w)),
        Err(_) => Ok((name, 1.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::Fault;
    use super::super::sample::Sample;
    use super::*;

    struct Empty(usize);
    impl Source for Empty {
        fn len(&self) -> usize {
            self.0
        }
        fn get(&self, _: usize) -> Result<Sample, Fault> {
            unreachable!("nobody asks")
        }
    }

    fn mix(parts: &[(usize, f64)]) -> Mix {
        let part = |&(n, w): &(usize, f64)| (String::new(), Box::new(Empty(n)) as Box<_>, w);
        Mix::new(parts.iter().map(part).collect()).unwrap()
    }

    #[test]
    fn a_weight_is_how_often_an_epoch_goes_through() {
        let mix = mix(&[(100, 0.25), (7, 3.0), (10, 1.0)]);
        assert_eq!((mix.epoch_len(), mix.len()), (25 + 21 + 10, 117));
        let mut seen = [[0; 100]; 3];
        for epoch in 0..4 {
            (0..56).for_each(|at| {
                let Place { source, index } = mix.shuffled(9, epoch, at);
                seen[source][index] += 1;
            });
        }
        assert_eq!(seen[0], [1; 100], "a quarter of it, another one each time");
        assert_eq!(seen[1][..7], [12; 7]);
        assert_eq!(seen[2][..10], [4; 10]);
    }

    #[test]
    fn orders_differ_by_seed_and_epoch_and_behind_each_other_is_plain() {
        let mix = mix(&[(50, 1.0), (50, 1.0)]);
        let order = |s, e| (0..100).map(|at| mix.shuffled(s, e, at)).collect::<Vec<_>>();
        assert_eq!(order(1, 0), order(1, 0));
        assert_ne!(order(1, 0), order(1, 1));
        assert_ne!(order(1, 0), order(2, 0));
        assert_eq!(mix.in_order(49), Place { source: 0, index: 49 });
        assert_eq!(mix.in_order(50), Place { source: 1, index: 0 });
    }

    #[test]
    fn weights_are_read_from_the_end() {
        assert_eq!(with_weight("a/b").unwrap(), ("a/b", 1.0));
        assert_eq!(with_weight("a/b@0.5").unwrap(), ("a/b", 0.5));
        assert_eq!(with_weight("a@b").unwrap(), ("a@b", 1.0));
        assert_eq!(with_weight("a@2@3").unwrap(), ("a@2", 3.0));
        assert!(with_weight("a@0").is_err() && with_weight("a@-1").is_err());
        assert!(with_weight("a@inf").is_err() && with_weight("a@NaN").is_err());
        assert!(Mix::open::<&str>(&[]).is_err());
        assert!(Mix::open(&["/nowhere"]).is_err());
    }
}
