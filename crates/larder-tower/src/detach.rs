//! Fills that go on after their client went away: bounded in number and in time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Semaphore;

/// How many go on at once in the process; above it, a fill ends with its client.
const DETACHED: usize = 1024;

fn places() -> &'static Arc<Semaphore> {
    static PLACES: std::sync::OnceLock<Arc<Semaphore>> = std::sync::OnceLock::new();
    PLACES.get_or_init(|| Arc::new(Semaphore::new(DETACHED)))
}

/// Runs `work` beside everything, for at most `limit`; drops it if there is no place or no runtime.
pub(crate) fn spawn(limit: Duration, work: impl Future<Output = ()> + Send + 'static) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let Ok(place) = Arc::clone(places()).try_acquire_owned() else {
        tracing::warn!(target: "larder::decision", "too many fills go on without their clients; one is dropped");
        return;
    };
    runtime.spawn(async move {
        let _place = place;
        if tokio::time::timeout(limit, work).await.is_err() {
            tracing::warn!(target: "larder::decision", ?limit, "a fill that went on without its client took too long");
        }
    });
}

/// A future that is polled where it stands, and handed to a task if it is dropped between its beginning and its end. What was never begun is
/// dropped with it.
pub(crate) struct Detachable<T: 'static, W: Fn() -> bool = fn() -> bool> {
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    begun: bool,
    limit: Duration,
    /// Asked when it is dropped: is it worth it?
    worth: W,
}

impl<T: 'static, W: Fn() -> bool> Detachable<T, W> {
    pub(crate) fn new(work: Pin<Box<dyn Future<Output = T> + Send>>, limit: Duration, worth: W) -> Self {
        Self { work: Some(work), begun: false, limit, worth }
    }
}

impl<T: 'static, W: Fn() -> bool + Unpin> Future for Detachable<T, W> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // Taken out while it is polled: what panicked must not be polled again, whoever caught the panic.
        let Some(mut work) = self.work.take() else { return Poll::Pending };
        self.begun = true;
        let poll = work.as_mut().poll(cx);
        if poll.is_pending() {
            self.work = Some(work);
        }
        poll
    }
}

impl<T: 'static, W: Fn() -> bool> Drop for Detachable<T, W> {
    fn drop(&mut self) {
        // While it panics there is nothing to go on with.
        if std::thread::panicking() || !self.begun {
            return;
        }
        if let Some(work) = self.work.take()
            && (self.worth)()
        {
            let limit = self.limit;
            // The outcome, an error among them, is of interest to nobody any more.
            spawn(limit, async move { drop(work.await) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_panicked_is_not_polled_again_though_the_panic_was_caught() {
        let polls = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let seen = Arc::clone(&polls);
        let work = std::future::poll_fn(move |_| -> Poll<()> {
            seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            panic!("the handler is broken")
        });
        let mut work = Detachable::new(Box::pin(work), Duration::from_secs(60), || true);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            assert!(Pin::new(&mut work).poll(&mut cx).is_pending());
        }));
        assert!(caught.is_err());
        drop(work);
        tokio::task::yield_now().await;
        assert_eq!(polls.load(std::sync::atomic::Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn what_was_begun_goes_on_in_a_task_and_what_was_not_never_begins() {
        for begins in [false, true] {
            let (done, mut ended) = tokio::sync::oneshot::channel();
            let work = async move {
                tokio::task::yield_now().await;
                _ = done.send(());
            };
            let mut work = Detachable::new(Box::pin(work), Duration::from_secs(60), || true);
            if begins {
                let mut cx = Context::from_waker(std::task::Waker::noop());
                assert!(Pin::new(&mut work).poll(&mut cx).is_pending());
            }
            drop(work);
            assert_eq!((&mut ended).await.is_ok(), begins);
        }
    }

    #[tokio::test]
    async fn no_more_fills_go_on_without_their_clients_than_the_limit() {
        let begun = Arc::new(());
        let endless = || {
            let begun = Arc::clone(&begun);
            async move {
                let _begun = begun;
                std::future::pending::<()>().await;
            }
        };
        for _ in 0..DETACHED + 10 {
            spawn(Duration::from_secs(60), endless());
        }
        assert_eq!(Arc::strong_count(&begun) - 1, DETACHED, "what is too many is dropped at once");
    }
}
