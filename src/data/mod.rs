//! Host data: checkpoint files, pictures, words to train on, measures of a result, and reports on it. Knows files and bytes;
//! knows nothing of the GPU.

pub mod augment;
pub mod checkpoint;
pub mod confusion;
pub mod degrade;
pub mod letters;
pub mod lmdb;
pub mod metrics;
pub mod ordered;
pub mod part;
pub mod picture;
mod plane;
pub mod random;
pub mod report;
pub mod synth;
pub mod words;
