//! Choices between kernels that compute the same, by what was measured on a device.

use super::Gpu;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// For the name of each choice that of the fastest candidate.
#[derive(Default)]
pub(super) struct Choices {
    made: RwLock<BTreeMap<String, String>>,
    measuring: AtomicBool,
}

impl Gpu {
    /// The candidate to take for a choice, if that was measured. The name is asked for only where anything was.
    pub(crate) fn chosen(&self, name: impl FnOnce() -> String) -> Option<String> {
        let made = self.choices_made().made.read();
        if made.is_empty() { None } else { made.get(&name()).cloned() }
    }

    /// Notes the candidate to take for a choice from now on.
    pub(crate) fn choose(&self, name: String, candidate: String) {
        self.choices_made().made.write().insert(name, candidate);
    }

    /// Whether an operation with a choice that was not made is to measure its candidates on the spot.
    pub(crate) fn measures_choices(&self) -> bool {
        self.choices_made().measuring.load(Ordering::Relaxed)
    }

    /// Has operations measure while `f` records passes with them.
    pub(crate) fn measuring_choices<T>(&self, f: impl FnOnce() -> T) -> T {
        struct Measuring<'a>(&'a AtomicBool);
        impl Drop for Measuring<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Relaxed);
            }
        }
        let measuring = Measuring(&self.choices_made().measuring);
        measuring.0.store(true, Ordering::Relaxed);
        f()
    }

    /// All choices that were made: names, and of each the candidate.
    pub fn choices(&self) -> BTreeMap<String, String> {
        self.choices_made().made.read().clone()
    }

    /// Takes the place of all choices. A name that no operation knows, or a candidate that it does not have, is no choice.
    pub fn set_choices(&self, choices: BTreeMap<String, String>) {
        *self.choices_made().made.write() = choices;
    }
}
