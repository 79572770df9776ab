//! Ctrl-C: the first asks the run to end in order, the second ends the process.

use crate::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code of a run that was interrupted.
pub const INTERRUPTED: u8 = 130;

/// Whether a run shall end. Clones share the answer.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens to Ctrl-C (and SIGTERM, SIGHUP) from now on.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the system refuses.
    pub fn on_signal() -> Result<Self> {
        let stop = Stop::default();
        let theirs = stop.clone();
        ctrlc::set_handler(move || {
            if theirs.0.swap(true, Ordering::SeqCst) {
                std::process::exit(INTERRUPTED.into());
            }
            eprintln!("\nstopping when the images in flight are done; Ctrl-C again stops at once");
        })
        .map_err(|e| Error::new(ErrorKind::Io, "Ctrl-C", format!("cannot be caught: {e}")))?;
        Ok(stop)
    }

    /// Asks the run to end.
    pub fn ask(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it was asked to.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
