//! A network in training: one step from a batch to new weights.

use super::config::{Stage, TextFocus, TrainConfig};
use super::init::Initial;
use super::optimizer::Optimizer;
use super::start::{Enlarging, Informed};
use crate::data::checkpoint::StateDict;
use crate::data::words::{Batch, Encoded, STEPS};
use crate::engine::shipped_reader;
use crate::gpu::{Gpu, Timing};
use crate::models::abinet::SHORTEST;
use crate::models::lemma::{Focus, LOSS_SCALE};
use crate::models::procedural::Stream;
use crate::models::{abinet, lemma, text_focus};
use crate::nn::{Parameters, Source};
use crate::ops::{
    Adam, Filter, add, argmax, backward_to, expand, mean_absolute, mix, mul, resize, scale,
    slice_last,
};
use crate::tensor::{Cx, Dropout, Mode, Tensor};
use crate::{Error, ErrorKind, Result};

enum Network {
    Abinet(Box<abinet::Network>),
    Lemma(Box<lemma::Network>, Focus),
    Recognizer(Box<text_focus::Network>),
}

/// A network, its parameters and its optimiser.
pub struct Trainee {
    gpu: Gpu,
    config: TrainConfig,
    network: Network,
    parameters: Parameters,
    optimizer: Optimizer,
}

/// What a new [`Trainee`] starts from.
#[derive(Default)]
pub struct Start<'a> {
    /// Weights; random ones where there are none.
    pub weights: Option<StateDict>,
    /// Recognisers that LEMMA without `weights` starts with inside it: an ABINet, or its two halves as they are pre-trained.
    pub prior: Vec<StateDict>,
    /// Whether `weights` is a checkpoint with the optimiser's state.
    pub resume: bool,
    /// Parameters that stay as they are.
    pub frozen: Option<&'a dyn Fn(&str) -> bool>,
    /// The text-focus recogniser, or the ABINet in its place.
    pub recognizer: Option<StateDict>,
    /// Weights `[37, 37]` of the text-focus loss's cross entropy.
    pub confusion: Vec<f32>,
}

/// Loss parts of a step, one number each on the device.
pub type Losses = Vec<(&'static str, Tensor)>;

impl Trainee {
    /// Builds the network of `config`.
    ///
    /// # Errors
    /// Weights that do not fit the configuration.
    pub fn new(gpu: &Gpu, config: TrainConfig, mut start: Start) -> Result<Self> {
        let initial = Initial::new(config.seed);
        let enlarging = Enlarging::new(config.seed, &config.lemma);
        let nothing: &dyn Source = match config.stage == Stage::Lemma && config.start_bicubic {
            true => &enlarging,
            false => &initial,
        };
        let informed = Informed { prior: &start.prior, otherwise: nothing };
        let source: &dyn Source = match &start.weights {
            Some(state) => state,
            None => &informed,
        };
        let never = |_: &str| false;
        let frozen = start.frozen.unwrap_or(&never);
        // What a stage's loss does not depend on is not trained.
        let frozen = |name: &str| {
            let part = match config.stage {
                Stage::Vision => !name.starts_with("vision."),
                Stage::Language => !name.starts_with("language."),
                Stage::Lemma => config.prior_lr == 0.0 && name.starts_with("position_prior."),
                _ => false,
            };
            part || frozen(name)
        };
        let (network, parameters) = match config.stage {
            Stage::Vision | Stage::Language | Stage::Abinet => {
                let (n, p) =
                    abinet::Network::to_train(gpu, source, config.abinet.clone(), &frozen)?;
                (Network::Abinet(Box::new(n)), p)
            }
            Stage::Lemma => {
                let (n, p) = lemma::Network::to_train(gpu, source, config.lemma.clone(), &frozen)?;
                let focus = focus(gpu, &config, &mut start)?;
                (Network::Lemma(Box::new(n), focus), p)
            }
            Stage::Recognizer => {
                let (n, p) = text_focus::Network::to_train(gpu, source, &frozen)?;
                (Network::Recognizer(Box::new(n)), p)
            }
        };
        let optimizer = match (&mut start.weights, start.resume) {
            (Some(state), true) => Optimizer::load(gpu, &parameters, state)?,
            _ => Optimizer::new(gpu, &parameters)?,
        };
        Ok(Trainee { gpu: gpu.clone(), config, network, parameters, optimizer })
    }

    /// The device it is on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The settings it was built with.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// Its parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The configuration for the weights file, as JSON; the text-focus recogniser has none.
    pub fn model_config(&self) -> Option<serde_json::Result<String>> {
        match &self.network {
            Network::Abinet(n) => Some(serde_json::to_string(n.config())),
            Network::Lemma(n, _) => Some(serde_json::to_string(n.config())),
            Network::Recognizer(_) => None,
        }
    }

    /// Its optimiser.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// One step on `batch`, in parts of at most `micro` images whose gradients are added. Returns the loss and its parts over
    /// the whole batch, still on the device.
    ///
    /// # Errors
    /// Errors of the device. Where there is no memory, [`ErrorKind::Memory`](crate::ErrorKind::Memory), the network is as it was
    /// before the step, which may be taken again with a smaller `micro`.
    pub fn step(&self, batch: &Batch, micro: usize, step: usize, factor: f32) -> Result<Losses> {
        self.step_by(batch, micro, step, factor, &mut |cx| cx.submit().map(drop))
    }

    /// [`Trainee::step`] that waits, with the time of each dispatch by the GPU's clock, labelled `forward`, `backward` or
    /// `optimiser` and the module.
    ///
    /// # Errors
    /// As [`Trainee::step`], and where the device was not opened with profiling.
    pub fn step_timed(&self, batch: &Batch, micro: usize, step: usize) -> Result<Vec<Timing>> {
        let mut timings = Vec::new();
        self.step_by(batch, micro, step, 1.0, &mut |cx| {
            timings.extend(cx.submit_timed()?);
            Ok(())
        })?;
        Ok(timings)
    }

    /// A step whose passes go to `submit`; after an error the network is as it was before.
    fn step_by(
        &self,
        batch: &Batch,
        micro: usize,
        step: usize,
        factor: f32,
        submit: &mut dyn FnMut(Cx) -> Result<()>,
    ) -> Result<Losses> {
        let mut moved = Vec::new();
        let result = self.step_in_parts(batch, micro, step, factor, submit, &mut moved);
        if result.is_err() && !moved.is_empty() {
            let cx = Cx::new(&self.gpu);
            for (now, before) in &moved {
                cx.copy_into(before, now, 0)?;
            }
            cx.submit()?;
        }
        result
    }

    /// A step, which leaves in `moved` what parts that were submitted have changed: tensors and how they were before.
    fn step_in_parts(
        &self,
        batch: &Batch,
        micro: usize,
        step: usize,
        factor: f32,
        submit: &mut dyn FnMut(Cx) -> Result<()>,
        moved: &mut Vec<(Tensor, Tensor)>,
    ) -> Result<Losses> {
        let n = batch.len();
        let mut collected = self.optimizer.nothing_collected();
        let sharp = self.sharp(step, n);
        let mut losses = Losses::new();
        let mut last = None;
        for (i, first) in (0..n).step_by(micro.max(1)).enumerate() {
            let part = first..(first + micro).min(n);
            let share = part.len() as f32 / n as f32;
            let site = (i as u32) << 16;
            let dropout = (self.config.dropout > 0.0).then_some(Dropout {
                probability: self.config.dropout,
                seed: self.config.seed as u32,
                step: step as u32,
                site,
            });
            let mode = Mode { batch_statistics: true, dropout };
            let cx = Cx::new(&self.gpu).with_tape().with_mode(mode);
            let before = match first == 0 && micro < n {
                true => self.statistics(&cx)?,
                false => Vec::new(),
            };
            let inputs = Inputs::new(&self.gpu, batch, &sharp, part);
            let phase = cx.phase("forward");
            let parts = self.losses(&cx, &inputs)?;
            drop(phase);
            let phase = cx.phase("backward");
            let by = if self.config.stage == Stage::Lemma { LOSS_SCALE } else { 1.0 };
            backward_to(&cx, &parts[0].1, by * share, &mut |cx, leaf, gradient| {
                self.optimizer.collect(cx, leaf, &gradient, &mut collected)
            })?;
            for (k, (name, value)) in parts.into_iter().enumerate() {
                let value = if share < 1.0 { scale(&cx, &value, share)? } else { value.detached() };
                match losses.get_mut(k) {
                    Some((_, sum)) => *sum = add(&cx, sum, &value)?,
                    None => losses.push((name, value)),
                }
            }
            drop(phase);
            match first + micro >= n {
                true => last = Some(cx),
                false => submit(cx)?,
            }
            moved.extend(before);
        }
        let cx = last.unwrap_or_else(|| Cx::new(&self.gpu));
        let c = &self.config;
        let phase = cx.phase("optimiser");
        self.optimizer.set_factor(&self.gpu, factor)?;
        self.optimizer.step(&cx, &self.parameters, &collected, c.clip, |name| Adam {
            lr: c.rate(name),
            beta1: c.betas[0],
            beta2: c.betas[1],
            eps: c.eps,
            decay: c.weight_decay,
        })?;
        drop(phase);
        submit(cx)?;
        Ok(losses)
    }

    /// The running statistics, which every part moves, each with a copy.
    fn statistics(&self, cx: &Cx) -> Result<Vec<(Tensor, Tensor)>> {
        let moves = |name: &str| name.ends_with("running_mean") || name.ends_with("running_var");
        let own = self.parameters.all().iter().filter(|p| moves(&p.name));
        own.map(|p| {
            let copy = cx.out(p.tensor.shape());
            cx.copy_into(&p.tensor, &copy, 0)?;
            Ok((p.tensor.clone(), copy))
        })
        .collect()
    }

    /// Which of the images of a step a recogniser in training sees in full resolution.
    fn sharp(&self, step: usize, n: usize) -> Vec<bool> {
        let draw = Stream::new(self.config.seed, &format!("sharp:{step}"));
        (0..n).map(|i| draw.unit(i) >= f64::from(self.config.degraded)).collect()
    }

    /// The loss, and then its parts.
    fn losses(&self, cx: &Cx, x: &Inputs) -> Result<Losses> {
        match &self.network {
            Network::Lemma(network, focus) => {
                let output = network.forward(cx, &x.lr)?;
                let loss =
                    lemma::loss(cx, &output, &x.hr, &x.focus_words, focus, &self.config.loss)?;
                let mut parts =
                    vec![("loss", loss.total), ("mse", loss.mse), ("finetune", loss.finetune)];
                parts.extend(loss.attention.map(|t| ("attention", t)));
                parts.extend(loss.recognition.map(|t| ("recognition", t)));
                Ok(parts)
            }
            Network::Abinet(network) => self.reader(cx, network, x),
            Network::Recognizer(network) => {
                let words = &x.focus_words;
                let seen = network.forward(cx, &lemma::grey(cx, &x.hr)?, &words.tokens)?;
                Ok(vec![("loss", lemma::recognition(cx, &seen.logits, words, None)?)])
            }
        }
    }

    fn reader(&self, cx: &Cx, network: &abinet::Network, x: &Inputs) -> Result<Losses> {
        let words = &x.reader_words;
        if self.config.stage == Stage::Language {
            let corrected = network.correct(cx, &x.clean, &x.lengths)?;
            return Ok(vec![("loss", abinet::reading_loss(cx, &corrected.logits, words)?)]);
        }
        // Some images are seen as the recogniser inside LEMMA sees them: enlarged from low resolution.
        let sharp = slice_last(cx, &x.hr, 0..3)?;
        let blurred = resize(cx, &slice_last(cx, &x.lr, 0..3)?, (32, 128), Filter::Bicubic, true)?;
        let gate = expand(cx, &x.sharp, sharp.shape())?;
        let image = mix(cx, &gate, &sharp, &blurred)?;
        let (mut parts, vision) = if self.config.stage == Stage::Vision {
            let vision = network.look(cx, &image)?;
            (vec![("loss", abinet::reading_loss(cx, &vision.logits, words)?)], vision)
        } else {
            let reading = network.forward(cx, &image)?;
            let loss = abinet::loss(cx, &reading, words, true)?;
            let parts = vec![
                ("loss", loss.total),
                ("vision", loss.vision),
                ("language", loss.language),
                ("alignment", loss.alignment),
            ];
            (parts, reading.vision)
        };
        if let (Some((places, known)), true) = (&x.places, self.config.guide_attention > 0.0) {
            let attention = vision.attention.reshape(places.shape())?;
            let seen = mul(cx, &attention, known)?;
            let guide = scale(cx, &mean_absolute(cx, &seen, places)?, 256.0)?;
            let weighted = scale(cx, &guide, self.config.guide_attention)?;
            parts[0].1 = add(cx, &parts[0].1, &weighted)?;
            parts.push(("places", guide));
        }
        Ok(parts)
    }

    /// What the super-resolver makes of `lr [N, 16, 64, 4]` in evaluation: `[N, 32, 128, 4]`. None for other stages.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn enlarge(&self, lr: &Tensor) -> Result<Option<Tensor>> {
        let Network::Lemma(network, _) = &self.network else { return Ok(None) };
        let cx = Cx::new(&self.gpu);
        let output = network.forward(&cx, lr)?;
        cx.submit()?;
        Ok(Some(output.image))
    }

    /// The classes that the recogniser reads from `batch`, `[N, 26]`; None for other stages.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn read(&self, batch: &Batch) -> Result<Option<Tensor>> {
        let Network::Abinet(network) = &self.network else { return Ok(None) };
        let x = Inputs::new(&self.gpu, batch, &vec![true; batch.len()], 0..batch.len());
        let cx = Cx::new(&self.gpu);
        let logits = match self.config.stage {
            Stage::Language => network.correct(&cx, &x.clean, &x.lengths)?.logits,
            Stage::Vision => network.look(&cx, &slice_last(&cx, &x.hr, 0..3)?)?.logits,
            _ => {
                let reading = network.forward(&cx, &slice_last(&cx, &x.hr, 0..3)?)?;
                reading.iterations.last().expect("at least one iteration").alignment.clone()
            }
        };
        let classes = argmax(&cx, &logits)?;
        cx.submit()?;
        Ok(Some(classes))
    }
}

fn focus(gpu: &Gpu, config: &TrainConfig, start: &mut Start) -> Result<Focus> {
    match config.text_focus {
        TextFocus::Off => Ok(Focus::Off),
        TextFocus::Transformer => {
            let state = start.recognizer.take().ok_or_else(|| {
                Error::new(
                    ErrorKind::Argument,
                    "text_focus",
                    "weights of the text-focus recogniser",
                )
                .expected("--recognizer FILE")
                .got("none")
                .hint("text_focus=abinet uses the recogniser that ships, text_focus=off none")
            })?;
            let network = text_focus::Network::load(gpu, &state)?;
            let table = Tensor::upload(gpu, [37, 37], &start.confusion);
            Ok(Focus::Transformer(Box::new(network), table))
        }
        TextFocus::Abinet => {
            let state = match start.recognizer.take() {
                Some(state) => state,
                None => shipped_reader()?,
            };
            Ok(Focus::Abinet(Box::new(abinet::Network::load(gpu, &state)?)))
        }
    }
}

/// A part of a batch on the device.
struct Inputs {
    lr: Tensor,
    hr: Tensor,
    focus_words: lemma::Words,
    reader_words: abinet::Words,
    /// Class scores of the words themselves, and their lengths with the end.
    clean: Tensor,
    lengths: Tensor,
    /// 1 for images that the recogniser sees in full resolution `[n, 1, 1, 1]`.
    sharp: Tensor,
    /// Where the characters stand, as attention `[n·26, 256]`, and 1 for the rows where that is known `[n·26, 1]`.
    places: Option<(Tensor, Tensor)>,
}

/// Scores whose soft-max is one class to the last bit.
const CERTAIN: f32 = 200.0;
const CLASSES: usize = 37;
/// Rows and columns of the recogniser's attention.
const CELLS: (usize, usize) = (8, 32);

impl Inputs {
    fn new(gpu: &Gpu, batch: &Batch, sharp: &[bool], part: std::ops::Range<usize>) -> Self {
        let n = part.len();
        let labels = &batch.labels[part.clone()];
        // Shares are of the whole batch's steps, times its images over the part's, since a part's loss is then weighted by
        // its images.
        let weight = batch.len() as f32 / n as f32;
        let share = |steps: usize, length: &dyn Fn(&Encoded) -> usize| {
            let total: usize = batch.labels.iter().map(length).sum();
            let lengths: Vec<usize> = labels.iter().map(length).collect();
            abinet::shares(gpu, &lengths, steps, weight / total as f32)
        };
        let ids: Vec<u32> = labels.iter().flat_map(|l| l.ids.map(u32::from)).collect();
        let upload_ids = || Tensor::upload_u32(gpu, [n, STEPS], &ids);
        // Of the whole batch: padded steps count in the mean of the attention.
        let longest = batch.labels.iter().map(|l| l.length).max().unwrap_or(1);
        let padded = |values: &dyn Fn(&Encoded) -> &[u8]| {
            let mut all = vec![0; n * longest];
            for (row, label) in all.chunks_exact_mut(longest).zip(labels) {
                row.iter_mut().zip(values(label)).for_each(|(to, v)| *to = u32::from(*v));
            }
            Tensor::upload_u32(gpu, [n, longest], &all)
        };
        // The reader's words end at 25 characters and an end.
        let capped = |label: &Encoded| label.length.min(STEPS);
        let clean: Vec<f32> = ids
            .iter()
            .flat_map(|id| (0..CLASSES as u32).map(move |c| if c == *id { CERTAIN } else { 0.0 }))
            .collect();
        let lengths: Vec<u32> =
            labels.iter().map(|l| capped(l).max(SHORTEST as usize) as u32).collect();
        let sharp: Vec<f32> = sharp[part.clone()].iter().map(|s| f32::from(*s)).collect();
        Inputs {
            lr: Tensor::upload(gpu, [n, 16, 64, 4], &batch.lr[part.start * 4096..part.end * 4096]),
            hr: Tensor::upload(
                gpu,
                [n, 32, 128, 4],
                &batch.hr[part.start * 16384..part.end * 16384],
            ),
            focus_words: lemma::Words {
                ids: upload_ids(),
                tokens: padded(&|l| &l.tokens),
                targets: padded(&|l| &l.targets),
                share: share(longest, &|l| l.length),
            },
            reader_words: abinet::Words { ids: upload_ids(), share: share(STEPS, &capped) },
            clean: Tensor::upload(gpu, [n, STEPS, CLASSES], &clean),
            lengths: Tensor::upload_u32(gpu, [n], &lengths),
            sharp: Tensor::upload(gpu, [n, 1, 1, 1], &sharp),
            places: places(gpu, &batch.characters[part]),
        }
    }
}

/// Attention maps that rest evenly on each character's columns, where the places of characters are known.
fn places(gpu: &Gpu, characters: &[Vec<(f32, f32)>]) -> Option<(Tensor, Tensor)> {
    if characters.iter().all(Vec::is_empty) {
        return None;
    }
    let n = characters.len();
    let cells = CELLS.0 * CELLS.1;
    let (mut maps, mut known) = (vec![0.0; n * STEPS * cells], vec![0.0; n * STEPS]);
    for (i, word) in characters.iter().enumerate() {
        for (t, (from, to)) in word.iter().take(STEPS).enumerate() {
            let column = |x: f32| (x.clamp(0.0, 1.0) * CELLS.1 as f32) as usize;
            let first = column(*from).min(CELLS.1 - 1);
            let last = column(*to).clamp(first + 1, CELLS.1);
            known[i * STEPS + t] = 1.0;
            let each = 1.0 / (CELLS.0 * (last - first)) as f32;
            let map = &mut maps[(i * STEPS + t) * cells..][..cells];
            map.chunks_exact_mut(CELLS.1).for_each(|row| row[first..last].fill(each));
        }
    }
    Some((
        Tensor::upload(gpu, [n * STEPS, cells], &maps),
        Tensor::upload(gpu, [n * STEPS, 1], &known),
    ))
}
