//! Ctrl-C and a request to terminate: the first asks the run to end in order, the second ends the process, and so does a
//! watchdog where nothing gets done any more.

use super::Outcome;
use crate::cli::say::say;
use crate::engine::pipeline::Control;
use crate::gpu::Interrupt;
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The exit code of a run that was interrupted by Ctrl-C.
const INTERRUPTED: u8 = 130;
/// The exit code of a run that was asked to terminate.
const TERMINATED: u8 = 143;

/// How long a run that is to end may get nothing done: a file system or a device may never answer.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// The same where the whole result is written in the end: half a gigabyte to a slow disk takes its time.
pub const A_SAVE: Duration = Duration::from_secs(60);

/// What a run over images promises.
pub const IMAGES: &str = "stopping when the images in flight are done; Ctrl-C again stops at once";

/// Whether a run shall end, and the exit code if so. Clones share the answer.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// The exit code that the user's signal stands for; 0 before one.
    signal: AtomicU8,
    /// Whether the run ends for a reason of its own.
    own: AtomicBool,
    /// Things done.
    beats: AtomicUsize,
}

impl Stop {
    /// Listens to Ctrl-C, SIGTERM and SIGHUP from now on; `promise` says what happens before the run ends. Where nothing gets
    /// done, as [`Stop::beat`] tells it, for as long as `patience` after the signal, the process ends.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the system refuses.
    pub fn on_signal(promise: &'static str, patience: Duration) -> Result<Self> {
        let stop = Stop::default();
        let theirs = stop.clone();
        let refused = |e: &dyn std::fmt::Display| {
            Error::new(ErrorKind::Io, "Ctrl-C", format!("cannot be caught: {e}"))
        };
        let caught = move |code: u8| {
            if theirs.0.signal.swap(code, Ordering::SeqCst) != 0 {
                std::process::exit(code.into());
            }
            theirs.watch(patience, code);
            say_aside(format!("\n{promise}"));
        };
        #[cfg(unix)]
        {
            use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
            let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
                .map_err(|e| refused(&e))?;
            let wait = move || {
                for signal in signals.forever() {
                    caught(if signal == SIGINT { INTERRUPTED } else { TERMINATED });
                }
            };
            std::thread::Builder::new().spawn(wait).map_err(|e| refused(&e))?;
        }
        #[cfg(not(unix))]
        ctrlc::set_handler(move || caught(INTERRUPTED)).map_err(|e| refused(&e))?;
        Ok(stop)
    }

    /// Ends the process, in the background, when nothing got done for so long; at once where the system has no thread for that.
    fn watch(&self, patience: Duration, code: u8) {
        let shared = self.0.clone();
        let started = std::thread::Builder::new().spawn(move || {
            let beats = || shared.beats.load(Ordering::SeqCst);
            let mut last = (beats(), Instant::now());
            loop {
                std::thread::sleep(patience / 16);
                if beats() != last.0 {
                    last = (beats(), Instant::now());
                } else if last.1.elapsed() >= patience {
                    say_aside("what is in flight does not end: stopped without it".into());
                    std::process::exit(code.into());
                }
            }
        });
        if started.is_err() {
            std::process::exit(code.into());
        }
    }

    /// The same question for those who know nothing of signals.
    pub fn interrupt(&self) -> Interrupt {
        let stop = self.clone();
        Arc::new(move || stop.asked())
    }

    /// Ends the run for a reason of its own; what a signal does stays as it was.
    pub fn end(&self) {
        self.0.own.store(true, Ordering::SeqCst);
    }

    /// Something got done.
    pub fn beat(&self) {
        self.0.beats.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether the run is to end.
    pub fn asked(&self) -> bool {
        self.0.signal.load(Ordering::SeqCst) != 0 || self.0.own.load(Ordering::SeqCst)
    }

    /// How a run that was asked to end did so.
    pub fn outcome(&self) -> Outcome {
        Outcome::Interrupted(match self.0.signal.load(Ordering::SeqCst) {
            0 => INTERRUPTED,
            code => code,
        })
    }
}

impl Control for Stop {
    fn asked(&self) -> bool {
        Stop::asked(self)
    }

    fn end(&self) {
        Stop::end(self);
    }

    fn beat(&self) {
        Stop::beat(self);
    }
}

/// Says something unless nobody takes it: standard error may be a pipe that is full, and its lock held by whoever waits for it.
fn say_aside(text: String) {
    let (said, wait) = std::sync::mpsc::channel();
    let started = std::thread::Builder::new().spawn(move || {
        say!("{text}");
        let _ = said.send(());
    });
    if started.is_ok() {
        let _ = wait.recv_timeout(Duration::from_secs(1));
    }
}
