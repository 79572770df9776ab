//! Breaking work on the device off: between the parts of a pass, and between kernels that are compiled.

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

    /// Does `work`, asking `interrupt` instead of what was asked before.
    pub(super) fn during<T>(&self, interrupt: Option<Interrupt>, work: impl FnOnce() -> T) -> T {
        let before = std::mem::replace(&mut *self.0.lock(), interrupt);
        let _back = Back(self, before);
        work()
    }
}

/// Puts back what was asked before, also behind a panic.
struct Back<'a>(&'a Interrupts, Option<Interrupt>);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        *self.0.0.lock() = self.1.take();
    }
}
