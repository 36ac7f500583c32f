//! Waiting on a thread that renders: templates are rendered without await, and caches answer with it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task;

/// How many renders may block workers of a runtime at once. Each takes a thread of the pool of those that block, which has 512 unless
/// the application said otherwise.
const BLOCKED: usize = 128;

static WAITING: AtomicUsize = AtomicUsize::new(0);

/// How a thread that renders may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It is there for blocking.
    Blocking,
    /// It is a worker of a runtime with others, which take over what it had to do.
    Worker,
    /// It is all the runtime has: what it waits for would never come.
    Now,
    /// There is no runtime.
    Nowhere,
}

impl Patience {
    /// That of this thread, where nothing more is known.
    pub(crate) fn here() -> Self {
        match Handle::try_current().map(|handle| handle.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => Self::Worker,
            Ok(_) => Self::Now,
            Err(_) => Self::Nowhere,
        }
    }
}

/// Polls until it is ready, for as long as the thread may wait; `None` if it is not ready by then.
pub(crate) fn drive<F: Future>(work: F, patience: Patience, until: Instant) -> Option<F::Output> {
    // Tokio's budget is for tasks that go on for ever; spent, it would make ready things look as if they were not.
    let mut work = pin!(task::unconstrained(work));
    if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return Some(done);
    }
    match patience {
        Patience::Blocking => park(work, until),
        Patience::Worker => {
            let _seat = Seat::take()?;
            let mut began = false;
            let waited = catch_unwind(AssertUnwindSafe(|| {
                task::block_in_place(|| {
                    began = true;
                    park(work, until)
                })
            }));
            match waited {
                Ok(done) => done,
                // A `LocalSet` on a runtime with workers does not let its tasks block.
                Err(_) if !began => None,
                Err(panic) => resume_unwind(panic),
            }
        }
        Patience::Now | Patience::Nowhere => None,
    }
}

/// By the machine's clock and without the runtime's timers: if all its threads were blocked here, nobody would tend those.
fn park<F: Future>(mut work: Pin<&mut F>, until: Instant) -> Option<F::Output> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
            return Some(done);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// One of those that may block workers at once.
struct Seat;

impl Seat {
    fn take() -> Option<Self> {
        let free = |taken: usize| (taken < BLOCKED).then_some(taken + 1);
        WAITING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).ok().map(|_| Self)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[tokio::test]
    async fn the_only_thread_of_a_runtime_never_waits_for_it() {
        let (tell, mut told) = oneshot::channel::<u8>();
        assert_eq!(Patience::here(), Patience::Now);
        assert_eq!(drive(&mut told, Patience::here(), soon()), None);
        tell.send(7).unwrap();
        assert_eq!(drive(told, Patience::here(), soon()), Some(Ok(7)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_worker_lets_the_others_go_on_while_it_waits() {
        let done = tokio::spawn(async {
            let (tell, told) = oneshot::channel();
            // On the worker that is about to block.
            tokio::spawn(async move { tell.send(7) });
            drive(told, Patience::here(), soon())
        });
        assert_eq!(done.await.unwrap(), Some(Ok(7)));
    }

    #[tokio::test]
    async fn a_thread_for_blocking_waits_for_a_runtime_of_one_thread() {
        let (tell, told) = oneshot::channel();
        let waits = task::spawn_blocking(|| drive(told, Patience::Blocking, soon()));
        tell.send(7).unwrap();
        assert_eq!(waits.await.unwrap(), Some(Ok(7)));
    }

    #[test]
    fn who_is_not_told_in_time_goes_on() {
        let (_tell, told) = oneshot::channel::<u8>();
        assert_eq!(drive(told, Patience::Blocking, Instant::now()), None);
    }

    #[test]
    fn a_task_that_may_not_block_goes_on_without_waiting() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (_tell, told) = oneshot::channel::<u8>();
        let local = task::LocalSet::new();
        let done = runtime.block_on(local.run_until(async move {
            task::spawn_local(async { drive(told, Patience::here(), Instant::now()) }).await
        }));
        assert_eq!(done.unwrap(), None);
    }
}
