//! Threads of a scope that work on jobs side by side and hand their results on in order.

use crate::{Error, Result};
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{Scope, ScopedJoinHandle};

/// Starts a thread of a scope.
///
/// # Errors
/// [`ErrorKind::Io`](crate::ErrorKind::Io) where the system starts none.
pub(super) fn start<'s, T: Send + 's>(
    scope: &'s Scope<'s, '_>,
    work: impl FnOnce() -> T + Send + 's,
) -> Result<ScopedJoinHandle<'s, T>> {
    let started = std::thread::Builder::new().spawn_scoped(scope, work);
    started.map_err(|e| Error::io("a thread", "cannot be started", e))
}

/// Where jobs go in; a job travels with the place for its result.
pub(super) struct Feed<A, B> {
    jobs: SyncSender<(A, SyncSender<B>)>,
    order: SyncSender<Receiver<B>>,
}

/// Results in the order in which their jobs were fed.
pub(super) struct InOrder<B>(Receiver<Receiver<B>>);

/// `workers` threads that apply `f`, or as many as the system starts; at most `room` results wait to be taken.
pub(super) fn side_by_side<'s, A: Send + 's, B: Send + 's>(
    scope: &'s Scope<'s, '_>,
    workers: usize,
    room: usize,
    f: impl Fn(A) -> B + Send + Sync + 's,
) -> Result<(Feed<A, B>, InOrder<B>)> {
    let (jobs, todo) = sync_channel::<(A, SyncSender<B>)>(room);
    let (order, results) = sync_channel(room);
    let shared = Arc::new((Mutex::new(todo), f));
    for worker in 0..workers {
        let shared = shared.clone();
        let started = start(scope, move || {
            let next = || shared.0.lock().ok()?.recv().ok();
            while let Some((job, result)) = next() {
                // A result that nobody waits for any more is not missed.
                let _ = result.send(shared.1(job));
            }
        });
        match started {
            Err(e) if worker == 0 => return Err(e),
            Err(_) => break,
            Ok(_) => {}
        }
    }
    Ok((Feed { jobs, order }, InOrder(results)))
}

impl<A, B> Feed<A, B> {
    pub(super) fn send(&self, job: A) -> Result<(), SendError<()>> {
        let (result, place) = sync_channel(1);
        self.order.send(place).map_err(|_| SendError(()))?;
        self.jobs.send((job, result)).map_err(|_| SendError(()))
    }
}

impl<B> Iterator for InOrder<B> {
    type Item = B;

    fn next(&mut self) -> Option<B> {
        Some(self.0.recv().ok()?.recv().expect("a result of every job"))
    }
}
