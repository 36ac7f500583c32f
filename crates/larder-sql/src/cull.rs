//! Keeping the table within its limit, behind the requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use larder_core::{Error, UnixMillis};

use crate::behind::{self, Once};
use crate::engine::{Ask, BATCH, millis};
use crate::raw::Raw;

/// How many entries there may be, and when that was last looked at.
#[derive(Debug)]
pub(crate) struct Culling {
    /// 0: any number.
    pub(crate) max_entries: u64,
    /// Writes since the last look; other processes may have written as many.
    written: AtomicU64,
    once: Arc<Once>,
}

impl Culling {
    pub(crate) fn new(max_entries: u64) -> Self {
        // The first write looks: a program may never live to see the next time.
        Self { max_entries, written: AtomicU64::new(u64::MAX / 2), once: Arc::default() }
    }

    /// Counts writes; whether it is time to look.
    fn count(&self, writes: u64) -> bool {
        let often = match self.max_entries {
            0 => 10_000,
            most => (most / 10).clamp(1, 10_000),
        };
        self.written.fetch_add(writes, Relaxed) >= often
    }
}

impl Raw {
    /// Culls, if it is time after so many writes, without letting anybody wait for it.
    pub(crate) async fn cull_behind(&self, writes: usize, now: UnixMillis) {
        if !self.culling.count(writes as u64) {
            return;
        }
        let Some(turn) = self.culling.once.take() else { return };
        self.culling.written.store(0, Relaxed);
        let raw = self.clone();
        behind::run(turn, async move {
            if let Err(error) = raw.cull(now).await {
                tracing::warn!(target: "larder::backend", %error, "the cache table could not be culled; it is tried again later");
            }
        })
        .await;
    }

    /// Removes what expired, then the oldest entries if there are too many, down to nine tenths.
    pub(crate) async fn cull(&self, now: UnixMillis) -> Result<(), Error> {
        while self.number(Ask::Expired(millis(now))).await? >= BATCH as u64 {}
        let most = self.culling.max_entries;
        if most == 0 {
            return Ok(());
        }
        let count = self.number(Ask::Count).await?;
        if count <= most {
            return Ok(());
        }
        let mut over = count - (most - most / 10);
        while over > 0 {
            let some = over.min(BATCH as u64);
            if self.number(Ask::Oldest(millis(some))).await? == 0 {
                break;
            }
            over -= some;
        }
        Ok(())
    }
}
