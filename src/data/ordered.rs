//! Work on threads whose results come in order: which thread was faster never shows.

use crate::{Error, Result};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Results of `work(ticket)` for the tickets of a range, in their order.
///
/// At most `ahead` results are worked on or kept beyond the one that is waited for. Dropping it
/// stops the threads after what they are at.
pub struct Ordered<T> {
    shared: Arc<Shared<T>>,
    threads: Vec<JoinHandle<()>>,
    /// Whether a result was waited for in vain.
    given_up: bool,
}

/// How often somebody who waits looks whether to go on waiting.
const LOOK: Duration = Duration::from_millis(50);

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    /// Next ticket to be worked on.
    next: u64,
    /// Next ticket to be delivered.
    wanted: u64,
    end: u64,
    /// `None` where the work panicked.
    done: BTreeMap<u64, Option<T>>,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_a_moment<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl<T: Send + 'static> Ordered<T> {
    /// Starts `threads` threads on the tickets of `range`.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) where the system starts none; fewer than asked for do the work alone.
    pub fn new(
        range: std::ops::Range<u64>,
        threads: usize,
        ahead: usize,
        work: impl Fn(u64) -> T + Send + Sync + 'static,
    ) -> Result<Self> {
        let state =
            State { next: range.start, wanted: range.start, end: range.end, done: BTreeMap::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let work = Arc::new(work);
        let ahead = ahead.max(1) as u64;
        let mut ordered = Ordered { shared, threads: Vec::new(), given_up: false };
        for _ in 0..threads.max(1) {
            let (shared, work) = (ordered.shared.clone(), work.clone());
            let started = std::thread::Builder::new().spawn(move || run(&shared, ahead, &*work));
            match started {
                Ok(thread) => ordered.threads.push(thread),
                Err(_) if !ordered.threads.is_empty() => break,
                Err(e) => return Err(Error::io("a thread", "cannot be started", e)),
            }
        }
        Ok(ordered)
    }

    /// The next result, as [`Iterator::next`] gives it; `None` once `stop` says so and it is not there. Whatever the threads are
    /// at then may never end: dropping this no longer waits for them.
    ///
    /// # Panics
    /// When the work of this ticket panicked.
    pub fn next_unless(&mut self, stop: &dyn Fn() -> bool) -> Option<Option<T>> {
        let mut state = self.shared.lock();
        loop {
            if state.wanted >= state.end {
                return Some(None);
            }
            let wanted = state.wanted;
            if let Some(result) = state.done.remove(&wanted) {
                state.wanted += 1;
                drop(state);
                self.shared.changed.notify_all();
                return Some(Some(result.expect("the thread that loads data panicked")));
            }
            if stop() {
                self.given_up = true;
                return None;
            }
            state = self.shared.wait_a_moment(state);
        }
    }

    /// Whether the next result is there, so that nobody would wait.
    pub fn is_ready(&self) -> bool {
        let state = self.shared.lock();
        state.wanted >= state.end || state.done.contains_key(&state.wanted)
    }
}

fn run<T>(shared: &Shared<T>, ahead: u64, work: &impl Fn(u64) -> T) {
    loop {
        let mut state = shared.lock();
        while state.next < state.end && state.next >= state.wanted.saturating_add(ahead) {
            state = shared.wait(state);
        }
        if state.next >= state.end {
            return;
        }
        let ticket = state.next;
        state.next += 1;
        drop(state);
        let result = catch_unwind(AssertUnwindSafe(|| work(ticket))).ok();
        shared.lock().done.insert(ticket, result);
        shared.changed.notify_all();
    }
}

impl<T: Send + 'static> Iterator for Ordered<T> {
    type Item = T;

    /// # Panics
    /// When the work of this ticket panicked.
    fn next(&mut self) -> Option<T> {
        self.next_unless(&|| false).flatten()
    }
}

impl<T> Drop for Ordered<T> {
    fn drop(&mut self) {
        self.shared.lock().end = 0;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..).filter(|_| !self.given_up) {
            // A panic was caught where it happened.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    #[test]
    fn results_come_in_order_whatever_the_threads() {
        for threads in [1, 2, 5] {
            let work = |t: u64| {
                std::thread::sleep(Duration::from_micros(t * 7919 % 300));
                t * t
            };
            let all: Vec<u64> = Ordered::new(3..80, threads, 4, work).unwrap().collect();
            assert_eq!(all, (3..80).map(|t| t * t).collect::<Vec<_>>());
        }
        assert_eq!(Ordered::new(5..5, 2, 2, |t| t).unwrap().count(), 0);
    }

    #[test]
    fn a_wait_for_what_never_comes_can_be_given_up() {
        let (stuck, never) = std::sync::mpsc::channel::<()>();
        let never = Mutex::new(never);
        let work = move |t: u64| {
            if t == 1 {
                // For as long as the other end is there.
                let _ = never.lock().unwrap_or_else(PoisonError::into_inner).recv();
            }
            t
        };
        let mut results = Ordered::new(0..3, 2, 3, work).unwrap();
        assert_eq!(results.next_unless(&|| false), Some(Some(0)));
        let begun = std::time::Instant::now();
        assert_eq!(results.next_unless(&|| begun.elapsed() > 2 * LOOK), None);
        drop(results);
        assert!(begun.elapsed() < Duration::from_secs(5), "dropping waited for the work");
        drop(stuck);
    }

    #[test]
    fn nobody_runs_far_ahead_and_dropping_stops() {
        let begun = Arc::new(AtomicU64::new(0));
        let counter = begun.clone();
        let mut results = Ordered::new(0..u64::MAX, 3, 5, move |t| {
            counter.fetch_add(1, Ordering::SeqCst);
            t
        })
        .unwrap();
        for _ in 0..10 {
            results.next();
        }
        std::thread::sleep(Duration::from_millis(30));
        let most = begun.load(Ordering::SeqCst);
        assert!((10..=15).contains(&most), "{most}");
        drop(results);
        assert!(begun.load(Ordering::SeqCst) <= most + 1);
    }
}
