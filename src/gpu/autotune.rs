//! Autotuning cache: the fastest candidate measured on a device, for each choice between kernels that compute the same.

use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// For the name of each choice that of its fastest candidate.
#[derive(Default)]
pub(super) struct Choices {
    made: RwLock<BTreeMap<String, String>>,
    measuring: AtomicBool,
}

impl Choices {
    pub(super) fn chosen(&self, name: impl FnOnce() -> String) -> Option<String> {
        let made = self.made.read();
        if made.is_empty() { None } else { made.get(&name()).cloned() }
    }

    pub(super) fn choose(&self, name: String, candidate: String) {
        self.made.write().insert(name, candidate);
    }

    pub(super) fn measuring(&self) -> bool {
        self.measuring.load(Ordering::Relaxed)
    }

    /// Runs `f` with [`Choices::measuring`] on, which is off again however it ends.
    #[cfg(any(test, feature = "train"))]
    pub(super) fn measure_during<T>(&self, f: impl FnOnce() -> T) -> T {
        struct Off<'a>(&'a AtomicBool);
        impl Drop for Off<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Relaxed);
            }
        }
        let off = Off(&self.measuring);
        off.0.store(true, Ordering::Relaxed);
        f()
    }

    pub(super) fn all(&self) -> BTreeMap<String, String> {
        self.made.read().clone()
    }

    pub(super) fn replace(&self, choices: BTreeMap<String, String>) {
        *self.made.write() = choices;
    }
}
