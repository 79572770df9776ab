//! Host data: checkpoint files, pictures and character sets. Knows files and bytes; knows nothing of the GPU.

pub mod checkpoint;
pub mod picture;
