//! SRCNN (Dong et al., 2014) as TextZoom has it: nearest-neighbor enlargement, then three convolutions.

use super::recipe::Recipe;
use super::textzoom::{HIGH, expect_low};
use super::word::{Build, WordNetwork};
use crate::Result;
use crate::nn::{Conv, Scope};
use crate::ops::{Act, Filter, activate, resize};
use crate::shape::Window;
use crate::tensor::{Axes, Cx, Tensor};

/// Channels of input and output.
const PLANES: usize = 3;

/// How it is built; its sizes are fixed.
pub(crate) const BUILD: Build = |s, _, _| Ok(Box::new(Network::build(s)));

pub(crate) const RECIPE: Recipe = Recipe { key: "srcnn", rules: &[], suffixes: &[] };

/// SRCNN on a device.
pub struct Network {
    convs: [Conv; 3],
}

impl Network {
    /// Loads `conv1` to `conv3`.
    pub fn build(s: &Scope) -> Self {
        let layers = [(1, PLANES, 64, 9), (2, 64, 32, 1), (3, 32, PLANES, 5)];
        Network {
            convs: layers.map(|(i, input, output, k)| {
                Conv::load(&s.at(format!("conv{i}")), input, output, Window::same(k), true)
            }),
        }
    }
}

impl WordNetwork for Network {
    fn planes(&self) -> usize {
        PLANES
    }

    fn enlarge(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        expect_low("srcnn", image, PLANES)?;
        let [patches, mapping, last] = &self.convs;
        let x = resize(cx, image, HIGH, Filter::Nearest, false)?;
        let x = activate(cx, &patches.forward(cx, &x)?, Act::Relu)?;
        cx.tap("relu1", "", &x, Axes::Image);
        let x = activate(cx, &mapping.forward(cx, &x)?, Act::Relu)?;
        cx.tap("relu2", "", &x, Axes::Image);
        cx.in_full(|cx| {
            let y = last.forward(cx, &x)?;
            cx.value("", "sr", &y, Axes::Image);
            Ok(y)
        })
    }
}
