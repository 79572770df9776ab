//! What is evaluated and who reads: networks, and images that another program made.

use super::made::Made;
use super::pairs::Pairs;
use crate::Result;
use crate::data::picture::{RgbImage, lr_input, rgb_input};
use crate::engine::{Engine, Head, Recognizer, SuperResolver, enlarge};

/// A way to super-resolve, by a name.
pub struct Method {
    name: String,
    maker: Maker,
}

enum Maker {
    Network(SuperResolver),
    Images(Made),
    Bicubic(Engine),
}

/// A recognizer by a name.
pub struct Judge {
    name: String,
    recognizer: Recognizer,
}

impl Method {
    /// A network.
    pub fn network(name: impl Into<String>, network: SuperResolver) -> Self {
        Method { name: name.into(), maker: Maker::Network(network) }
    }

    /// Images that are there already.
    pub fn images(name: impl Into<String>, images: Made) -> Self {
        Method { name: name.into(), maker: Maker::Images(images) }
    }

    /// Bicubic enlargement, as the baseline of PSNR has it.
    pub fn bicubic(name: impl Into<String>, engine: Engine) -> Self {
        Method { name: name.into(), maker: Maker::Bicubic(engine) }
    }

    /// What tables call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The images `[n, 32, 128, 3]`, not clamped, of samples of a set by their poor images of 64×16 pixels.
    pub(super) fn make(
        &self,
        set: &Pairs,
        samples: &[usize],
        lr: &[&RgbImage],
    ) -> Result<Vec<f32>> {
        match &self.maker {
            Maker::Network(network) => {
                let values: Vec<f32> = lr.iter().flat_map(|image| lr_input(image)).collect();
                network.super_resolve(&values)
            }
            Maker::Bicubic(engine) => {
                let values: Vec<f32> = lr.iter().flat_map(|image| rgb_input(image)).collect();
                enlarge(engine, &values)
            }
            Maker::Images(made) => {
                let mut values = Vec::new();
                for i in samples {
                    values.extend(rgb_input(&made.get(set, *i)?));
                }
                Ok(values)
            }
        }
    }
}

impl Judge {
    /// A recognizer that reads.
    pub fn new(name: impl Into<String>, recognizer: Recognizer) -> Self {
        Judge { name: name.into(), recognizer }
    }

    /// What tables call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it reads in `values [n, height, width, 3]` of images of `size`, width first.
    pub(super) fn read(&self, values: &[f32], size: (u32, u32)) -> Result<Vec<String>> {
        let size = (size.1 as usize, size.0 as usize);
        let readings = self.recognizer.read_values(values, size, Head::Fusion)?;
        Ok(readings.into_iter().map(|r| r.text()).collect())
    }
}
