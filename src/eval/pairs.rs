//! The sets that are evaluated: pairs of images from any source of words.

use crate::data::degrade::Degradation;
use crate::data::lmdb::FILE;
use crate::data::picture::{LR_SIZE, RgbImage, SCALE};
use crate::data::random::Random;
use crate::data::words::{Identity, Source, labels, open};
use crate::{Error, ErrorKind, Result};
use std::path::Path;
use std::sync::Arc;

/// Width and height of the good images as they are evaluated.
pub const HR_SIZE: (u32, u32) = (LR_SIZE.0 * SCALE, LR_SIZE.1 * SCALE);

/// A word twice: as a poor and as a good image, of any size, and what is written there.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The poor image.
    pub lr: RgbImage,
    /// The good image.
    pub hr: RgbImage,
    /// What is written there.
    pub label: String,
}

/// A set of pairs in a fixed order, with a name. Clones share the source.
#[derive(Clone)]
pub struct Pairs {
    name: String,
    source: Arc<dyn Source>,
    seed: Option<u64>,
}

impl Pairs {
    /// Opens what a data argument names; see [`open`] for what that may be. The set is called as the last folder of its path.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(argument: &str) -> Result<Self> {
        Ok(Pairs::new(name_of(argument), open(argument)?))
    }

    /// The samples of a source. Tables call the set `name`; `easy`, `medium` and `hard` are averaged as the paper does.
    pub fn new(name: String, source: Box<dyn Source>) -> Self {
        Pairs { name, source: source.into(), seed: None }
    }

    /// The good images alone, and for the poor ones what [`Degradation::Paper`] makes of them at their own size. Its generator
    /// is seeded by `seed`, the set's name and the sample's number from 1, so that two runs agree.
    pub fn degraded(self, seed: u64) -> Self {
        Pairs { seed: Some(seed), ..self }
    }

    /// The same set by another name.
    pub fn called(self, name: String) -> Self {
        Pairs { name, ..self }
    }

    /// What tables call the set.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The seed of the poor images, where they are [degraded](Pairs::degraded).
    pub fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// The name, and the seed where there is one: no two sets of an evaluation share it.
    pub fn id(&self) -> String {
        match self.seed {
            Some(seed) => format!("{}-seed{seed}", self.name),
            None => self.name.clone(),
        }
    }

    /// The file of sample `i`, from 0, as the set names it; none where samples have numbers alone.
    pub fn file(&self, i: usize) -> Option<&str> {
        self.source.file(i)
    }

    /// What the set holds, by samples spread over it.
    pub fn identity(&self) -> Identity {
        Identity::of(&self.id(), &*self.source, self.len() as u64)
    }

    /// Number of samples, broken ones included.
    pub fn len(&self) -> usize {
        self.source.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sample `i`, from 0. One without a poor image gets the same one each time, as [`Degradation::Camera`] makes it, unless the
    /// set is [degraded](Pairs::degraded).
    ///
    /// # Errors
    /// A sample that cannot be used; it is counted under the error's [`reason`](Error::reason) and left out.
    pub fn get(&self, i: usize) -> Result<Pair> {
        let place = || format!("{}: sample {}", self.name, i + 1);
        let sample = self.source.get(i).map_err(|fault| {
            Error::new(ErrorKind::Format, place(), fault.reason).detail(fault.detail)
        })?;
        let images = std::iter::once(&sample.hr).chain(&sample.lr);
        if images.map(RgbImage::dimensions).any(|(w, h)| w == 0 || h == 0) {
            return Err(Error::new(ErrorKind::Format, place(), "an image without pixels"));
        }
        let (hr, label) = (sample.hr, sample.label);
        let lr = match (self.seed, sample.lr) {
            (Some(seed), _) => {
                let name = self.name.bytes().map(u64::from);
                let key: Vec<u64> = [seed].into_iter().chain(name).chain([i as u64 + 1]).collect();
                Degradation::Paper.apply(&hr, &mut Random::new(&key))
            }
            (None, Some(lr)) => lr,
            (None, None) => Degradation::Camera.apply(&hr, &mut Random::new(&[i as u64])),
        };
        Ok(Pair { lr, hr, label })
    }
}

fn is_labels(file: &std::ffi::OsStr) -> bool {
    labels::NAMES.iter().any(|name| file == *name)
}

/// What the set of a data argument is called: the last folder of a path, or the words of `synth:` as a folder may be called.
fn name_of(argument: &str) -> String {
    if argument.starts_with("synth:") {
        return argument.replace([':', '/', '\\'], "-").trim_end_matches('-').into();
    }
    let path = Path::new(argument);
    let resolved = path.canonicalize().unwrap_or_else(|_| path.into());
    let named = match (resolved.file_name(), resolved.parent()) {
        (Some(file), Some(folder)) if file == FILE || is_labels(file) => folder,
        _ => resolved.as_path(),
    };
    named.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::words::{Fault, Reason, Sample};
    use image::Rgb;

    /// A sharp word, one without pixels, and none.
    struct Three;

    impl Source for Three {
        fn len(&self) -> usize {
            3
        }

        fn get(&self, index: usize) -> Result<Sample, Fault> {
            let stripes = |x: u32, _| Rgb([(x * 37 % 256) as u8; 3]);
            let hr = match index {
                0 => RgbImage::from_fn(90, 30, stripes),
                1 => RgbImage::new(0, 5),
                _ => return Err(Fault::new(Reason::Missing, "no image-000000003")),
            };
            let (label, characters) = ("word".into(), Vec::new());
            Ok(Sample { lr: None, hr, label, characters, flaw: None })
        }
    }

    #[test]
    fn a_poor_image_is_made_once_and_for_all_and_faults_keep_their_reason() {
        let set = Pairs::new("three".into(), Box::new(Three));
        let (pair, again) = (set.get(0).unwrap(), set.get(0).unwrap());
        assert_eq!((pair.lr.dimensions(), pair.hr.dimensions()), ((64, 16), (90, 30)));
        assert_eq!(pair.lr, again.lr);
        let degraded = |seed, name: &str| set.clone().called(name.into()).degraded(seed).get(0);
        let poor = |seed, name| degraded(seed, name).unwrap().lr;
        assert_eq!(poor(0, "three").dimensions(), (90, 30));
        assert_eq!(poor(0, "three"), poor(0, "three"));
        assert!(poor(0, "three") != poor(1, "three") && poor(0, "three") != poor(0, "four"));
        assert_eq!(set.clone().degraded(2).id(), "three-seed2");
        assert_eq!(set.get(1).unwrap_err().reason(), "an image without pixels");
        let missing = set.get(2).unwrap_err();
        assert_eq!(missing.reason(), Reason::Missing.to_string());
        assert!(missing.to_string().starts_with("three: sample 3: "));
    }

    #[test]
    fn sets_are_called_as_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        let easy = folder.path().join("easy");
        std::fs::create_dir(&easy).unwrap();
        std::fs::write(easy.join(FILE), "").unwrap();
        for path in [easy.clone(), easy.join(FILE), easy.join("../easy")] {
            assert_eq!(name_of(path.to_str().unwrap()), "easy");
        }
        assert_eq!(name_of("synth:"), "synth");
        assert_eq!(name_of("synth:fonts=a/b,count=9"), "synth-fonts=a-b,count=9");
    }
}
