//! When to connect, and who waits for it.
//!
//! - Nothing is connected before it is needed, and nothing runs while nobody asks.
//! - One attempt at a time, in a task of its own: a caller whose deadline is shorter than a connection takes must not begin it anew.
//! - The first attempt is waited for by all who come. After a failure, only who begins the next attempt waits for it; the others
//!   are told at once that there is no connection. Between attempts there is a pause that grows to two seconds.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_core::Error;
use parking_lot::Mutex;
use redis::RedisError;
use tokio::runtime::{Handle, Id};
use tokio::sync::watch;

use crate::error::{mapped, no_runtime};
use crate::link::Link;
use crate::target::Target;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A connection lives and dies with the runtime it was made in. Runtimes beyond this number are those of tests that ended long ago.
const RUNTIMES: usize = 64;

type Outcome = Option<Result<Link, RedisError>>;

pub(crate) struct Connector {
    target: Target,
    connect_timeout: Duration,
    max_silence: Duration,
    lines: Mutex<HashMap<Id, Line>>,
}

/// What there is in one runtime.
#[derive(Default)]
struct Line {
    link: Option<Link>,
    attempt: Option<watch::Receiver<Outcome>>,
    failures: u32,
    failed: Option<(RedisError, Instant)>,
}

impl Connector {
    pub(crate) fn new(target: Target, connect_timeout: Duration, max_silence: Duration) -> Self {
        Self { target, connect_timeout, max_silence, lines: Mutex::default() }
    }

    /// The connection of this runtime.
    pub(crate) async fn link(self: &Arc<Self>) -> Result<Link, Error> {
        let runtime = Handle::try_current().map_err(|_| no_runtime())?;
        self.linked(&runtime).await.map_err(mapped)
    }

    /// The same, with the driver's error.
    pub(crate) async fn linked(self: &Arc<Self>, runtime: &Handle) -> Result<Link, RedisError> {
        let mut attempt = match self.step(runtime) {
            Step::Use(link) => return Ok(link),
            Step::Fail(error) => return Err(error),
            Step::Wait(attempt) => attempt,
        };
        let outcome = attempt.wait_for(Option::is_some).await;
        match outcome.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            // The task is gone, and the runtime with it.
            Ok(None) | Err(_) => Err(std::io::Error::from(std::io::ErrorKind::NotConnected).into()),
        }
    }

    /// The connection of this runtime, if there is one that may be used; none is begun.
    pub(crate) fn ready(&self) -> Option<Link> {
        let runtime = Handle::try_current().ok()?.id();
        let lines = self.lines.lock();
        let link = lines.get(&runtime)?.link.as_ref()?;
        link.is_alive(self.max_silence).then(|| link.clone())
    }

    /// The connection of this runtime, if there is one now; else one is begun.
    pub(crate) fn link_now(self: &Arc<Self>) -> Option<Link> {
        let runtime = Handle::try_current().ok()?;
        match self.step(&runtime) {
            Step::Use(link) => Some(link),
            Step::Wait(_) | Step::Fail(_) => None,
        }
    }

    /// Lets go of all connections. What is under way on them is finished.
    pub(crate) fn close(&self) {
        self.lines.lock().clear();
    }

    fn step(self: &Arc<Self>, runtime: &Handle) -> Step {
        let mut lines = self.lines.lock();
        if lines.len() >= RUNTIMES && !lines.contains_key(&runtime.id()) {
            lines.clear();
        }
        let line = lines.entry(runtime.id()).or_default();
        if let Some(link) = &line.link {
            if link.is_alive(self.max_silence) {
                return Step::Use(link.clone());
            }
            if !link.is_closed() {
                // Silent: it need not be better the next time, so not everybody waits for that.
                let silence = std::io::Error::from(std::io::ErrorKind::TimedOut);
                line.failures = line.failures.max(1);
                line.failed = Some((silence.into(), Instant::now()));
                tracing::warn!(target: "larder::backend", "the Redis server does not answer; connecting anew");
            }
            line.link = None;
        }
        if let Some(attempt) = line.attempt.as_ref().filter(|attempt| attempt.has_changed().is_ok()) {
            return match &line.failed {
                Some((error, _)) if line.failures > 0 => Step::Fail(error.clone()),
                _ => Step::Wait(attempt.clone()),
            };
        }
        if let Some((error, at)) = &line.failed
            && at.elapsed() < pause(line.failures)
        {
            return Step::Fail(error.clone());
        }
        let (done, attempt) = watch::channel(None);
        line.attempt = Some(attempt.clone());
        runtime.spawn(Arc::clone(self).attempt(runtime.id(), done));
        Step::Wait(attempt)
    }

    async fn attempt(self: Arc<Self>, runtime: Id, done: watch::Sender<Outcome>) {
        let outcome = self.target.open(self.connect_timeout).await;
        {
            let mut lines = self.lines.lock();
            let line = lines.entry(runtime).or_default();
            line.attempt = None;
            match &outcome {
                Ok(link) => {
                    *line = Line { link: Some(link.clone()), ..Line::default() };
                }
                Err(error) => {
                    line.failures = line.failures.saturating_add(1);
                    line.failed = Some((error.clone(), Instant::now()));
                }
            }
        }
        // Nobody may be waiting any more.
        _ = done.send(Some(outcome));
    }
}

enum Step {
    Use(Link),
    Wait(watch::Receiver<Outcome>),
    Fail(RedisError),
}

/// How long to leave a server alone after so many failures. Part of it is chance, so that not all processes come at once.
pub(crate) fn pause(failures: u32) -> Duration {
    let full = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
    let chance = RandomState::new().hash_one(failures) % 1_000;
    full.mul_f64(0.5 + chance as f64 / 2_000.0)
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the target: how much a client shows is the driver's affair.
        f.debug_struct("Connector")
            .field("connect_timeout", &self.connect_timeout)
            .field("max_silence", &self.max_silence)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_two_seconds_and_no_further() {
        assert!(pause(1) <= FIRST_PAUSE && pause(1) >= FIRST_PAUSE / 2);
        for failures in [7, 8, 100, u32::MAX] {
            assert!(pause(failures) <= LONGEST_PAUSE && pause(failures) >= LONGEST_PAUSE / 2, "{failures}");
        }
    }
}
