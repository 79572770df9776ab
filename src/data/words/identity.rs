//! What a source is: whether a run that goes on finds the samples that it began with.

use super::sample::{Sample, Source};
use crate::data::picture::RgbImage;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A source as one of a mix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// What it was opened by, without its weight.
    pub name: String,
    /// Its samples, broken ones included.
    pub samples: u64,
    /// Samples that an epoch takes of it.
    pub share: u64,
    /// A digest of samples spread over all of it.
    pub digest: String,
}

/// Samples that are looked at.
const LOOKED_AT: u64 = 32;

impl Identity {
    /// That of a source of which an epoch takes `share` samples.
    pub(crate) fn of(name: &str, source: &dyn Source, share: u64) -> Self {
        let samples = source.len() as u64;
        let mut digest = Sha256::new();
        let taken = samples.min(LOOKED_AT);
        // From the first to the last.
        let at = |i: u64| u128::from(i) * u128::from(samples - 1) / u128::from(taken.max(2) - 1);
        for index in (0..taken).map(|i| at(i) as usize) {
            match source.get(index) {
                Ok(sample) => add(&mut digest, &sample),
                Err(fault) => digest.update(format!("\0{:?}", fault.reason)),
            }
        }
        let digest = digest.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect();
        Identity { name: name.into(), samples, share, digest }
    }

    /// In what `self`, which a run goes on with, differs from what it began with; none where the samples are the same, wherever
    /// they lie.
    pub fn differs(&self, begun: &Identity) -> Option<String> {
        let Identity { samples, share, digest, .. } = self;
        let moved = match self.name == begun.name {
            true => self.name.clone(),
            false => format!("{} (then {})", self.name, begun.name),
        };
        if *samples != begun.samples {
            return Some(format!("{moved}: {samples} samples, then {}", begun.samples));
        }
        if *share != begun.share {
            return Some(format!("{moved}: {share} samples of an epoch, then {}", begun.share));
        }
        (*digest != begun.digest).then(|| format!("{moved}: other images or labels"))
    }
}

fn add(digest: &mut Sha256, sample: &Sample) {
    let mut image = |image: &RgbImage| {
        digest.update(image.width().to_le_bytes());
        digest.update(image.height().to_le_bytes());
        digest.update(image.as_raw());
    };
    image(&sample.hr);
    sample.lr.iter().for_each(&mut image);
    digest.update(sample.label.as_bytes());
    for (left, right) in &sample.characters {
        digest.update(left.to_le_bytes());
        digest.update(right.to_le_bytes());
    }
    digest.update([0]);
}

#[cfg(test)]
mod tests {
    use super::super::fault::{Fault, Reason};
    use super::*;
    use crate::Result;

    /// So many samples, the last of which is another one.
    struct Words(usize, &'static str);

    impl Source for Words {
        fn len(&self) -> usize {
            self.0
        }

        fn get(&self, index: usize) -> Result<Sample, Fault> {
            if index == 1 {
                return Err(Fault::new(Reason::Missing, "none"));
            }
            let label = if index + 1 == self.0 { self.1.into() } else { format!("word{index}") };
            let hr = RgbImage::from_pixel(4, 2, image::Rgb([index as u8; 3]));
            Ok(Sample { lr: None, hr, label, characters: Vec::new(), flaw: None })
        }
    }

    #[test]
    fn sources_that_differ_are_told_apart_and_moved_ones_are_not() {
        let of = |name: &str, n, last, share| Identity::of(name, &Words(n, last), share);
        let begun = of("a", 100, "x", 100);
        assert_eq!(of("b", 100, "x", 100).differs(&begun), None);
        let says = |now: Identity, part: &str| {
            let said = now.differs(&begun).expect("a difference");
            assert!(said.contains(part), "{said}");
        };
        says(of("a", 99, "x", 99), "a: 99 samples, then 100");
        says(of("b", 100, "x", 50), "b (then a): 50 samples of an epoch, then 100");
        says(of("a", 100, "y", 100), "other images or labels");
        for few in [1, 2, 3, 33] {
            assert_eq!(of("a", few, "x", 1).differs(&of("a", few, "x", 1)), None);
            assert!(of("a", few, "x", 1).differs(&of("a", few, "y", 1)).is_some() || few == 2);
        }
    }
}
