//! The leases of this process, as the others of it see them.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::clock::{Clock, UnixMillis, millis};

/// The leases that one cache of this process holds, or is about to let go, by what stands in the store.
#[derive(Default)]
pub(super) struct Own(Mutex<HashMap<Bytes, Arc<OwnLease>>>);

pub(super) struct OwnLease {
    pub(super) ended: AtomicBool,
    /// Since when it lives as long as leases do.
    pub(super) renewed: Mutex<Since>,
    /// Closed once the store knows that it ended.
    gone: watch::Receiver<()>,
}

/// A moment by the clock that expiries are reckoned by, and by that of a store that has its own.
#[derive(Clone, Copy)]
pub(super) struct Since(UnixMillis, Instant);

impl Since {
    pub(super) fn now(clock: &Clock) -> Self {
        Self(clock.now(), Instant::now())
    }

    /// Whether it is surely less than so long ago.
    pub(super) fn is_within(self, span: Duration, clock: &Clock) -> bool {
        clock.now().saturating_sub(self.0) < millis(span) && self.1.elapsed() < span
    }
}

impl Own {
    /// Its keeper has ended.
    pub(super) fn leave(&self, text: &Bytes) {
        self.0.lock().remove(text);
    }

    pub(super) fn enter(&self, text: Bytes, since: Since) -> (Arc<OwnLease>, watch::Sender<()>) {
        let (sender, gone) = watch::channel(());
        let own = Arc::new(OwnLease { ended: AtomicBool::new(false), renewed: Mutex::new(since), gone });
        self.0.lock().insert(text, Arc::clone(&own));
        (own, sender)
    }

    /// For a lease that ended: waits until the store knows.
    pub(super) fn ending(&self, text: &Bytes) -> Option<impl Future<Output = ()> + use<>> {
        let own = self.0.lock().get(text).filter(|own| own.ended.load(Ordering::SeqCst)).map(Arc::clone)?;
        Some(async move {
            // Nothing is ever sent: it ends when the keeper does, and if that dies with its runtime as well.
            _ = own.gone.clone().changed().await;
        })
    }
}
