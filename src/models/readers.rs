//! Which networks read words.

use super::recognizer::WordRecognizer;
use super::{ModelKind, abinet, aster, crnn, matrn, moran, parseq};
use crate::Result;
use crate::data::checkpoint::StateDict;
use crate::gpu::Gpu;
use std::sync::Arc;

/// Loads a recognizer from its state dict.
type Load = fn(&Gpu, &StateDict) -> Result<Arc<dyn WordRecognizer>>;

/// The networks that read.
const RECOGNIZERS: &[(ModelKind, Load)] = &[
    (ModelKind::Abinet, |gpu, state| Ok(Arc::new(abinet::Network::load(gpu, state)?))),
    (ModelKind::Crnn, |gpu, state| Ok(Arc::new(crnn::Network::load(gpu, state)?))),
    (ModelKind::Aster, |gpu, state| Ok(Arc::new(aster::Network::load(gpu, state)?))),
    (ModelKind::Moran, |gpu, state| Ok(Arc::new(moran::Network::load(gpu, state)?))),
    (ModelKind::Parseq, |gpu, state| Ok(Arc::new(parseq::Network::load(gpu, state)?))),
    (ModelKind::Matrn, |gpu, state| Ok(Arc::new(matrn::Network::load(gpu, state)?))),
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
    let network = load(gpu, state).map_err(|e| e.within(place))?;
    Ok((kind, network))
}
