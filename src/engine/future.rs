//! Waiting on a thread, for callers that are asynchronous.

use crate::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

struct Shared<T> {
    /// What the work came to; its panic, where it had one.
    value: Option<std::thread::Result<Result<T>>>,
    waker: Option<Waker>,
}

/// A value that a thread is working for.
pub(super) struct OnThread<T>(Arc<Mutex<Shared<T>>>);

/// Runs `work` on a thread of its own; the future gives its result, and panics where it did.
pub(super) fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> OnThread<T> {
    let shared = Arc::new(Mutex::new(Shared { value: None, waker: None }));
    let theirs = shared.clone();
    let started = std::thread::Builder::new().spawn(move || {
        let value = catch_unwind(AssertUnwindSafe(work));
        let mut shared = theirs.lock();
        shared.value = Some(value);
        if let Some(waker) = shared.waker.take() {
            waker.wake();
        }
    });
    if let Err(e) = started {
        let error = Error::new(ErrorKind::Io, "engine", format!("no thread can be started: {e}"));
        shared.lock().value = Some(Ok(Err(error)));
    }
    OnThread(shared)
}

impl<T> Future for OnThread<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        let mut shared = self.0.lock();
        match shared.value.take() {
            Some(Ok(value)) => Poll::Ready(value),
            Some(Err(panic)) => {
                drop(shared);
                resume_unwind(panic)
            }
            None => {
                shared.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_an_error_and_a_panic_all_come_back() {
        assert_eq!(pollster::block_on(on_thread(|| Ok(7))), Ok(7));
        let error = Error::new(ErrorKind::Device, "gpu", "lost");
        let failing = error.clone();
        assert_eq!(pollster::block_on(on_thread(move || Err::<(), _>(failing))), Err(error));
        let wait = || pollster::block_on(on_thread(|| -> Result<()> { panic!("expected here") }));
        let panic = catch_unwind(wait).expect_err("a panic");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"expected here"));
    }
}
