//! What comes back of super-resolving an image.

use crate::data::picture::{Map, Plan, RgbImage};
use crate::models::Reading;

/// What to bring back to the host beside the images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What is written there.
    pub text: bool,
    /// Where characters are: the location attention, every character's map, and the selected positions.
    pub attention: bool,
}

/// The result for one window of 16×64 pixels.
#[derive(Debug, Clone)]
pub struct WindowResult {
    /// `[32, 128, 4]`, channels-last: RGB towards [0, 1] and the mask.
    pub image: Vec<f32>,
    /// What is written there, if wanted.
    pub reading: Option<Reading>,
    /// The attention, if wanted.
    pub attention: Option<Attention>,
}

/// Where characters are in one window of 16×64 pixels.
#[derive(Debug, Clone)]
pub struct Attention {
    /// `[16, 64]`: the largest valid attention at each pixel.
    pub score: Vec<f32>,
    /// `[T, 16, 64]`: each character's map.
    pub characters: Vec<f32>,
    /// `[16, 64]`: 1 at the positions that the network selected, else 0.
    pub selected: Vec<f32>,
}

/// A super-resolved image.
#[derive(Debug, Clone)]
pub struct Upscaled {
    /// The image.
    pub image: RgbImage,
    /// What is written there; empty unless [`Wanted::text`].
    pub text: String,
    /// Geometric mean of the characters' probabilities; 0 unless [`Wanted::text`].
    pub confidence: f32,
    /// The reading character by character, if wanted.
    pub reading: Option<Reading>,
    /// The location attention over the image, if wanted.
    pub attention: Option<Map>,
    /// How the image was cut, and the windows' own results.
    pub plan: Plan,
    /// One result for each window of the plan.
    pub windows: Vec<WindowResult>,
}
