//! Networks beside LEMMA in training: what they see of a batch, and what their authors trained them by.

use super::inputs::Inputs;
use super::losses::Losses;
use super::stage::Stage;
use super::start::Start;
use crate::data::checkpoint::{HostTensor, StateDict};
use crate::gpu::Gpu;
use crate::models::lemma::PLANES;
use crate::models::tatt::{self, Neighbors};
use crate::models::text_focus::{self, Spelling};
use crate::models::text_prior::BESIDE;
use crate::models::word::{Boxed, Loading, WordNetwork};
use crate::models::{Look, ModelKind, Objective, c3, crnn};
use crate::nn::{Parameters, Source};
use crate::ops::{concat_last, scale, slice_last};
use crate::tensor::{Cx, Tensor};
use crate::{Error, ErrorKind, Result};
use std::borrow::Cow;

/// A network that super-resolves words, and what it learns from.
pub(super) struct Word {
    kind: ModelKind,
    network: Network,
}

enum Network {
    /// From images alone, or also from how a recognizer looks at them.
    Alone(Boxed, Objective, Option<Critic>),
    /// TATT, whose recognizer learns from a fixed one.
    Tatt(Box<tatt::Network>, Box<crnn::Network>),
    /// C3-STISR; likewise.
    C3(Box<c3::Network>, Box<crnn::Network>),
}

/// A recognizer that looks at the results, and the weights of its cross entropy, if that counts.
struct Critic {
    network: Box<text_focus::Network>,
    table: Option<Tensor>,
}

impl Word {
    /// Loads the network of a `stage` for training, in the sizes of `start.weights` where there are some, with `source` for its
    /// values.
    ///
    /// # Errors
    /// Weights that do not fit, or are of another network; no recognizer where the loss needs one.
    pub(super) fn load(
        gpu: &Gpu,
        stage: Stage,
        start: &Start,
        source: &dyn Source,
        frozen: &dyn Fn(&str) -> bool,
    ) -> Result<(Self, Parameters)> {
        let sizes = start.weights.as_ref();
        let kind = match sizes {
            Some(state) => stage.expect(state, "--init")?,
            None => stage.networks()[0],
        };
        let critic = match kind.critic() {
            Some(critic) => Some(recognizer(start, critic)?),
            None => None,
        };
        let (network, parameters) = match (kind, critic) {
            (ModelKind::Tatt | ModelKind::TattInBatch, Some(teacher)) => {
                let neighbors = match kind {
                    ModelKind::Tatt => Neighbors::Unseen,
                    _ => Neighbors::Counted,
                };
                let source = WithReader::of(source, start, teacher)?;
                let (network, parameters) =
                    tatt::Network::to_train_guided(gpu, &source, sizes, neighbors, frozen)?;
                let teacher = crnn::Network::load(gpu, teacher)?;
                (Network::Tatt(network.into(), teacher.into()), parameters)
            }
            (ModelKind::C3, Some(teacher)) => {
                let source = WithReader::of(source, start, teacher)?;
                let (network, parameters) =
                    c3::Network::to_train_guided(gpu, &source, sizes, frozen)?;
                let teacher = crnn::Network::load(gpu, teacher)?;
                (Network::C3(network.into(), teacher.into()), parameters)
            }
            (_, critic) => {
                let warps = stage.straightens();
                let loading = Loading { source, sizes, warps, frozen: Some(frozen) };
                let (network, parameters) =
                    kind.load(gpu, loading).expect("a stage of a network that super-resolves")?;
                let objective = kind.objective().expect("a stage of a network with an objective");
                let critic = critic.map(|state| -> Result<Critic> {
                    let table = (objective.recognition > 0.0)
                        .then(|| Tensor::upload(gpu, [37, 37], &start.confusion));
                    let network = text_focus::Network::spelling(gpu, state, objective.spelling)?;
                    Ok(Critic { network: network.into(), table })
                });
                (Network::Alone(network, objective, critic.transpose()?), parameters)
            }
        };
        Ok((Word { kind, network }, parameters))
    }

    /// What it is.
    pub(super) fn kind(&self) -> ModelKind {
        self.kind
    }

    /// What the recognizer spells words by that looks at the results.
    pub(super) fn spelling(&self) -> Spelling {
        match &self.network {
            Network::Alone(_, objective, _) => objective.spelling,
            Network::Tatt(..) | Network::C3(..) => Spelling::Characters,
        }
    }

    /// Factor on the loss before it is differentiated.
    pub(super) fn scale(&self) -> f32 {
        match &self.network {
            Network::Alone(_, objective, _) => objective.scale,
            Network::Tatt(..) | Network::C3(..) => 1.0,
        }
    }

    fn network(&self) -> &dyn WordNetwork {
        match &self.network {
            Network::Alone(network, ..) => network.as_ref(),
            Network::Tatt(network, _) => network.as_ref(),
            Network::C3(network, _) => network.as_ref(),
        }
    }

    /// The loss, and then its parts.
    ///
    /// # Errors
    /// Errors of the operations.
    pub(super) fn losses(&self, cx: &Cx, x: &Inputs) -> Result<Losses> {
        let (lr, hr) = (self.seen(cx, &x.lr)?, self.seen(cx, &x.hr)?);
        let (total, parts) = match &self.network {
            Network::Alone(network, objective, critic) => {
                let words = &x.focus_words;
                let look = critic.as_ref().map(|critic| Look {
                    network: &critic.network,
                    tokens: &words.tokens,
                    targets: &words.targets,
                    share: &words.share,
                    table: critic.table.as_ref(),
                });
                let sr = network.super_resolve(cx, &lr)?;
                let loss = objective.loss(cx, &sr, &hr, look.as_ref())?;
                (loss.total, loss.parts)
            }
            Network::Tatt(network, teacher) => {
                let turns = x.turns.as_ref().expect("turns of a step of TATT");
                let loss = network.loss(cx, teacher, [&lr, &hr], turns)?;
                let parts = vec![
                    ("image", loss.image),
                    ("distill", loss.distill),
                    ("structure", loss.structure),
                ];
                (loss.total, parts)
            }
            Network::C3(network, teacher) => {
                let words = c3::Words {
                    targets: &x.focus_words.targets,
                    lengths: &x.word_lengths,
                    share: &x.word_share,
                };
                let loss = network.loss(cx, teacher, [&lr, &hr], &words)?;
                let parts =
                    vec![("image", loss.image), ("distill", loss.distill), ("ctc", loss.ctc)];
                (loss.total, parts)
            }
        };
        Ok(Losses([("loss", total)].into_iter().chain(parts).collect()))
    }

    /// What it makes of `lr [N, 16, 64, 4]` in evaluation: `[N, 32, 128, 4]` towards [0, 1], with a mask of zeros where three
    /// channels are all that it makes.
    ///
    /// # Errors
    /// Errors of the operations.
    pub(super) fn enlarge(&self, cx: &Cx, lr: &Tensor) -> Result<Tensor> {
        let network = self.network();
        let made = network.enlarge(cx, &self.seen(cx, lr)?)?;
        let made = match network.white() {
            1.0 => made,
            white => scale(cx, &made, 1.0 / white)?,
        };
        if network.planes() == PLANES {
            return Ok(made);
        }
        let mask = made.shape().with_last(1);
        concat_last(cx, &[&made, &Tensor::upload(cx.gpu(), mask, &vec![0.0; mask.len()])])
    }

    /// What it takes of images `[N, H, W, 4]` in [0, 1] with their masks.
    fn seen(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        let network = self.network();
        let image = match network.planes() {
            PLANES => image.clone(),
            planes => slice_last(cx, image, 0..planes)?,
        };
        match network.white() {
            1.0 => Ok(image),
            white => scale(cx, &image, white),
        }
    }
}

/// The recognizer that the loss needs.
fn recognizer<'a>(start: &'a Start, kind: ModelKind) -> Result<&'a StateDict> {
    let place = "--recognizer";
    let state = start.recognizer.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::Argument, place, "recognizer of the loss")
            .expected(format!("a checkpoint of {}", kind.name()))
            .got("none")
    })?;
    kind.expect(state, place)?;
    Ok(state)
}

/// Weights of a network, and of the recognizer that guides it and learns beside it.
enum WithReader<'a> {
    /// Both from one source.
    Together(&'a dyn Source),
    /// From two.
    Apart(&'a dyn Source, &'a StateDict),
}

impl<'a> WithReader<'a> {
    /// The recognizer comes from where it is said to; without a word from the checkpoint, if it is there, or else it starts as the
    /// one that it learns from.
    fn of(own: &'a dyn Source, start: &'a Start, teacher: &'a StateDict) -> Result<Self> {
        let both = |state: &StateDict| state.tensors.keys().any(|name| name.starts_with(BESIDE));
        match (start.prior.first(), &start.weights) {
            (Some(prior), _) => {
                ModelKind::Crnn.expect(prior, "--prior")?;
                Ok(WithReader::Apart(own, prior))
            }
            (None, Some(state)) if both(state) => Ok(WithReader::Together(own)),
            (None, _) => Ok(WithReader::Apart(own, teacher)),
        }
    }

    /// Where a tensor comes from, and what it is called there.
    fn find<'n>(&self, name: &'n str) -> (&'a dyn Source, &'n str) {
        match (self, name.strip_prefix(BESIDE)) {
            (WithReader::Apart(_, reader), Some(name)) => (*reader, name),
            (WithReader::Together(own) | WithReader::Apart(own, _), _) => (*own, name),
        }
    }
}

impl Source for WithReader<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Option<Cow<'_, HostTensor>> {
        let (source, name) = self.find(name);
        source.tensor(name, shape)
    }

    fn shape_of<'s>(&'s self, name: &str, wanted: &'s [usize]) -> Option<&'s [usize]> {
        let (source, name) = self.find(name);
        source.shape_of(name, wanted)
    }

    fn names(&self) -> Vec<&str> {
        let (WithReader::Together(own) | WithReader::Apart(own, _)) = self;
        own.names()
    }
}
