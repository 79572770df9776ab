//! Which dictionary of a pickled object holds the weights. Knows no bytes.

use super::Source;
use super::describe::{describe, sizes};
use super::element::Element;
use super::globals::Global;
use super::pickle::Pickle;
use super::value::{Id, Value, View};
use crate::{Error, ErrorKind, Result};
use std::collections::HashSet;

/// Keys that usually hold the weights, with other dictionaries of tensors beside them.
const WRAPPERS: [&str; 8] = [
    "state_dict_G",
    "state_dict",
    "model",
    "net",
    "params",
    "model_state_dict",
    "model_state",
    "network",
];

/// Most dictionaries inside each other that are looked into.
const DEEPEST: usize = 4;

/// Most candidates that an error lists.
const MOST_LISTED: usize = 12;

/// A dictionary of tensors: the keys that lead to it.
struct Candidate<'a> {
    path: Vec<&'a str>,
    id: Id,
    tensors: usize,
}

/// The names and tensors of the dictionary that holds the weights, and what is left of `key` as a part of the names.
pub(super) type Found<'a, 'k> = (Vec<(&'a str, View)>, Option<&'k str>);

/// Finds the weights: below `key` if there is one, else in the only dictionary of tensors. What stands beside them is
/// described in `source`.
pub(super) fn find<'a, 'k>(
    place: &str,
    pickle: &Pickle<'a>,
    key: Option<&'k str>,
    source: &mut Source,
) -> Result<Found<'a, 'k>> {
    if pickle.entries(pickle.root).is_none() {
        return Err(no_dictionary(place, pickle));
    }
    let (start, rest) = match key {
        None => (Candidate { path: Vec::new(), id: pickle.root, tensors: 0 }, None),
        Some(key) => below(place, pickle, key)?,
    };
    let chosen = match rest {
        Some(_) => start,
        None => only(place, pickle, start)?,
    };
    let mut at = pickle.root;
    for key in &chosen.path {
        let inner = entry(pickle, at, key).expect("a path that was walked");
        for &(key, value) in pickle.entries(at).unwrap_or_default() {
            if value != inner {
                source.others.push((named(pickle, key), describe(pickle, value)));
            }
        }
        source.wrappers.push(key.to_string());
        at = inner;
    }
    let mut views = Vec::new();
    for &(key, value) in pickle.entries(chosen.id).unwrap_or_default() {
        match (pickle.text(key), pickle.get(value)) {
            (Some(key), &Value::Tensor(view @ View { element: Element::Read(_), .. })) => {
                views.push((key, view));
            }
            (_, Value::Object(object)) if object.of_tensor => {
                return Err(pickle.foreign[object.class as usize].refused(&pickle.place));
            }
            _ => source.others.push((named(pickle, key), describe(pickle, value))),
        }
    }
    Ok((views, rest))
}

/// The one dictionary of tensors at or below `start`.
fn only<'a>(place: &str, pickle: &Pickle<'a>, start: Candidate<'a>) -> Result<Candidate<'a>> {
    let mut list = Vec::new();
    // A dictionary of single numbers or of integers, metrics or states of generators, is taken only where there is nothing else.
    for weights in [true, false] {
        let mut search = Search { pickle, weights, seen: HashSet::new() };
        list = search.candidates(start.id, &start.path, DEEPEST);
        if !list.is_empty() {
            break;
        }
    }
    if list.len() > 1 {
        // One that is called as weights usually are, and is by far the largest.
        let usual = |c: &Candidate| c.path.last().is_some_and(|key| WRAPPERS.contains(key));
        let largest = |i: usize| {
            let others = list.iter().enumerate().filter(|(j, _)| *j != i);
            others.into_iter().all(|(_, other)| 2 * other.tensors < list[i].tensors)
        };
        match (0..list.len()).find(|i| usual(&list[*i]) && largest(*i)) {
            Some(i) => list = vec![list.swap_remove(i)],
            None => return Err(several(place, &list)),
        }
    }
    list.pop().ok_or_else(|| no_dictionary(place, pickle))
}

struct Search<'a, 'p> {
    pickle: &'p Pickle<'a>,
    /// Whether only tensors count that may be weights: floats of more than one element.
    weights: bool,
    /// Dictionaries that were seen: one may stand in several places, or in itself.
    seen: HashSet<Id>,
}

impl<'a> Search<'a, '_> {
    fn candidates(&mut self, id: Id, path: &[&'a str], depth: usize) -> Vec<Candidate<'a>> {
        let Some(entries) = self.pickle.entries(id).filter(|_| self.seen.insert(id)) else {
            return Vec::new();
        };
        // What an optimizer remembers is as large as the weights.
        if entry(self.pickle, id, "param_groups").is_some() {
            return Vec::new();
        }
        let tensors = entries.iter().filter(|(_, value)| self.counts(*value)).count();
        let mut below = Vec::new();
        for &(key, value) in entries.iter().filter(|_| depth > 0) {
            if let Some(key) = self.pickle.text(key) {
                below.extend(self.candidates(value, &[path, &[key]].concat(), depth - 1));
            }
        }
        // Tensors beside a dictionary of the weights are something else, such as the state of a generator.
        let beside = below
            .iter()
            .any(|c: &Candidate| WRAPPERS.contains(&c.path[path.len()]) || c.tensors > tensors);
        match tensors > 0 && !beside {
            true => vec![Candidate { path: path.to_vec(), id, tensors }],
            false => below,
        }
    }

    fn counts(&self, value: Id) -> bool {
        let Value::Tensor(view) = self.pickle.get(value) else { return false };
        let dims = sizes(self.pickle, view.size).unwrap_or_default();
        let whole = matches!(view.element, Element::Read(dtype) if !dtype.is_float());
        let many = dims.iter().fold(1, |n: usize, d| n.saturating_mul(*d)) > 1;
        !self.weights || many && !whole
    }
}

/// The dictionary that `key` names, keys of several levels joined by dots, and what is left of it when a dictionary has no
/// such key: the beginning of its tensors' names.
fn below<'a, 'k>(
    place: &str,
    pickle: &Pickle<'a>,
    key: &'k str,
) -> Result<(Candidate<'a>, Option<&'k str>)> {
    let mut at = Candidate { path: Vec::new(), id: pickle.root, tensors: 0 };
    let mut rest = key;
    loop {
        let ends = rest.match_indices('.').map(|(i, _)| i).chain([rest.len()]);
        let mut longest = ends.filter_map(|end| {
            let (key, inner) = pickle.entries(at.id)?.iter().rev().find_map(|&(k, v)| {
                let key = pickle.text(k).filter(|k| *k == &rest[..end])?;
                pickle.entries(v).map(|_| (key, v))
            })?;
            Some((end, key, inner))
        });
        match longest.next_back() {
            Some((end, key, inner)) => {
                at.path.push(key);
                at.id = inner;
                rest = rest[end..].strip_prefix('.').unwrap_or_default();
                if rest.is_empty() {
                    return Ok((at, None));
                }
            }
            None => {
                let mut names = pickle.entries(at.id).unwrap_or_default().iter();
                if names.any(|&(k, _)| pickle.text(k).is_some_and(|k| k.contains(rest))) {
                    return Ok((at, Some(rest)));
                }
                let known = pickle.entries(at.id).unwrap_or_default().iter();
                let known = known.filter(|(_, v)| pickle.entries(*v).is_some());
                let known: Vec<String> =
                    known.take(MOST_LISTED).map(|(k, _)| named(pickle, *k)).collect();
                return Err(Error::new(ErrorKind::Format, place, "the key of the weights")
                    .expected(format!("one of the dictionaries {}", known.join(", ")))
                    .got(key));
            }
        }
    }
}

/// What a dictionary has under `key`: the last, as Python would have it.
fn entry(pickle: &Pickle, id: Id, key: &str) -> Option<Id> {
    let entries = pickle.entries(id)?;
    entries.iter().rfind(|(k, _)| pickle.text(*k) == Some(key)).map(|(_, v)| *v)
}

fn named(pickle: &Pickle, key: Id) -> String {
    pickle.text(key).map_or_else(|| describe(pickle, key), str::to_string)
}

fn several(place: &str, list: &[Candidate]) -> Error {
    let name = |c: &Candidate| format!("{} ({} tensors)", c.path.join("."), c.tensors);
    let mut names: Vec<String> = list.iter().take(MOST_LISTED).map(name).collect();
    if list.len() > MOST_LISTED {
        names.push(format!("{} more", list.len() - MOST_LISTED));
    }
    Error::new(ErrorKind::Format, place, "which dictionary holds the weights")
        .expected("one dictionary of tensors, or a key that chooses one")
        .got(names.join(", "))
        .hint("--key NAME chooses, or key=NAME behind the name of other weights")
}

/// The refusal of a file without weights.
fn no_dictionary(place: &str, pickle: &Pickle) -> Error {
    let class = |id: Id| match *pickle.get(id) {
        Value::Object(ref object) => Some(object.class),
        Value::Global(Global::Foreign(class)) => Some(class),
        _ => None,
    };
    let root = pickle.root;
    if let (Some(class), None) = (class(root), pickle.entries(root)) {
        return pickle.foreign[class as usize].refused(&pickle.place);
    }
    let what = match pickle.entries(root) {
        Some(_) => "the checkpoint holds no tensor under a name",
        None => "the checkpoint holds something else",
    };
    let error = Error::new(ErrorKind::Format, place, what)
        .expected("a dictionary of tensors")
        .got(describe(pickle, root));
    let module = pickle.entries(root).unwrap_or_default().iter().find_map(|&(key, value)| {
        Some((named(pickle, key), pickle.foreign[class(value)? as usize]))
    });
    match module {
        Some((key, class)) => error.hint(format!(
            "{key} is a {class}, which its package alone can read; if it is a module, save its state_dict()"
        )),
        None => error,
    }
}
