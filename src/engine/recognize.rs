//! Reading word images with ABINet.

use super::future::on_thread;
use super::pass_cache::PassCache;
use super::reading::{Decoder, Reading};
use super::{Engine, ModelKind, Source};
use crate::data::checkpoint::StateDict;
use crate::data::picture::{self, RgbImage};
use crate::models::abinet::{AbinetConfig, Network, Reading as Layers};
use crate::ops::{Filter, resize};
use crate::tensor::{Cx, Host, Tensor};
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;

pub(super) static SHIPPED: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/weights/abinet-nano.safetensors"));

/// The weights of the recognizer that ships.
///
/// # Errors
/// None in a whole build.
pub fn shipped_reader() -> Result<StateDict> {
    StateDict::from_bytes("the recognizer that ships", SHIPPED)
}

/// Which part of ABINet gives the reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Head {
    /// What the image shows.
    Vision,
    /// What the language model makes of it.
    Language,
    /// Both, aligned: ABINet's result.
    #[default]
    Fusion,
}

/// Height and width of a recognizer's input, and of one that is doubled first.
const HIGH: (usize, usize) = (32, 128);
const LOW: (usize, usize) = (16, 64);

/// ABINet, ready to read. Cheap to clone; `Send + Sync`.
#[derive(Clone)]
pub struct Recognizer {
    engine: Engine,
    network: Arc<Network>,
    passes: Arc<PassCache<Key>>,
}

/// What a pass depends on: the number of images, whether they are doubled, and what gives the reading.
type Key = (usize, bool, Head);

impl Recognizer {
    /// Loads a full ABINet.
    ///
    /// # Errors
    /// A file that cannot be read, that is no checkpoint of ABINet, or whose tensors do not fit.
    pub fn load<'a>(engine: &Engine, source: impl Into<Source<'a>>) -> Result<Self> {
        let (state, place) = source.into().read(SHIPPED)?;
        ModelKind::Abinet.expect(&state, &place)?;
        let network = Network::load(engine.gpu(), &state).map_err(|e| e.within(place))?;
        let (engine, network) = (engine.clone(), Arc::new(network));
        Ok(Recognizer { engine, network, passes: Arc::default() })
    }

    /// Sizes and rules of the network.
    pub fn config(&self) -> &AbinetConfig {
        self.network.config()
    }

    /// Reads images of any size, each resized to 32×128 as the network was trained; `head` gives the result. An image
    /// [without contrast](picture::is_blank) reads as an empty text with confidence 0.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] when the device fails, [`ErrorKind::Result`] when a score is not a number.
    pub fn read(&self, images: &[RgbImage], head: Head) -> Result<Vec<Reading>> {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let mut values = Vec::with_capacity(images.len() * HIGH.0 * HIGH.1 * 3);
        for image in images {
            values.extend(picture::rgb_input(&picture::bicubic(
                image,
                HIGH.1 as u32,
                HIGH.0 as u32,
            )));
        }
        let mut readings = self.run([images.len(), HIGH.0, HIGH.1, 3], &values, head)?;
        empty_blank(&mut readings, images.iter().map(picture::is_blank));
        Ok(readings)
    }

    /// Reads `values` of images, doubled where they have half the size, and waits for it. From the second time on that the same
    /// number of images comes, the pass that was recorded for it is run again.
    fn run(&self, shape: [usize; 4], values: &[f32], head: Head) -> Result<Vec<Reading>> {
        let [n, height, width, _] = shape;
        let low = (height, width) == LOW;
        let coming =
            self.passes.run(self.engine.gpu(), (n, low, head), shape, values, |cx, input| {
                let scores = match low {
                    true => {
                        self.record(cx, &resize(cx, input, HIGH, Filter::Bicubic, true)?, head)?
                    }
                    false => self.record(cx, input, head)?,
                };
                Ok(vec![scores.logits, scores.maps])
            })?;
        let hosts = coming.wait()?;
        self.decode(&hosts[0], &hosts[1])
    }

    /// Reads images that are values already: `values [n, height, width, 3]`, RGB towards [0, 1] and not clamped. Images of
    /// half the size, 16×64, are first doubled as the reference does it: bicubic with aligned corners.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] for another size or number of values; else as [`Recognizer::read`].
    pub fn read_values(
        &self,
        values: &[f32],
        (height, width): (usize, usize),
        head: Head,
    ) -> Result<Vec<Reading>> {
        let known = [HIGH, LOW].contains(&(height, width));
        let one = if known { height * width * 3 } else { 0 };
        if !known || !values.len().is_multiple_of(one) {
            return Err(Error::new(ErrorKind::Shape, "recognizer", "values of images")
                .expected("[n, 32, 128, 3] or [n, 16, 64, 3]")
                .got(format!("{} for images of {height} by {width}", values.len())));
        }
        if values.is_empty() {
            return Ok(Vec::new());
        }
        self.run([values.len() / one, height, width, 3], values, head)
    }

    /// [`Recognizer::read`] for callers that are asynchronous.
    ///
    /// # Errors
    /// As [`Recognizer::read`].
    pub async fn read_async(&self, images: Vec<RgbImage>, head: Head) -> Result<Vec<Reading>> {
        let this = self.clone();
        on_thread(move || this.read(&images, head)).await
    }

    /// Records the reading of `images [N, 32, 128, 3]` on the device.
    pub(super) fn record(&self, cx: &Cx, images: &Tensor, head: Head) -> Result<Scores> {
        let Layers { vision, mut iterations, .. } = self.network.forward(cx, images)?;
        let last = iterations.pop();
        let logits = match (head, last) {
            (Head::Vision, _) | (_, None) => vision.logits,
            (Head::Language, Some(last)) => last.language.logits,
            (Head::Fusion, Some(last)) => last.alignment,
        };
        Ok(Scores { logits, maps: vision.attention })
    }

    /// Readings of `logits [N, T, classes]` and `maps [N, T, H, W]`.
    pub(super) fn decode(&self, logits: &Host, maps: &Host) -> Result<Vec<Reading>> {
        decode(self.network.config(), logits, maps)
    }
}

/// Class scores and attention on the device.
pub(super) struct Scores {
    pub logits: Tensor,
    pub maps: Tensor,
}

/// Empties the readings of images that have nothing to read: a network sees a letter in anything.
pub(super) fn empty_blank(readings: &mut [Reading], blank: impl Iterator<Item = bool>) {
    for (reading, _) in readings.iter_mut().zip(blank).filter(|(_, blank)| *blank) {
        *reading = Reading::default();
    }
}

/// Readings of a batch.
pub(super) fn decode(config: &AbinetConfig, logits: &Host, maps: &Host) -> Result<Vec<Reading>> {
    let n = logits.dims()[0];
    if n == 0 {
        return Ok(Vec::new());
    }
    if logits.data.iter().any(|v| !v.is_finite()) {
        return Err(Error::new(ErrorKind::Result, "recognizer", "a class score is not a number")
            .hint("weights with NaN, or values beyond f32, give this"));
    }
    let decoder = Decoder {
        charset: config.charset_chars.chars().collect(),
        steps: config.max_length,
        classes: config.num_classes,
    };
    let width = maps.shape.last();
    let (scores, looks) = (logits.to_f32(), maps.to_f32());
    let per = (scores.len() / n, looks.len() / n);
    Ok(scores
        .chunks_exact(per.0)
        .zip(looks.chunks_exact(per.1))
        .map(|(s, m)| decoder.read(s, m, width))
        .collect())
}
