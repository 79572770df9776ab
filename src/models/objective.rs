//! What networks that super-resolve a word are trained on: pixels, the slopes of their brightness, and how a fixed recognizer reads
//! the result.

use super::prepare::gray;
use super::text_focus::{self, Spelling};
use crate::ops::{
    Epilogue, add, conv2d, cross_entropy, mean_absolute, mean_squared, mul, scale, slice_last, sqrt,
};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};
use crate::{Error, ErrorKind, Result};

/// The parts of a network's loss and their weights; 0 for what is no part of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    /// Whether pixels differ by their absolute difference rather than its square; its weight is 1.
    pub absolute: bool,
    /// Of the gradient prior.
    pub gradient_prior: f32,
    /// Of the edges.
    pub edge: f32,
    /// Of where the recognizer looks.
    pub attention: f32,
    /// Of its cross entropy.
    pub recognition: f32,
    /// What it spells words by.
    pub spelling: Spelling,
    /// Factor on the loss before it is differentiated.
    pub scale: f32,
}

impl Objective {
    /// Squared differences of pixels.
    pub const SQUARED: Objective = Objective {
        absolute: false,
        gradient_prior: 0.0,
        edge: 0.0,
        attention: 0.0,
        recognition: 0.0,
        spelling: Spelling::Characters,
        scale: 100.0,
    };
    /// Absolute differences of pixels.
    pub const ABSOLUTE: Objective = Objective { absolute: true, ..Objective::SQUARED };

    /// Whether a recognizer looks at the results.
    pub fn looks(&self) -> bool {
        self.attention > 0.0 || self.recognition > 0.0
    }
}

/// A fixed recognizer, the words of a batch, and the weights of its cross entropy, if that counts.
pub struct Look<'a> {
    /// The recognizer.
    pub network: &'a text_focus::Network,
    /// What it is given, `[N, L]`: 0, then the classes of the word, padded with 0.
    pub tokens: &'a Tensor,
    /// What it should answer, `[N, L]`: the classes, then 0.
    pub targets: &'a Tensor,
    /// Share of each step in the mean `[N·L]`: 1/Σ lengths within a word, 0 behind it.
    pub share: &'a Tensor,
    /// The weights `[classes, classes]`.
    pub table: Option<&'a Tensor>,
}

/// The loss of a batch.
pub struct Loss {
    /// The weighted sum, one number.
    pub total: Tensor,
    /// Its parts by name, one number each.
    pub parts: Vec<(&'static str, Tensor)>,
}

impl Objective {
    /// The loss of `sr` against `hr`, both `[N, 32, 128, planes]`.
    ///
    /// # Errors
    /// Shapes that do not fit, and no recognizer where one looks.
    pub fn loss(&self, cx: &Cx, sr: &Tensor, hr: &Tensor, look: Option<&Look>) -> Result<Loss> {
        let _part = cx.part("loss");
        let pixels = match self.absolute {
            true => ("mae", mean_absolute(cx, sr, hr)?),
            false => ("mse", mean_squared(cx, sr, hr)?),
        };
        let mut weighted = vec![(1.0, pixels)];
        if self.gradient_prior > 0.0 {
            weighted.push((self.gradient_prior, ("gradient_prior", gradient_prior(cx, sr, hr)?)));
        }
        if self.edge > 0.0 {
            weighted.push((self.edge, ("edge", edge(cx, sr, hr)?)));
        }
        if self.looks() {
            let look = look.ok_or_else(|| {
                Error::new(ErrorKind::Argument, "loss", "a recognizer that looks at the results")
                    .got("none")
            })?;
            let seen = look.at(cx, hr)?;
            let read = look.at(cx, sr)?;
            cx.value("look", "hr_logits", &seen.logits, Axes::Same);
            cx.value("look", "hr_attn", &seen.attention, Axes::Same);
            let attention = mean_absolute(cx, &seen.attention, &read.attention)?;
            weighted.push((self.attention, ("attention", attention)));
            if self.recognition > 0.0 {
                let read = look.recognition(cx, &read.logits)?;
                weighted.push((self.recognition, ("recognition", read)));
            }
        }
        let mut total = weighted[0].1.1.clone();
        for (weight, (_, part)) in &weighted[1..] {
            total = add(cx, &total, &scale(cx, part, *weight)?)?;
        }
        Ok(Loss { total, parts: weighted.into_iter().map(|(_, part)| part).collect() })
    }
}

impl Look<'_> {
    fn at(&self, cx: &Cx, image: &Tensor) -> Result<text_focus::Focus> {
        cx.evaluating(|cx| self.network.forward(cx, &gray(cx, image)?, self.tokens))
    }

    fn recognition(&self, cx: &Cx, logits: &Tensor) -> Result<Tensor> {
        let targets = self.targets.reshape([self.targets.len()])?;
        let logits = logits.reshape([targets.len(), logits.shape().last()])?;
        cross_entropy(cx, &logits, &targets, self.share, self.table)
    }
}

/// Within the roots, so that their slopes are finite.
const LEAST: f32 = 1e-6;

/// Mean absolute difference of the slopes of `a` and `b [N, H, W, 3 or more]`, channel by channel of their first three: the
/// gradient prior of TSRN. A slope is √(dx² + dy² + 10⁻⁶) of half the differences of a pixel's neighbors, 0 outside the image.
///
/// # Errors
/// Shapes that do not fit.
pub fn gradient_prior(cx: &Cx, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let half = |tap: usize| match tap {
        3 => [-0.5, 0.0],
        5 => [0.5, 0.0],
        1 => [0.0, 0.5],
        7 => [0.0, -0.5],
        _ => [0.0, 0.0],
    };
    // To each channel its own two differences.
    let weights = (0..9 * 3 * 6).map(|i| {
        let (tap, from, to) = (i / 18, i / 6 % 3, i % 6);
        if to % 3 == from { half(tap)[to / 3] } else { 0.0 }
    });
    let weights = Tensor::upload(cx.gpu(), [3, 3, 3, 6], &weights.collect::<Vec<f32>>());
    mean_absolute(cx, &steepness(cx, a, &weights)?, &steepness(cx, b, &weights)?)
}

/// Mean absolute difference of the edges of `a` and `b [N, H, W, 3 or more]`: √(s² + t² + 10⁻⁶) of half of Sobel's differences of
/// the sum of the first three channels, 0 outside the image.
///
/// # Errors
/// Shapes that do not fit.
pub fn edge(cx: &Cx, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    const SOBEL: [f32; 9] = [-0.5, -1.0, -0.5, 0.0, 0.0, 0.0, 0.5, 1.0, 0.5];
    let weights = (0..9).flat_map(|tap| [SOBEL[tap], SOBEL[tap % 3 * 3 + tap / 3]].repeat(3));
    let weights = Tensor::upload(cx.gpu(), [3, 3, 3, 2], &weights.collect::<Vec<f32>>());
    mean_absolute(cx, &steepness(cx, a, &weights)?, &steepness(cx, b, &weights)?)
}

/// √(u² + v² + 10⁻⁶) of two halves of channels u and v that `weights [3, 3, 3, 2·C]` make of the first three.
fn steepness(cx: &Cx, image: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let rgb = slice_last(cx, image, 0..3)?;
    let both = conv2d(cx, &rgb, weights, Window::same(3), &Epilogue::default())?;
    let squares = mul(cx, &both, &both)?;
    let half = squares.shape().last() / 2;
    let (u, v) = (slice_last(cx, &squares, 0..half)?, slice_last(cx, &squares, half..2 * half)?);
    let least = Tensor::upload(cx.gpu(), [1], &[LEAST]);
    sqrt(cx, &add(cx, &add(cx, &u, &v)?, &least)?)
}
