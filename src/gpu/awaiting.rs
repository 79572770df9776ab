//! Waiting for the device, by a thread that blocks or by a task that is woken.
//!
//! Outside the browser a driver calls nobody back unless somebody polls it. So while tasks wait, one thread of the device polls
//! for all of them; it ends when none waits any more.

use super::context::Context;
use crate::{Error, ErrorKind, Result};
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

impl Context {
    /// Waits until a submission is done.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] when the device is lost.
    pub(super) async fn done(
        self: &Arc<Self>,
        submission: wgpu::SubmissionIndex,
        waiting: Waiting,
    ) -> Result<()> {
        if waiting == Waiting::Blocking {
            return self.driver.wait(Some(submission));
        }
        let (promise, done) = later();
        let start = {
            let mut watched = self.watch.0.lock();
            watched.queue.push_back((submission, promise));
            !std::mem::replace(&mut watched.running, true)
        };
        if start {
            let this = self.clone();
            let thread = std::thread::Builder::new().name("lemma-gpu waits".into());
            if thread.spawn(move || this.wait_for_tasks()).is_err() {
                // Where the system has no thread to give, this one does its work.
                self.wait_for_tasks();
            }
        }
        let ended = || Error::new(ErrorKind::Device, &self.summary.name, "the wait was given up");
        done.await.unwrap_or_else(|| Err(ended()))
    }

    /// Waits for one submission after the other, until nobody asks for another.
    fn wait_for_tasks(&self) {
        loop {
            let (submission, promise) = {
                let mut watched = self.watch.0.lock();
                let Some(next) = watched.queue.pop_front() else {
                    watched.running = false;
                    return;
                };
                next
            };
            promise.keep(self.driver.wait(Some(submission)));
        }
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
