//! Layers: named parameters and how they act on tensors.
//!
//! A [`Scope`] is a path; the same path is the key in the checkpoint, the place in an error, the label of a timing and the
//! name of a traced activation. Layers know no model and no file.

mod annotated;
mod attention;
mod conv;
mod excitation;
mod linear;
mod norm;
mod parameters;
mod recurrent;
mod residual;
mod scope;

pub use annotated::{LinearHeads, PositionwiseFeedForward};
pub use attention::{DecoderLayer, EncoderLayer, MultiHead, TransformerConfig};
pub use conv::{Conv, ConvNorm};
pub use excitation::Excitation;
pub use linear::Linear;
pub use norm::{BatchNorm, LayerNorm};
pub use parameters::{Parameter, Parameters};
pub use recurrent::{BiGru, BiLstm, GruCell, LstmLinear};
pub use residual::ResidualBlock;
pub use scope::{OPTIMIZER, Scope, Source, Weights};
