//! What TATT is trained on: images and their slopes, that the recognizer which guides it reads like one that sees the truth, and
//! that it treats a turned word as it treats a straight one.

use super::Network;
use crate::Result;
use crate::models::crnn;
use crate::models::objective::Objective;
use crate::models::text_prior::{Distillation, distill};
use crate::models::textzoom::{HIGH, LOW, straighten};
use crate::models::word::WordNetwork;
use crate::ops::{Epilogue, add, conv2d, grid_sample, mean_to, mul, reciprocal, scale};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// How an image is turned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Turn {
    /// The angle in radians.
    pub arc: f32,
    /// A number in [0, 1) that makes the turned image wider or higher.
    pub stretch: f32,
}

/// Steepest turn of training.
const STEEPEST: f32 = std::f32::consts::PI * 5.0 / 180.0;

impl Turn {
    /// The turn of training that two numbers tell, of (−1, 1) and [0, 1).
    pub fn of([arc, stretch]: [f32; 2]) -> Self {
        Turn { arc: arc * STEEPEST, stretch }
    }

    /// Places in [−1, 1] to sample an image of `h`×`w` at, `[h, w, 2]`, that turn it forth or back.
    fn places(self, (h, w): (usize, usize), forth: bool) -> impl Iterator<Item = f32> {
        let aspect = h as f64 / w as f64 - 0.2 + 0.4 * f64::from(self.stretch);
        let arc = f64::from(if forth { self.arc } else { -self.arc });
        let middle = |i: usize, n: usize| (2 * i + 1) as f64 / n as f64 - 1.0;
        (0..h * w).flat_map(move |i| {
            let (x, y) = (middle(i % w, w), middle(i / w, h));
            let at =
                [x * arc.cos() + y * aspect * arc.sin(), y * arc.cos() - x * arc.sin() / aspect];
            at.map(|v| v as f32)
        })
    }
}

/// How the images of a batch are turned: where each pixel comes from.
pub struct Turns {
    /// Of poor images, forth and back, `[N, 16, 64, 2]` each.
    low: [Tensor; 2],
    /// Of good images, forth, `[N, 32, 128, 2]`.
    high: Tensor,
}

impl Turns {
    /// Those of `turns`, one an image, which `feed` brings to the device.
    ///
    /// # Errors
    /// Those of `feed`.
    pub fn new(
        turns: &[Turn],
        mut feed: impl FnMut([usize; 4], &[f32]) -> Result<Tensor>,
    ) -> Result<Self> {
        let mut all = |size: (usize, usize), forth: bool| {
            let places: Vec<f32> = turns.iter().flat_map(|turn| turn.places(size, forth)).collect();
            feed([turns.len(), size.0, size.1, 2], &places)
        };
        Ok(Turns { low: [all(LOW, true)?, all(LOW, false)?], high: all(HIGH, true)? })
    }
}

/// The loss of a batch, as it is differentiated, and its parts.
pub struct Loss {
    /// The sum of the parts, one number.
    pub total: Tensor,
    /// Images and their slopes.
    pub image: Tensor,
    /// How the recognizers differ.
    pub distill: Tensor,
    /// How unlike the turned results are.
    pub structure: Tensor,
}

/// Squared differences and the gradient prior.
const IMAGE: Objective = Objective { gradient_prior: 1e-4, ..Objective::SQUARED };
/// Weight of the structure.
const STRUCTURE: f32 = 10.0;

impl Network {
    /// The loss of `lr [N, 16, 64, planes]` against `hr [N, 32, 128, planes]`, both turned first. What the recognizer reads that
    /// guides the network is detached: it learns from the `teacher` alone.
    ///
    /// # Errors
    /// Shapes that do not fit; a network that nobody guides.
    pub fn loss(
        &self,
        cx: &Cx,
        teacher: &crnn::Network,
        [lr, hr]: [&Tensor; 2],
        turns: &Turns,
    ) -> Result<Loss> {
        let student = self.prior.reader()?;
        let Turns { low: [forth, backward], high } = turns;
        let lr = grid_sample(cx, lr, forth)?;
        let hr = grid_sample(cx, hr, high)?;
        let back = grid_sample(cx, &lr, backward)?;
        let Distillation { loss: distill, student, .. } =
            distill(cx, [student, teacher], &lr, &hr)?;
        let prior = student.detached();
        let sr = self.guided(cx, &straighten(cx, self.warp(), &lr)?, &prior)?;
        let straight = self.guided(cx, &straighten(cx, self.warp(), &back)?, &prior)?;
        let turned = grid_sample(cx, &straight, high)?;
        for (name, image) in [("lr", &lr), ("lr_back", &back), ("sr", &sr)] {
            cx.value("rot", name, image, Axes::Image);
        }
        let image = scale(cx, &IMAGE.loss(cx, &sr, &hr, None)?.total, IMAGE.scale)?;
        let distill = scale(cx, &distill, IMAGE.scale)?;
        let alike = triple_similarity(cx, [&turned, &sr, &hr])?;
        let one = Tensor::upload(cx.gpu(), [1], &[STRUCTURE]);
        let structure = add(cx, &scale(cx, &alike, -STRUCTURE)?, &one)?;
        let total = add(cx, &add(cx, &image, &structure)?, &distill)?;
        Ok(Loss { total, image, distill, structure })
    }
}

/// Pixels of the window's side, and its standard deviation.
const SIDE: usize = 11;
const DEVIATION: f64 = 1.5;
/// What keeps quotients finite.
const C1: f32 = 1e-4;
const C2: f32 = 9e-4;

/// How alike three images `[N, H, W, C]` are, 1 for the same: SSIM of all pairs at once, with a Gaussian window of 11×11.
///
/// # Errors
/// Shapes that do not fit.
pub fn triple_similarity(cx: &Cx, images: [&Tensor; 3]) -> Result<Tensor> {
    let channels = images[0].shape().last();
    let window = window(cx, channels);
    let blur = |x: &Tensor| conv2d(cx, x, &window, Window::same(SIDE), &Epilogue::default());
    let sum = |all: [Tensor; 3]| add(cx, &add(cx, &all[0], &all[1])?, &all[2]);
    let less = |a: &Tensor, b: &Tensor| add(cx, a, &scale(cx, b, -1.0)?);
    let means = [blur(images[0])?, blur(images[1])?, blur(images[2])?];
    // Of a pair: the product of the means, and the covariance.
    let pair = |i: usize, j: usize| -> Result<(Tensor, Tensor)> {
        let product = mul(cx, &means[i], &means[j])?;
        let covariance = less(&blur(&mul(cx, images[i], images[j])?)?, &product)?;
        Ok((product, covariance))
    };
    let [(m12, s12), (m23, s23), (m31, s31)] = [pair(0, 1)?, pair(1, 2)?, pair(2, 0)?];
    let [(m1, v1), (m2, v2), (m3, v3)] = [pair(0, 0)?, pair(1, 1)?, pair(2, 2)?];
    let above_zero = |x: Tensor, by: f32| add(cx, &x, &Tensor::upload(cx.gpu(), [1], &[by]));
    let between = [above_zero(sum([m12, m23, m31])?, C1)?, above_zero(sum([s12, s23, s31])?, C2)?];
    let within = [above_zero(sum([m1, m2, m3])?, C1)?, above_zero(sum([v1, v2, v3])?, C2)?];
    let quotient = reciprocal(cx, &mul(cx, &within[0], &within[1])?)?;
    mean_to(cx, &mul(cx, &mul(cx, &between[0], &between[1])?, &quotient)?, [1])
}

/// The weight `[11, 11, C, C]` that blurs each channel by itself; rounded to f32 at each step, as the official code.
fn window(cx: &Cx, channels: usize) -> Tensor {
    let bell = |i: usize| {
        let away = i as f64 - (SIDE / 2) as f64;
        (-away * away / (2.0 * DEVIATION * DEVIATION)).exp() as f32
    };
    let total: f32 = (0..SIDE).map(bell).sum();
    let line: Vec<f32> = (0..SIDE).map(|i| bell(i) / total).collect();
    let taps = (0..SIDE * SIDE).map(|i| line[i / SIDE] * line[i % SIDE]);
    let own = |tap: f32| {
        let each = move |i: usize| if i / channels == i % channels { tap } else { 0.0 };
        (0..channels * channels).map(each)
    };
    let values: Vec<f32> = taps.flat_map(own).collect();
    Tensor::upload(cx.gpu(), [SIDE, SIDE, channels, channels], &values)
}
