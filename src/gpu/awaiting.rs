//! Waiting for the device, by a thread that blocks or by a task that is woken.
//!
//! Outside the browser a driver calls nobody back unless somebody polls it. So while tasks wait, one thread of the device polls
//! for all of them; it ends when none waits any more.

use crate::Result;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, Waker};

/// How a result is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// The thread blocks: nothing that is awaited this way is ever pending.
    Blocking,
    /// The task is woken.
    Awaited,
}

/// A value that comes later. Awaiting it gives `None` where it never will.
pub(super) struct Later<T>(Arc<Mutex<Slot<T>>>);

/// Where the value is put; dropped without one, it never comes.
pub(super) struct Promise<T>(Arc<Mutex<Slot<T>>>);

struct Slot<T> {
    value: Option<T>,
    closed: bool,
    waker: Option<Waker>,
}

pub(super) fn later<T>() -> (Promise<T>, Later<T>) {
    let slot = Arc::new(Mutex::new(Slot { value: None, closed: false, waker: None }));
    (Promise(slot.clone()), Later(slot))
}

impl<T> Promise<T> {
    pub(super) fn keep(self, value: T) {
        self.0.lock().value = Some(value);
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        let mut slot = self.0.lock();
        slot.closed = true;
        let waker = slot.waker.take();
        drop(slot);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<T> Future for Later<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<T>> {
        let mut slot = self.0.lock();
        match slot.value.take() {
            None if !slot.closed => {
                slot.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            value => Poll::Ready(value),
        }
    }
}

/// The submissions that tasks wait for, in the order in which they asked.
#[derive(Default)]
pub(super) struct Watch(Mutex<Watched>);

#[derive(Default)]
struct Watched {
    queue: VecDeque<(wgpu::SubmissionIndex, Promise<Result<()>>)>,
    running: bool,
}

impl Watch {
    /// Notes that a task waits for a submission. Gives what tells of its end, and whether a thread has to be started that takes
    /// one submission after the other ([`Watch::next`]).
    pub(super) fn add(&self, submission: wgpu::SubmissionIndex) -> (Later<Result<()>>, bool) {
        let (promise, done) = later();
        let mut watched = self.0.lock();
        watched.queue.push_back((submission, promise));
        (done, !std::mem::replace(&mut watched.running, true))
    }

    /// The next submission to wait for, for the thread that was started; without one that thread ends.
    pub(super) fn next(&self) -> Option<(wgpu::SubmissionIndex, Promise<Result<()>>)> {
        let mut watched = self.0.lock();
        let next = watched.queue.pop_front();
        watched.running = next.is_some();
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_a_promise_that_is_broken_and_one_that_is_kept_at_once() {
        let (promise, value) = later();
        let thread = std::thread::spawn(move || pollster::block_on(value));
        promise.keep(7);
        assert_eq!(thread.join().expect("a value"), Some(7));
        let (promise, value) = later::<u32>();
        let thread = std::thread::spawn(move || pollster::block_on(value));
        drop(promise);
        assert_eq!(thread.join().expect("an end"), None);
    }
}
