//! ASTER's encoder: a residual network that takes the rows together, and two recurrent layers along the columns.

use crate::Result;
use crate::nn::{BiLstm, ConvNorm, ResidualBlock, Scope};
use crate::ops::{Act, activate};
use crate::shape::Window;
use crate::tensor::{Cx, Tensor};

/// Channels, blocks and the first stride of each stage.
const STAGES: [(usize, usize, (usize, usize)); 5] =
    [(32, 3, (2, 2)), (64, 4, (2, 2)), (128, 6, (2, 1)), (256, 6, (2, 1)), (512, 3, (2, 1))];
const UNITS: usize = 256;

/// The layers.
pub(super) struct Encoder {
    stem: ConvNorm,
    blocks: Vec<ResidualBlock>,
    rnn: BiLstm,
}

/// Conv 1×1 with the stride, norm, ReLU, conv 3×3, norm, plus shortcut, ReLU.
fn block(
    s: &Scope,
    input: usize,
    output: usize,
    stride: (usize, usize),
    first: bool,
) -> ResidualBlock {
    let at = |conv: &str, norm: &str, input, window| {
        ConvNorm::load(&s.at(conv), &s.at(norm), input, output, window, false)
    };
    let step = Window::same(1).strided(stride.0, stride.1);
    let shortcut = first.then(|| at("downsample.0", "downsample.1", input, step));
    let [one, two] = [at("conv1", "bn1", input, step), at("conv2", "bn2", output, Window::same(3))];
    ResidualBlock::new(s.path(), one, two, shortcut)
}

impl Encoder {
    /// Loads `layer0` to `layer5` and `rnn`.
    pub(super) fn load(s: &Scope) -> Self {
        let stem = s.at("layer0");
        let mut input = STAGES[0].0;
        let mut blocks = Vec::new();
        for (i, (width, count, stride)) in STAGES.into_iter().enumerate() {
            for j in 0..count {
                let at = s.at(format!("layer{}.{j}", i + 1));
                let stride = if j == 0 { stride } else { (1, 1) };
                blocks.push(block(&at, input, width, stride, j == 0));
                input = width;
            }
        }
        Encoder {
            stem: ConvNorm::load(&stem.at(0), &stem.at(1), 3, STAGES[0].0, Window::same(3), false),
            blocks,
            rnn: BiLstm::load(&s.at("rnn"), 2, input, UNITS),
        }
    }

    /// `[N, 32, 100, 3]` to `[N, 25, 512]`.
    pub(super) fn forward(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        let mut x = activate(cx, &self.stem.forward(cx, image)?, Act::Relu)?;
        for block in &self.blocks {
            x = block.forward(cx, &x)?;
        }
        let [n, rows, columns, channels] = x.shape().nhwc("ASTER")?;
        self.rnn.forward(cx, &x.reshape([n, rows * columns, channels])?)
    }
}
