//! What the handles of one tiered cache and its follower share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_core::backplane::What;
use larder_core::{Backend, Error, ErrorKind, Space, UnixMillis};

use crate::far::Far;
use crate::near::Near;
use crate::outbox::Outbox;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) near: Near,
    pub(crate) far: Far,
    pub(crate) outbox: Option<Outbox>,
    pub(crate) heartbeat: Duration,
    /// What the clock of the cache showed the last time that somebody said: the follower has none of its own.
    now: AtomicU64,
}

impl Shared {
    pub(crate) fn new(near: Near, far: Far, outbox: Option<Outbox>, heartbeat: Duration) -> Self {
        Self { near, far, outbox, heartbeat, now: AtomicU64::new(0) }
    }

    pub(crate) fn note_time(&self, now: UnixMillis) {
        self.now.store(now, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.now.load(Ordering::Relaxed)
    }

    /// How long one step of the follower may take.
    pub(crate) fn patience(&self) -> Duration {
        self.heartbeat.max(Duration::from_secs(1))
    }

    /// Compares the records of each namespace in L2 with what they held before. Where they differ, somebody may have invalidated or cleared
    /// without telling us, or L2 is another one than before: each copy is checked again before it is served.
    ///
    /// # Errors
    /// What L2 gives for the first namespace that could not be compared.
    pub(crate) async fn compare(&self) -> Result<(), Error> {
        for space in self.near.spaces.all() {
            let step = self.far.l2().begin(&space, &[], self.now());
            let fill = match tokio::time::timeout(self.patience(), step).await {
                Ok(fill) => fill?,
                Err(_) => {
                    return Err(Error::new(
                        ErrorKind::Deadline,
                        "the second tier did not answer a heartbeat",
                    ));
                }
            };
            if self.near.spaces.note(&space, (fill.space(), fill.fence())) {
                self.near.trust.next_round();
            }
        }
        Ok(())
    }

    /// Drops what has changed, and notes that the others were not told: for a change of which nobody knows whether it happened.
    pub(crate) fn abandon(&self, space: &Space, what: &What) {
        self.near.drop_what(space, what, self.now());
        if let Some(outbox) = &self.outbox {
            outbox.owe();
        }
    }

    /// Tells the others what has changed.
    pub(crate) async fn tell(&self, space: &Space, what: What) {
        if let Some(outbox) = &self.outbox {
            outbox.send(space, what).await;
        }
    }
}
