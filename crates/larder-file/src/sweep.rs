//! Removing what expired and nobody asked for again: a little of the directory at a time, behind a write.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use larder_core::{Error, UnixMillis};

use crate::disk::Disk;
use crate::format::{Glance, glance};
use crate::names::Kind;
use crate::tidy::{files, is_past};

/// As many shards as two hex digits make.
const SHARDS: u64 = 256;
/// How often one looks at each of them unless said otherwise.
pub(crate) const EVERY: Duration = Duration::from_secs(600);

/// Where the sweep is.
#[derive(Debug)]
pub(crate) struct Sweep {
    /// Between one shard and the next; 0: never.
    pause: u64,
    due: AtomicU64,
    next: AtomicU8,
}

impl Sweep {
    pub(crate) fn new(every: Duration) -> Self {
        let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
        Self { pause: every.div_ceil(SHARDS), due: AtomicU64::new(0), next: AtomicU8::new(0) }
    }

    /// Whether it is time to look at another shard, and at which. Who is told so must do it: nobody else is told until the next is due.
    fn take(&self, now: UnixMillis) -> Option<u8> {
        let due = self.due.load(Relaxed);
        // What lies further ahead than a pause was noted before the clock was set back.
        let early = due > now && due - now <= self.pause;
        if self.pause == 0 || early {
            return None;
        }
        let mine = self.due.compare_exchange(due, now.saturating_add(self.pause), Relaxed, Relaxed).is_ok();
        mine.then(|| self.next.fetch_add(1, Relaxed))
    }
}

impl Disk {
    /// The shard to be swept now, if it is time for one.
    pub(crate) fn wants_sweeping(&self, now: UnixMillis) -> Option<u8> {
        self.sweep.take(now)
    }

    /// Removes what has expired in a shard.
    pub(crate) fn sweep_shard(&self, shard: u8, now: UnixMillis) -> Result<(), Error> {
        let shard = self.directory.join(format!("{shard:02x}"));
        for seen in files(&shard)?.iter().filter(|seen| seen.kind == Kind::Entry) {
            // Most live: those are not locked for.
            let lives = match glance(&seen.path) {
                Ok(Glance::Whole { expires, .. }) => !is_past(expires, now),
                Ok(Glance::Torn) => false,
                Ok(Glance::Foreign) | Err(_) => true,
            };
            if !lives && self.remove_if(seen, |_, expires| is_past(expires, now)) {
                self.usage.removed(seen.kind, seen.size);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_has_its_turn_in_the_time_given_and_a_clock_set_back_stops_nothing() {
        let sweep = Sweep::new(Duration::from_millis(2_560));
        let taken: Vec<u8> = (0..2_560).filter_map(|now| sweep.take(1_000_000 + now)).collect();
        assert_eq!(taken, (0..=255).collect::<Vec<u8>>());
        assert_eq!(sweep.take(1_002_559), None);
        assert_eq!(sweep.take(1_002_560), Some(0), "and then again");
        assert_eq!(sweep.take(5), Some(1));
        assert_eq!((sweep.take(6), sweep.take(15)), (None, Some(2)));
        let never = Sweep::new(Duration::ZERO);
        assert_eq!((never.take(0), never.take(u64::MAX)), (None, None));
    }
}
