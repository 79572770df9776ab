//! Which file of the source uses which, read off its text.

use std::collections::{BTreeMap, BTreeSet};

/// A path of modules below the crate root, `["gpu", "record"]`.
type Path = Vec<String>;

/// The modules of a crate with the code of each.
pub struct Modules {
    code: BTreeMap<Path, String>,
    /// What a folder's `mod.rs` hands on under its own name, and where that comes from.
    handed_on: BTreeMap<Path, Path>,
}

impl Modules {
    /// Of files `("gpu/record.rs", code)`, without their unit tests.
    pub fn new(files: impl Iterator<Item = (String, String)>) -> Self {
        let module = |file: &str| -> Path {
            let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
            path.split('/').map(String::from).collect()
        };
        let code: BTreeMap<Path, String> =
            files.map(|(file, code)| (module(&file), code)).collect();
        let mut handed_on = BTreeMap::new();
        for (module, text) in &code {
            for (at, _) in text.match_indices("use ") {
                let exported = text[..at].trim_end_matches(' ').ends_with(['b', ')']);
                let own = text[at + 4..].split(';').next().unwrap_or_default();
                for path in paths(own).into_iter().filter(|_| exported) {
                    let name = path.last().cloned().unwrap_or_default();
                    let target =
                        resolve(module, &path).unwrap_or_else(|| [&module[..], &path].concat());
                    handed_on.insert([&module[..], &[name]].concat(), target);
                }
            }
        }
        Modules { code, handed_on }
    }

    /// For each folder the circles among what lies in it, each with its members in order. A folder's `mod.rs` is its face and
    /// may name all of them.
    pub fn circles(&self) -> Vec<(String, Vec<String>)> {
        let mut edges: BTreeMap<&[String], BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
        let used = self.code.iter().flat_map(|(module, code)| {
            let targets = from_root_or_above(code);
            targets
                .into_iter()
                .filter_map(move |path| Some((module, self.source_of(resolve(module, &path)?))))
        });
        let used: Vec<(&Path, Path)> = used.collect();
        for (module, target) in &used {
            let common = module.iter().zip(target).take_while(|(a, b)| a == b).count();
            let (folder, own) = (&module[..common], module.get(common));
            let other = target.get(common);
            let is_module = self.code.contains_key(&target[..(common + 1).min(target.len())]);
            if let (Some(own), Some(other), true) = (own, other, is_module) {
                edges.entry(folder).or_default().entry(own).or_default().insert(other);
            }
        }
        edges.iter().flat_map(|(folder, edges)| circles(&folder.join("/"), edges)).collect()
    }

    /// Where a path leads behind the names that modules hand on.
    fn source_of(&self, mut path: Path) -> Path {
        for _ in 0..8 {
            let handed = (1..=path.len()).rev().find_map(|n| {
                let source = self.handed_on.get(&path[..n]).filter(|s| s[..] != path[..n])?;
                Some([&source[..], &path[n..]].concat())
            });
            match handed {
                Some(further) => path = further,
                None => break,
            }
        }
        path
    }
}

/// A path as written in `module`, from the crate root; none for one of another crate.
fn resolve(module: &[String], path: &[String]) -> Option<Path> {
    let above = path.iter().take_while(|p| *p == "super").count();
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([module, &path[1..]].concat()),
        "super" => Some([&module[..module.len().checked_sub(above)?], &path[above..]].concat()),
        _ => None,
    }
}

/// All paths in `code` that begin at the crate root or above.
fn from_root_or_above(code: &str) -> Vec<Path> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("super::").chain(code.match_indices("crate::")) {
        let before = code[..at].chars().next_back();
        if !before.is_some_and(|c| c == '$' || c == '_' || c == ':' || c.is_alphanumeric()) {
            found.extend(paths(&code[at..]));
        }
    }
    found
}

/// The paths that `text` begins with: `a::b`, and one for each name of `a::{b, c::{d, e}}`.
fn paths(text: &str) -> Vec<Path> {
    fn tree(text: &mut &str, before: &[String], found: &mut Vec<Path>) {
        *text = text.trim_start();
        if let Some(list) = text.strip_prefix('{') {
            *text = list;
            loop {
                *text = text.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
                if text.is_empty() || text.starts_with('}') {
                    *text = text.get(1..).unwrap_or_default();
                    return;
                }
                let rest = text.len();
                tree(text, before, found);
                if text.len() == rest {
                    return;
                }
            }
        }
        let end = text.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let mut path = before.to_vec();
        if !name.is_empty() && name != "self" || before.is_empty() && name == "self" {
            path.push(name.to_string());
        }
        *text = rest;
        if let Some(rest) = text.strip_prefix("::") {
            *text = rest;
            tree(text, &path, found);
            return;
        }
        if let Some(rest) = text.strip_prefix(" as ") {
            let end = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
            *text = &rest[end..];
        }
        *text = text.strip_prefix('*').unwrap_or(text);
        if !path.is_empty() {
            found.push(path);
        }
    }
    let (mut text, mut found) = (text, Vec::new());
    tree(&mut text, &[], &mut found);
    found
}

fn reached<'a>(from: &'a str, edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut next = vec![from];
    while let Some(node) = next.pop() {
        next.extend(edges.get(node).into_iter().flatten().filter(|n| seen.insert(**n)));
    }
    seen
}

/// The sets of nodes that all reach each other.
fn circles(folder: &str, edges: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<(String, Vec<String>)> {
    let all: BTreeMap<&str, BTreeSet<&str>> =
        edges.keys().map(|n| (*n, reached(n, edges))).collect();
    let on_circle = all.iter().filter(|(node, reached)| reached.contains(**node));
    let sets: BTreeSet<Vec<String>> = on_circle
        .map(|(node, reached)| {
            let back = |n: &&&str| all.get(**n).is_some_and(|r| r.contains(node));
            reached.iter().filter(back).map(|n| n.to_string()).collect()
        })
        .collect();
    sets.into_iter().map(|set| (folder.to_string(), set)).collect()
}

#[test]
fn circles_are_found_through_names_that_are_handed_on() {
    let files = [
        (
            "gpu/mod.rs",
            "mod a;\nmod b;\nmod c;\npub use a::{Deep, Other as Name};\npub(crate) use b::It;",
        ),
        ("gpu/a.rs", "use super::b::{self, x};"),
        ("gpu/b.rs", "fn f() { crate::gpu::Deep::new() }"),
        ("gpu/c.rs", "use crate::{Error, gpu::{It, a::Deep}};"),
        ("ops.rs", "use super::gpu::{c::{d, e}, It};"),
        ("error.rs", "use crate::ops;"),
    ];
    let circles = |files: &[(&str, &str)]| {
        Modules::new(files.iter().map(|(f, c)| (f.to_string(), c.to_string()))).circles()
    };
    assert_eq!(circles(&files), [("gpu".into(), vec!["a".into(), "b".into()])]);
    let again = [&files[2..], &[("gpu/a.rs", ""), ("lib.rs", "pub use ops::X;")]].concat();
    assert_eq!(circles(&again), []);
}
