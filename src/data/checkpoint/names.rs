//! Names of tensors as their model has them: what wrappers of a module put before all of them is taken off.

use super::{HostTensor, StateDict};
use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What wrappers put before every name: `DataParallel`, `torch.compile`, Lightning, and training loops for two networks.
const PREFIXES: [&str; 4] = ["module.", "_orig_mod.", "model.", "netG."];

/// What `torch.compile` puts into the names of a part that was compiled by itself.
const COMPILED: &str = "_orig_mod.";

/// Most of these that are taken off one after the other: more than anybody wraps, and no work to speak of.
const MOST: usize = 8;

/// What `AveragedModel` counts beside the weights.
const AVERAGED: &str = "n_averaged";

/// Takes off what stands before all names, and keeps only those below `key`, which need not be written out.
///
/// # Errors
/// [`ErrorKind::Format`] when no name is below `key`.
pub(super) fn tidy(mut state: StateDict, key: Option<&str>) -> Result<StateDict> {
    if let Some(key) = key.filter(|key| holds(&state, key)) {
        narrow(&mut state, key);
        strip(&mut state);
        return Ok(state);
    }
    strip(&mut state);
    match key {
        Some(key) if holds(&state, key) => narrow(&mut state, key),
        Some(key) => {
            let place = &state.source.place;
            return Err(Error::new(ErrorKind::Format, place, "the key of the weights")
                .expected("a part of the names in front of a dot, or a dictionary of tensors")
                .got(key));
        }
        None => {}
    }
    Ok(state)
}

fn holds(state: &StateDict, key: &str) -> bool {
    state.tensors.keys().any(|name| inside(name, key).is_some())
}

/// The name below `key`.
fn inside<'n>(name: &'n str, key: &str) -> Option<&'n str> {
    name.strip_prefix(key)?.strip_prefix('.').filter(|rest| !rest.is_empty())
}

/// Keeps what is below `key`; the rest is left out. The configuration of a part is a part of the configuration.
fn narrow(state: &mut StateDict, key: &str) {
    let left = state.tensors.keys().filter(|name| inside(name, key).is_none()).count();
    if left > 0 {
        let what = format!("{left} tensors beside {key}");
        state.source.others.push(("other names".into(), what));
    }
    state.tensors.retain(|name, _| inside(name, key).is_some());
    rename(state, &|name| inside(name, key).unwrap_or(name).to_string());
    state.source.wrappers.push(format!("{key}."));
    if let Some(text) = state.metadata.remove("config") {
        let whole = serde_json::from_str::<serde_json::Value>(&text).ok();
        let part = key.split('.').try_fold(whole.as_ref(), |at, k| Some(at?.get(k)));
        if let Some(part @ serde_json::Value::Object(_)) = part.flatten() {
            state.metadata.insert("config".into(), part.to_string());
        }
    }
    state.metadata.remove("train");
}

fn strip(state: &mut StateDict) {
    let mut stripped = false;
    let counts = |name: &str| name == AVERAGED;
    let without = |prefix: &'static str| {
        move |name: &str| name.strip_prefix(prefix).unwrap_or(name).to_string()
    };
    let prefix = |state: &StateDict| {
        PREFIXES.into_iter().find(|prefix| {
            let mut names = state.tensors.keys().filter(|name| !counts(name)).peekable();
            names.peek().is_some()
                && names.all(|name| name.len() > prefix.len() && name.starts_with(prefix))
                && distinct(&state.tensors, &without(prefix))
        })
    };
    for _ in 0..MOST {
        let Some(prefix) = prefix(state) else { break };
        state.source.wrappers.push(prefix.to_string());
        rename(state, &without(prefix));
        stripped = true;
    }
    if let Some(count) = state.tensors.get(AVERAGED).filter(|_| stripped).cloned() {
        state.tensors.remove(AVERAGED);
        state.source.order.retain(|name| !counts(name));
        let models = count.to_f32().ok().and_then(|n| n.first().copied()).unwrap_or_default();
        state.source.others.push((AVERAGED.into(), format!("{models}")));
    }
    let plain = |name: &str| name.replace(COMPILED, "");
    let within = |name: &&String| name.contains(&format!(".{COMPILED}"));
    if state.tensors.keys().any(|n| within(&n)) && distinct(&state.tensors, &plain) {
        state.source.wrappers.push(format!("{COMPILED} within names"));
        rename(state, &plain);
    }
}

fn distinct(tensors: &BTreeMap<String, HostTensor>, to: &dyn Fn(&str) -> String) -> bool {
    let new: HashSet<String> = tensors.keys().map(|n| to(n)).collect();
    new.len() == tensors.len()
}

/// Gives every tensor another name, which are as many; those that are gone leave the order and the notes.
fn rename(state: &mut StateDict, to: &dyn Fn(&str) -> String) {
    let tensors = std::mem::take(&mut state.tensors);
    let names: HashMap<String, String> = tensors.keys().map(|n| (n.clone(), to(n))).collect();
    state.tensors = tensors.into_iter().map(|(name, t)| (names[&name].clone(), t)).collect();
    let source = &mut state.source;
    source.order = source.order.iter().filter_map(|n| names.get(n).cloned()).collect();
    let notes = std::mem::take(&mut source.notes).into_iter();
    source.notes = notes.filter_map(|(n, note)| Some((names.get(&n)?.clone(), note))).collect();
}
