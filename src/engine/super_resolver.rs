//! Any network that super-resolves words, ready for use.

use super::memory::{MemoryPlan, plan};
use super::pass_cache::{Coming, PassCache};
use super::recognize::{Recognizer, empty_blank};
use super::result::{Wanted, WindowResult};
use super::upscale::{Lemma, Pending, SHIPPED, window_values};
use super::{Engine, ModelKind, Source};
use crate::data::picture::RgbImage;
use crate::gpu::Waiting;
use crate::models::Head;
use crate::models::lemma::{HIGH, LOW, PLANES};
use crate::models::word::{Loading, WordNetwork};
use crate::models::{crnn, text_prior};
use crate::ops::{concat_last, scale, slice_last};
use crate::tensor::{Cx, Tensor};
use crate::{Error, ErrorKind, Result};
use std::borrow::Borrow;
use std::sync::Arc;

/// A network of any kind that super-resolves words. Cheap to clone; `Send + Sync`.
#[derive(Clone)]
pub struct SuperResolver {
    engine: Engine,
    kind: ModelKind,
    network: Arc<dyn WordNetwork>,
    /// The same as LEMMA, which says more than an image.
    lemma: Option<Lemma>,
    reader: Option<Recognizer>,
    passes: Arc<PassCache<usize>>,
}

impl SuperResolver {
    /// Loads a network of the kind that its weights are of.
    ///
    /// # Errors
    /// A file that cannot be read, that is no checkpoint of a network that super-resolves words, or whose tensors do not fit;
    /// [`ErrorKind::Argument`] for TATT and C3-STISR, which a recognizer guides, unless it lies in their file: training of this
    /// crate writes it there.
    pub fn load<'a>(engine: &Engine, source: impl Into<Source<'a>>) -> Result<Self> {
        Self::open(engine, source.into(), None)
    }

    /// Loads TATT or C3-STISR with the CRNN that was trained with it and reads the poor images: what lies beside the released
    /// weights as `recognizer_best_acc_0.pth`.
    ///
    /// # Errors
    /// As [`SuperResolver::load`]; [`ErrorKind::Argument`] for a network that nobody guides.
    pub fn load_guided<'a>(
        engine: &Engine,
        source: impl Into<Source<'a>>,
        guide: impl Into<Source<'a>>,
    ) -> Result<Self> {
        Self::open(engine, source.into(), Some(guide.into()))
    }

    fn open(engine: &Engine, source: Source, guide: Option<Source>) -> Result<Self> {
        let unguided = |name: &str| {
            Error::new(ErrorKind::Argument, name, "recognizer that guides it").expected("none")
        };
        if let Source::Shipped = source {
            return match guide {
                None => Ok(Lemma::load(engine, source)?.into()),
                Some(_) => Err(unguided(ModelKind::Lemma.name())),
            };
        }
        let (state, place) = source.read(SHIPPED)?;
        let kind = ModelKind::enlarging(&state, &place)?;
        if guide.is_some() && !kind.is_guided() {
            return Err(unguided(kind.name()).within(place));
        }
        let Some(loaded) = kind.load(engine.gpu(), Loading::of(&state)) else {
            return Ok(Lemma::load(engine, state)?.into());
        };
        let (mut network, _) = loaded.map_err(|e| e.within(&place))?;
        if kind.is_guided() {
            let (state, place) = match (guide, text_prior::beside(&state)) {
                (Some(guide), _) => guide.read(&[])?,
                (None, Some(reader)) => (reader, place),
                (None, None) => {
                    return Err(Error::new(
                        ErrorKind::Argument,
                        place,
                        "recognizer that guides it",
                    )
                    .expected(format!("a {} that was trained with it", ModelKind::Crnn.name()))
                    .got("none")
                    .hint("it was released beside the weights, as recognizer_best_acc_0.pth"));
                }
            };
            ModelKind::Crnn.expect(&state, &place)?;
            let reader = crnn::Network::load(engine.gpu(), &state);
            network.guide(reader.map_err(|e| e.within(place))?);
        }
        Ok(SuperResolver {
            engine: engine.clone(),
            kind,
            network: network.into(),
            lemma: None,
            reader: None,
            passes: Arc::default(),
        })
    }

    /// Lets `reader` read the super-resolved images. Without one a network reads nothing, unless it is LEMMA, which has a
    /// recognizer inside.
    pub fn with_reader(self, reader: Recognizer) -> Self {
        let lemma = self.lemma.map(|lemma| lemma.with_reader(reader.clone()));
        SuperResolver { lemma, reader: Some(reader), ..self }
    }

    /// What it is.
    pub fn kind(&self) -> ModelKind {
        self.kind
    }

    /// The same as LEMMA, if it is that.
    pub fn lemma(&self) -> Option<&Lemma> {
        self.lemma.as_ref()
    }

    /// The engine it was loaded on.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Super-resolves `values [n, 16, 64, 4]`, RGB in [0, 1] and the mask of dark pixels, to `[n, 32, 128, 3]`, not clamped;
    /// blocks until done.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when the values are not those of whole images, [`ErrorKind::Device`] when the device fails.
    pub fn super_resolve(&self, values: &[f32]) -> Result<Vec<f32>> {
        let Some(coming) = self.start(values)? else { return Ok(Vec::new()) };
        let outputs = pollster::block_on(coming.outputs(Waiting::Blocking));
        let images = outputs?.remove(0).to_f32();
        Ok(images.chunks_exact(PLANES).flat_map(|p| [p[0], p[1], p[2]]).collect())
    }

    /// Starts a pass over windows of 64×16 pixels and returns at once, as [`Lemma::submit`] does. Only LEMMA says where it looked.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] for a window of another size, [`ErrorKind::Device`] when the device fails.
    pub fn submit<I: Borrow<RgbImage>>(&self, windows: &[I], wanted: Wanted) -> Result<Resolving> {
        if let Some(lemma) = &self.lemma {
            return Ok(Resolving(Way::Lemma(lemma.submit(windows, wanted)?)));
        }
        let (values, blank) = window_values(windows)?;
        let reader = self.reader.clone().filter(|_| wanted.text);
        Ok(Resolving(Way::Other { coming: self.start(&values)?, reader, blank }))
    }

    /// Bytes that a pass over `batch` images takes, by a recording that allocates nothing: the network was loaded on a device
    /// opened with [`planning`](crate::gpu::GpuOptions::planning).
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] for a network on a device that computes.
    pub fn plan_memory(&self, batch: usize) -> Result<MemoryPlan> {
        plan(&self.engine, batch, |cx, input| enlarge(cx, &*self.network, input))
    }

    /// A pass over `values [n, 16, 64, 4]`; none where there are no images.
    fn start(&self, values: &[f32]) -> Result<Option<Coming>> {
        let one = LOW.0 * LOW.1 * PLANES;
        if !values.len().is_multiple_of(one) {
            return Err(Error::new(ErrorKind::Shape, self.kind.name(), "values of images")
                .expected(format!("a multiple of {one}"))
                .got(values.len()));
        }
        let n = values.len() / one;
        let shape = [n, LOW.0, LOW.1, PLANES];
        let record = |cx: &Cx, input: &Tensor| Ok(vec![enlarge(cx, &*self.network, input)?]);
        let run = || self.passes.run(self.engine.gpu(), n, shape, values, record);
        if n == 0 { Ok(None) } else { run().map(Some) }
    }
}

impl From<Lemma> for SuperResolver {
    fn from(lemma: Lemma) -> Self {
        SuperResolver {
            engine: lemma.engine().clone(),
            kind: ModelKind::Lemma,
            network: lemma.shared_network(),
            lemma: Some(lemma),
            reader: None,
            passes: Arc::default(),
        }
    }
}

/// `input [n, 16, 64, 4]`, RGB in [0, 1] and the mask, to `[n, 32, 128, 4]` likewise; the mask is 0 where a network makes none.
fn enlarge(cx: &Cx, network: &dyn WordNetwork, input: &Tensor) -> Result<Tensor> {
    let (planes, white) = (network.planes(), network.white());
    let input = match planes {
        PLANES => input.clone(),
        _ => slice_last(cx, input, 0..planes)?,
    };
    let scaled = |x: Tensor, by: f32| if by == 1.0 { Ok(x) } else { scale(cx, &x, by) };
    let output = network.super_resolve(cx, &scaled(input, white)?)?;
    let output = scaled(output, white.recip())?;
    match planes {
        PLANES => Ok(output),
        _ => {
            let [n, h, w, _] = output.shape().nhwc("super-resolved images")?;
            let mask = vec![0.0; n * h * w * (PLANES - planes)];
            let mask = Tensor::upload(cx.gpu(), [n, h, w, PLANES - planes], &mask);
            cx.in_full(|cx| concat_last(cx, &[&output, &mask]))
        }
    }
}

/// A pass on its way.
pub struct Resolving(Way);

enum Way {
    Lemma(Pending),
    Other { coming: Option<Coming>, reader: Option<Recognizer>, blank: Vec<bool> },
}

impl Resolving {
    /// Waits for the results, one for each window; blocks until they are there.
    ///
    /// # Errors
    /// As [`Resolving::ready`].
    pub fn wait(self) -> Result<Vec<WindowResult>> {
        pollster::block_on(self.results(Waiting::Blocking))
    }

    /// [`Resolving::wait`] for asynchronous callers.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] when the device fails, [`ErrorKind::Result`] when a score is not a number.
    pub async fn ready(self) -> Result<Vec<WindowResult>> {
        self.results(Waiting::Awaited).await
    }

    async fn results(self, waiting: Waiting) -> Result<Vec<WindowResult>> {
        let (coming, reader, blank) = match self.0 {
            Way::Lemma(pending) => return pending.results(waiting).await,
            Way::Other { coming: None, .. } => return Ok(Vec::new()),
            Way::Other { coming: Some(coming), reader, blank } => (coming, reader, blank),
        };
        let images = coming.outputs(waiting).await?.remove(0).to_f32();
        let mut results: Vec<WindowResult> = images
            .chunks_exact(HIGH.0 * HIGH.1 * PLANES)
            .map(|image| WindowResult { image: image.to_vec(), reading: None, attention: None })
            .collect();
        if let Some(reader) = reader {
            let rgb: Vec<f32> =
                images.chunks_exact(PLANES).flat_map(|p| [p[0], p[1], p[2]]).collect();
            let reading = reader.readings_of_values(&rgb, HIGH, Head::Fusion, waiting);
            let mut readings = reading.await?;
            empty_blank(&mut readings, blank.into_iter());
            for (result, reading) in results.iter_mut().zip(readings) {
                result.reading = Some(reading);
            }
        }
        Ok(results)
    }
}
