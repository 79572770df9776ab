//! What is measured as a whole: the networks, with reproducible weights and images.

use crate::data::words::{Batch, Encoded};
use crate::gpu::{Gpu, ReplayablePass};
use crate::models::ModelKind;
use crate::models::abinet::AbinetConfig;
use crate::models::lemma::LemmaConfig;
use crate::models::procedural::{Procedural, images};
use crate::models::word::{Boxed, Loading};
use crate::models::{Head, WordRecognizer, abinet, crnn, lemma};
use crate::tensor::{Cx, Tensor};
use crate::train::{Preset, Stage, Start, TextFocus, TrainConfig, Trainer};
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Instant;

/// A network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Graph {
    /// Super-resolution.
    Lemma,
    /// Recognition.
    Abinet,
    /// Another network that super-resolves words, at its official sizes.
    Word(ModelKind),
    /// Another recognizer, at its official sizes: its preparation, and all that its reading needs of the device.
    Reader(ModelKind),
}

/// Sizes of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Those of the weights that ship.
    Nano,
    /// Those of the released checkpoints.
    Official,
}

impl Size {
    /// The sizes to measure: the small one, and the official one if asked for.
    pub fn measured(official: bool) -> &'static [Size] {
        if official { &[Size::Nano, Size::Official] } else { &[Size::Nano] }
    }
}

impl std::fmt::Display for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Graph::Lemma => "LEMMA",
            Graph::Abinet => "ABINet",
            Graph::Word(kind) | Graph::Reader(kind) => kind.name(),
        })
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Size::Nano => "nano",
            Size::Official => "official",
        })
    }
}

enum Network {
    Lemma(Box<lemma::Network>),
    Abinet(Box<abinet::Network>),
    Word(Boxed),
    Reader(Arc<dyn WordRecognizer>),
}

/// A network on a device.
pub struct Subject {
    gpu: Gpu,
    network: Network,
}

const SEED: u64 = 1;

impl Subject {
    /// Builds the network; its weights follow from their names, and those of the recognizer that guides it, if one does.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] for a network that neither super-resolves words nor reads them.
    pub fn new(gpu: &Gpu, graph: Graph, size: Size) -> Result<Self> {
        let network = match graph {
            Graph::Lemma => {
                let config = match size {
                    Size::Nano => LemmaConfig::nano(),
                    Size::Official => LemmaConfig::default(),
                };
                let weights = Procedural { model: ModelKind::Lemma, seed: SEED };
                Network::Lemma(Box::new(lemma::Network::with_config(gpu, &weights, config)?))
            }
            Graph::Abinet => {
                let config = match size {
                    Size::Nano => AbinetConfig::nano(),
                    Size::Official => AbinetConfig::default(),
                };
                let weights = Procedural { model: ModelKind::Abinet, seed: SEED };
                Network::Abinet(Box::new(abinet::Network::with_config(gpu, &weights, config)?))
            }
            Graph::Word(kind) => {
                let source = &Procedural { model: kind, seed: SEED };
                let loading = Loading { source, sizes: None, warps: false, frozen: None };
                let loaded =
                    kind.load(gpu, loading).ok_or_else(|| other(kind, "super-resolves"))?;
                let (mut network, _) = loaded?;
                if kind.is_guided() {
                    let weights = Procedural { model: ModelKind::Crnn, seed: SEED };
                    network.guide(crnn::Network::load(gpu, &weights)?);
                }
                Network::Word(network)
            }
            Graph::Reader(kind) => {
                let source = &Procedural { model: kind, seed: SEED };
                let loaded = kind.reader(gpu, source).ok_or_else(|| other(kind, "reads"))?;
                Network::Reader(loaded?)
            }
        };
        Ok(Subject { gpu: gpu.clone(), network })
    }

    /// The device it is on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// `n` images as the network takes them.
    pub fn input(&self, n: usize) -> Tensor {
        match &self.network {
            Network::Lemma(_) => {
                Tensor::upload(&self.gpu, [n, 16, 64, 4], &with_mask(n, 16, 64, 8))
            }
            Network::Word(network) => {
                let planes = network.planes();
                let all = with_mask(n, 16, 64, 8);
                let values = all.chunks_exact(4).flat_map(|p| p[..planes].to_vec());
                let values: Vec<f32> = values.map(|v| v * network.white()).collect();
                Tensor::upload(&self.gpu, [n, 16, 64, planes], &values)
            }
            Network::Abinet(_) | Network::Reader(_) => {
                let bytes = images(SEED, "bench", n, 32, 128, 16);
                let values: Vec<f32> = bytes.iter().map(|v| f32::from(*v) / 255.0).collect();
                Tensor::upload(&self.gpu, [n, 32, 128, 3], &values)
            }
        }
    }

    /// Records a pass; returns its results.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn forward(&self, cx: &Cx, input: &Tensor) -> Result<Vec<Tensor>> {
        match &self.network {
            Network::Lemma(network) => Ok(vec![network.forward(cx, input)?.image]),
            Network::Word(network) => Ok(vec![network.super_resolve(cx, input)?]),
            Network::Reader(network) => network.record(cx, input, Head::Fusion),
            Network::Abinet(network) => {
                let reading = network.forward(cx, input)?;
                let last = reading.iterations.last();
                Ok(vec![last.map_or(reading.vision.logits, |i| i.alignment.clone())])
            }
        }
    }

    /// Records a pass on `input`, as the library does for a number of images that comes again.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn keep(&self, input: &Tensor) -> Result<Kept> {
        let cx = Cx::new(&self.gpu);
        let outputs = self.forward(&cx, input)?;
        Ok(Kept { gpu: self.gpu.clone(), pass: cx.into_replayable()?, outputs })
    }
}

fn other(kind: ModelKind, does: &str) -> Error {
    Error::new(ErrorKind::Argument, "bench", "network")
        .expected(format!("one that {does} words"))
        .got(kind.name())
}

/// A pass of a network that was recorded.
pub struct Kept {
    gpu: Gpu,
    pass: ReplayablePass,
    outputs: Vec<Tensor>,
}

impl Kept {
    /// Dispatches of the pass.
    pub fn dispatches(&self) -> usize {
        self.pass.dispatches()
    }

    /// Submits the pass and waits for its end. Returns the host's seconds until it was submitted.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn run(&self) -> Result<f64> {
        let start = Instant::now();
        self.pass.submit()?;
        let submitted = start.elapsed().as_secs_f64();
        self.gpu.read(&[self.outputs[0].view(0, [1])?.part()])?;
        Ok(submitted)
    }
}

/// Images `[n, h, w, 4]` with a mask that is 1 where red is below its middle.
fn with_mask(n: usize, h: usize, w: usize, cell: usize) -> Vec<f32> {
    let bytes = images(SEED, "bench", n, h, w, cell);
    let pixel = |p: &[u8]| {
        let [r, g, b] = [p[0], p[1], p[2]].map(|v| f32::from(v) / 255.0);
        [r, g, b, f32::from(p[0] < 128)]
    };
    bytes.chunks_exact(3).flat_map(pixel).collect()
}

/// LEMMA in training, as by `train --stage lemma` with the preset of a size; the small reader that ships looks at its results.
///
/// # Errors
/// Errors of the device.
pub fn trainer(gpu: &Gpu, size: Size) -> Result<Trainer> {
    Trainer::new(gpu, step_config(size), Start::default())
}

/// Images that a training step takes at least.
pub fn fewest_in_step(size: Size) -> usize {
    step_config(size).fewest_at_once()
}

fn step_config(size: Size) -> TrainConfig {
    let preset = match size {
        Size::Nano => Preset::Nano,
        Size::Official => Preset::Paper,
    };
    let preset = TrainConfig::preset(preset, Stage::Lemma);
    TrainConfig { text_focus: TextFocus::Abinet, ..preset }
}

/// A batch to train LEMMA on: `n` images that show nothing, with words.
pub fn training_batch(n: usize) -> Batch {
    const WORDS: [&str; 4] = ["station", "exit", "coffee", "24hours"];
    Batch {
        lr: with_mask(n, 16, 64, 8),
        hr: with_mask(n, 32, 128, 16),
        labels: (0..n).map(|i| Encoded::new(WORDS[i % WORDS.len()])).collect(),
        characters: vec![Vec::new(); n],
        places: Vec::new(),
    }
}
