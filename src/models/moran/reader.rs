//! MORAN's reader: a residual network, recurrent layers along the columns, and two decoders, one for each direction.

use super::CLASSES;
use crate::Result;
use crate::models::attention_decoder::{AttentionDecoder, Parts, Sizes, along_steps};
use crate::nn::{ConvNorm, LstmLinear, ResidualBlock, Scope};
use crate::ops::argmax;
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// Channels, blocks and the first stride of each stage.
const STAGES: [(usize, usize, (usize, usize)); 5] =
    [(32, 3, (2, 2)), (64, 4, (2, 2)), (128, 6, (2, 1)), (256, 6, (2, 1)), (512, 3, (2, 1))];
const UNITS: usize = 256;
/// Steps that are always made.
const STEPS: usize = 20;

/// The layers.
pub(super) struct Reader {
    stem: ConvNorm,
    blocks: Vec<ResidualBlock>,
    rnn: [LstmLinear; 2],
    /// From left to right, and from right to left.
    decoders: [AttentionDecoder; 2],
}

/// What a decoder spelled.
pub struct Spelled {
    /// Class scores `[N, 20, 37]`.
    pub logits: Tensor,
    /// Where each step looked, as a share of the width, `[N, 20]`.
    pub places: Tensor,
}

/// The first block of a stage: conv 3×3 with the stride, norm, conv 3×3, norm, plus conv 3×3 and norm, ReLU. Another: conv 1×1,
/// norm, conv 3×3, norm, plus its input, ReLU.
fn block(
    s: &Scope,
    input: usize,
    output: usize,
    stride: (usize, usize),
    first: bool,
) -> ResidualBlock {
    let at = |part: &str, input, window| {
        let part = s.at(part);
        ConvNorm::load(&part.at(0), &part.at(1), input, output, window, true)
    };
    let (same, step) = (Window::same(3), Window::same(3).strided(stride.0, stride.1));
    let one = at("conv1", input, if first { step } else { Window::same(1) });
    let shortcut = first.then(|| at("downsample", input, step));
    ResidualBlock::new(s.path(), one, at("conv2", output, same), shortcut).straight()
}

impl Reader {
    /// Loads `cnn`, `rnn`, `attentionL2R` and `attentionR2L`.
    pub(super) fn load(s: &Scope) -> Self {
        let stem = s.at("cnn.block0");
        let mut input = STAGES[0].0;
        let mut blocks = Vec::new();
        for (i, (width, count, stride)) in STAGES.into_iter().enumerate() {
            for j in 0..count {
                let at = s.at(format!("cnn.block{}.{j}", i + 1));
                blocks.push(block(&at, input, width, stride, j == 0));
                input = width;
            }
        }
        let parts = Parts {
            query: "attention_cell.h2h",
            keys: ("attention_cell.i2h", false),
            vector: ("attention_cell.score", false),
            table: "char_embeddings",
            cell: ("attention_cell.rnn", ""),
            classes: "generator",
            context_first: true,
        };
        let sizes = Sizes { column: UNITS, units: UNITS, symbols: CLASSES + 1, classes: CLASSES };
        Reader {
            stem: ConvNorm::load(&stem.at(0), &stem.at(1), 1, STAGES[0].0, Window::same(3), true),
            blocks,
            rnn: [
                LstmLinear::load(&s.at("rnn.0"), input, UNITS, UNITS),
                LstmLinear::load(&s.at("rnn.1"), UNITS, UNITS, UNITS),
            ],
            decoders: ["attentionL2R", "attentionR2L"]
                .map(|name| AttentionDecoder::load(&s.at(name), &parts, sizes)),
        }
    }

    /// Reads `image [N, 32, 100, 1]` in both directions.
    pub(super) fn forward(&self, cx: &Cx, image: &Tensor) -> Result<[Spelled; 2]> {
        let mut x = self.stem.forward(cx, image)?;
        for block in &self.blocks {
            x = block.forward(cx, &x)?;
        }
        let [n, rows, columns, channels] = x.shape().nhwc("MORAN")?;
        let mut x = x.reshape([n, rows * columns, channels])?;
        for layer in &self.rnn {
            x = layer.forward(cx, &x)?;
        }
        cx.value("moran", "rnn", &x, Axes::Sequence);
        let [right, left] = &self.decoders;
        Ok([spell(cx, right, &x)?, spell(cx, left, &x)?])
    }
}

/// The classes of all steps, each the best of the step before.
fn spell(cx: &Cx, decoder: &AttentionDecoder, columns: &Tensor) -> Result<Spelled> {
    let n = columns.dims()[0];
    let keys = decoder.keys(cx, columns)?;
    let mut state = decoder.start(cx, n);
    // Row 0 of the table is the start, and row c + 1 is class c.
    let (mut table, classes) = (decoder.symbols_from(0)?, decoder.symbols_from(1)?);
    let mut symbols = Tensor::upload_u32(cx.gpu(), [n, 1], &vec![0; n]);
    let (mut logits, mut places) = (Vec::new(), Vec::new());
    for _ in 0..STEPS {
        let step = decoder.step(cx, (columns, &keys), (&symbols, &table), &state)?;
        symbols = argmax(cx, &step.logits)?.reshape([n, 1])?;
        table = classes.clone();
        state = step.state;
        logits.push(step.logits);
        places.push(step.places.reshape([n, 1])?);
    }
    let places = along_steps(cx, &places)?.reshape([n, STEPS])?;
    Ok(Spelled { logits: along_steps(cx, &logits)?, places })
}
