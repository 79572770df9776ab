//! Host data: checkpoint files, pictures, words to train on, measures of a result, and reports on it. Knows files and bytes;
//! knows nothing of the GPU.

#[cfg(feature = "train")]
pub mod augment;
pub mod checkpoint;
#[cfg(feature = "synth")]
pub mod confusion;
#[cfg(feature = "synth")]
pub mod degrade;
#[cfg(feature = "synth")]
mod float_image;
#[cfg(feature = "synth")]
pub mod letters;
#[cfg(feature = "train")]
pub mod lmdb;
#[cfg(feature = "train")]
pub mod metrics;
#[cfg(feature = "train")]
pub mod ordered;
pub mod part;
pub mod picture;
pub mod random;
#[cfg(feature = "train")]
pub mod report;
pub mod spelling;
#[cfg(feature = "synth")]
pub mod synth;
#[cfg(feature = "train")]
pub mod words;
