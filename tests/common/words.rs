//! Words to train on.

use lemma_gpu::data::words::{Batch, Loader, LoaderOptions, Mix, Rules};
use std::sync::Arc;

/// A batch of drawn words.
pub fn words(count: usize) -> Batch {
    let mix = Mix::open(&[format!("synth:count={count},seed=5")]).expect("drawn words");
    let options =
        LoaderOptions { batch: count, seed: 1, rules: Rules::LEMMA, ..Default::default() };
    let mut loader = Loader::new(Arc::new(mix), options).expect("a loader");
    loader.next().expect("endless").expect("a batch")
}
