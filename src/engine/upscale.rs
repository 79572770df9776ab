//! Super-resolving word images with LEMMA.

use super::pass_cache::{Coming, PassCache};
use super::pipeline::{self, Control, Settings, Work};
use super::recognize::{Recognizer, empty_blank};
use super::result::{Attention, Upscaled, Wanted, WindowResult};
use super::{Engine, ModelKind, Source};
use crate::data::picture::{self, Fit, Plan, RgbImage};
use crate::gpu::{HostBuffer, Waiting};
use crate::models::abinet;
use crate::models::lemma::{HIGH, LOW, LemmaConfig, Network, PLANES};
use crate::models::{Head, Reading};
use crate::ops::slice_last;
use crate::shape::Shape;
use crate::tensor::{Cx, Dtype, Host, Tensor};
use crate::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::borrow::Borrow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub(super) static SHIPPED: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/weights/lemma-nano.safetensors"));

/// LEMMA, ready to super-resolve. Cheap to clone; `Send + Sync`.
#[derive(Clone)]
pub struct Lemma {
    engine: Engine,
    network: Arc<Network>,
    reader: Option<Recognizer>,
    passes: Arc<PassCache<(usize, Wanted)>>,
}

/// How [`Lemma::upscale_with`] treats images.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// How an image of any shape becomes windows of 16×64.
    pub fit: Fit,
    /// Leave images that are more than twice as high as wide as they stand.
    pub keep_upright: bool,
    /// What to bring back beside the images.
    pub wanted: Wanted,
    /// Most windows in one pass over the network; 0 for the default.
    pub batch: usize,
    /// Called after each pass with the number of windows done and of all.
    pub progress: Option<&'a (dyn Fn(usize, usize) + Sync)>,
    /// Asked before each pass whether to stop; the one that is in flight then is finished.
    pub cancelled: Option<&'a (dyn Fn() -> bool + Sync)>,
}

/// Windows in one pass unless said otherwise.
const BATCH: usize = 16;

impl Lemma {
    /// Loads a whole LEMMA. The text of its results is what the recognizer inside sees, unless
    /// [`Lemma::with_reader`] gives it a better one; the shipped model comes with one.
    ///
    /// # Errors
    /// A file that cannot be read, that is no checkpoint of LEMMA, or whose tensors do not fit.
    pub fn load<'a>(engine: &Engine, source: impl Into<Source<'a>>) -> Result<Self> {
        let source = source.into();
        let shipped = matches!(source, Source::Shipped);
        let (state, place) = source.read(SHIPPED)?;
        ModelKind::Lemma.expect(&state, &place)?;
        let network = Network::load(engine.gpu(), &state).map_err(|e| e.within(place))?;
        let lemma = Lemma {
            engine: engine.clone(),
            network: Arc::new(network),
            reader: None,
            passes: Arc::default(),
        };
        if !shipped {
            return Ok(lemma);
        }
        let reader = Recognizer::load(engine, Source::Shipped)?;
        Ok(lemma.with_reader(reader))
    }

    /// Lets `reader` read the super-resolved images.
    pub fn with_reader(self, reader: Recognizer) -> Self {
        Lemma { reader: Some(reader), passes: Arc::default(), ..self }
    }

    /// Sizes and switches of the network.
    pub fn config(&self) -> &LemmaConfig {
        self.network.config()
    }

    /// The engine it was loaded on.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn network(&self) -> &Network {
        &self.network
    }

    pub(super) fn shared_network(&self) -> Arc<Network> {
        self.network.clone()
    }

    /// Super-resolves images of any size and reads them; blocks until done.
    ///
    /// # Errors
    /// As [`Lemma::upscale_with`].
    pub fn upscale(&self, images: &[RgbImage]) -> Result<Vec<Upscaled>> {
        let wanted = Wanted { text: true, attention: true };
        self.upscale_with(images, Options { wanted, ..Options::default() })
    }

    /// [`Lemma::upscale`] for asynchronous callers.
    ///
    /// # Errors
    /// As [`Lemma::upscale_with`].
    pub async fn upscale_async(&self, images: &[RgbImage]) -> Result<Vec<Upscaled>> {
        let wanted = Wanted { text: true, attention: true };
        self.upscale_with_async(images, Options { wanted, ..Options::default() }).await
    }

    /// [`Lemma::upscale_with`] for asynchronous callers, with the same results. Images are cut and put together, and passes
    /// recorded, where this is awaited; while the device computes the next pass, the task sleeps. Of a future that is dropped,
    /// nothing more is computed than was submitted.
    ///
    /// # Errors
    /// As [`Lemma::upscale_with`].
    pub async fn upscale_with_async(
        &self,
        images: &[RgbImage],
        options: Options<'_>,
    ) -> Result<Vec<Upscaled>> {
        let plans = plans(images, &options)?;
        let windows: Vec<&RgbImage> = plans.iter().flat_map(Plan::windows).collect();
        let mut passes = windows.chunks(batch(&options));
        let mut flying: Option<Pending> = None;
        let (mut done, mut results) = (0, VecDeque::new());
        let mut upscaled: Vec<Upscaled> = Vec::with_capacity(plans.len());
        loop {
            if done < windows.len() && options.cancelled.is_some_and(|asked| asked()) {
                return Err(pipeline::stopped());
            }
            // The next pass is on its way before the last one is waited for.
            let next = passes.next().map(|windows| self.submit(windows, options.wanted));
            let next = next.transpose()?;
            let over = next.is_none();
            if let Some(pending) = std::mem::replace(&mut flying, next) {
                let of_pass = pending.results(Waiting::Awaited).await?;
                done += of_pass.len();
                results.extend(of_pass);
                if let Some(report) = options.progress {
                    report(done, windows.len());
                }
            }
            while let Some(plan) = plans.get(upscaled.len()) {
                let count = plan.windows().len();
                if results.len() < count {
                    break;
                }
                upscaled.push(Job::from(plan.clone()).finish(&mut results.drain(..count))?);
            }
            if over {
                return Ok(upscaled);
            }
        }
    }

    /// Super-resolves images of any size; blocks until done.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`] when asked to stop, [`ErrorKind::Device`] when the device fails, [`ErrorKind::Result`] when a
    /// result holds a NaN or is flat where its input is not.
    pub fn upscale_with(&self, images: &[RgbImage], options: Options) -> Result<Vec<Upscaled>> {
        let plans = plans(images, &options)?;
        let all = plans.iter().map(|p| p.windows().len()).sum();
        let plans: Vec<_> = plans.into_iter().map(|plan| Mutex::new(Some(plan))).collect();
        let batch = batch(&options);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let settings = Settings { batch, jobs: threads.min(plans.len()).max(1) };
        let work = Upscaling { lemma: self, options, all, done: 0.into(), ended: false.into() };
        let mut results = Vec::with_capacity(plans.len());
        let load = pipeline::run(&work, &plans, settings, &work, |item| results.push(item.result))?;
        if let Some(broken) = load.broken {
            return Err(broken);
        }
        results.into_iter().collect()
    }

    /// Starts a pass over windows of 64×16 pixels and returns at once; [`Pending::wait`] gives the results. Work on the host
    /// between the two runs beside the device. From the second time on that the same number of windows comes, the pass that was
    /// recorded for it is run again, and holds its memory until another number comes twice.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] for a window of another size, [`ErrorKind::Device`] when the device fails.
    pub fn submit<I: Borrow<RgbImage>>(&self, windows: &[I], wanted: Wanted) -> Result<Pending> {
        let (values, blank) = window_values(windows)?;
        let n = windows.len();
        let run = || {
            let shape = [n, LOW.0, LOW.1, PLANES];
            self.passes.run(self.engine.gpu(), (n, wanted), shape, &values, |cx, input| {
                self.record(cx, input, wanted)
            })
        };
        let coming = if n == 0 { None } else { Some(run()?) };
        Ok(Pending { lemma: self.clone(), coming, wanted, blank })
    }

    /// Records a pass over `input [N, 16, 64, 4]`; what comes back of it, in the order of [`Pending::wait`].
    fn record(&self, cx: &Cx, input: &Tensor, wanted: Wanted) -> Result<Vec<Tensor>> {
        let output = self.network.forward(cx, input)?;
        let read = match (&self.reader, wanted.text) {
            (_, false) => Vec::new(),
            (Some(reader), true) => {
                let rgb = slice_last(cx, &output.image, 0..3)?;
                reader.record(cx, &rgb, Head::Fusion)?
            }
            (None, true) => vec![output.prior.image_logits.clone(), output.prior.maps.clone()],
        };
        let mut tensors = vec![output.image];
        if wanted.attention {
            tensors.extend([output.guidance.score, output.prior.maps, output.guidance.order]);
        }
        // Last, since there may be any number of them.
        tensors.extend(read);
        Ok(tensors)
    }

    /// Super-resolves images that are on the device already and leaves the result there: `input` holds f32 `[n, 16, 64, 4]`,
    /// RGB in [0, 1] and the mask of dark pixels, in a buffer of the shared device with `STORAGE` usage.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] for a buffer that is too small, [`ErrorKind::Argument`] for one that kernels cannot read or that is
    /// larger than they can bind, [`ErrorKind::Device`] for one of another device and when the device fails.
    pub fn upscale_on_device(&self, input: HostBuffer, n: usize) -> Result<DeviceImages> {
        let gpu = self.engine.gpu();
        let room = input.size() / (LOW.0 * LOW.1 * PLANES * 4) as u64;
        if n as u64 > room {
            return Err(Error::new(ErrorKind::Shape, "lemma", "images in the buffer")
                .expected(format!("{n}"))
                .got(format!("room for {room} in {} bytes", input.size())));
        }
        let input = gpu.adopt(input)?;
        if n == 0 {
            let none = Shape::new(&[0, HIGH.0, HIGH.1, PLANES]);
            return Ok(DeviceImages { tensor: Tensor::from_buffer(input, none, Dtype::F32)? });
        }
        let shape = Shape::new(&[n, LOW.0, LOW.1, PLANES]);
        let input = Tensor::from_buffer(input, shape, Dtype::F32)?;
        let cx = Cx::new(gpu);
        let tensor = self.network.forward(&cx, &input)?.image;
        cx.submit()?;
        Ok(DeviceImages { tensor })
    }
}

fn plans(images: &[RgbImage], options: &Options) -> Result<Vec<Plan>> {
    images.iter().map(|image| Plan::new(image, options.fit, !options.keep_upright)).collect()
}

fn batch(options: &Options) -> usize {
    if options.batch == 0 { BATCH } else { options.batch }
}

/// Values `[n, 16, 64, 4]` of windows, and which of these have nothing to read.
pub(super) fn window_values<I: Borrow<RgbImage>>(windows: &[I]) -> Result<(Vec<f32>, Vec<bool>)> {
    let mut values = Vec::with_capacity(windows.len() * LOW.0 * LOW.1 * PLANES);
    let mut blank = Vec::with_capacity(windows.len());
    for window in windows {
        let window: &RgbImage = window.borrow();
        if window.dimensions() != picture::LR_SIZE {
            return Err(Error::new(ErrorKind::Shape, "network", "size of a window")
                .expected(format!("{:?}", picture::LR_SIZE))
                .got(format!("{:?}", window.dimensions())));
        }
        values.extend(picture::lr_input(window));
        blank.push(picture::is_blank(window));
    }
    Ok((values, blank))
}

/// Images on their way through the pipeline.
struct Upscaling<'a> {
    lemma: &'a Lemma,
    options: Options<'a>,
    /// Windows of all images, and of those that are done.
    all: usize,
    done: AtomicUsize,
    ended: AtomicBool,
}

impl Work for Upscaling<'_> {
    type Input = Mutex<Option<Plan>>;
    type Ready = Plan;
    type Pass = Pending;
    type Output = WindowResult;
    type Done = Upscaled;

    fn prepare(&self, plan: &Self::Input) -> Result<Plan> {
        Ok(plan.lock().take().expect("an image is prepared once"))
    }

    fn windows(plan: &Plan) -> &[RgbImage] {
        plan.windows()
    }

    fn submit(&self, windows: &[&RgbImage]) -> Result<Pending> {
        self.lemma.submit(windows, self.options.wanted)
    }

    fn wait(&self, pass: Pending) -> Result<Vec<WindowResult>> {
        let results = pass.wait()?;
        let done = self.done.fetch_add(results.len(), Ordering::Relaxed) + results.len();
        if let Some(report) = self.options.progress {
            report(done, self.all);
        }
        Ok(results)
    }

    fn finish(&self, _: &Self::Input, plan: Plan, out: Vec<WindowResult>) -> Result<Upscaled> {
        Job::from(plan).finish(&mut out.into_iter())
    }
}

impl Control for Upscaling<'_> {
    fn asked(&self) -> bool {
        let cancelled = || self.options.cancelled.is_some_and(|asked| asked());
        self.ended.load(Ordering::Relaxed) || cancelled()
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// Super-resolved images on the device. The memory goes back to the pool when this is dropped.
pub struct DeviceImages {
    tensor: Tensor,
}

impl DeviceImages {
    /// f32 `[n, 32, 128, 4]`, RGB towards [0, 1] and the mask; usable by what is submitted from now on.
    pub fn buffer(&self) -> &HostBuffer {
        self.tensor.buffer().raw()
    }

    /// Number of images.
    pub fn count(&self) -> usize {
        self.tensor.dims()[0]
    }
}

/// A pass on its way.
pub struct Pending {
    lemma: Lemma,
    /// None where there are no windows.
    coming: Option<Coming>,
    wanted: Wanted,
    /// Which windows have nothing to read.
    blank: Vec<bool>,
}

impl Pending {
    /// Waits for the results, one for each window; blocks until they are there.
    ///
    /// # Errors
    /// As [`Pending::ready`].
    pub fn wait(self) -> Result<Vec<WindowResult>> {
        pollster::block_on(self.results(Waiting::Blocking))
    }

    /// [`Pending::wait`] for asynchronous callers.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] when the device fails, [`ErrorKind::Result`] when a score is not a number.
    pub async fn ready(self) -> Result<Vec<WindowResult>> {
        self.results(Waiting::Awaited).await
    }

    pub(super) async fn results(self, waiting: Waiting) -> Result<Vec<WindowResult>> {
        let Some(coming) = self.coming else { return Ok(Vec::new()) };
        let mut hosts = coming.outputs(waiting).await?.into_iter();
        let mut next = || hosts.next().expect("a host array for each tensor that was read back");
        let images = next().to_f32();
        let per_image = HIGH.0 * HIGH.1 * PLANES;
        let mut results: Vec<WindowResult> = images
            .chunks_exact(per_image)
            .map(|i| WindowResult { image: i.to_vec(), reading: None, attention: None })
            .collect();
        if self.wanted.attention {
            let (scores, maps, order) = (next().to_f32(), next().to_f32(), next().to_u32());
            let pixels = LOW.0 * LOW.1;
            let per_maps = maps.len() / results.len();
            let k = self.lemma.config().guidance.select_num;
            for (i, result) in results.iter_mut().enumerate() {
                let mut selected = vec![0.0; pixels];
                for pixel in &order[i * pixels..][..k] {
                    selected[*pixel as usize] = 1.0;
                }
                result.attention = Some(Attention {
                    score: scores[i * pixels..][..pixels].to_vec(),
                    characters: maps[i * per_maps..][..per_maps].to_vec(),
                    selected,
                });
            }
        }
        if self.wanted.text {
            let outputs: Vec<Host> = hosts.collect();
            let mut readings = match &self.lemma.reader {
                Some(reader) => reader.decode(&outputs)?,
                None => {
                    let config = &self.lemma.config().reading();
                    abinet::readings(config, &outputs[0], &outputs[1])?
                }
            };
            empty_blank(&mut readings, self.blank.iter().copied());
            for (result, reading) in results.iter_mut().zip(readings) {
                result.reading = Some(reading);
            }
        }
        Ok(results)
    }
}

/// An image cut into windows, waiting for their results.
pub struct Job {
    plan: Plan,
}

impl From<Plan> for Job {
    fn from(plan: Plan) -> Self {
        Job { plan }
    }
}

impl Job {
    /// Takes the results of this image's windows from `results` and puts the image together.
    ///
    /// # Errors
    /// [`ErrorKind::Result`] when it holds a NaN or is flat where its input is not.
    pub fn finish(self, results: &mut impl Iterator<Item = WindowResult>) -> Result<Upscaled> {
        let plan = self.plan;
        let windows: Vec<WindowResult> = results.take(plan.windows().len()).collect();
        let images: Vec<&[f32]> = windows.iter().map(|w| w.image.as_slice()).collect();
        let image = plan.assemble(&images)?;
        let scores: Option<Vec<&[f32]>> =
            windows.iter().map(|w| w.attention.as_ref().map(|a| a.score.as_slice())).collect();
        let attention = scores.map(|s| plan.assemble_map(&s)).transpose()?;
        let readings: Option<Vec<(Reading, f32, f32)>> = windows
            .iter()
            .zip(plan.spans())
            .map(|(w, (start, end))| w.reading.clone().map(|r| (r, start, end)))
            .collect();
        let reading = readings.map(|r| Reading::join(&r));
        let (text, confidence) =
            reading.as_ref().map(|r| (r.text(), r.confidence)).unwrap_or_default();
        Ok(Upscaled { image, text, confidence, reading, attention, plan, windows })
    }
}
