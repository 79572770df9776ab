//! Reading word images with any recognizer.

use super::pass_cache::PassCache;
use super::{Engine, ModelKind, Source, pipeline};
use crate::data::checkpoint::StateDict;
use crate::data::picture::{self, RgbImage};
use crate::gpu::Waiting;
use crate::models::{Head, Reading, WordRecognizer, load_recognizer};
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

/// Height and width of the images that recognizers know, and of poor ones.
const HIGH: (usize, usize) = (32, 128);
const LOW: (usize, usize) = (16, 64);

/// How [`Recognizer::read_with_async`] reads.
#[derive(Clone, Copy, Default)]
pub struct ReadOptions<'a> {
    /// Which part of the network gives the reading.
    pub head: Head,
    /// Most images in one pass over the network; 0 for the default.
    pub batch: usize,
    /// Called after each pass with the number of images done and of all.
    pub progress: Option<&'a (dyn Fn(usize, usize) + Sync)>,
    /// Asked before each pass whether to stop.
    pub cancelled: Option<&'a (dyn Fn() -> bool + Sync)>,
}

/// Images in one pass unless said otherwise.
const BATCH: usize = 16;

/// A recognizer, ready to read. Cheap to clone; `Send + Sync`.
#[derive(Clone)]
pub struct Recognizer {
    engine: Engine,
    kind: ModelKind,
    network: Arc<dyn WordRecognizer>,
    passes: Arc<PassCache<Key>>,
}

/// What a pass depends on: the shape of its images, and what gives the reading.
type Key = ([usize; 4], Head);

impl Recognizer {
    /// Loads a recognizer: ABINet, or another that is known by the names of its tensors.
    ///
    /// # Errors
    /// A file that cannot be read, that is no checkpoint of a recognizer, or whose tensors do not fit.
    pub fn load<'a>(engine: &Engine, source: impl Into<Source<'a>>) -> Result<Self> {
        let (state, place) = source.into().read(SHIPPED)?;
        let (kind, network) = load_recognizer(engine.gpu(), &state, &place)?;
        Ok(Recognizer { engine: engine.clone(), kind, network, passes: Arc::default() })
    }

    /// Which network reads.
    pub fn kind(&self) -> ModelKind {
        self.kind
    }

    /// Sizes and rules of the network, where it has any choice.
    pub fn configuration(&self) -> serde_json::Value {
        self.network.configuration()
    }

    /// Checks that the network has this part.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] saying what it has.
    pub fn expect_head(&self, head: Head) -> Result<()> {
        match self.network.heads().contains(&head) {
            true => Ok(()),
            false => {
                Err(Error::new(ErrorKind::Argument, self.kind.name(), "what gives the reading")
                    .expected("fusion, its one result")
                    .got(format!("{head:?}").to_lowercase()))
            }
        }
    }

    /// Reads images of any size, each resized to 32×128 first unless the network has a way of its own with sizes; `head` gives
    /// the result. An image [without contrast](picture::is_blank) reads as an empty text with confidence 0.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] for a head that the network does not have, [`ErrorKind::Device`] when the device fails,
    /// [`ErrorKind::Result`] when a score is not a number.
    pub fn read(&self, images: &[RgbImage], head: Head) -> Result<Vec<Reading>> {
        pollster::block_on(self.readings(images, head, Waiting::Blocking))
    }

    /// [`Recognizer::read`] for asynchronous callers.
    ///
    /// # Errors
    /// As [`Recognizer::read`].
    pub async fn read_async(&self, images: &[RgbImage], head: Head) -> Result<Vec<Reading>> {
        self.readings(images, head, Waiting::Awaited).await
    }

    /// Reads any number of images, so many in a pass, with progress and a way to stop.
    ///
    /// # Errors
    /// As [`Recognizer::read`]; [`ErrorKind::Cancelled`] when asked to stop.
    pub async fn read_with_async(
        &self,
        images: &[RgbImage],
        options: ReadOptions<'_>,
    ) -> Result<Vec<Reading>> {
        let mut readings = Vec::with_capacity(images.len());
        for pass in images.chunks(if options.batch == 0 { BATCH } else { options.batch }) {
            if options.cancelled.is_some_and(|asked| asked()) {
                return Err(pipeline::stopped());
            }
            readings.extend(self.readings(pass, options.head, Waiting::Awaited).await?);
            if let Some(report) = options.progress {
                report(readings.len(), images.len());
            }
        }
        Ok(readings)
    }

    async fn readings(
        &self,
        images: &[RgbImage],
        head: Head,
        waiting: Waiting,
    ) -> Result<Vec<Reading>> {
        let mut readings = Vec::with_capacity(images.len());
        let own_size = self.network.takes_any_size();
        let size = |image: &RgbImage| match own_size {
            true => image.dimensions(),
            false => (HIGH.1 as u32, HIGH.0 as u32),
        };
        for alike in images.chunk_by(|a, b| size(a) == size(b)) {
            let (w, h) = size(&alike[0]);
            let values: Vec<f32> = alike
                .iter()
                .flat_map(|image| match image.dimensions() == (w, h) {
                    true => picture::rgb_input(image),
                    false => picture::rgb_input(&picture::bicubic(image, w, h)),
                })
                .collect();
            let shape = [alike.len(), h as usize, w as usize, 3];
            readings.extend(self.run(shape, &values, head, waiting).await?);
        }
        empty_blank(&mut readings, images.iter().map(picture::is_blank));
        Ok(readings)
    }

    /// Reads `values` of images and waits for it. From the second time on that as many of one size come, the pass that was
    /// recorded for them is run again.
    async fn run(
        &self,
        shape: [usize; 4],
        values: &[f32],
        head: Head,
        waiting: Waiting,
    ) -> Result<Vec<Reading>> {
        self.expect_head(head)?;
        let record = |cx: &Cx, input: &Tensor| self.network.record(cx, input, head);
        let coming = self.passes.run(self.engine.gpu(), (shape, head), shape, values, record)?;
        self.decode(&coming.outputs(waiting).await?)
    }

    /// Reads images that are values already: `values [n, height, width, 3]`, RGB towards [0, 1] and not clamped, of 32×128 or
    /// 16×64. The network's own preparation takes them as its paper's evaluation does.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] for another size or number of values; else as [`Recognizer::read`].
    pub fn read_values(
        &self,
        values: &[f32],
        size: (usize, usize),
        head: Head,
    ) -> Result<Vec<Reading>> {
        pollster::block_on(self.readings_of_values(values, size, head, Waiting::Blocking))
    }

    pub(super) async fn readings_of_values(
        &self,
        values: &[f32],
        (height, width): (usize, usize),
        head: Head,
        waiting: Waiting,
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
        self.run([values.len() / one, height, width, 3], values, head, waiting).await
    }

    /// Records the reading of `images [N, 32, 128, 3]` on the device.
    pub(super) fn record(&self, cx: &Cx, images: &Tensor, head: Head) -> Result<Vec<Tensor>> {
        self.network.record(cx, images, head)
    }

    /// Readings of what was recorded and read back.
    pub(super) fn decode(&self, outputs: &[Host]) -> Result<Vec<Reading>> {
        self.network.decode(outputs)
    }
}

/// Empties the readings of images that have nothing to read: a network sees a letter in anything.
pub(super) fn empty_blank(readings: &mut [Reading], blank: impl Iterator<Item = bool>) {
    for (reading, _) in readings.iter_mut().zip(blank).filter(|(_, blank)| *blank) {
        *reading = Reading::default();
    }
}
