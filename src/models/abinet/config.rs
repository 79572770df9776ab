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
    /// Characters of classes 1, 2, …; class 0 is the end.
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
    /// The sizes of the small recogniser that ships.
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
        let shrinks: usize = v.resnet_strides.iter().product();
        if (v.resnet_planes[4], shrinks) != (v.d_model, 4) {
            return Err(Error::new(ErrorKind::Format, "configuration", "the ResNet's end")
                .expected(format!("{} channels of a quarter of the image's sides", v.d_model))
                .got(format!("{} channels of one in {shrinks}", v.resnet_planes[4])));
        }
        Ok(())
    }

    /// Reads the sizes off the tensors of a state dict: `vision.*` and `language.*` below `prefix`. Strides and head counts
    /// leave no mark there: strides are the official ones and heads are 64 channels wide.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] when a tensor that tells a size is absent.
    pub fn from_shapes(state: &StateDict, prefix: &str) -> Result<Self> {
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
        let d_model = planes[4];
        let decoder = "language.model.layers";
        let language_width = shape.of("language.proj.weight", 0)?;
        Ok(AbinetConfig {
            vision: VisionConfig {
                resnet_planes: planes,
                resnet_blocks: blocks,
                resnet_strides: official.vision.resnet_strides,
                d_model,
                nhead: (d_model / 64).max(1),
                d_inner: shape.of(&format!("{encoder}.0.linear1.weight"), 0)?,
                encoder_layers: shape.count(encoder, "linear1.weight"),
                unet_channels: shape.of("vision.attention.k_encoder.0.0.weight", 0)?,
            },
            language: LanguageConfig {
                d_model: language_width,
                nhead: (language_width / 64).max(1),
                d_inner: shape.of(&format!("{decoder}.0.linear1.weight"), 0)?,
                num_layers: shape.count(decoder, "linear1.weight"),
            },
            num_classes: shape.of("vision.cls.weight", 0)?,
            ..official
        })
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
