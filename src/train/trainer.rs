//! A network in training: one step from a batch to new weights.

use super::averages::Averages;
use super::config::{TextFocus, TrainConfig};
use super::init::Initial;
use super::inputs::{InputBinder, Inputs, Plan, longest};
use super::losses::Losses;
use super::optimizer::{Collected, Optimizer};
use super::reader;
use super::replay::{Key, Produced, ReplayableSteps, Submit};
use super::stage::Stage;
use super::start::{BicubicInit, PretrainedInit, Start};
use super::statistics::Statistics;
use super::word::Word;
use crate::data::words::Batch;
use crate::engine::shipped_reader;
use crate::gpu::{Gpu, Precision, ReplayablePass, Timing};
use crate::models::lemma::{Focus, LOSS_SCALE};
use crate::models::prepare::gray;
use crate::models::procedural::Stream;
use crate::models::tatt::Turn;
use crate::models::text_focus::Spelling;
use crate::models::{ModelKind, abinet, lemma, text_focus};
use crate::nn::{Parameters, Source};
use crate::ops::{Adam, argmax, backward_to, slice_last};
use crate::tensor::{Cx, Dropout, Mode, Tensor};
use crate::{Error, ErrorKind, Result};
use parking_lot::Mutex;

enum Network {
    Abinet(Box<abinet::Network>),
    Lemma(Box<lemma::Network>, Focus),
    Recognizer(Box<text_focus::Network>),
    Word(Word),
}

/// A network, its parameters and its optimizer.
pub struct Trainer {
    gpu: Gpu,
    config: TrainConfig,
    network: Network,
    parameters: Parameters,
    optimizer: Optimizer,
    statistics: Statistics,
    averages: Option<Averages>,
    kept: Mutex<ReplayableSteps>,
}

impl Trainer {
    /// Builds the network of `config`.
    ///
    /// # Errors
    /// Settings that are out of their range, weights that do not fit them, and a device that stores halves.
    pub fn new(gpu: &Gpu, config: TrainConfig, mut start: Start) -> Result<Self> {
        config.check()?;
        if gpu.options().precision != Precision::F32 {
            return Err(Error::new(ErrorKind::Argument, "training", "precision of the device")
                .expected("f32")
                .got("f16, which is for inference"));
        }
        match config.stage {
            stage if stage.is_compared() || stage == Stage::Recognizer => {}
            Stage::Lemma => config.lemma.position_prior.check_labels()?,
            _ => config.abinet.check_labels()?,
        }
        let initial = match config.stage.networks().first() {
            Some(kind) => Initial::of(*kind, config.seed),
            None => Initial::new(config.seed),
        };
        let enlarging = BicubicInit::new(config.seed, &config.lemma);
        let nothing: &dyn Source = match config.stage == Stage::Lemma && config.bicubic_init {
            true => &enlarging,
            false => &initial,
        };
        let informed = PretrainedInit { prior: &start.prior, otherwise: nothing };
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
                Stage::Lemma => {
                    let learns =
                        config.prior_lr > 0.0 && config.lemma.prior == lemma::PriorKind::Abinet;
                    !learns && name.starts_with("position_prior.")
                }
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
            _ => {
                let (n, p) = Word::load(gpu, config.stage, &start, source, &frozen)?;
                (Network::Word(n), p)
            }
        };
        let optimizer = match (&mut start.weights, start.resume) {
            (Some(state), true) => Optimizer::load(gpu, &parameters, state)?,
            _ => Optimizer::new(gpu, &parameters)?,
        };
        let statistics = Statistics::new(gpu, &parameters)?;
        let stored = start.weights.as_ref().filter(|_| start.resume);
        let averages = (config.ema > 0.0)
            .then(|| Averages::new(gpu, &parameters, config.ema, stored))
            .transpose()?;
        let kept = Mutex::default();
        Ok(Trainer {
            gpu: gpu.clone(),
            config,
            network,
            parameters,
            optimizer,
            statistics,
            averages,
            kept,
        })
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

    /// The configuration for the weights file, as JSON; the text-focus recognizer has none.
    pub fn model_config(&self) -> Option<serde_json::Result<String>> {
        match &self.network {
            Network::Abinet(n) => Some(serde_json::to_string(n.config())),
            Network::Lemma(n, _) => Some(serde_json::to_string(n.config())),
            Network::Recognizer(_) | Network::Word(_) => None,
        }
    }

    /// Which of the networks with its tensors it is, where it is one that LEMMA is compared with.
    pub(super) fn kind(&self) -> Option<ModelKind> {
        match &self.network {
            Network::Word(word) => Some(word.kind()),
            _ => None,
        }
    }

    /// Its optimizer.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// Its averaged weights, where it keeps some.
    pub(super) fn averages(&self) -> Option<&Averages> {
        self.averages.as_ref()
    }

    /// Does `work` with the averaged weights in the place of its own, where it keeps some; to the bit as before behind it.
    ///
    /// # Errors
    /// Those of the work; errors of the device.
    pub fn averaged<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let Some(averages) = &self.averages else { return work() };
        averages.exchange()?;
        let done = work();
        averages.exchange()?;
        done
    }

    /// One step on `batch`, in parts of at most `micro` images whose gradients are added. Returns the loss and its parts over
    /// the whole batch, still on the device.
    ///
    /// # Errors
    /// A batch without samples, or without everything of each; errors of the device. Where there is no memory,
    /// [`ErrorKind::Memory`](crate::ErrorKind::Memory), the network is as it was before the step, which may be taken again with
    /// a smaller `micro`: the memory of all parts is taken before the first runs. So it is where a step is broken off
    /// ([`Gpu::unless`]), with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub fn step(&self, batch: &Batch, micro: usize, step: usize, factor: f32) -> Result<Losses> {
        self.step_by(batch, micro, step, factor, &mut ReplayablePass::submit)
    }

    /// [`Trainer::step`] that waits, with the time of each dispatch by the GPU's clock, labeled `forward`, `backward` or
    /// `optimizer` and the module.
    ///
    /// # Errors
    /// As [`Trainer::step`], and where the device was not opened with profiling.
    pub fn step_timed(&self, batch: &Batch, micro: usize, step: usize) -> Result<Vec<Timing>> {
        let mut timings = Vec::new();
        self.step_by(batch, micro, step, 1.0, &mut |pass| {
            timings.extend(pass.submit_timed()?);
            Ok(())
        })?;
        Ok(timings)
    }

    /// Gives back the memory that the passes of steps are kept in, until the next one.
    pub fn release(&self) {
        *self.kept.lock() = ReplayableSteps::default();
    }

    fn step_by(
        &self,
        batch: &Batch,
        micro: usize,
        step: usize,
        factor: f32,
        submit: &mut Submit<'_>,
    ) -> Result<Losses> {
        batch.check()?;
        let mut home = self.kept.lock();
        // What a step that breaks off has recorded is of no use to the next.
        let mut kept = std::mem::take(&mut *home);
        self.optimizer.set_factor(&self.gpu, factor)?;
        let losses = self.step_in(&mut kept, batch, micro.max(1), step, submit)?;
        *home = kept;
        Ok(losses)
    }

    /// A step by passes that are kept: first all are recorded that are not there, with the memory that they take, then they
    /// run. Nothing comes behind the update, so a step is taken as a whole or not at all.
    fn step_in(
        &self,
        kept: &mut ReplayableSteps,
        batch: &Batch,
        micro: usize,
        step: usize,
        submit: &mut Submit<'_>,
    ) -> Result<Losses> {
        let n = batch.len();
        let sharp = self.sharp(step, n);
        let turns = self.turns(step, n);
        let spelling = self.spelling();
        let plan = |part: usize| Plan { batch, step, part, sharp: &sharp, spelling, turns: &turns };
        let mut left =
            Produced { gradients: self.optimizer.nothing_collected(), losses: Vec::new() };
        let mut parts = Vec::new();
        for (i, first) in (0..n).step_by(micro).enumerate() {
            let images = first..(first + micro).min(n);
            let key = Key {
                images: [images.len(), n],
                longest: longest(batch, spelling),
                known: batch.characters[images.clone()].iter().any(|c| !c.is_empty()),
                before: left,
            };
            let inputs = |feed: &mut InputBinder| Inputs::new(feed, &plan(i), images.clone());
            left = kept.part(&self.gpu, &key, inputs, |cx, inputs, sums, left| {
                let cx = cx.with_tape().with_mode(self.mode(inputs));
                self.part(&cx, inputs, &key, sums, left)?;
                Ok(cx)
            })?;
            parts.push((key, images));
        }
        kept.update(&self.gpu, &left.gradients, |cx| self.optimize(cx, &left.gradients))?;
        let (copies, losses) = kept.losses(&self.gpu, &left.losses)?;
        let run = || {
            for (i, (key, images)) in parts.into_iter().enumerate() {
                let inputs = |feed: &mut InputBinder| Inputs::new(feed, &plan(i), images);
                kept.run_part(&self.gpu, &key, inputs, submit)?;
            }
            copies.submit()
        };
        if let Err(e) = run() {
            self.gpu.as_a_whole(|| self.statistics.put_back()).map_err(|_| broken(&e))?;
            return Err(e);
        }
        self.gpu.as_a_whole(|| kept.run_update(submit))?;
        Ok(losses)
    }

    fn mode(&self, inputs: &Inputs) -> Mode {
        let dropout = (self.config.dropout > 0.0).then(|| Dropout {
            probability: self.config.dropout,
            seed: self.config.seed as u32,
            at: inputs.at.clone(),
            site: 0,
        });
        Mode { batch_statistics: true, dropout }
    }

    /// Records a part: its losses are added to `sums`, its gradients collected, both noted as `left`.
    fn part(
        &self,
        cx: &Cx,
        inputs: &Inputs,
        key: &Key,
        sums: &mut Losses,
        left: &mut Produced,
    ) -> Result<()> {
        let phase = cx.phase("forward");
        let losses = self.losses(cx, inputs)?;
        drop(phase);
        let _phase = cx.phase("backward");
        let by = match &self.network {
            Network::Lemma(..) => LOSS_SCALE,
            Network::Word(word) => word.scale(),
            Network::Abinet(_) | Network::Recognizer(_) => 1.0,
        };
        let share = key.images[0] as f32 / key.images[1] as f32;
        backward_to(cx, losses.total(), by * share, &mut |cx, leaf, gradient| {
            self.optimizer.collect(cx, leaf, &gradient, &mut left.gradients)
        })?;
        sums.accumulate(cx, &losses, share, &mut left.losses)
    }

    fn optimize(&self, cx: &Cx, collected: &Collected) -> Result<()> {
        let c = &self.config;
        let _phase = cx.phase("optimizer");
        self.optimizer.step(cx, &self.parameters, collected, c.clip, |name| Adam {
            lr: c.rate(name),
            beta1: c.betas[0],
            beta2: c.betas[1],
            eps: c.eps,
            decay: c.weight_decay,
            clips: c.clips(name),
        })?;
        self.statistics.settle(cx, self.optimizer.clock())?;
        self.averages.as_ref().map_or(Ok(()), |a| a.follow(cx, &self.optimizer))
    }

    /// Which of the images of a step a recognizer in training sees in full resolution.
    fn sharp(&self, step: usize, n: usize) -> Vec<bool> {
        let draw = Stream::new(self.config.seed, &format!("sharp:{step}"));
        (0..n).map(|i| draw.unit(i) >= f64::from(self.config.lr_input_prob)).collect()
    }

    /// How the images of a step are turned; none where they are not.
    fn turns(&self, step: usize, n: usize) -> Vec<Turn> {
        if self.config.stage != Stage::Tatt {
            return Vec::new();
        }
        let draw = Stream::new(self.config.seed, &format!("turns:{step}"));
        let turn = |i: usize| Turn::of([draw.signed(2 * i) as f32, draw.unit(2 * i + 1) as f32]);
        (0..n).map(turn).collect()
    }

    /// What the recognizer spells words by that looks at the results, if one does.
    fn spelling(&self) -> Spelling {
        match &self.network {
            Network::Word(word) => word.spelling(),
            _ => Spelling::Characters,
        }
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
                Ok(Losses(parts))
            }
            Network::Abinet(network) => reader::losses(cx, network, x, &self.config),
            Network::Recognizer(network) => {
                let words = &x.focus_words;
                let seen = network.forward(cx, &gray(cx, &x.hr)?, &words.tokens)?;
                let loss = lemma::recognition(cx, &seen.logits, words, None)?;
                Ok(Losses(vec![("loss", loss)]))
            }
            Network::Word(word) => word.losses(cx, x),
        }
    }

    /// What the super-resolver makes of `lr [N, 16, 64, 4]` in evaluation: `[N, 32, 128, 4]`, where three channels are all that it
    /// makes with a mask of zeros. None for other stages.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn enlarge(&self, lr: &Tensor) -> Result<Option<Tensor>> {
        let cx = Cx::new(&self.gpu);
        let image = match &self.network {
            Network::Lemma(network, _) => network.forward(&cx, lr)?.image,
            Network::Word(word) => word.enlarge(&cx, lr)?,
            Network::Abinet(_) | Network::Recognizer(_) => return Ok(None),
        };
        cx.submit()?;
        Ok(Some(image))
    }

    /// The classes that the recognizer reads from `batch`, `[N, 26]`; None for other stages.
    ///
    /// # Errors
    /// A batch as [`Trainer::step`] refuses it; errors of the device.
    pub fn read(&self, batch: &Batch) -> Result<Option<Tensor>> {
        let Network::Abinet(network) = &self.network else { return Ok(None) };
        batch.check()?;
        let sharp = vec![true; batch.len()];
        let spelling = self.spelling();
        let plan = Plan { batch, step: 0, part: 0, sharp: &sharp, spelling, turns: &[] };
        let x = Inputs::new(&mut InputBinder::new(&self.gpu), &plan, 0..batch.len())?;
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

/// An error behind which the network is not what it was before the step.
fn broken(e: &Error) -> Error {
    let what = "the running statistics cannot be put back";
    Error::new(ErrorKind::Device, "training", what).detail(e)
}

fn focus(gpu: &Gpu, config: &TrainConfig, start: &mut Start) -> Result<Focus> {
    match config.text_focus {
        TextFocus::Off => Ok(Focus::Off),
        TextFocus::Transformer => {
            let state = start.recognizer.take().ok_or_else(|| {
                Error::new(
                    ErrorKind::Argument,
                    "text_focus",
                    "weights of the text-focus recognizer",
                )
                .expected("--recognizer FILE")
                .got("none")
                .hint("text_focus=abinet uses the recognizer that ships, text_focus=off none")
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
            let network = abinet::Network::load(gpu, &state)?;
            network.config().check_labels()?;
            Ok(Focus::Abinet(Box::new(network)))
        }
    }
}
