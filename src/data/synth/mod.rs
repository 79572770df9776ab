//! Words drawn for training: any number of them, each with its label and the place of every
//! character, in a sharp and a coarse image.
//!
//! A word is set in one of the fonts, bent along an arc or a wave, seen from aside and turned, then
//! painted on a surface with outline, shadow or thickness, lit, and photographed twice: by a good
//! camera and by one that [`Degradation::Camera`] makes worse. Everything is drawn for (seed, index)
//! alone: the same fonts, words, backgrounds and seed give the same bytes at the same index,
//! whatever was drawn before.

pub(super) mod bitmap;
mod layout;
mod paint;
mod scene;
mod screening;
pub mod typeface;
mod vocabulary;

pub use screening::{Found, find};
pub use typeface::{Typeface, system_folders};
pub use vocabulary::Vocabulary;

use super::degrade::{Degradation, add_noise, jpeg};
use super::float_image::FloatImage;
use super::picture::{self, Kind, LR_SIZE, SCALE};
use super::random::Random;
use crate::{Error, ErrorKind, Result};
use image::RgbImage;
use layout::Layout;
use std::path::{Path, PathBuf};

const WIDTH: usize = (LR_SIZE.0 * SCALE) as usize;
const HEIGHT: usize = (LR_SIZE.1 * SCALE) as usize;

/// What words are drawn with.
#[derive(Debug, Clone, Default)]
pub struct SynthOptions {
    /// Folders of fonts; those of the system when there are none.
    pub fonts: Vec<PathBuf>,
    /// A file of words; the built-in list without one.
    pub words: Option<PathBuf>,
    /// A folder of photographs to write on.
    pub backgrounds: Option<PathBuf>,
    /// Another seed draws other words.
    pub seed: u64,
}

/// Draws words.
#[derive(Debug)]
pub struct Synth {
    typefaces: Vec<Typeface>,
    refused: Vec<(PathBuf, String)>,
    vocabulary: Vocabulary,
    photographs: Vec<FloatImage>,
    seed: u64,
}

/// A drawn word.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// The sharp image, 128×32.
    pub hr: RgbImage,
    /// The coarse image, 64×16.
    pub lr: RgbImage,
    /// What is written, in the case it is written in.
    pub label: String,
    /// Left and right end of every character's ink in parts of the image's width, 0..=1.
    pub characters: Vec<(f32, f32)>,
}

impl Synth {
    /// Loads and screens the fonts, the words and the backgrounds. Where the system has no font of
    /// use, the embedded ones serve.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] when folders of fonts are given and hold none of use, or the folder
    /// of backgrounds holds no image; [`ErrorKind::Io`] and [`ErrorKind::Format`] of the files.
    pub fn new(options: &SynthOptions) -> Result<Self> {
        for folder in &options.fonts {
            if !folder.exists() {
                return Err(missing(folder, "a folder of fonts"));
            }
        }
        let own = !options.fonts.is_empty();
        let mut found = if own { find(&options.fonts) } else { find(&system_folders()) };
        if found.typefaces.is_empty() {
            if own {
                let reason =
                    found.refused.first().map(|(p, why)| format!("{}: {why}", p.display()));
                return Err(Error::new(ErrorKind::Argument, "fonts", "fonts that can be used")
                    .expected("a .ttf, .otf or .ttc with all letters and digits")
                    .got(reason.unwrap_or_else(|| "none".into())));
            }
            found.typefaces = typeface::BUILTIN.clone();
        }
        let vocabulary = match &options.words {
            Some(path) => Vocabulary::read(path)?,
            None => Vocabulary::common(),
        };
        let photographs = options.backgrounds.as_deref().map_or(Ok(Vec::new()), photographs)?;
        let Found { typefaces, refused } = found;
        Ok(Synth { typefaces, refused, vocabulary, photographs, seed: options.seed })
    }

    /// The typefaces in use.
    pub fn typefaces(&self) -> &[Typeface] {
        &self.typefaces
    }

    /// The fonts that were found and are not used, with the reason.
    pub fn refused(&self) -> &[(PathBuf, String)] {
        &self.refused
    }

    /// Draws the word of an index.
    pub fn draw(&self, index: u64) -> Drawn {
        let mut random = Random::new(&[self.seed, index]);
        let random = &mut random;
        let label = self.vocabulary.draw(random);
        let face = random.pick(&self.typefaces);
        let layout = Layout::new(&label, face, WIDTH, HEIGHT, random);
        let mut plane = scene::surface(WIDTH, HEIGHT, &self.photographs, random);
        paint::write(&mut plane, &layout, random);
        scene::light(&mut plane, random);
        let lr = Degradation::Camera.apply(&plane.to_image(), random);
        Drawn { hr: photograph(plane, random), lr, label, characters: layout.extents() }
    }
}

fn missing(path: &Path, what: &str) -> Error {
    Error::new(ErrorKind::Argument, path.display(), what).got("nothing there")
}

/// As a good camera sees it: a little blur, noise and JPEG.
fn photograph(mut plane: FloatImage, random: &mut Random) -> RgbImage {
    if random.chance(0.6) {
        plane = plane.gaussian(5, f64::from(random.between(0.3, 0.75)));
    }
    if random.chance(0.6) {
        let strength = random.between(0.0, 4.0);
        add_noise(&mut plane, strength, random);
    }
    let image = plane.to_image();
    if random.chance(0.3) { jpeg(&image, 75 + random.below(24) as u8) } else { image }
}

/// Most photographs that are kept, and pixels of their longer side.
const MOST_PHOTOGRAPHS: usize = 512;
const LONGER_SIDE: u32 = 512;

fn photographs(folder: &Path) -> Result<Vec<FloatImage>> {
    let entries = std::fs::read_dir(folder)
        .map_err(|e| Error::io(folder.display(), "cannot be listed", e))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.retain(|p| Kind::from_path(p).is_some());
    paths.sort();
    let mut planes = Vec::new();
    for path in paths.into_iter().take(MOST_PHOTOGRAPHS) {
        let place = path.display().to_string();
        let bytes = std::fs::read(&path).map_err(|e| Error::io(&place, "cannot be read", e))?;
        let image = picture::decode(&bytes, &place)?.image;
        let (w, h) = image.dimensions();
        let scale = (f64::from(LONGER_SIDE) / f64::from(w.max(h))).min(1.0);
        let side = |s: u32| ((f64::from(s) * scale).round() as u32).max(1);
        planes.push(FloatImage::from_image(&picture::bicubic(&image, side(w), side(h))));
    }
    if planes.is_empty() {
        return Err(missing(folder, "a folder of photographs").expected(Kind::LIST));
    }
    Ok(planes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house(seed: u64) -> Synth {
        Synth {
            typefaces: typeface::BUILTIN.clone(),
            refused: Vec::new(),
            vocabulary: Vocabulary::common(),
            photographs: Vec::new(),
            seed,
        }
    }

    #[test]
    fn an_index_gives_the_same_word_whatever_was_drawn_before() {
        let (synth, again) = (house(3), house(3));
        let word = synth.draw(70);
        (0..20).for_each(|i| drop(again.draw(i)));
        assert!(again.draw(70) == word);
        assert!(house(4).draw(70) != word && synth.draw(71) != word);
        assert_eq!((word.hr.dimensions(), word.lr.dimensions()), ((128, 32), (64, 16)));
        assert_eq!(word.characters.len(), word.label.len());
    }

    #[test]
    fn words_stand_out_from_what_they_are_written_on() {
        // The text is where the extents say, so columns there vary more than a flat picture's.
        let synth = house(1);
        let visible = (0..300).filter(|&i| {
            let word = synth.draw(i);
            let luma = picture::luma(&word.hr);
            let (low, high) = luma.iter().fold((255, 0), |(l, h), &v| (v.min(l), v.max(h)));
            high - low > 30
        });
        assert_eq!(visible.count(), 300);
    }

    #[test]
    fn bad_folders_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let options = |f: fn(&mut SynthOptions, PathBuf)| {
            let mut options = SynthOptions::default();
            f(&mut options, folder.path().into());
            Synth::new(&options).unwrap_err()
        };
        assert_eq!(options(|o, p| o.fonts = vec![p]).kind(), ErrorKind::Argument);
        assert_eq!(options(|o, p| o.fonts = vec![p.join("none")]).kind(), ErrorKind::Argument);
        assert_eq!(options(|o, p| o.backgrounds = Some(p)).kind(), ErrorKind::Argument);
        assert_eq!(options(|o, p| o.words = Some(p.join("none"))).kind(), ErrorKind::Io);
    }
}
