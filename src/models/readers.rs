//! Which networks read words.

use super::abinet::AbinetConfig;
use super::recognizer::WordRecognizer;
use super::{ModelKind, abinet, aster, crnn, matrn, moran, parseq};
use crate::Result;
use crate::data::checkpoint::StateDict;
use crate::gpu::Gpu;
use crate::nn::Source;
use std::sync::Arc;

/// Loads a recognizer; of those whose sizes differ, in the sizes of a state dict, or else the official ones.
type Load = fn(&Gpu, &dyn Source, Option<&StateDict>) -> Result<Arc<dyn WordRecognizer>>;

/// The networks that read.
const RECOGNIZERS: &[(ModelKind, Load)] = &[
    (ModelKind::Abinet, |gpu, source, state| {
        let network = match state {
            Some(state) => abinet::Network::load(gpu, state)?,
            None => abinet::Network::with_config(gpu, source, AbinetConfig::default())?,
        };
        Ok(Arc::new(network))
    }),
    (ModelKind::Crnn, |gpu, source, _| Ok(Arc::new(crnn::Network::load(gpu, source)?))),
    (ModelKind::Aster, |gpu, source, _| Ok(Arc::new(aster::Network::load(gpu, source)?))),
    (ModelKind::Moran, |gpu, source, _| Ok(Arc::new(moran::Network::load(gpu, source)?))),
    (ModelKind::Parseq, |gpu, source, _| Ok(Arc::new(parseq::Network::load(gpu, source)?))),
    (ModelKind::Matrn, |gpu, source, _| Ok(Arc::new(matrn::Network::load(gpu, source)?))),
];

/// The recognizer that `state` holds, and which it is; errors call the file `place`.
///
/// # Errors
/// [`ErrorKind::Format`](crate::ErrorKind::Format) for the state dict of another network,
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) for tensors that do not fit.
pub fn load_recognizer(
    gpu: &Gpu,
    state: &StateDict,
    place: &str,
) -> Result<(ModelKind, Arc<dyn WordRecognizer>)> {
    let kinds: Vec<ModelKind> = RECOGNIZERS.iter().map(|(kind, _)| *kind).collect();
    let kind = ModelKind::expect_one_of(&kinds, state, place)?;
    let (_, load) = RECOGNIZERS.iter().find(|(k, _)| *k == kind).expect("one of these kinds");
    let network = load(gpu, state, Some(state)).map_err(|e| e.within(place))?;
    Ok((kind, network))
}

impl ModelKind {
    /// Whether it reads words.
    pub fn reads(self) -> bool {
        RECOGNIZERS.iter().any(|(kind, _)| *kind == self)
    }

    /// The recognizer of its official sizes with weights of `source`; nothing of a network that reads no words.
    pub fn reader(self, gpu: &Gpu, source: &dyn Source) -> Option<Result<Arc<dyn WordRecognizer>>> {
        let (_, load) = RECOGNIZERS.iter().find(|(kind, _)| *kind == self)?;
        Some(load(gpu, source, None))
    }
}
