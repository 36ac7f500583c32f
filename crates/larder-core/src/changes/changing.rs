//! A change on its way: invalidation, then effects.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::{Effect, Heard, effect_failed, panicked};
use crate::cache::Cache;
use crate::error::{Error, ErrorKind};

/// See [`Changes::changed`](super::Changes::changed).
#[must_use = "nothing is invalidated until it is awaited"]
pub struct Changing(State);

enum State {
    /// Not awaited yet.
    New(Work),
    /// In a task, so that it goes on if nobody waits any more.
    Task(JoinHandle<Result<(), Error>>),
    /// Where there is no runtime.
    Here(Work),
    Done,
}

type Work = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

impl Changing {
    pub(super) fn new(caches: Vec<Cache>, heard: Heard) -> Self {
        Self(State::New(Box::pin(settle(caches, heard))))
    }
}

impl Future for Changing {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0 = match (std::mem::replace(&mut self.0, State::Done), Handle::try_current()) {
            (State::New(work), Ok(runtime)) => State::Task(runtime.spawn(work)),
            (State::New(work), Err(_)) => State::Here(work),
            (begun, _) => begun,
        };
        let outcome = match &mut self.0 {
            State::Task(task) => ready!(Pin::new(task).poll(cx)).unwrap_or_else(|cut| Err(cut_off(cut))),
            State::Here(work) => ready!(work.as_mut().poll(cx)),
            State::New(_) | State::Done => return Poll::Pending,
        };
        self.0 = State::Done;
        Poll::Ready(outcome)
    }
}

impl fmt::Debug for Changing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Changing")
    }
}

fn cut_off(cut: tokio::task::JoinError) -> Error {
    let text = "the runtime ended before a change was told to all; the caches may keep what was before";
    Error::new(ErrorKind::Unavailable, text).with_source(cut)
}

async fn settle(caches: Vec<Cache>, heard: Heard) -> Result<(), Error> {
    let Heard { tags, effects, failed } = heard;
    let mut failures = Vec::new();
    if !tags.is_empty() {
        let each = caches.iter().map(|cache| cache.invalidate(tags.iter().cloned()));
        failures.extend(join_all(each).await.into_iter().filter_map(Result::err));
    }
    failures.extend(failed);
    for (name, at, effect) in effects {
        match caught(effect).await {
            Ok(Ok(())) => {}
            Ok(Err(source)) => failures.push(effect_failed(name, at, source)),
            Err(panic) => failures.push(panicked(name, at, &*panic)),
        }
    }
    for error in &failures {
        tracing::error!(target: "larder::purge", %error, "a change was not told to all");
    }
    failures.into_iter().next().map_or(Ok(()), Err)
}

type Caught<T> = Result<T, Box<dyn std::any::Any + Send>>;

async fn caught(mut effect: Effect) -> Caught<<Effect as Future>::Output> {
    poll_fn(|cx| {
        // It is not polled again after a panic.
        match catch_unwind(AssertUnwindSafe(|| effect.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}
