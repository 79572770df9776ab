//! Pictures: everything between an image file and the network's input, and between its output and
//! an image file.
//!
//! ```text
//! file ── decode ──▶ RgbImage ── Plan::new ──▶ windows 64×16 ── lr_input ──▶ [16, 64, 4] ─┐
//!                                                                                         network
//! file ◀── encode, write_file ── RgbImage ◀── Plan::assemble ◀────────────── [32, 128, C] ┘
//! ```
//!
//! [`Plan`] is where any image becomes windows of the one size the network takes and where the
//! results become one image again. [`Sheet`], [`character_maps`] and [`selection`] draw figures for
//! people. Arithmetic that decides numbers follows the reference to the bit: resizing and luma are
//! Pillow's ([`bicubic`], [`luma`]).
//!
//! Values are channels-last. Nothing here knows the network, a device or a terminal.

mod canvas;
mod contact;
mod decode;
mod encode;
mod fit;
mod ground;
mod heat;
mod jpeg;
mod kind;
mod maps;
mod mask;
mod pages;
mod pillow;
mod plan;
mod raw;
mod room;
mod sheet;
mod text;
mod tiff;
mod values;

pub use contact::{Pair, contact_sheet};
pub use decode::{Decoded, MAX_PIXELS, decode, decode_and};
pub use encode::{Format, encode, write_file};
pub use fit::{Fit, MAX_WINDOWS};
pub use heat::{Map, inferno};
pub use image::RgbImage;
pub use kind::{Kind, Unread};
pub use maps::{character_maps, selection};
pub use mask::{lr_input, mask, rgb_input};
pub use pillow::{bicubic, luma};
pub use plan::Plan;
pub use raw::{PixelFormat, from_pixels, pixels_len};
pub use sheet::{Reading, Sheet};
#[cfg(feature = "synth")]
pub(super) use text::EMBEDDED;
pub use values::{check_not_flat, is_blank, to_rgb8};

/// Width and height of the network's input.
pub const LR_SIZE: (u32, u32) = (64, 16);

/// Factor of the super-resolution.
pub const SCALE: u32 = 2;
