//! How a server is doing, and when it may be tried again.

use std::fmt;
use std::time::Duration;

use larder_core::{Error, ErrorKind};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::address::Address;

const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How a server is doing. A server that fails is left alone for a moment, each time for longer, up to two seconds.
#[derive(Debug)]
pub(crate) struct Health {
    address: Address,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Failures since it last answered.
    failures: u32,
    not_before: Option<Instant>,
    last: Option<(ErrorKind, String)>,
}

/// A connection has ended. Why, stands in the [`Health`].
#[derive(Debug)]
pub(crate) struct Ended;

impl Health {
    pub(crate) fn new(address: Address) -> Self {
        Self { address, state: Mutex::default() }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it has failed since it last answered.
    pub(crate) fn is_ailing(&self) -> bool {
        self.state.lock().failures > 0
    }

    /// Whether it is to be left alone for now.
    pub(crate) fn is_resting(&self) -> bool {
        self.state.lock().not_before.is_some_and(|at| Instant::now() < at)
    }

    /// It answered.
    pub(crate) fn answered(&self) {
        let mut state = self.state.lock();
        if state.failures > 0 {
            *state = State::default();
            drop(state);
            tracing::info!(target: "larder::backend", server = %self.address, "the Memcached server answers again");
        }
    }

    /// It failed: a pause begins.
    pub(crate) fn failed(&self, kind: ErrorKind, why: impl fmt::Display) -> Ended {
        let mut state = self.state.lock();
        let pause = SHORTEST_PAUSE.saturating_mul(1 << state.failures.min(10)).min(LONGEST_PAUSE);
        state.failures = state.failures.saturating_add(1);
        state.not_before = Some(Instant::now() + pause);
        state.last = Some((kind, why.to_string()));
        let first = state.failures == 1;
        drop(state);
        if first {
            tracing::warn!(target: "larder::backend", server = %self.address, kind = kind.as_str(), %why, "the Memcached server failed; its keys are misses until it answers again");
        }
        Ended
    }

    /// The connection ended while nobody waited for anything; it may be made again at once.
    pub(crate) fn parted(&self) -> Ended {
        Ended
    }

    /// What a request is told that gets no answer.
    pub(crate) fn error(&self) -> Error {
        let state = self.state.lock();
        let address = &self.address;
        match &state.last {
            Some((kind, why)) => Error::new(*kind, format!("the Memcached server {address}: {why}")),
            None => Error::new(
                ErrorKind::Unavailable,
                format!("the connection to the Memcached server {address} ended before the answer came"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_up_to_two_seconds_and_an_answer_ends_them() {
        let health = Health::new(Address::parse("h").unwrap());
        for pause in [50, 100, 200, 400, 800, 1600, 2000, 2000] {
            health.failed(ErrorKind::Unavailable, "gone");
            tokio::time::advance(Duration::from_millis(pause - 1)).await;
            assert!(health.is_resting(), "{pause}");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(!health.is_resting() && health.is_ailing(), "{pause}");
        }
        assert_eq!(health.error().to_string(), "the Memcached server h:11211: gone");
        health.answered();
        assert!(!health.is_ailing());
        health.failed(ErrorKind::Unavailable, "gone");
        tokio::time::advance(SHORTEST_PAUSE).await;
        assert!(!health.is_resting(), "it begins anew");
    }
}
