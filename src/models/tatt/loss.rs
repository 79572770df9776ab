//! What TATT is trained on: images and their slopes, that the recognizer which guides it reads like one that sees the truth, and
//! that it treats a turned word as it treats a straight one.

use super::Network;
use crate::Result;
use crate::models::crnn;
use crate::models::objective::Objective;
use crate::models::text_prior::{Distillation, distill};
use crate::models::textzoom::straighten;
use crate::models::word::WordNetwork;
use crate::ops::{Epilogue, add, conv2d, grid_sample, mean_to, mul, reciprocal, scale};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// How the images of a batch are turned.
pub struct Turns {
    /// Angles in radians.
    pub arcs: Vec<f32>,
    /// Numbers in [0, 1) that make the turned images wider or higher.
    pub stretches: Vec<f32>,
}

impl Turns {
    /// Places in [−1, 1] to sample images of `h`×`w` at, `[N, h, w, 2]`, that turn them forth or back.
    fn grid(&self, cx: &Cx, h: usize, w: usize, forth: bool) -> Tensor {
        let middle = |i: usize, n: usize| (2 * i + 1) as f64 / n as f64 - 1.0;
        let mut places = Vec::with_capacity(self.arcs.len() * h * w * 2);
        for (arc, stretch) in self.arcs.iter().zip(&self.stretches) {
            let aspect = h as f64 / w as f64 - 0.2 + 0.4 * f64::from(*stretch);
            let arc = if forth { f64::from(*arc) } else { -f64::from(*arc) };
            for i in 0..h * w {
                let (x, y) = (middle(i % w, w), middle(i / w, h));
                places.push((x * arc.cos() + y * aspect * arc.sin()) as f32);
                places.push((y * arc.cos() - x * arc.sin() / aspect) as f32);
            }
        }
        Tensor::upload(cx.gpu(), [self.arcs.len(), h, w, 2], &places)
    }

    fn turn(&self, cx: &Cx, images: &Tensor, forth: bool) -> Result<Tensor> {
        let [_, h, w, _] = images.shape().nhwc("turn")?;
        grid_sample(cx, images, &self.grid(cx, h, w, forth))
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
    /// The loss of `lr [N, 16, 64, planes]` against `hr [N, 32, 128, planes]`, both turned first. The network is guided by what
    /// `student` reads, which learns from the `teacher` alone.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn loss(
        &self,
        cx: &Cx,
        [student, teacher]: [&crnn::Network; 2],
        [lr, hr]: [&Tensor; 2],
        turns: &Turns,
    ) -> Result<Loss> {
        let lr = turns.turn(cx, lr, true)?;
        let hr = turns.turn(cx, hr, true)?;
        let back = turns.turn(cx, &lr, false)?;
        let Distillation { loss: distill, student, .. } =
            distill(cx, [student, teacher], &lr, &hr)?;
        let prior = student.detached();
        let sr = self.guided(cx, &straighten(cx, self.warp(), &lr)?, &prior)?;
        let straight = self.guided(cx, &straighten(cx, self.warp(), &back)?, &prior)?;
        let turned = turns.turn(cx, &straight, true)?;
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
