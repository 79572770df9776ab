//! What all networks have in common that super-resolve a word.

use super::crnn;
use super::textzoom::{SpatialTransformer, straighten};
use crate::Result;
use crate::data::checkpoint::StateDict;
use crate::gpu::Gpu;
use crate::nn::{Parameters, Scope, Source, Weights};
use crate::tensor::{Cx, Tensor};

/// A network that makes a word image of 32×128 pixels of one of 16×64.
pub trait WordNetwork: Send + Sync {
    /// Channels of input and output: 3, or 4 with the mask of dark pixels.
    fn planes(&self) -> usize;

    /// The value of white in input and output.
    fn white(&self) -> f32 {
        1.0
    }

    /// Lets `reader`, which reads the poor image, guide the network; one that nobody guides has no use for it.
    fn guide(&mut self, reader: crnn::Network) {
        drop(reader);
    }

    /// The spatial transformer that straightens words in training, if it was loaded.
    fn warp(&self) -> Option<&SpatialTransformer> {
        None
    }

    /// Super-resolves `image [N, 16, 64, planes]`, which is straight already, to `[N, 32, 128, planes]`; nothing is clamped.
    ///
    /// # Errors
    /// Another shape.
    fn enlarge(&self, cx: &Cx, image: &Tensor) -> Result<Tensor>;

    /// Super-resolves `image [N, 16, 64, planes]`, which in training is straightened first.
    ///
    /// # Errors
    /// Another shape.
    fn super_resolve(&self, cx: &Cx, image: &Tensor) -> Result<Tensor> {
        self.enlarge(cx, &straighten(cx, self.warp(), image)?)
    }
}

/// A network in memory.
pub type Boxed = Box<dyn WordNetwork>;

/// Builds a network of the sizes that a state dict tells, or of the official ones; with its spatial transformer where this use
/// of it warps.
pub(crate) type Build = fn(&Scope, Option<&StateDict>, bool) -> Result<Boxed>;

/// How a network is loaded.
#[derive(Clone, Copy)]
pub struct Loading<'a> {
    /// Its weights.
    pub source: &'a dyn Source,
    /// The state dict that tells its sizes; without one they are the official ones.
    pub sizes: Option<&'a StateDict>,
    /// Whether its spatial transformer is loaded too.
    pub warps: bool,
    /// For training: which parameters are frozen.
    pub frozen: Option<&'a dyn Fn(&str) -> bool>,
}

impl<'a> Loading<'a> {
    /// A state dict, for inference.
    pub fn of(state: &'a StateDict) -> Self {
        Loading { source: state, sizes: Some(state), warps: false, frozen: None }
    }

    /// Loads the network that `build` makes, which errors call `place`.
    pub(crate) fn load(self, gpu: &Gpu, place: &str, build: Build) -> Result<(Boxed, Parameters)> {
        Weights::load(gpu, self.source, self.frozen, place, |s| build(s, self.sizes, self.warps))
    }
}
