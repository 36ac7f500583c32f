//! Where the time comes from: the machine, or a test's hand.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// Milliseconds since the Unix epoch.
pub type UnixMillis = u64;

/// The clock of a cache. Everything that expires asks it; a test moves a [`ManualClock`] and never sleeps.
///
/// ```
/// use std::time::Duration;
/// use larder_core::ManualClock;
///
/// let hand = ManualClock::new(1_000_000);
/// let clock = hand.clock();
/// hand.advance(Duration::from_secs(3));
/// assert_eq!(clock.now(), 1_003_000);
/// ```
#[derive(Clone, Default)]
pub struct Clock(Source);

#[derive(Clone, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<watch::Sender<UnixMillis>>),
}

impl Clock {
    /// The machine's wall clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// Now, in milliseconds since the Unix epoch; a machine whose clock stands before 1970 reads 0.
    pub fn now(&self) -> UnixMillis {
        match &self.0 {
            Source::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                since.as_secs().saturating_mul(1000).saturating_add(since.subsec_millis().into())
            }
            Source::Manual(now) => *now.borrow(),
        }
    }

    /// Waits until `duration` has passed on this clock.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Source::System => tokio::time::sleep(duration).await,
            Source::Manual(now) => {
                let mut seen = now.subscribe();
                let until = seen.borrow().saturating_add(millis(duration));
                // The sender lives in `self`, so this can't fail while somebody waits.
                let _ = seen.wait_for(|now| *now >= until).await;
            }
        }
    }
}

impl Clock {
    /// Waits until this clock shows `at`, or at once if it does.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub(crate) async fn sleep_until(&self, at: UnixMillis) {
        match &self.0 {
            Source::System => tokio::time::sleep(Duration::from_millis(at.saturating_sub(self.now()))).await,
            Source::Manual(now) => {
                let mut seen = now.subscribe();
                // As in `sleep`.
                let _ = seen.wait_for(|now| *now >= at).await;
            }
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Clock::System",
            Source::Manual(_) => "Clock::Manual",
        })
    }
}

/// A clock that a test moves by hand. Clones share one time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<watch::Sender<UnixMillis>>);

impl ManualClock {
    /// A clock that stands at `start` milliseconds since the epoch.
    pub fn new(start: UnixMillis) -> Self {
        Self(Arc::new(watch::Sender::new(start)))
    }

    /// The clock to give to a cache.
    pub fn clock(&self) -> Clock {
        Clock(Source::Manual(Arc::clone(&self.0)))
    }

    /// Moves the time forward and wakes whoever waited for it.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|now| *now = now.saturating_add(millis(by)));
    }

    /// Puts the time to `at`, forward or back (an operator who sets the clock).
    pub fn set(&self, at: UnixMillis) {
        self.0.send_replace(at);
    }

    /// What the clock shows.
    pub fn now(&self) -> UnixMillis {
        *self.0.borrow()
    }
}

/// A duration in whole milliseconds, clamped; what is shorter than one counts as one, so that nothing that was
/// meant to live is stored as already expired.
pub(crate) fn millis(duration: Duration) -> u64 {
    let whole = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if whole == 0 && !duration.is_zero() { 1 } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_sleep_ends_when_the_hand_passes_its_time_and_not_before() {
        let hand = ManualClock::new(0);
        let clock = hand.clock();
        let sleeper = tokio::spawn(async move { clock.sleep(Duration::from_secs(10)).await });
        tokio::task::yield_now().await;
        hand.advance(Duration::from_secs(9));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        hand.advance(Duration::from_secs(1));
        sleeper.await.unwrap();
    }

    #[test]
    fn less_than_a_millisecond_is_not_nothing() {
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::ZERO), 0);
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }
}
