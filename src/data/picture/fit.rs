//! How an image of any shape meets a network that takes one size.
//!
//! An image becomes a *line*, the content at the network's resolution, and windows that cover it:
//! one window that is the line (stretch), one larger than the line (pad), or several overlapping
//! ones (split). A window is the line seen through a frame, of the size that the network takes, at some
//! origin. So a fit is nothing but a line size and a list of origins.

use crate::{Error, ErrorKind, Result};
use std::str::FromStr;

/// Most windows an image is split into; a longer line is squeezed to this many.
pub const MAX_WINDOWS: u32 = 256;

/// How many times its height an image may be wide that is not split.
const WIDEST_STRETCHED: u64 = 4;

/// Most columns between the starts of neighboring windows: they share a quarter of a frame at least.
pub(super) fn stride(frame: (u32, u32)) -> u32 {
    frame.0 - frame.0 / 4
}

/// How an image of another shape than 64×16 meets the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Fit {
    /// Chosen by the shape: words from square to 4:1 are stretched, as the network was trained;
    /// wider ones are split, narrower ones padded. From 4:1 on more words are read exactly in parts than
    /// stretched, as the sweep in `docs/long-lines.md` shows.
    #[default]
    Auto,
    /// Resized to 64×16 whatever the shape, as in the paper; the result is 128×32.
    Stretch,
    /// The aspect is kept inside 64×16, the rest filled with the edge and cut off again.
    Pad,
    /// The aspect is kept at height 16; a line wider than 64 is cut into overlapping windows.
    Split,
}

impl Fit {
    /// All choices.
    pub const ALL: [Fit; 4] = [Fit::Auto, Fit::Stretch, Fit::Pad, Fit::Split];

    /// The choice in one word.
    pub fn name(self) -> &'static str {
        match self {
            Fit::Auto => "auto",
            Fit::Stretch => "stretch",
            Fit::Pad => "pad",
            Fit::Split => "split",
        }
    }

    /// What is done with an image of this size; never [`Fit::Auto`].
    pub(super) fn choose(self, (w, h): (u32, u32)) -> Fit {
        let (w, h) = (u64::from(w), u64::from(h));
        match self {
            Fit::Auto if w > WIDEST_STRETCHED * h => Fit::Split,
            Fit::Auto if w < h => Fit::Pad,
            Fit::Auto => Fit::Stretch,
            chosen => chosen,
        }
    }
}

impl FromStr for Fit {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Fit::ALL.into_iter().find(|fit| fit.name() == name).ok_or_else(|| {
            Error::new(ErrorKind::Argument, "fit", "way to fit an image")
                .expected("auto, stretch, pad or split")
                .got(name)
        })
    }
}

/// Size of the line for an image of `w`×`h` before a `frame`, and whether it had to be squeezed.
pub(super) fn line_size(fit: Fit, frame: (u32, u32), (w, h): (u32, u32)) -> ((u32, u32), bool) {
    let (full_w, full_h) = frame;
    let longest = full_w + (MAX_WINDOWS - 1) * stride(frame);
    // a·b/c rounded, at least 1.
    let scaled = |a: u32, b: u32, c: u32| {
        let (a, b, c) = (u64::from(a), u64::from(b), u64::from(c));
        u32::try_from(((2 * a * b + c) / (2 * c)).max(1)).unwrap_or(u32::MAX)
    };
    match fit {
        Fit::Stretch => (frame, false),
        Fit::Pad if u64::from(w) * u64::from(full_h) > u64::from(h) * u64::from(full_w) => {
            ((full_w, scaled(h, full_w, w)), false)
        }
        Fit::Pad => ((scaled(w, full_h, h), full_h), false),
        Fit::Split | Fit::Auto => {
            let width = scaled(w, full_h, h);
            ((width.min(longest), full_h), width > longest)
        }
    }
}

/// Origins of the windows that cover a line: centered on a shorter one, evenly spread over a longer.
pub(super) fn origins(frame: (u32, u32), (width, height): (u32, u32)) -> Vec<(i64, i64)> {
    let (full_w, full_h) = frame;
    let y = -i64::from((full_h - height) / 2);
    let Some(beyond) = width.checked_sub(full_w) else {
        return vec![(-i64::from((full_w - width) / 2), y)];
    };
    let steps = beyond.div_ceil(stride(frame));
    let start = |i: u32| (2 * i * beyond + steps) / (2 * steps.max(1));
    (0..=steps).map(|i| (i64::from(start(i)), y)).collect()
}
