//! Evaluations of a network in training, on a few fixed images.

use super::watch::Evaluation;
use crate::Result;
use crate::data::degrade::Degradation;
use crate::data::metrics::{Fidelity, Values};
use crate::data::picture::{RgbImage, bicubic, to_rgb8};
use crate::data::words::{Batch, Loader, LoaderOptions, Mix, Order, Rules};
use crate::gpu::Gpu;
use crate::models::lemma::{HIGH, LOW, PLANES};
use crate::tensor::Tensor;
use crate::train::{Stage, TrainConfig, Trainee};
use std::sync::Arc;

/// Images that are looked at.
const IMAGES: usize = 64;
/// Images of the sheet.
const SHOWN: usize = 12;

/// Fixed images, and what to do with them.
pub struct Validation {
    batch: Batch,
    stage: Stage,
}

impl Validation {
    /// The first images of a source, in its order.
    ///
    /// # Errors
    /// A source that cannot be read, or holds no image that can be used.
    pub fn new(source: &str, config: &TrainConfig) -> Result<Self> {
        let mix = Arc::new(Mix::open(&[source])?);
        let options = LoaderOptions {
            batch: IMAGES,
            seed: 0,
            order: Order::Once,
            rules: Rules::ABINET,
            degradation: Degradation::Camera,
            augment: None,
            threads: 1,
            ahead: 1,
        };
        let first = Loader::new(mix, options)?.next();
        let batch = first.unwrap_or_else(|| {
            Err(crate::Error::new(crate::ErrorKind::Format, source, "no image that can be used"))
        })?;
        Ok(Validation { batch, stage: config.stage })
    }

    /// Metrics of the network as it is now.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn evaluate(&self, gpu: &Gpu, trainee: &Trainee) -> Result<Option<Evaluation>> {
        let n = self.batch.len();
        if n == 0 {
            return Ok(None);
        }
        if self.stage == Stage::Lemma {
            let lr = Tensor::upload(gpu, [n, LOW.0, LOW.1, PLANES], &self.batch.lr);
            let Some(sr) = trainee.enlarge(&lr)? else { return Ok(None) };
            let sr = sr.to_host(gpu)?.to_f32();
            let values = |data| Values { data, channels: PLANES };
            let one = HIGH.0 * HIGH.1 * PLANES;
            let pairs = sr.chunks_exact(one).zip(self.batch.hr.chunks_exact(one));
            let each = pairs.map(|(a, b)| Fidelity::of(values(a), values(b), HIGH.1));
            let found = Fidelity::mean(&each.collect::<Vec<_>>());
            return Ok(Some(Evaluation {
                values: vec![("psnr", found.psnr()), ("ssim", found.ssim)],
                // Weights that give no picture are shown by their figures.
                sheet: self.sheet(&sr).ok(),
            }));
        }
        let Some(classes) = trainee.read(&self.batch)? else { return Ok(None) };
        let classes = classes.to_host(gpu)?.to_u32();
        let steps = classes.len() / n;
        let right = classes.chunks_exact(steps).zip(&self.batch.labels).filter(|(got, want)| {
            let end = |ids: &mut dyn Iterator<Item = u32>| {
                ids.take_while(|c| *c != 0).collect::<Vec<_>>()
            };
            end(&mut got.iter().copied()) == end(&mut want.ids.iter().map(|c| u32::from(*c)))
        });
        let accuracy = right.count() as f64 / n as f64;
        Ok(Some(Evaluation { values: vec![("accuracy", accuracy)], sheet: None }))
    }

    /// Rows of low resolution, result and high resolution.
    fn sheet(&self, sr: &[f32]) -> Result<RgbImage> {
        let shown = self.batch.len().min(SHOWN);
        let (h, w) = (HIGH.0 as u32, HIGH.1 as u32);
        let gap = 4;
        let mut sheet = RgbImage::from_pixel(
            3 * (w + gap) + gap,
            shown as u32 * (h + gap) + gap,
            image::Rgb([255; 3]),
        );
        for i in 0..shown {
            let y = i64::from(gap + i as u32 * (h + gap));
            let low = picture(&self.batch.lr, i, LOW)?;
            let columns =
                [bicubic(&low, w, h), picture(sr, i, HIGH)?, picture(&self.batch.hr, i, HIGH)?];
            for (k, column) in columns.iter().enumerate() {
                let x = i64::from(gap + k as u32 * (w + gap));
                image::imageops::replace(&mut sheet, column, x, y);
            }
        }
        Ok(sheet)
    }
}

/// Image `i` of values `[N, height, width, 4]`, without its mask.
fn picture(values: &[f32], i: usize, (height, width): (usize, usize)) -> Result<RgbImage> {
    let one = height * width * PLANES;
    to_rgb8(&values[i * one..][..one], width as u32, height as u32, PLANES, "validation image")
}
