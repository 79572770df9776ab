//! Breaking work on the device off: between the parts of a pass, and between kernels that are compiled.

use super::device::Gpu;
use crate::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::sync::Arc;

/// Tells, from any thread, whether work shall be broken off.
pub type Interrupt = Arc<dyn Fn() -> bool + Send + Sync>;

/// What is asked before the next piece of work, if anything.
#[derive(Default)]
pub(super) struct Interrupts(Mutex<Option<Interrupt>>);

impl Interrupts {
    /// # Errors
    /// [`ErrorKind::Cancelled`] where the work under way shall be broken off.
    pub(super) fn check(&self) -> Result<()> {
        let asked = self.0.lock().clone();
        match asked.is_some_and(|asked| asked()) {
            true => Err(Error::new(ErrorKind::Cancelled, "gpu", "broken off as asked")),
            false => Ok(()),
        }
    }
}

impl Gpu {
    /// Does `work`, which ends with [`ErrorKind::Cancelled`] soon after `interrupt` says so: what it has submitted then is done,
    /// and the rest is not. Whatever else this device is given meanwhile, from other threads, is broken off alike.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn unless<T>(
        &self,
        interrupt: Option<Interrupt>,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let before = std::mem::replace(&mut *self.interrupts().0.lock(), interrupt);
        let _back = Back(self, before);
        work()
    }

    /// Does `work` that must not be broken off within what may be ([`Gpu::unless`]).
    ///
    /// # Errors
    /// Those of `work`.
    pub fn as_a_whole<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.unless(None, work)
    }
}

/// Puts back what was asked before, also behind a panic.
struct Back<'a>(&'a Gpu, Option<Interrupt>);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        *self.0.interrupts().0.lock() = self.1.take();
    }
}
