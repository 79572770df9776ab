//! MORAN's rectifier: a small network says by how much each part of the image is to be shifted up or down, twice.

use crate::Result;
use crate::nn::{ConvNorm, Scope};
use crate::ops::{Act, Epilogue, activate, add, grid_sample, linear, max_pool, repeat, scale};
use crate::shape::Window;
use crate::tensor::{Cx, Tensor};

/// Number of each convolution, its channels, and whether a pooling comes before it.
const LAYERS: [(usize, [usize; 2], bool); 5] = [
    (1, [1, 64], true),
    (5, [64, 128], true),
    (9, [128, 64], true),
    (12, [64, 16], false),
    (15, [16, 1], false),
];
/// Height and width of the image.
const SIZE: (usize, usize) = (32, 100);

/// The layers.
pub(super) struct Rectifier {
    layers: Vec<(ConvNorm, bool)>,
    /// Where each pixel of the image lies from −1 to 1, as (x, y), `[32, 100, 2]`.
    base: Tensor,
    /// What makes a shift of a place: (0, 1).
    down: Tensor,
}

impl Rectifier {
    /// Loads `1` to `16` of the list of layers.
    pub(super) fn load(s: &Scope) -> Self {
        let layer = |(i, [input, output], pools): (usize, [usize; 2], bool)| {
            let window = Window::same(3);
            (ConvNorm::load(&s.at(i), &s.at(i + 1), input, output, window, true), pools)
        };
        let place = |i: usize, size: usize| 2.0 * i as f32 / (size - 1) as f32 - 1.0;
        let places = (0..SIZE.0 * SIZE.1)
            .flat_map(|i| [place(i % SIZE.1, SIZE.1), place(i / SIZE.1, SIZE.0)]);
        Rectifier {
            layers: LAYERS.map(layer).into(),
            base: Tensor::upload(s.gpu(), [SIZE.0, SIZE.1, 2], &places.collect::<Vec<_>>()),
            down: Tensor::upload(s.gpu(), [1, 2], &[0.0, 1.0]),
        }
    }

    /// `image [N, 32, 100, 1]`, straightened.
    pub(super) fn forward(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        let n = image.dims()[0];
        let base = repeat(cx, &self.base.reshape([1, SIZE.0, SIZE.1, 2])?, n)?;
        // Shifts of the parts of an image, for each pixel.
        let shifts = |image: &Tensor| grid_sample(cx, &self.offsets(cx, image)?, &base);
        let shifted = |by: &Tensor| {
            let ep = Epilogue::default().residual(&self.base);
            grid_sample(cx, image, &linear(cx, by, &self.down, &ep)?)
        };
        let first = shifts(image)?;
        let both = add(cx, &first, &shifts(&shifted(&first)?)?)?;
        shifted(&both)
    }

    /// By how much the parts of `image [N, 32, 100, 1]` are to be shifted, `[N, 3, 11, 1]`: of neighbors the farthest up, less the
    /// farthest down.
    fn offsets(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        let mut x = image.clone();
        for (i, (layer, pools)) in self.layers.iter().enumerate() {
            if *pools {
                x = max_pool(cx, &x, Window::pool(2, 2))?;
            }
            x = layer.forward(cx, &x)?;
            if i + 1 < self.layers.len() {
                x = activate(cx, &x, Act::Relu)?;
            }
        }
        let most = |x: &Tensor| {
            max_pool(cx, &activate(cx, x, Act::Relu)?, Window::pool(2, 2).strided(1, 1))
        };
        let (up, down) = (most(&x)?, most(&scale(cx, &x, -1.0)?)?);
        add(cx, &up, &scale(cx, &down, -1.0)?)
    }
}
