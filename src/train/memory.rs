//! What a step takes of the device's memory, and how many images of a batch the device works on at once.

use super::config::TrainConfig;
use super::trainer::Trainer;
use crate::data::words::{Batch, Encoded};
use crate::engine::MemoryPlan;
use crate::models::lemma::{HIGH, LOW, PLANES};
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// How many images of a batch the device works on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MicroBatch {
    /// At most so many.
    pub images: usize,
    /// Whether a step that there is no memory for is taken again with half as many, as long as the network can.
    pub halves: bool,
}

impl MicroBatch {
    /// `images`, whatever happens.
    pub fn fixed(images: usize) -> Self {
        MicroBatch { images, halves: false }
    }

    /// Checks that every part of a batch has as many images as the network needs.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] where one has fewer.
    pub fn check(&self, batch: usize, config: &TrainConfig) -> Result<()> {
        let fewest = config.fewest_at_once();
        let least = match batch % self.images.clamp(1, batch.max(1)) {
            0 => self.images.min(batch),
            rest => rest,
        };
        if least >= fewest {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Argument, "training", "images of each part of a batch")
            .expected(format!("at least {fewest} in every part of a batch of {batch}"))
            .got(format!("a part of {least}"))
            .hint("another --micro-batch, another batch, or lemma.stn=false"))
    }

    /// Halves the number for a batch, where it may be halved and every part of the batch still has as many images as the
    /// network needs.
    pub fn halve(&mut self, batch: usize, config: &TrainConfig) -> bool {
        let half = self.images.min(batch).div_ceil(2);
        let fewest = config.fewest_at_once();
        let fits = |part: usize| part == 0 || part >= fewest;
        let can = self.halves && half < self.images.min(batch) && fits(half) && fits(batch % half);
        if can {
            self.images = half;
        }
        can
    }
}

/// The longest word that a recognizer reads.
const WORD: &str = "abcdefghijklmnopqrstuvwxy";

/// Bytes that a step takes which works on `images` at once, by a recording that allocates nothing: `trainer` is on a device
/// opened with [`planning`](crate::gpu::GpuOptions::planning). Words are as long as a recognizer reads, and the places of their
/// characters known. Where the batch has more images, there are two parts, the second of which finds the gradients of the
/// first.
///
/// # Errors
/// [`ErrorKind::Argument`] for a network on a device that computes.
pub fn plan_memory(trainer: &Trainer, images: usize) -> Result<MemoryPlan> {
    let gpu = trainer.gpu();
    if !gpu.options().planning {
        return Err(Error::new(ErrorKind::Argument, "memory", "device of the network")
            .expected("one opened with `planning`")
            .got("one that computes"));
    }
    let character = |i: usize| (i as f32 / WORD.len() as f32, (i + 1) as f32 / WORD.len() as f32);
    let all = if images < trainer.config().batch { 2 * images } else { images };
    let batch = Batch {
        lr: vec![0.0; all * LOW.0 * LOW.1 * PLANES],
        hr: vec![0.0; all * HIGH.0 * HIGH.1 * PLANES],
        labels: vec![Encoded::new(WORD); all],
        characters: vec![(0..WORD.len()).map(character).collect(); all],
        places: Vec::new(),
    };
    trainer.release();
    gpu.trim();
    gpu.reset_memory_peaks();
    let before = gpu.memory().live;
    trainer.step(&batch, images, 0, 1.0)?;
    let after = gpu.memory();
    Ok(MemoryPlan {
        largest: after.largest,
        most: gpu.largest_buffer(),
        parts: vec![
            ("weights and moments", before),
            ("batch, and what the backward needs", after.peak_saved - before),
            ("what the peak has besides", after.peak_allocated - after.peak_saved),
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{Preset, Stage};

    #[test]
    fn parts_are_halved_down_to_what_the_network_needs() {
        let config = |stage| TrainConfig::read(Preset::Nano, stage, "", &[]).unwrap();
        let course = |stage, batch| {
            let mut micro = MicroBatch { images: batch, halves: true };
            let mut all = Vec::new();
            while micro.halve(batch, &config(stage)) {
                all.push(micro.images);
            }
            all
        };
        assert_eq!(course(Stage::Vision, 11), [6, 3, 2, 1]);
        // The transformer before LEMMA normalizes one value of each image.
        assert_eq!(course(Stage::Lemma, 8), [4, 2]);
        assert_eq!(course(Stage::Lemma, 6), [3, 2]);
        assert_eq!(course(Stage::Lemma, 9), [5, 3], "a part of 1 would be left");
        assert_eq!(course(Stage::Lemma, 3), [0; 0]);
        let lemma = config(Stage::Lemma);
        let fits = |images, batch| MicroBatch::fixed(images).check(batch, &lemma).is_ok();
        assert!(fits(3, 8) && fits(8, 8) && fits(64, 8) && fits(2, 4));
        assert!(!fits(1, 8) && !fits(3, 7) && !fits(8, 1));
        assert!(MicroBatch::fixed(1).check(7, &config(Stage::Vision)).is_ok());
        let mut micro = MicroBatch::fixed(8);
        assert!(!micro.halve(8, &config(Stage::Vision)) && micro.images == 8);
        let mut more = MicroBatch { images: 64, halves: true };
        assert!(more.halve(8, &config(Stage::Vision)) && more.images == 4);
    }
}
