//! Values of a pickle in words.

use super::element::Element;
use super::globals::Global;
use super::pickle::Pickle;
use super::value::{Id, Value};

/// Most axes of a tensor: more than any layer has, fewer than would cost anything.
pub(super) const MAX_RANK: usize = 8;

/// A tuple of at most [`MAX_RANK`] sizes.
pub(super) fn sizes(pickle: &Pickle, id: Id) -> Option<Vec<usize>> {
    let (Value::Tuple(items) | Value::List(items)) = pickle.get(id) else { return None };
    let size = |&id: &Id| match *pickle.get(id) {
        Value::Int(n) => usize::try_from(n).ok(),
        _ => None,
    };
    (items.len() <= MAX_RANK).then(|| items.iter().map(size).collect())?
}

/// A value in a few words: numbers and short texts as they are, containers with their first entries.
pub(super) fn describe(pickle: &Pickle, id: Id) -> String {
    const MOST: usize = 120;
    let mut text = words(pickle, id, 2);
    if let Some((cut, _)) = text.char_indices().nth(MOST) {
        text.truncate(cut);
        text.push('…');
    }
    text
}

fn words(pickle: &Pickle, id: Id, depth: usize) -> String {
    const FEW: usize = 8;
    let list = |kind: &str, items: &[Id]| {
        if depth == 0 || items.len() > FEW {
            return format!("{kind} of {}", items.len());
        }
        let items = items.iter().map(|&i| words(pickle, i, depth - 1)).collect::<Vec<_>>();
        format!("[{}]", items.join(", "))
    };
    let dictionary = |entries: &[(Id, Id)]| {
        if depth == 0 {
            return format!("dictionary of {}", entries.len());
        }
        let entry = |(k, v): &(Id, Id)| match pickle.text(*k) {
            Some(key) => format!("{key}: {}", words(pickle, *v, depth - 1)),
            None => format!("{}: {}", words(pickle, *k, 0), words(pickle, *v, depth - 1)),
        };
        let more = if entries.len() > FEW { ", …" } else { "" };
        let entries = entries.iter().take(FEW).map(entry).collect::<Vec<_>>();
        format!("{{{}{more}}}", entries.join(", "))
    };
    match pickle.get(id) {
        Value::None => "None".into(),
        Value::Bool(x) => x.to_string(),
        Value::Int(x) => x.to_string(),
        Value::Long(x) => format!("integer of {} bytes", x.len()),
        Value::Float(x) => x.to_string(),
        Value::Str(s) if s.chars().nth(40).is_some() => format!("text of {} bytes", s.len()),
        Value::Str(s) => format!("{s:?}"),
        Value::Bytes(b) => format!("{} bytes", b.len()),
        Value::Tuple(items) => list("tuple", items),
        Value::List(items) => list("list", items),
        Value::Dict(entries) => dictionary(entries),
        Value::Global(Global::Foreign(class)) => pickle.foreign[*class as usize].to_string(),
        Value::Global(Global::Dtype(element)) => element.name().into(),
        Value::Global(_) => "global".into(),
        Value::Storage(s) => format!("storage of {} {}", s.count, s.element.name()),
        Value::Tensor(view) => {
            let shape = sizes(pickle, view.size).unwrap_or_default();
            let read = matches!(view.element, Element::Read(_));
            let not = if read { "" } else { ", a type that is not read" };
            format!("tensor {} {shape:?}{not}", view.element.name())
        }
        Value::Opaque(label) => label.to_string(),
        Value::Object(object) if object.entries.is_empty() => {
            format!("{} object", pickle.foreign[object.class as usize])
        }
        Value::Object(object) => {
            format!("{} {}", pickle.foreign[object.class as usize], dictionary(&object.entries))
        }
    }
}
