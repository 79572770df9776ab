//! What the networks share that grew out of TSRN: the sizes of a word image, the spatial transformer, and the first and last
//! layers around a trunk of blocks.

mod config;
mod gru_block;
mod recipe;
mod residual;
mod stn;

pub use config::TrunkConfig;
pub use gru_block::GruBlock;
pub(crate) use recipe::{RULES, STRAIGHTENING};
pub use residual::SequentialBlock;
pub use stn::{SpatialTransformer, Warp, straighten};

use crate::nn::{Conv, ConvNorm, Scope};
use crate::ops::{Act, activate, add, pixel_shuffle};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};
use crate::{Error, ErrorKind, Result};

/// Height and width of the input.
pub const LOW: (usize, usize) = (16, 64);
/// Height and width of the output.
pub const HIGH: (usize, usize) = (32, 128);

/// Checks that `image` is `[N, 16, 64, planes]`, and tells N.
///
/// # Errors
/// [`ErrorKind::Shape`] under the name `place`.
pub fn expect_low(place: &str, image: &Tensor, planes: usize) -> Result<usize> {
    match image.dims() {
        [n, h, w, c] if (*h, *w, *c) == (LOW.0, LOW.1, planes) => Ok(*n),
        _ => Err(Error::new(ErrorKind::Shape, place, "low-resolution images")
            .expected(format!("[N, {}, {}, {planes}]", LOW.0, LOW.1))
            .got(image.shape())),
    }
}

/// The first layer, `block1`: a 9×9 convolution and PReLU.
pub struct Head {
    path: String,
    conv: Conv,
    slope: Tensor,
}

impl Head {
    /// Loads `block1` of a network for images of `planes` channels.
    pub fn load(s: &Scope, planes: usize, channels: usize) -> Self {
        let s = s.at("block1");
        Head {
            path: s.path().into(),
            conv: Conv::load(&s.at(0), planes, channels, Window::same(9), true),
            slope: s.at(1).param("weight", &[1]),
        }
    }

    /// `image [N, 16, 64, planes]` to `[N, 16, 64, C]`.
    ///
    /// # Errors
    /// Another shape.
    pub fn forward(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        let y = activate(cx, &self.conv.forward(cx, image)?, Act::Prelu(&self.slope))?;
        for name in ["1", ""] {
            cx.tap(&self.path, name, &y, Axes::Image);
        }
        Ok(y)
    }
}

/// What bends the enlarged feature.
pub enum Bend {
    /// Mish.
    Mish,
    /// PReLU with a slope of the network's own.
    Prelu(Tensor),
}

/// The last layers: the end of the trunk, `block7` of five blocks, and the enlargement behind it, `block8`.
pub struct Tail {
    end: String,
    up: String,
    trunk: ConvNorm,
    rise: Conv,
    bend: Bend,
    last: Conv,
}

impl Tail {
    /// Loads the two parts behind `config.srb_nums` blocks, whose trunk ends in `input` channels.
    pub fn load(s: &Scope, config: &TrunkConfig, input: usize) -> Self {
        Self::bending(s, config, input, |_| Bend::Mish)
    }

    /// The same with PReLU in place of mish.
    pub fn load_prelu(s: &Scope, config: &TrunkConfig, input: usize) -> Self {
        Self::bending(s, config, input, |up| Bend::Prelu(up.at("0.prelu").param("weight", &[1])))
    }

    fn bending(
        s: &Scope,
        config: &TrunkConfig,
        input: usize,
        bend: impl Fn(&Scope) -> Bend,
    ) -> Self {
        let (c, block) = (config.channels(), config.srb_nums + 2);
        let (end, up) = (s.at(format!("block{block}")), s.at(format!("block{}", block + 1)));
        let same = Window::same(3);
        Tail {
            trunk: ConvNorm::load(&end.at(0), &end.at(1), input, c, same, true),
            rise: Conv::load(&up.at("0.conv"), c, 4 * c, same, true),
            bend: bend(&up),
            last: Conv::load(&up.at(1), c, config.planes, Window::same(9), true),
            end: end.path().into(),
            up: up.path().into(),
        }
    }

    /// The end of the trunk on `x [N, 16, 64, input]`, with `first` added, enlarged: `[N, 32, 128, planes]`, in (−1, 1).
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, cx: &Cx, first: &Tensor, x: &Tensor) -> Result<Tensor> {
        let b = self.trunk.forward(cx, x)?;
        cx.tap(&self.end, "", &b, Axes::Image);
        let sum = add(cx, first, &b)?;
        let _scope = cx.scope(&self.up);
        let shuffled = pixel_shuffle(cx, &self.rise.forward(cx, &sum)?, 2, Act::None)?;
        cx.tap(&self.up, "0.pixel_shuffle", &shuffled, Axes::Image);
        let u = match &self.bend {
            Bend::Mish => activate(cx, &shuffled, Act::Mish)?,
            Bend::Prelu(slope) => activate(cx, &shuffled, Act::Prelu(slope))?,
        };
        for name in ["0.prelu", "0"] {
            cx.tap(&self.up, name, &u, Axes::Image);
        }
        cx.in_full(|cx| {
            let y = self.last.forward(cx, &u)?;
            cx.tap(&self.up, "", &y, Axes::Image);
            let y = activate(cx, &y, Act::Tanh)?;
            cx.value("", "sr", &y, Axes::Image);
            Ok(y)
        })
    }
}
