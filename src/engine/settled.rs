//! Sizes, switches and characters of weights: from their metadata, from a caller who knows them, from weights that ship and
//! are the same, or, for the sizes of the released networks, from the shapes of tensors.

use super::{ModelKind, recognize, upscale};
use crate::data::checkpoint::StateDict;
use crate::models::abinet::{AbinetConfig, Shaped, unknown};
use crate::models::lemma::LemmaConfig;
use crate::models::{abinet, lemma};
use crate::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Metadata key of the configuration.
const CONFIG: &str = "config";

/// What a caller knows of weights.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Sizes and switches as the metadata key `config` has them, all or some; they go over what the file says.
    pub config: Option<Value>,
    /// Characters of classes 1, 2, ….
    pub charset: Option<String>,
}

/// Puts the whole configuration of LEMMA or ABINet into the metadata of its weights, which then need nothing else. Returns
/// what was taken for granted, a line each; other weights are left as they are.
///
/// # Errors
/// [`ErrorKind::Format`] where a size cannot be known, for a key that no configuration has, and for sizes that make no
/// network; [`ErrorKind::Argument`] when something is given for weights that have no configuration.
///
/// ```
/// use lemma_gpu::data::checkpoint::StateDict;
/// use lemma_gpu::engine::{Given, settle};
/// let mut state = StateDict::read("weights/abinet-nano.safetensors")?;
/// state.metadata.clear();
/// let notes = settle(&mut state, &Given::default())?;
/// assert!(notes[0].contains("as in the weights that ship"));
/// assert!(state.metadata["config"].contains("\"nhead\":2"));
/// # Ok::<(), lemma_gpu::Error>(())
/// ```
pub fn settle(state: &mut StateDict, given: &Given) -> Result<Vec<String>> {
    match ModelKind::of(state) {
        Some(ModelKind::Lemma) => {
            let shapes = |state: &StateDict| LemmaConfig::from_shapes(state);
            fill::<LemmaConfig>(state, given, "/position_prior", upscale::SHIPPED, shapes, |c| {
                c.check()
            })
        }
        Some(ModelKind::Abinet) => {
            let shapes = |state: &StateDict| AbinetConfig::from_shapes(state, "");
            fill::<AbinetConfig>(state, given, "", recognize::SHIPPED, shapes, |c| c.check())
        }
        _ if given.config.is_some() || given.charset.is_some() => Err(Error::new(
            ErrorKind::Argument,
            "weights",
            "a configuration or characters for them",
        )
        .expected("weights of LEMMA or ABINet")
        .got(ModelKind::of(state).map_or("others", ModelKind::name))),
        _ => Ok(Vec::new()),
    }
}

/// The configuration of settled weights, as JSON to read and to change.
///
/// # Errors
/// As [`settle`]; [`ErrorKind::Format`] for weights that have none.
pub fn configuration(state: &StateDict) -> Result<Value> {
    let json = match ModelKind::of(state) {
        Some(ModelKind::Lemma) => serde_json::to_value(lemma::Network::config_of(state)?),
        Some(ModelKind::Abinet) => serde_json::to_value(abinet::Network::config_of(state)?),
        _ => {
            return Err(Error::new(ErrorKind::Format, "weights", "a configuration")
                .expected("weights of LEMMA or ABINet"));
        }
    };
    Ok(json.expect("a configuration is plain data"))
}

fn fill<C: Serialize + DeserializeOwned>(
    state: &mut StateDict,
    given: &Given,
    recognizer: &str,
    shipped: &[u8],
    from_shapes: impl Fn(&StateDict) -> Result<Shaped<C>>,
    check: impl Fn(&C) -> Result<()>,
) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    let (mut config, mut open, mut assumed) = known(state, shipped, &mut notes, from_shapes)?;
    if let Some(over) = &given.config {
        lay_over(&mut config, over, "", &mut |key| {
            open.retain(|k| k != key);
            assumed.retain(|(k, _)| k != key);
        })?;
    }
    if let Some(charset) = &given.charset {
        config.pointer_mut(recognizer).expect("a recognizer")["charset_chars"] =
            charset.as_str().into();
        let own = |key: &str| key.ends_with("charset_chars");
        open.retain(|key| !own(key));
        assumed.retain(|(key, _)| !own(key));
    }
    if !open.is_empty() {
        return Err(unknown(&open));
    }
    if !assumed.is_empty() {
        let list = assumed.iter().map(|(key, value)| format!("{key} {value}"));
        let list = list.collect::<Vec<_>>().join(", ");
        notes.push(format!("no configuration in it; as in the released network: {list}"));
    }
    let config: C = serde_json::from_value(config)
        .map_err(|e| Error::new(ErrorKind::Format, "configuration", e))?;
    check(&config)?;
    let text = serde_json::to_string(&config).expect("a configuration is plain data");
    state.metadata.insert(CONFIG.into(), text);
    Ok(notes)
}

/// A configuration, the keys that it leaves open, and what it takes to be as in the released network.
type Known = (Value, Vec<String>, Vec<(String, String)>);

/// What can be known of weights by themselves.
fn known<C: Serialize + DeserializeOwned>(
    state: &StateDict,
    shipped: &[u8],
    notes: &mut Vec<String>,
    from_shapes: impl Fn(&StateDict) -> Result<Shaped<C>>,
) -> Result<Known> {
    let value = |config: &C| serde_json::to_value(config).expect("a configuration is plain data");
    let metadata = |text: &str| {
        let config = serde_json::from_str::<C>(text).map_err(|e| {
            Error::new(ErrorKind::Format, "weights", format!("metadata key {CONFIG}: {e}"))
        });
        config.map(|config| (value(&config), Vec::new(), Vec::new()))
    };
    if let Some(text) = state.metadata.get(CONFIG) {
        return metadata(text);
    }
    let ours = StateDict::from_bytes("shipped weights", shipped)?;
    if ours.tensors == state.tensors {
        notes.push(
            "no configuration in it; it is as in the weights that ship, which these are".into(),
        );
        return metadata(&ours.metadata[CONFIG]);
    }
    let shaped = from_shapes(state)?;
    Ok((value(&shaped.config), shaped.unknown, shaped.assumed))
}

/// Sets in `base` what `over` has, and tells the key of each value. A key that is not there is a slip.
fn lay_over(base: &mut Value, over: &Value, at: &str, set: &mut impl FnMut(&str)) -> Result<()> {
    let (Value::Object(base), Value::Object(over)) = (&mut *base, over) else {
        *base = over.clone();
        set(at);
        return Ok(());
    };
    for (key, value) in over {
        let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
        let known = base.keys().cloned().collect::<Vec<_>>().join(", ");
        let Some(own) = base.get_mut(key) else {
            return Err(Error::new(ErrorKind::Format, "configuration", "a key of it")
                .expected(known)
                .got(path));
        };
        lay_over(own, value, &path, set)?;
    }
    Ok(())
}
