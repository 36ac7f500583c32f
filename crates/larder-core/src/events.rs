//! What happens between a cache and its store, for logs, metrics and whoever wants to know.
//!
//! Each event goes to the observer of the cache ([`CacheBuilder::on_event`](crate::CacheBuilder::on_event)), every time, and to the log
//! (`tracing`, target `larder::backend`), the first time: of what repeats, one line in ten seconds is written, with the number of those
//! that were not. A dead server does not fill a disk.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::UnixMillis;
use crate::error::{Error, ErrorKind};

/// Of what repeats, one line in this time is written.
const LINE_MILLIS: u64 = 10_000;

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl $name {
            /// As a lower-case word, the same in logs, metrics and tests.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What was asked of a store.
    Operation {
        /// Entries were looked up.
        Get = "get",
        /// Entries were to be stored.
        Set = "set",
        /// Entries were to be removed.
        Remove = "remove",
        /// An entry was to get another expiry.
        Touch = "touch",
        /// A number was to be counted on.
        Incr = "incr",
        /// An entry was to be replaced if it is still the same: locks and leases.
        CompareAndSet = "compare-and-set",
        /// Keys were to be listed.
        Scan = "scan",
        /// A fill was to begin.
        Begin = "begin",
        /// A fill was to end.
        Seal = "seal",
        /// Tags were to be invalidated.
        Invalidate = "invalidate",
        /// A namespace was to be emptied.
        Clear = "clear",
        /// The store was asked whether it answers.
        Ping = "ping",
    }
}

/// Something that happened between a cache and its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A step was tried and failed.
    StepFailed {
        /// What was asked.
        operation: Operation,
        /// How it failed: [`Unavailable`](ErrorKind::Unavailable), [`Deadline`](ErrorKind::Deadline), [`Backend`](ErrorKind::Backend) or
        /// [`TooLarge`](ErrorKind::TooLarge). What the caller did wrong is no event.
        kind: ErrorKind,
    },
    /// A step was not tried, since the breaker is open.
    StepRefused {
        /// What was to be asked.
        operation: Operation,
    },
    /// An operation of the low-level API came to nothing, since the cache ignores errors.
    Ignored {
        /// What was asked.
        operation: Operation,
        /// The error that was ignored.
        kind: ErrorKind,
    },
    /// The breaker opened, or opened again after a probe.
    BreakerOpened {
        /// How many outages there were in a row.
        outages: u32,
        /// For how long it is open.
        cooldown: Duration,
    },
    /// The cool-down is over, and one step is let through.
    BreakerHalfOpen,
    /// The store answers again.
    BreakerClosed {
        /// How long the breaker was open.
        after: Duration,
    },
    /// What was stored could not be read; it was removed and counts as a miss.
    GarbageRemoved,
}

impl Event {
    /// Its name as a lower-case word, the same in logs, metrics and tests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StepFailed { .. } => "step-failed",
            Self::StepRefused { .. } => "step-refused",
            Self::Ignored { .. } => "ignored",
            Self::BreakerOpened { .. } => "breaker-opened",
            Self::BreakerHalfOpen => "breaker-half-open",
            Self::BreakerClosed { .. } => "breaker-closed",
            Self::GarbageRemoved => "garbage-removed",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whoever wants to know.
#[derive(Clone)]
pub(crate) struct Observer(Arc<dyn Fn(&Event) + Send + Sync>);

impl Observer {
    pub(crate) fn new(observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observer))
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// Tells the observer and the log.
#[derive(Debug, Default)]
pub(crate) struct Reporter {
    observer: Option<Observer>,
    failed: [Line; 4],
    ignored: Line,
    garbage: Line,
}

impl Reporter {
    pub(crate) fn new(observer: Option<Observer>) -> Self {
        Self { observer, ..Self::default() }
    }

    /// A step came to an error. What the caller did wrong, or what the store was not asked for, is not reported.
    pub(crate) fn failed(&self, cache: &str, operation: Operation, error: &Error, now: UnixMillis) {
        let kind = error.kind();
        let line = match kind {
            ErrorKind::Unavailable => &self.failed[0],
            ErrorKind::Deadline => &self.failed[1],
            ErrorKind::Backend => &self.failed[2],
            ErrorKind::TooLarge => &self.failed[3],
            _ => return,
        };
        self.tell(Event::StepFailed { operation, kind });
        if let Some(unlogged) = line.write(now) {
            tracing::warn!(target: "larder::backend", cache, event = "step-failed", operation = operation.as_str(), kind = kind.as_str(), unlogged, %error, "the store failed");
        }
    }

    pub(crate) fn ignored(&self, cache: &str, operation: Operation, kind: ErrorKind, now: UnixMillis) {
        self.tell(Event::Ignored { operation, kind });
        if let Some(unlogged) = self.ignored.write(now) {
            tracing::warn!(target: "larder::backend", cache, event = "ignored", operation = operation.as_str(), kind = kind.as_str(), unlogged, "an error of the store is ignored");
        }
    }

    pub(crate) fn refused(&self, operation: Operation) {
        self.tell(Event::StepRefused { operation });
    }

    pub(crate) fn garbage(&self, cache: &str, error: &Error, now: UnixMillis) {
        self.tell(Event::GarbageRemoved);
        if let Some(unlogged) = self.garbage.write(now) {
            tracing::warn!(target: "larder::backend", cache, event = "garbage-removed", unlogged, %error, "what was stored could not be read; it is removed");
        }
    }

    pub(crate) fn opened(&self, cache: &str, outages: u32, cooldown: Duration) {
        self.tell(Event::BreakerOpened { outages, cooldown });
        tracing::warn!(target: "larder::backend", cache, event = "breaker-opened", outages, ?cooldown, "the store is out; it is left alone for a while");
    }

    pub(crate) fn half_open(&self, cache: &str) {
        self.tell(Event::BreakerHalfOpen);
        tracing::debug!(target: "larder::backend", cache, event = "breaker-half-open", "the store is tried again");
    }

    pub(crate) fn closed(&self, cache: &str, after: Duration) {
        self.tell(Event::BreakerClosed { after });
        let unlogged: u64 = self.failed.iter().map(Line::forget).sum();
        tracing::info!(target: "larder::backend", cache, event = "breaker-closed", ?after, unlogged, "the store answers again");
    }

    fn tell(&self, event: Event) {
        if let Some(Observer(observer)) = &self.observer {
            observer(&event);
        }
    }
}

/// A line of the log that may repeat.
#[derive(Debug, Default)]
struct Line {
    /// When it was last written, and 0 if never.
    last: AtomicU64,
    unlogged: AtomicU64,
}

impl Line {
    /// Whether to write it now: then, how often it was not since the last time.
    fn write(&self, now: UnixMillis) -> Option<u64> {
        let (last, now) = (self.last.load(Ordering::Relaxed), now.max(1));
        // What lies ahead was noted before the clock was set back.
        let recent = last != 0 && last <= now && now - last < LINE_MILLIS;
        if recent || self.last.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            self.unlogged.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.unlogged.swap(0, Ordering::Relaxed))
    }

    /// The next one is the first one again; gives how many were not written.
    fn forget(&self) -> u64 {
        self.last.store(0, Ordering::Relaxed);
        self.unlogged.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_repeats_one_line_in_ten_seconds_is_written_and_the_others_are_counted() {
        let line = Line::default();
        assert_eq!(line.write(0), Some(0));
        for now in 1..1_000 {
            assert_eq!(line.write(now), None);
        }
        assert_eq!(line.write(LINE_MILLIS + 1), Some(999));
        assert_eq!(line.write(LINE_MILLIS + 2), None);
        assert_eq!(line.write(5), Some(1), "the clock was set back");
        assert_eq!((line.write(6), line.forget()), (None, 1));
        assert_eq!(line.write(7), Some(0));
    }

    #[test]
    fn only_what_the_store_did_is_reported() {
        let seen = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let note = Arc::clone(&seen);
        let reporter = Reporter::new(Some(Observer::new(move |event| note.lock().push(*event))));
        for kind in [
            ErrorKind::Config,
            ErrorKind::Unsupported,
            ErrorKind::NotFound,
            ErrorKind::Value,
            ErrorKind::Encode,
            ErrorKind::Decode,
            ErrorKind::Unavailable,
            ErrorKind::Deadline,
            ErrorKind::TooLarge,
            ErrorKind::Backend,
        ] {
            reporter.failed("default", Operation::Get, &Error::new(kind, "x"), 1);
        }
        let kinds = [ErrorKind::Unavailable, ErrorKind::Deadline, ErrorKind::TooLarge, ErrorKind::Backend];
        assert_eq!(
            *seen.lock(),
            kinds.map(|kind| Event::StepFailed { operation: Operation::Get, kind }).to_vec()
        );
    }
}
