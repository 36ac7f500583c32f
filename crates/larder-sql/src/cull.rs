//! Keeping the table within its limit, behind the requests.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use larder_core::{Error, UnixMillis};
use tokio::runtime::Handle;

use crate::engine::{Ask, BATCH, millis};
use crate::raw::Raw;

/// How many entries there may be, and when that was last looked at.
#[derive(Debug)]
pub(crate) struct Culling {
    /// 0: any number.
    pub(crate) max_entries: u64,
    /// Writes since the last look; other processes may have written as many.
    written: AtomicU64,
    busy: AtomicBool,
}

impl Culling {
    pub(crate) fn new(max_entries: u64) -> Self {
        // The first write looks: a program may never live to see the next time.
        Self { max_entries, written: AtomicU64::new(u64::MAX / 2), busy: AtomicBool::new(false) }
    }

    /// Counts a write. Whoever is told that it is time must cull: nobody else is told until it is done.
    fn is_due(&self) -> bool {
        let often = match self.max_entries {
            0 => 10_000,
            most => (most / 10).clamp(1, 10_000),
        };
        self.written.fetch_add(1, Relaxed) >= often && !self.busy.swap(true, Relaxed)
    }
}

impl Raw {
    /// Culls, if it is time, without letting anybody wait for it.
    pub(crate) async fn cull_behind(&self, now: UnixMillis) {
        if !self.culling.is_due() {
            return;
        }
        let raw = self.clone();
        let cull = async move {
            let busy = Busy(&raw.culling.busy);
            raw.culling.written.store(0, Relaxed);
            if let Err(error) = raw.cull(now).await {
                tracing::warn!(target: "larder::backend", %error, "the cache table could not be culled; it is tried again later");
            }
            drop(busy);
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(cull)),
            Err(_) => cull.await,
        }
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

/// Until dropped, also with a runtime that ends.
struct Busy<'a>(&'a AtomicBool);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.store(false, Relaxed);
    }
}
