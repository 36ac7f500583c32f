//! Every step to the store goes through here: the breaker lets it through, the deadline bounds it, events tell of it, and if it
//! panics that is an error.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::Cache;
use crate::breaker::{Asks, Change, Verdict};
use crate::error::{Error, ErrorKind};
use crate::events::Operation;

/// Longer than anything runs.
const LONG: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How long one request may still wait for its store, in nanoseconds.
#[derive(Debug)]
pub(super) struct Allowance(AtomicU64);

impl Allowance {
    fn of(deadline: Duration) -> Self {
        Self(AtomicU64::new(nanos(deadline)))
    }

    fn left(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn spend(&self, waited: Duration) {
        let spent = |left: u64| Some(left.saturating_sub(nanos(waited)));
        // The closure always gives a value.
        _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What a driver panics at, because a server said what no server says, costs no request. What it panicked with is in the log already.
///
/// A type of its own: an `async fn` would have room for the step twice.
struct Caught<F> {
    backend: &'static str,
    step: F,
}

impl<T, F: Future<Output = Result<T, Error>> + Unpin> Future for Caught<F> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let backend = self.backend;
        let step = Pin::new(&mut self.step);
        // It is not polled again, and what it held is dropped; nothing of ours is half done in between.
        catch_unwind(AssertUnwindSafe(|| step.poll(context))).unwrap_or_else(|_| {
            Poll::Ready(Err(Error::new(ErrorKind::Backend, format!("the {backend} backend panicked"))))
        })
    }
}

impl Cache {
    /// A handle for the way of one request, from its arrival to its answer: all steps that are taken through it and its clones wait no
    /// longer than the cache's deadline together, and after one that was an outage no further one is tried. So whatever a store does costs
    /// a request one deadline at most. For caches in this process it is the same as any other.
    #[must_use]
    pub fn for_request(&self) -> Self {
        let allowance = self.inner.capabilities.shared.then(|| Arc::new(Allowance::of(self.inner.deadline)));
        Self { inner: Arc::clone(&self.inner), allowance }
    }

    /// The same cache for work beside a request, where each step has the whole deadline.
    #[must_use]
    pub fn beside_requests(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), allowance: None }
    }

    /// For a handle [for a request](Self::for_request): how long it may still wait. `None`: as long as it takes.
    pub fn patience(&self) -> Option<Duration> {
        self.allowance.as_ref().map(|allowance| allowance.left())
    }

    /// A handle that may wait as long as this one may, whose waiting this one is not charged with.
    pub(super) fn with_the_same_patience(&self) -> Self {
        let allowance = self.patience().map(|left| Arc::new(Allowance::of(left)));
        Self { inner: Arc::clone(&self.inner), allowance }
    }

    /// Nothing more is tried through this handle.
    pub(super) fn lose_patience(&self) {
        if let Some(allowance) = &self.allowance {
            allowance.spend(Duration::MAX);
        }
    }

    /// Waits for work on the store for as long as the [patience](Self::patience) lasts, and charges it with the time; `None` if it was not
    /// done by then.
    ///
    /// # Cancel safety
    /// As the work's.
    pub async fn while_patient<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let Some(allowance) = &self.allowance else { return Some(work.await) };
        if tokio::runtime::Handle::try_current().is_err() {
            return Some(work.await);
        }
        let began = Instant::now();
        let done = tokio::time::timeout(allowance.left(), work).await.ok();
        allowance.spend(began.elapsed());
        done
    }

    /// Notes that something stored could not be read and is being removed, for events and the log.
    pub fn note_garbage(&self, error: &Error) {
        self.inner.reporter.garbage(self.name(), error, self.inner.clock.now());
    }

    /// A step that the breaker may refuse.
    pub(super) async fn within<T>(
        &self,
        operation: Operation,
        step: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.guarded(operation, Asks::Step, Some(self.inner.deadline), step).await
    }

    /// A step that is always tried: its success is a promise, or an answer to somebody who wants to know.
    pub(super) async fn always<T>(
        &self,
        operation: Operation,
        step: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.guarded(operation, Asks::Always, Some(self.inner.deadline), step).await
    }

    /// The same, however long it takes.
    pub(super) async fn always_unbounded<T>(
        &self,
        operation: Operation,
        step: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.guarded(operation, Asks::Always, None, step).await
    }

    /// What an operation of the low-level API came to: with `ignore_errors`, a store that failed counts as one in which nothing is and
    /// nothing happens. Only what every operation that may be ignored goes through; never what promises something (`invalidate`, locks)
    /// or asks how the store is.
    pub(super) fn forgive<T: Default>(
        &self,
        operation: Operation,
        done: Result<T, Error>,
    ) -> Result<T, Error> {
        self.forgive_or(operation, done, || Ok(T::default()))
    }

    /// The same for operations whose "nothing happened" is something else.
    pub(super) fn forgive_or<T>(
        &self,
        operation: Operation,
        done: Result<T, Error>,
        nothing: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        match done {
            Err(error) if self.inner.ignore_errors && error.is_transient() => {
                self.inner.reporter.ignored(self.name(), operation, error.kind(), self.inner.clock.now());
                nothing()
            }
            done => done,
        }
    }

    async fn guarded<T>(
        &self,
        operation: Operation,
        asks: Asks,
        deadline: Option<Duration>,
        step: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let inner = &*self.inner;
        let step = Caught { backend: inner.capabilities.name, step: pin!(step) };
        // A backend in this process needs no timer, and there is nothing to be cut off from.
        if !inner.capabilities.shared {
            return step.await.inspect_err(|error| self.tell(operation, error));
        }
        // What may not be refused is not hurried either.
        let patience = self.patience().filter(|_| asks == Asks::Step);
        if patience.is_some_and(|left| left.is_zero()) {
            return Err(self.too_long());
        }
        let pass = match &inner.circuit {
            Some(circuit) => match circuit.enter_calmly(asks) {
                Some(pass) => Some(pass),
                None => match circuit.enter(asks, inner.capabilities.name, inner.clock.now()) {
                    Ok((pass, change)) => {
                        self.changed(change);
                        Some(pass)
                    }
                    Err(refusal) => {
                        inner.reporter.refused(operation);
                        return Err(refusal);
                    }
                },
            },
            None => None,
        };
        let limit = match (deadline, patience) {
            (Some(deadline), Some(left)) => Some(deadline.min(left)),
            (limit, None) | (None, limit) => limit,
        };
        let began = Instant::now();
        // A century is as good as for ever.
        let until = |limit| began.checked_add(limit).unwrap_or_else(|| began + LONG);
        let done = match limit {
            // Outside a runtime there is no timer, and the backend has to do without one as well.
            Some(limit) if tokio::runtime::Handle::try_current().is_ok() => {
                match tokio::time::timeout_at(until(limit), step).await {
                    Ok(done) => done,
                    Err(_) if deadline.is_some_and(|deadline| limit < deadline) => Err(self.too_long()),
                    Err(_) => Err(self.too_late()),
                }
            }
            _ => step.await,
        };
        if let Some(allowance) = &self.allowance {
            let outage = done.as_ref().is_err_and(|error| error.kind().is_outage());
            allowance.spend(if outage { Duration::MAX } else { began.elapsed() });
        }
        if let Err(error) = &done {
            self.tell(operation, error);
        }
        if let Some(pass) = pass {
            // Cut short because of what came before it, it was not given the time to show that it is out.
            let hurried = limit.zip(deadline).is_some_and(|(limit, deadline)| limit < deadline / 2);
            let verdict = match Verdict::of(&done) {
                Verdict::Outage(error) if hurried && error.kind() == ErrorKind::Deadline => Verdict::Neither,
                verdict => verdict,
            };
            if !pass.is_settled(verdict) {
                self.changed(pass.settle(verdict, inner.clock.now()));
            }
        }
        done
    }

    fn too_late(&self) -> Error {
        let (name, deadline) = (self.inner.capabilities.name, self.inner.deadline);
        Error::new(ErrorKind::Deadline, format!("the {name} backend did not answer within {deadline:?}"))
    }

    fn too_long(&self) -> Error {
        let (name, deadline) = (self.inner.capabilities.name, self.inner.deadline);
        Error::new(
            ErrorKind::Deadline,
            format!(
                "this request has waited for the {name} backend for {deadline:?} in all, and goes on without it"
            ),
        )
    }

    /// Tells of a step that failed.
    pub(super) fn tell(&self, operation: Operation, error: &Error) {
        self.inner.reporter.failed(self.name(), operation, error, self.inner.clock.now());
    }

    fn changed(&self, change: Option<Change>) {
        let reporter = &self.inner.reporter;
        match change {
            Some(Change::Opened { outages, cooldown }) => reporter.opened(self.name(), outages, cooldown),
            Some(Change::HalfOpen) => reporter.half_open(self.name()),
            Some(Change::Closed { after }) => reporter.closed(self.name(), after),
            None => {}
        }
    }
}
