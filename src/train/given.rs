//! What a run is given besides its settings and that decides its numbers: samples, other networks, what stays frozen.

use crate::data::checkpoint::StateDict;
use crate::data::words::Identity;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a run was given; a checkpoint holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Given {
    /// The sources by their arguments, with weights.
    pub data: Vec<String>,
    /// What the sources were.
    pub sources: Vec<Identity>,
    /// The argument of the sets to evaluate on.
    pub valid: Option<String>,
    /// What those were.
    pub valid_sources: Vec<Identity>,
    /// Patterns of parameters that stay as they are.
    pub freeze: Vec<String>,
    /// The network that LEMMA's text-focus loss looks through.
    pub recognizer: Option<Content>,
    /// The confusions between characters in that loss.
    pub confusion: Option<Content>,
}

/// Something that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The file; none for what ships.
    pub file: Option<String>,
    /// A digest of what it holds.
    pub digest: String,
}

impl Content {
    /// Numbers from a file, or from the program itself.
    pub fn of_values(file: Option<String>, values: &[f32]) -> Self {
        let mut digest = Sha256::new();
        values.iter().for_each(|v| digest.update(v.to_le_bytes()));
        Content::new(file, digest)
    }

    /// A network from a file, or from the program itself.
    pub fn of_state(file: Option<String>, state: &StateDict) -> Self {
        let mut digest = Sha256::new();
        for (name, tensor) in &state.tensors {
            digest.update(format!("{name} {:?} {:?} ", tensor.dtype(), tensor.shape()));
            digest.update(tensor.bytes());
        }
        // Head counts leave no mark in tensors.
        digest.update(state.metadata.get("config").map_or("", String::as_str));
        Content::new(file, digest)
    }

    fn new(file: Option<String>, digest: Sha256) -> Self {
        let digest = digest.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect();
        Content { file, digest }
    }

    fn name(&self) -> &str {
        self.file.as_deref().unwrap_or("the one that ships")
    }
}

impl Given {
    /// Where the sets to evaluate on are not those of a run as it was `begun`, a line each.
    pub fn evaluated_on_others(&self, begun: &Given) -> Vec<String> {
        differences(&self.valid_sources, &begun.valid_sources)
    }

    /// Where what a run goes on with is not what it `begun` with, a line each; what lies elsewhere and holds the same is the
    /// same. Frozen parameters and the sets to evaluate on are not looked at.
    pub fn changes(&self, begun: &Given) -> Vec<String> {
        let mut all = Vec::new();
        all.extend(differences(&self.sources, &begun.sources));
        let contents = [
            ("recognizer", &self.recognizer, &begun.recognizer),
            ("confusion", &self.confusion, &begun.confusion),
        ];
        for (what, now, then) in contents {
            if let (Some(now), Some(then)) = (now, then)
                && now.digest != then.digest
            {
                all.push(format!(
                    "{what}: {} holds other numbers than {} then",
                    now.name(),
                    then.name()
                ));
            }
        }
        all
    }
}

/// Where sources are not those that a run `begun` with, a line each.
fn differences(now: &[Identity], begun: &[Identity]) -> Vec<String> {
    // Checkpoints of earlier versions do not say.
    if begun.is_empty() {
        return Vec::new();
    }
    if now.len() != begun.len() {
        let names: Vec<&str> = begun.iter().map(|s| s.name.as_str()).collect();
        return vec![format!(
            "{} sources of data, then {}: {}",
            now.len(),
            begun.len(),
            names.join(", ")
        )];
    }
    now.iter().zip(begun).filter_map(|(now, then)| now.differs(then)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, samples: u64) -> Identity {
        Identity { name: name.into(), samples, share: samples, digest: "0".into() }
    }

    #[test]
    fn what_changed_is_named_and_what_moved_is_not() {
        let table = |file: Option<&str>, value| Content::of_values(file.map(Into::into), &[value]);
        let begun = Given {
            sources: vec![source("a", 3), source("b", 4)],
            confusion: Some(table(None, 1.0)),
            freeze: vec!["x*".into()],
            ..Given::default()
        };
        assert_eq!(begun.changes(&begun), [""; 0]);
        let moved = Given {
            sources: vec![source("c", 3), source("d", 4)],
            confusion: Some(table(Some("here"), 1.0)),
            ..Given::default()
        };
        assert_eq!(moved.changes(&begun), [""; 0]);
        let other = Given {
            sources: vec![source("a", 3), source("b", 2)],
            confusion: Some(table(Some("here"), 2.0)),
            ..Given::default()
        };
        let said = other.changes(&begun);
        assert_eq!(said[0], "b: 2 samples, then 4");
        assert!(said[1].starts_with("confusion: here holds other"), "{said:?}");
        let fewer = Given { sources: vec![source("a", 3)], ..Given::default() };
        assert_eq!(fewer.changes(&begun), ["1 sources of data, then 2: a, b"]);
        let swapped = Given { sources: vec![source("b", 4), source("a", 3)], ..Given::default() };
        assert_eq!(swapped.changes(&begun).len(), 2);
        assert_eq!(fewer.changes(&Given::default()), [""; 0]);
    }
}
