//! LEMMA scene-text super-resolution and ABINet text recognition in hand-written WGSL on wgpu.
//!
//! # A tour
//!
//! An [`Engine`] is an open adapter. Models are loaded onto it: [`Lemma`] super-resolves word images and reads them,
//! [`Recognizer`] reads alone. Weights come from the library itself, from a file (safetensors or PyTorch's own containers), or
//! from memory: [`Source`].
//!
//! ```no_run
//! use lemma_gpu::{Engine, Lemma, Source, data::picture, gpu::GpuOptions};
//!
//! let engine = Engine::new(GpuOptions::default())?;
//! let lemma = Lemma::load(&engine, Source::Shipped)?;
//! let photo = picture::decode(&std::fs::read("sign.jpg")?, "sign.jpg")?.image;
//! let result = lemma.upscale(&[photo])?.remove(0);
//! println!("{} ({:.0} %)", result.text, 100.0 * result.confidence);
//! let png = picture::encode(&result.image, picture::Format::Png)?;
//! picture::write_file("sign-readable.png".as_ref(), &png, false)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`Lemma::upscale_with`] takes [`Options`](engine::Options): fit, batch, progress and cancel call-backs.
//! - [`Lemma::upscale_with_async`] is the same for asynchronous programs: the task sleeps while the device computes.
//! - [`Lemma::submit`] starts a pass and returns at once, for pipelines that decode and encode beside the device.
//! - [`Engine::from_wgpu`] shares the wgpu device of a host program; [`Lemma::upscale_on_device`] takes and leaves images there.
//!
//! Nothing here prints, exits the process or keeps global state; every failure is an [`Error`] that says where, what, what was
//! expected and what was there.
//!
//! # Below the face
//!
//! [`models`] are built from [`nn`] layers, these from [`ops`], which bind kernels to [`tensor`]s on the [`gpu`] floor. Each
//! operation is one file with its kernel beside it and an oracle in f64; [`ops::TABLE`] lists them all. An operation appends
//! itself to a pass, a [`Cx`](tensor::Cx); when that is submitted, rules fuse what may be computed in one kernel, and what nobody
//! holds a tensor of is left out. [`engine::trace`] runs a graph with every activation in view, fused or not.
//!
//! # Training and measuring
//!
//! [`data::words`] opens sets of labeled words, stored ones and such as [`data::synth`] draws; a
//! [`Loader`](data::words::Loader) makes batches of them on threads. A [`Trainer`](train::Trainer) is a network with parameters,
//! tape and optimizer: [`step`](train::Trainer::step) takes a batch and changes the weights. [`train::run`] is the loop around it,
//! with checkpoints from which a run goes on; [`train`] lists the settings. An [`eval::Contest`] measures methods on sets of
//! [`Pairs`](eval::Pairs): PSNR, SSIM, and the words that recognizers read right before and after, beside [`eval::published`]
//! figures. [`mod@bench`] measures how fast an adapter is, and where the time goes.
#![warn(missing_docs)]

#[cfg(feature = "train")]
pub mod bench;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
pub mod data;
pub mod engine;
pub mod error;
#[cfg(feature = "train")]
pub mod eval;
pub mod gpu;
mod lower;
pub mod models;
pub mod nn;
pub mod ops;
pub mod shape;
pub mod tensor;
#[cfg(feature = "train")]
pub mod train;

pub use engine::{Engine, Lemma, Recognizer, Source};
pub use error::{Error, ErrorKind, Result};

/// The README's example, compiled with the documentation's.
#[cfg(all(doctest, feature = "cli"))]
#[doc = include_str!("../README.md")]
struct Readme;
