//! Waiting on a thread, for callers that are asynchronous.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

struct Shared<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

/// A value that a thread is working for.
pub(super) struct OnThread<T>(Arc<Mutex<Shared<T>>>);

/// Runs `work` on a thread of its own; the future gives its result.
pub(super) fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> OnThread<T> {
    let shared = Arc::new(Mutex::new(Shared { value: None, waker: None }));
    let theirs = shared.clone();
    std::thread::spawn(move || {
        let value = work();
        let mut shared = theirs.lock().expect("result of a thread");
        shared.value = Some(value);
        if let Some(waker) = shared.waker.take() {
            waker.wake();
        }
    });
    OnThread(shared)
}

impl<T> Future for OnThread<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut shared = self.0.lock().expect("result of a thread");
        match shared.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                shared.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
