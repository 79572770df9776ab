//! Words to train on.

use lemma_gpu::data::words::{Batch, Loader, LoaderOptions, Mix, Rules};
use std::sync::Arc;

/// Words drawn in the fonts of this machine, with the places of their characters.
pub const DRAWN: &str = "synth:count=64,seed=5";

/// A batch of words of a source.
pub fn words(source: &str, count: usize) -> Batch {
    let mix = Mix::open(&[source.to_string()]).expect("words");
    let options =
        LoaderOptions { batch: count, seed: 1, rules: Rules::LEMMA, ..Default::default() };
    let mut loader = Loader::new(Arc::new(mix), options).expect("a loader");
    loader.next().expect("endless").expect("a batch")
}
