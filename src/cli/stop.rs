//! Ctrl-C and a request to terminate: the first asks the run to end in order, the second ends the process.

use super::Outcome;
use crate::cli::say::say;
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The exit code of a run that was interrupted by Ctrl-C.
pub const INTERRUPTED: u8 = 130;
/// The exit code of a run that was asked to terminate.
const TERMINATED: u8 = 143;

/// Whether a run shall end, and the exit code if so. Clones share the answer.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicU8>);

impl Stop {
    /// Listens to Ctrl-C, SIGTERM and SIGHUP from now on; `promise` says what happens before the run ends.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the system refuses.
    pub fn on_signal(promise: &'static str) -> Result<Self> {
        let stop = Stop::default();
        let theirs = stop.clone();
        let refused = |e: &dyn std::fmt::Display| {
            Error::new(ErrorKind::Io, "Ctrl-C", format!("cannot be caught: {e}"))
        };
        let caught = move |code: u8| {
            if theirs.0.swap(code, Ordering::SeqCst) != 0 {
                std::process::exit(code.into());
            }
            say!("\n{promise}");
        };
        #[cfg(unix)]
        {
            use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
            let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
                .map_err(|e| refused(&e))?;
            std::thread::spawn(move || {
                for signal in signals.forever() {
                    caught(if signal == SIGINT { INTERRUPTED } else { TERMINATED });
                }
            });
        }
        #[cfg(not(unix))]
        ctrlc::set_handler(move || caught(INTERRUPTED)).map_err(|e| refused(&e))?;
        Ok(stop)
    }

    /// Asks the run to end.
    pub fn ask(&self) {
        self.0.store(INTERRUPTED, Ordering::SeqCst);
    }

    /// Whether it was asked to.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::SeqCst) != 0
    }

    /// How a run that was asked to end did so.
    pub fn outcome(&self) -> Outcome {
        Outcome::Interrupted(match self.0.load(Ordering::SeqCst) {
            0 => INTERRUPTED,
            code => code,
        })
    }
}
