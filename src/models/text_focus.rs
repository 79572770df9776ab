//! The fixed transformer recognizer of the text-focus loss: what it reads and where it looks, on high-resolution and
//! super-resolved images alike.

use super::recipe::{
    Recipe,
    Rule::{self, Affine, Gain},
};
use crate::gpu::Gpu;
use crate::nn::{
    ConvNorm, LayerNorm, Linear, LinearHeads, Parameters, PositionwiseFeedForward, ResidualBlock,
    Scope, Source, Weights,
};
use crate::ops::{Act, Mask, activate, concat_last, embedding, max_pool, repeat};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};
use crate::{Error, ErrorKind, Result};

const WIDTH: usize = 1024;
const HALF: usize = WIDTH / 2;
const HEADS: usize = 16;
const INNER: usize = 2048;
const CELLS: usize = 8 * 32;
/// Rows of the position table in the state dict.
const POSITIONS: usize = 5000;
/// Longest word that the recognizer takes, the end included. The table would allow more; no word does.
pub const LONGEST: usize = 512;

/// ResNet block of 3×3 convolutions; the shortcut is a 3×3 convolution where widths differ.
fn block(s: &Scope, input: usize, output: usize) -> ResidualBlock {
    let at = |conv: &str, norm: &str, input| {
        ConvNorm::load(&s.at(conv), &s.at(norm), input, output, Window::same(3), true)
    };
    let shortcut = (input != output).then(|| at("downsample.0", "downsample.1", input));
    let [one, two] = [at("conv1", "bn1", input), at("conv2", "bn2", output)];
    ResidualBlock::new(s.path(), one, two, shortcut)
}

/// What errors call its weights.
const PLACE: &str = "text-focus recognizer";

/// What the recognizer spells words by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// Characters.
    Characters,
    /// Strokes, as Text Gestalt.
    Strokes,
}

impl Spelling {
    /// Classes, the start and the end of a word among them.
    pub fn classes(self) -> usize {
        match self {
            Spelling::Characters => 37,
            Spelling::Strokes => 10,
        }
    }

    /// What stands behind the names of the layers that know the classes.
    fn suffix(self) -> &'static str {
        match self {
            Spelling::Characters => "",
            Spelling::Strokes => "_with_upperword",
        }
    }
}

/// A stage: blocks, then a convolution with norm and ReLU.
struct Stage {
    name: &'static str,
    blocks: Vec<ResidualBlock>,
    conv: ConvNorm,
    relu: &'static str,
}

/// What the recognizer says of a batch, given the words.
pub struct Focus {
    /// Class scores `[N, L, classes]`, the steps beyond a word's length included.
    pub logits: Tensor,
    /// Where each step looks: `[N, 16, L, 8·32]`.
    pub attention: Tensor,
}

/// The recognizer on a device.
pub struct Network {
    stem: [ConvNorm; 2],
    stages: Vec<Stage>,
    table: Tensor,
    positions: Tensor,
    itself: LinearHeads,
    image: LinearHeads,
    norms: [LayerNorm; 3],
    feed_forward: PositionwiseFeedForward,
    classes: Linear,
}

impl Network {
    /// Loads a whole state dict.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] listing tensors that are missing, misshapen or left over.
    pub fn load(gpu: &Gpu, source: &dyn Source) -> Result<Self> {
        Self::spelling(gpu, source, Spelling::Characters)
    }

    /// Loads a whole state dict of a recognizer with that spelling.
    ///
    /// # Errors
    /// As [`Network::load`].
    pub fn spelling(gpu: &Gpu, source: &dyn Source, by: Spelling) -> Result<Self> {
        Ok(Weights::load(gpu, source, None, PLACE, |s| Ok(Self::build(s, by)))?.0)
    }

    /// Loads for training: also returns the parameters, of which those that are not `frozen` are leaves of a tape.
    ///
    /// # Errors
    /// As [`Network::load`].
    pub fn to_train(
        gpu: &Gpu,
        source: &dyn Source,
        frozen: &dyn Fn(&str) -> bool,
    ) -> Result<(Self, Parameters)> {
        Self::spelling_to_train(gpu, source, Spelling::Characters, frozen)
    }

    /// The same of a recognizer with that spelling.
    ///
    /// # Errors
    /// As [`Network::load`].
    pub fn spelling_to_train(
        gpu: &Gpu,
        source: &dyn Source,
        by: Spelling,
        frozen: &dyn Fn(&str) -> bool,
    ) -> Result<(Self, Parameters)> {
        Weights::load(gpu, source, Some(frozen), PLACE, |s| Ok(Self::build(s, by)))
    }

    fn build(s: &Scope, by: Spelling) -> Self {
        let (classes, suffix) = (by.classes(), by.suffix());
        let cnn = s.at("encoder.cnn");
        let conv = |conv: &str, norm: &str, input, output| {
            ConvNorm::load(&cnn.at(conv), &cnn.at(norm), input, output, Window::same(3), true)
        };
        let stage = |i: usize, count: usize, input: usize, width: usize| -> Vec<ResidualBlock> {
            let at = |j: usize| cnn.at(format!("layer{i}.{j}"));
            (0..count).map(|j| block(&at(j), if j == 0 { input } else { width }, width)).collect()
        };
        let decoder = s.at("decoder");
        Network {
            stem: [conv("conv1", "bn1", 1, 64), conv("conv2", "bn2", 64, 128)],
            stages: vec![
                Stage {
                    name: "layer1",
                    blocks: stage(1, 1, 128, 256),
                    conv: conv("layer1_conv", "layer1_bn", 256, 256),
                    relu: "layer1_relu",
                },
                Stage {
                    name: "layer2",
                    blocks: stage(2, 2, 256, 256),
                    conv: conv("layer2_conv", "layer2_bn", 256, 256),
                    relu: "layer2_relu",
                },
                Stage {
                    name: "layer3",
                    blocks: stage(3, 5, 256, 512),
                    conv: conv("layer3_conv", "layer3_bn", 512, 512),
                    relu: "layer3_relu",
                },
                Stage {
                    name: "layer4",
                    blocks: stage(4, 3, 512, 512),
                    conv: conv("layer4_conv2", "layer4_conv2_bn", 512, WIDTH),
                    relu: "layer4_conv2_relu",
                },
            ],
            table: s.at(format!("embedding_word{suffix}.lut")).param("weight", &[classes, HALF]),
            positions: s.at("pe").buffer("pe", &[1, POSITIONS, HALF]),
            itself: LinearHeads::load(&decoder.at("mask_multihead"), WIDTH, HEADS),
            image: LinearHeads::load(&decoder.at("multihead"), WIDTH, HEADS),
            norms: [1, 2, 3]
                .map(|i| LayerNorm::load_unbiased(&decoder.at(format!("mul_layernorm{i}")), WIDTH)),
            feed_forward: PositionwiseFeedForward::load(&decoder.at("pff"), WIDTH, INNER),
            classes: Linear::load(
                &s.at(format!("generator_word{suffix}.proj")),
                WIDTH,
                classes,
                true,
            ),
        }
    }

    /// Reads `gray [N, 32, 128, 1]` along `tokens [N, L]`: 0, then the word's characters, padded with 0.
    ///
    /// # Errors
    /// Another shape, or words longer than [`LONGEST`].
    pub fn forward(&self, cx: &Cx, gray: &Tensor, tokens: &Tensor) -> Result<Focus> {
        let (n, l) = match (gray.dims(), tokens.dims()) {
            ([n, 32, 128, 1], [m, l]) if n == m && (1..=LONGEST).contains(l) => (*n, *l),
            _ => {
                return Err(Error::new(ErrorKind::Shape, "text-focus recognizer", "operands")
                    .expected("gray [N, 32, 128, 1] and tokens [N, 1 to 512]")
                    .got(format!("{} and {}", gray.shape(), tokens.shape())));
            }
        };
        let image = self.cnn(cx, gray)?;
        cx.tap("", "encoder", &image, Axes::Image);
        let image = image.reshape([n, CELLS, WIDTH])?;
        // Only a trace looks at it; a pass leaves out what nobody reads.
        let looked_up = embedding(cx, tokens, &self.table, 1.0)?;
        cx.tap("embedding_word.lut", "", &looked_up, Axes::Same);
        let words = embedding(cx, tokens, &self.table, (HALF as f32).sqrt())?;
        cx.tap("embedding_word", "", &words, Axes::Same);
        let positions = repeat(cx, &self.positions.view(0, [1, l, HALF])?, n)?;
        for name in ["pe.dropout", "pe"] {
            cx.tap(name, "", &positions, Axes::Same);
        }
        let query = concat_last(cx, &[&words, &positions])?;
        let (a, _) = self.itself.forward(cx, &query, &query, Mask::Causal)?;
        let query = self.norms[0].forward(cx, &a, &query, Axes::Same)?;
        let (a, attention) = self.image.forward(cx, &query, &image, Mask::None)?;
        let query = self.norms[1].forward(cx, &a, &query, Axes::Same)?;
        let f = self.feed_forward.forward(cx, &query)?;
        let y = self.norms[2].forward(cx, &f, &query, Axes::Same)?;
        cx.tap("", "decoder", &y, Axes::Same);
        let logits = self.classes.forward(cx, &y, Axes::Same)?;
        cx.tap("generator_word", "", &logits, Axes::Same);
        Ok(Focus { logits, attention })
    }

    /// `[N, 32, 128, 1]` to `[N, 8, 32, 1024]`.
    fn cnn(&self, cx: &Cx, gray: &Tensor) -> Result<Tensor> {
        let path = "encoder.cnn";
        let _scope = cx.scope(path);
        let mut x = gray.clone();
        for (conv, [relu, pool]) in
            self.stem.iter().zip([["relu1", "pool"], ["relu2", "layer1_pool"]])
        {
            x = activate(cx, &conv.forward(cx, &x)?, Act::Relu)?;
            cx.tap(path, relu, &x, Axes::Image);
            x = max_pool(cx, &x, Window::pool(2, 2))?;
            cx.tap(path, pool, &x, Axes::Image);
        }
        for stage in &self.stages {
            for block in &stage.blocks {
                x = block.forward(cx, &x)?;
            }
            cx.tap(path, stage.name, &x, Axes::Image);
            x = activate(cx, &stage.conv.forward(cx, &x)?, Act::Relu)?;
            cx.tap(path, stage.relu, &x, Axes::Image);
        }
        cx.tap(path, "", &x, Axes::Image);
        Ok(x)
    }
}

/// Procedural weights of the recognizer.
pub(crate) const RECIPE: Recipe = Recipe {
    key: "trans",
    rules: &[&[("generator_word.proj.weight", Gain(3.0))], RULES],
    suffixes: &[],
};

/// The same of the one that spells by strokes.
pub(crate) const STROKES_RECIPE: Recipe = Recipe {
    key: "trans_stroke",
    rules: &[&[("generator_word_with_upperword.proj.weight", Gain(3.0))], RULES],
    suffixes: &[],
};

const RULES: &[(&str, Rule)] = &[
    ("encoder.cnn.layer*.*.bn1.weight", Affine(1.5, 0.2)),
    ("encoder.cnn.layer*.*.bn1.bias", Affine(-0.25, 0.1)),
    ("encoder.cnn.layer*.*.bn2.weight", Affine(0.38, 0.1)),
    ("encoder.cnn.layer*.*.bn2.bias", Affine(-0.12, 0.2)),
    ("decoder.multihead.linears.0.weight", Gain(2.0)),
    ("decoder.multihead.linears.1.weight", Gain(3.0)),
];
