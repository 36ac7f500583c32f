//! What is told of the work.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Who is told.
pub(super) type Observer = Arc<dyn Fn(&WarmEvent<'_>) + Send + Sync>;

/// Something that happened to a [`Warmer`](super::Warmer). Each also goes to the log (`tracing`, target `larder::warm`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WarmEvent<'a> {
    /// This process does the work from now on.
    Leads,
    /// Another process does it.
    Follows,
    /// A thing is new.
    Refreshed {
        /// Its name.
        job: &'a str,
    },
    /// A thing was invalidated or changed while it was made: that wins.
    Overtaken {
        /// Its name.
        job: &'a str,
    },
    /// A thing was made and can't be stored.
    NotStored {
        /// Its name.
        job: &'a str,
        /// Why.
        why: &'a str,
    },
    /// A thing could not be made; what there was stays.
    Failed {
        /// Its name.
        job: &'a str,
        /// What went wrong.
        error: &'a str,
        /// How many times in a row.
        failures: u32,
    },
    /// A thing failed so often in a row that it is not tried any more.
    GivenUp {
        /// Its name.
        job: &'a str,
        /// How many times in a row it failed.
        failures: u32,
    },
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WarmCounts {
    /// Things were made new.
    pub refreshed: u64,
    /// Things were invalidated or changed while they were made.
    pub overtaken: u64,
    /// Things were made and could not be stored.
    pub not_stored: u64,
    /// Things could not be made.
    pub failed: u64,
    /// Things were given up.
    pub given_up: u64,
}

/// Tells and counts.
#[derive(Default)]
pub(super) struct Teller {
    observer: Option<Observer>,
    refreshed: AtomicU64,
    overtaken: AtomicU64,
    not_stored: AtomicU64,
    failed: AtomicU64,
    given_up: AtomicU64,
}

impl Teller {
    pub(super) fn new(observer: Option<Observer>) -> Self {
        Self { observer, ..Self::default() }
    }

    pub(super) fn tell(&self, event: &WarmEvent<'_>) {
        let counter = match event {
            WarmEvent::Leads | WarmEvent::Follows => None,
            WarmEvent::Refreshed { .. } => Some(&self.refreshed),
            WarmEvent::Overtaken { .. } => Some(&self.overtaken),
            WarmEvent::NotStored { .. } => Some(&self.not_stored),
            WarmEvent::Failed { .. } => Some(&self.failed),
            WarmEvent::GivenUp { .. } => Some(&self.given_up),
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        match event {
            // One line for each thing that fails, however long it goes on.
            WarmEvent::Failed { job, error, failures: 1 } => {
                tracing::warn!(target: "larder::warm", job, error, "could not be made; what there was stays, and it is tried again");
            }
            WarmEvent::GivenUp { job, failures } => {
                tracing::error!(target: "larder::warm", job, failures, "is not kept warm any more");
            }
            event => tracing::debug!(target: "larder::warm", ?event),
        }
        if let Some(observer) = &self.observer {
            observer(event);
        }
    }

    pub(super) fn counts(&self) -> WarmCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        WarmCounts {
            refreshed: read(&self.refreshed),
            overtaken: read(&self.overtaken),
            not_stored: read(&self.not_stored),
            failed: read(&self.failed),
            given_up: read(&self.given_up),
        }
    }
}

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts().fmt(f)
    }
}
