//! Where in a graph a dispatch belongs: the labels of timings. Without profiling nothing here costs anything.

use std::sync::Arc;

/// Phase of a pass, part of the graph, path of the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Label {
    pub(super) phase: &'static str,
    pub(super) place: Place,
}

/// A label without its phase: what the tape remembers of an operation, so that its gradient is found at the same place.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) part: &'static str,
    pub(super) path: Arc<str>,
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [self.phase, self.place.part, &*self.place.path];
        let parts: Vec<&str> = parts.into_iter().filter(|p| !p.is_empty()).collect();
        f.write_str(&parts.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_leaves_out_what_is_empty() {
        let place = |part, path: &str| Place { part, path: path.into() };
        let text = |phase, place| Label { phase, place }.to_string();
        assert_eq!(text("", Place::default()), "");
        assert_eq!(text("forward", place("", "block2.conv1")), "forward.block2.conv1");
        assert_eq!(text("backward", place("loss", "")), "backward.loss");
        assert_eq!(text("", place("loss", "vision")), "loss.vision");
    }
}
