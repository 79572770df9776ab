//! Evaluations of a network in training, on a few fixed images.

use super::watch::Evaluation;
use crate::data::degrade::Degradation;
use crate::data::metrics::{Fidelity, Values};
use crate::data::picture::{RgbImage, bicubic, to_rgb8};
use crate::data::words::{Batch, Loader, LoaderOptions, Mix, Order, Rules};
use crate::gpu::Gpu;
use crate::models::lemma::{HIGH, LOW, PLANES};
use crate::tensor::Tensor;
use crate::train::{Stage, TrainConfig, Trainer};
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;

/// Images that are looked at.
const IMAGES: usize = 64;
/// Images of the sheet.
const SHOWN: usize = 12;

/// Fixed images, and what to do with them.
pub struct Validation {
    batches: Vec<Batch>,
    stage: Stage,
}

impl Validation {
    /// The first images of a source, in its order, of which the device works on at most `at_once` at once.
    ///
    /// # Errors
    /// A source that holds no image that can be used.
    pub fn new(mix: Arc<Mix>, config: &TrainConfig, at_once: usize) -> Result<Self> {
        let source = mix.names().collect::<Vec<_>>().join(", ");
        let options = LoaderOptions {
            // A power of two, as the number of images is one.
            batch: 1 << at_once.clamp(1, IMAGES).ilog2(),
            seed: 0,
            order: Order::Once,
            rules: Rules::ABINET,
            degradation: Degradation::Camera,
            augment: None,
            threads: 1,
            ahead: 1,
        };
        let loader = Loader::new(mix, options)?.take(IMAGES / options.batch);
        let mut batches = loader.collect::<Result<Vec<Batch>>>()?;
        batches.retain(|batch| !batch.is_empty());
        if batches.is_empty() {
            return Err(Error::new(ErrorKind::Format, source, "no image that can be used"));
        }
        Ok(Validation { batches, stage: config.stage })
    }

    /// Metrics of the network as it is now.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn evaluate(&self, gpu: &Gpu, trainer: &Trainer) -> Result<Option<Evaluation>> {
        if self.stage.super_resolves() {
            return self.fidelity(gpu, trainer);
        }
        let (mut right, mut all) = (0, 0);
        for batch in &self.batches {
            let Some(classes) = trainer.read(batch)? else { return Ok(None) };
            let classes = classes.to_host(gpu)?.to_u32();
            let words = classes.chunks_exact(classes.len() / batch.len());
            let read = words.zip(&batch.labels).filter(|(got, want)| {
                let end = |ids: &mut dyn Iterator<Item = u32>| {
                    ids.take_while(|c| *c != 0).collect::<Vec<_>>()
                };
                end(&mut got.iter().copied()) == end(&mut want.ids.iter().map(|c| u32::from(*c)))
            });
            right += read.count();
            all += batch.len();
        }
        let accuracy = right as f64 / all as f64;
        Ok(Some(Evaluation { values: vec![("accuracy", accuracy)], sheet: None }))
    }

    /// PSNR and SSIM of what the super-resolver makes.
    fn fidelity(&self, gpu: &Gpu, trainer: &Trainer) -> Result<Option<Evaluation>> {
        let one = HIGH.0 * HIGH.1 * PLANES;
        let (mut each, mut shown) = (Vec::new(), Vec::new());
        for batch in &self.batches {
            let lr = Tensor::upload(gpu, [batch.len(), LOW.0, LOW.1, PLANES], &batch.lr);
            let Some(sr) = trainer.enlarge(&lr)? else { return Ok(None) };
            let sr = sr.to_host(gpu)?.to_f32();
            let pairs = sr.chunks_exact(one).zip(batch.hr.chunks_exact(one));
            each.extend(pairs.map(|(a, b)| Fidelity::of(values(a), values(b), HIGH.1)));
            for i in (0..batch.len()).take(SHOWN - shown.len()) {
                // Weights that give no picture are shown by their figures.
                let columns = || -> Result<[RgbImage; 3]> {
                    let low = picture(&batch.lr, i, LOW)?;
                    let low = bicubic(&low, HIGH.1 as u32, HIGH.0 as u32);
                    Ok([low, picture(&sr, i, HIGH)?, picture(&batch.hr, i, HIGH)?])
                };
                shown.push(columns().ok());
            }
        }
        let found = Fidelity::mean(&each);
        let shown: Option<Vec<[RgbImage; 3]>> = shown.into_iter().collect();
        Ok(Some(Evaluation {
            values: vec![("psnr", found.psnr()), ("ssim", found.ssim)],
            sheet: shown.map(|rows| sheet(&rows)),
        }))
    }
}

fn values(data: &[f32]) -> Values<'_> {
    Values { data, channels: PLANES }
}

/// Rows of low resolution, result and high resolution.
fn sheet(rows: &[[RgbImage; 3]]) -> RgbImage {
    let (h, w) = (HIGH.0 as u32, HIGH.1 as u32);
    let gap = 4;
    let mut sheet = RgbImage::from_pixel(
        3 * (w + gap) + gap,
        rows.len() as u32 * (h + gap) + gap,
        image::Rgb([255; 3]),
    );
    for (i, columns) in rows.iter().enumerate() {
        let y = i64::from(gap + i as u32 * (h + gap));
        for (k, column) in columns.iter().enumerate() {
            let x = i64::from(gap + k as u32 * (w + gap));
            image::imageops::replace(&mut sheet, column, x, y);
        }
    }
    sheet
}

/// Image `i` of values `[N, height, width, 4]`, without its mask.
fn picture(values: &[f32], i: usize, (height, width): (usize, usize)) -> Result<RgbImage> {
    let one = height * width * PLANES;
    to_rgb8(&values[i * one..][..one], width as u32, height as u32, PLANES, "validation image")
}
