//! Sizes of ABINet.

use crate::data::checkpoint::StateDict;
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// Sizes of the vision model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisionConfig {
    /// Channels of the ResNet: stem and layer1, then layer2 to layer5.
    pub resnet_planes: [usize; 5],
    /// Blocks of layer1 to layer5.
    pub resnet_blocks: [usize; 5],
    /// Strides of layer1 to layer5.
    pub resnet_strides: [usize; 5],
    /// Channels of the encoder.
    pub d_model: usize,
    /// Attention heads of the encoder.
    pub nhead: usize,
    /// Hidden channels of the encoder's feed-forward parts.
    pub d_inner: usize,
    /// Encoder layers.
    pub encoder_layers: usize,
    /// Channels of the U-Net that makes the keys of the position attention.
    pub unet_channels: usize,
}

/// Sizes of the language model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LanguageConfig {
    /// Channels.
    pub d_model: usize,
    /// Attention heads.
    pub nhead: usize,
    /// Hidden channels of the feed-forward parts.
    pub d_inner: usize,
    /// Decoder layers.
    pub num_layers: usize,
}

/// Sizes and rules of ABINet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AbinetConfig {
    /// The vision model.
    pub vision: VisionConfig,
    /// The language model.
    pub language: LanguageConfig,
    /// Characters of classes 1, 2, …, as many as there are classes but one; class 0 is the end.
    #[serde(default = "charset_36")]
    pub charset_chars: String,
    /// Classes.
    #[serde(default = "classes")]
    pub num_classes: usize,
    /// Positions: the longest word and its end.
    #[serde(default = "positions")]
    pub max_length: usize,
    /// How often language model and alignment refine the reading.
    #[serde(default = "iterations")]
    pub iterations: usize,
    /// Length of a reading without an end: 26 as ABINet was published, 0 after its later revision.
    #[serde(default = "positions")]
    pub length_without_end: usize,
}

/// Letters, then 1 to 9, then 0: the order of ABINet's 36 characters.
fn charset_36() -> String {
    "abcdefghijklmnopqrstuvwxyz1234567890".into()
}

fn classes() -> usize {
    37
}

fn positions() -> usize {
    26
}

fn iterations() -> usize {
    3
}

impl Default for AbinetConfig {
    /// The official sizes.
    fn default() -> Self {
        AbinetConfig {
            vision: VisionConfig {
                resnet_planes: [32, 64, 128, 256, 512],
                resnet_blocks: [3, 4, 6, 6, 3],
                resnet_strides: [2, 1, 2, 1, 1],
                d_model: 512,
                nhead: 8,
                d_inner: 2048,
                encoder_layers: 3,
                unet_channels: 64,
            },
            language: LanguageConfig { d_model: 512, nhead: 8, d_inner: 2048, num_layers: 4 },
            charset_chars: charset_36(),
            num_classes: classes(),
            max_length: positions(),
            iterations: iterations(),
            length_without_end: positions(),
        }
    }
}

impl AbinetConfig {
    /// The sizes of the small recognizer that ships.
    pub fn nano() -> Self {
        AbinetConfig {
            vision: VisionConfig {
                resnet_planes: [16, 24, 32, 48, 64],
                resnet_blocks: [1, 1, 2, 2, 1],
                resnet_strides: [2, 1, 2, 1, 1],
                d_model: 64,
                nhead: 2,
                d_inner: 128,
                encoder_layers: 2,
                unet_channels: 32,
            },
            language: LanguageConfig { d_model: 64, nhead: 4, d_inner: 192, num_layers: 2 },
            ..AbinetConfig::default()
        }
    }

    /// Checks that the sizes make a network: they may come from a file.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] naming the size that does not.
    pub fn check(&self) -> Result<()> {
        let (v, l) = (&self.vision, &self.language);
        let planes = v.resnet_planes.iter().map(|n| ("resnet_planes", *n));
        let sizes = [
            ("d_model", v.d_model),
            ("d_inner", v.d_inner),
            ("unet_channels", v.unet_channels),
            ("d_model", l.d_model),
            ("d_inner", l.d_inner),
            ("num_classes", self.num_classes),
            ("max_length", self.max_length),
        ];
        within(planes.chain(sizes), 1, WIDEST)?;
        let blocks = v.resnet_blocks.iter().map(|n| ("resnet_blocks", *n));
        let depths = [
            ("encoder_layers", v.encoder_layers),
            ("num_layers", l.num_layers),
            ("iterations", self.iterations),
        ];
        within(blocks.chain(depths), 1, DEEPEST)?;
        within(v.resnet_strides.iter().map(|n| ("resnet_strides", *n)), 1, 2)?;
        divides("nhead", v.nhead, v.d_model)?;
        divides("nhead", l.nhead, l.d_model)?;
        self.check_charset()?;
        let shrinks: usize = v.resnet_strides.iter().product();
        if (v.resnet_planes[4], shrinks) != (v.d_model, 4) {
            return Err(Error::new(ErrorKind::Format, "configuration", "the ResNet's end")
                .expected(format!("{} channels of a quarter of the image's sides", v.d_model))
                .got(format!("{} channels of one in {shrinks}", v.resnet_planes[4])));
        }
        Ok(())
    }

    /// Checks that every class but the end has a character that can be printed, and that none has two classes.
    fn check_charset(&self) -> Result<()> {
        let wrong = |what: &str| Error::new(ErrorKind::Format, "configuration", what);
        let chars: Vec<char> = self.charset_chars.chars().collect();
        if chars.len() + 1 != self.num_classes {
            return Err(wrong("classes of the recognizer")
                .expected(format!("{}: {} characters and the end", chars.len() + 1, chars.len()))
                .got(self.num_classes)
                .hint(CHARSET_HINT));
        }
        let mut seen = std::collections::HashSet::new();
        match chars.iter().find(|c| c.is_control() || !seen.insert(**c)) {
            Some(c) if c.is_control() => Err(wrong("characters of the recognizer")
                .expected("none that controls a terminal")
                .got(format!("{c:?}"))),
            Some(c) => Err(wrong("characters of the recognizer")
                .expected("each of them once")
                .got(format!("{c:?} twice"))),
            None => Ok(()),
        }
    }

    /// Checks that the classes are those of labels to train on: letters without case, and digits.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] for other characters.
    pub fn check_labels(&self) -> Result<()> {
        let labels = charset_36();
        match self.charset_chars == labels {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Argument, "recognizer", "characters to train on")
                .expected(labels)
                .got(&self.charset_chars)),
        }
    }

    /// Reads the sizes off the tensors of a state dict: `vision.*` and `language.*` below `prefix`. Head counts leave no mark
    /// there, and are known for the released widths alone; strides and rules of reading are taken to be the released ones.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] when a tensor that tells a size is absent.
    pub fn from_shapes(state: &StateDict, prefix: &str) -> Result<Shaped<Self>> {
        let shape = Shapes { state, prefix };
        let official = AbinetConfig::default();
        let resnet = "vision.backbone.resnet";
        let mut planes = [0; 5];
        let mut blocks = [0; 5];
        for i in 0..5 {
            let layer = format!("{resnet}.layer{}", i + 1);
            planes[i] = shape.of(&format!("{layer}.0.conv1.weight"), 0)?;
            blocks[i] = shape.count(&layer, "conv1.weight");
        }
        let encoder = "vision.backbone.transformer.layers";
        let decoder = "language.model.layers";
        let language_width = shape.of("language.proj.weight", 0)?;
        let config = AbinetConfig {
            vision: VisionConfig {
                resnet_planes: planes,
                resnet_blocks: blocks,
                d_model: planes[4],
                d_inner: shape.of(&format!("{encoder}.0.linear1.weight"), 0)?,
                encoder_layers: shape.count(encoder, "linear1.weight"),
                unet_channels: shape.of("vision.attention.k_encoder.0.0.weight", 0)?,
                ..official.vision
            },
            language: LanguageConfig {
                d_model: language_width,
                d_inner: shape.of(&format!("{decoder}.0.linear1.weight"), 0)?,
                num_layers: shape.count(decoder, "linear1.weight"),
                ..official.language
            },
            num_classes: shape.of("vision.cls.weight", 0)?,
            max_length: shape.of("vision.attention.pos_encoder.pe", 0)?,
            ..official
        };
        let mut shaped = Shaped::new(config);
        let known = AbinetConfig::default();
        let released = |width| width == known.vision.d_model;
        let (vision, language) = (planes[4], language_width);
        shaped.size("vision.nhead", known.vision.nhead, released(vision));
        shaped.size("language.nhead", known.language.nhead, released(language));
        shaped.size("vision.resnet_strides", format!("{:?}", known.vision.resnet_strides), true);
        shaped.size("iterations", known.iterations, true);
        shaped.size("length_without_end", known.length_without_end, true);
        let charset = shaped.config.num_classes == known.num_classes;
        shaped.size("charset_chars", &known.charset_chars, charset);
        Ok(shaped)
    }
}

/// Sizes that were read off tensors, and what these do not tell.
#[derive(Debug, Clone)]
pub struct Shaped<T> {
    /// The sizes; where they are unknown, those of the released network.
    pub config: T,
    /// What is taken to be as in the released network: key and value.
    pub assumed: Vec<(String, String)>,
    /// Keys of what cannot be known.
    pub unknown: Vec<String>,
}

impl<T> Shaped<T> {
    pub(crate) fn new(config: T) -> Self {
        Shaped { config, assumed: Vec::new(), unknown: Vec::new() }
    }

    /// Notes a size that leaves no mark: `value` is that of the released network, which these weights may be of.
    pub(crate) fn size(&mut self, key: &str, value: impl ToString, released: bool) {
        match released {
            true => self.assumed.push((key.into(), value.to_string())),
            false => self.unknown.push(key.into()),
        }
    }

    /// The sizes where all are known.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] naming what is not.
    pub fn known(self) -> Result<T> {
        match self.unknown.is_empty() {
            true => Ok(self.config),
            false => Err(unknown(&self.unknown)),
        }
    }
}

/// What to do where the characters of classes are not known.
const CHARSET_HINT: &str = "--charset, or charset= behind the name of other weights, gives the characters of the classes: a file, 36, 62 or 94";

/// The refusal of weights that do not tell all of their sizes.
pub(crate) fn unknown(keys: &[String]) -> Error {
    let error = Error::new(ErrorKind::Format, "weights", "what the shapes of tensors do not tell")
        .expected("a configuration in the metadata, or sizes of the released network")
        .got(format!("neither, for {}", keys.join(", ")));
    match keys {
        [key] if key.ends_with("charset_chars") => {
            error.hint(CHARSET_HINT)
        }
        _ => error.hint(
            "--config FILE, or config=FILE behind the name of other weights, gives them, in JSON or TOML: vision.nhead = 8",
        ),
    }
}

/// Most channels, classes or positions that a configuration may name.
pub(crate) const WIDEST: usize = 2048;
/// Most layers of a kind.
pub(crate) const DEEPEST: usize = 64;

/// Checks that named sizes lie in `low..=high`.
pub(crate) fn within<'a>(
    sizes: impl IntoIterator<Item = (&'a str, usize)>,
    low: usize,
    high: usize,
) -> Result<()> {
    match sizes.into_iter().find(|(_, n)| !(low..=high).contains(n)) {
        None => Ok(()),
        Some((name, n)) => Err(Error::new(ErrorKind::Format, "configuration", name)
            .expected(format!("{low} to {high}"))
            .got(n)),
    }
}

/// Checks that `heads` share `width` channels.
pub(crate) fn divides(name: &str, heads: usize, width: usize) -> Result<()> {
    if heads > 0 && width.is_multiple_of(heads) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Format, "configuration", name)
        .expected(format!("a divisor of {width}"))
        .got(heads))
}

/// Sizes of tensors by name.
pub(crate) struct Shapes<'a> {
    pub(crate) state: &'a StateDict,
    pub(crate) prefix: &'a str,
}

impl Shapes<'_> {
    /// Axis `axis` of the tensor `name`.
    pub(crate) fn of(&self, name: &str, axis: usize) -> Result<usize> {
        let name = format!("{}{name}", self.prefix);
        let tensor = self.state.tensors.get(&name);
        tensor.and_then(|t| t.shape().get(axis).copied()).ok_or_else(|| {
            Error::new(ErrorKind::Format, "weights", "sizes of the model")
                .expected(format!("a tensor {name} of more than {axis} axes"))
                .got(tensor.map_or("none".to_string(), |t| format!("{:?}", t.shape())))
        })
    }

    /// How many of `list.0.leaf`, `list.1.leaf`, … exist without a gap.
    pub(crate) fn count(&self, list: &str, leaf: &str) -> usize {
        (0..)
            .take_while(|i| {
                self.state.tensors.contains_key(&format!("{}{list}.{i}.{leaf}", self.prefix))
            })
            .count()
    }
}
