//! Values that are kept beyond their timeout: shown while they are made anew, and where making them fails.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::Cache;
use super::fill::{Plan, make_it};
use crate::backend::Backend;
use crate::clock::UnixMillis;
use crate::error::Error;
use crate::events::Operation;
use crate::key::Key;
use crate::timeout::Timeout;

/// How many values of one cache are made behind their readers at once.
const AT_ONCE: usize = 64;

/// How long a value is kept beyond its timeout, and how long a new one is waited for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beyond {
    pub(super) while_revalidate: u64,
    pub(super) if_error: u64,
    pub(super) soft_timeout: Option<Duration>,
}

/// A window in milliseconds; the default of a window is none.
pub(super) fn window(timeout: Timeout) -> u64 {
    match timeout.as_millis() {
        Some(millis) => millis,
        None if timeout.is_default() => 0,
        None => u64::MAX,
    }
}

impl Beyond {
    /// When an entry made `now` is gone, and until when it is fresh if it is kept beyond that.
    pub(super) fn expiry(
        self,
        timeout: Timeout,
        now: UnixMillis,
    ) -> (Option<UnixMillis>, Option<UnixMillis>) {
        let longest = self.while_revalidate.max(self.if_error);
        match timeout.expires(now) {
            Some(fresh_until) if longest > 0 => {
                let until = fresh_until.saturating_add(longest);
                ((until != UnixMillis::MAX).then_some(until), Some(fresh_until))
            }
            expires => (expires, None),
        }
    }

    /// Whether anything is kept.
    pub(super) fn keeps(self) -> bool {
        self.while_revalidate > 0 || self.if_error > 0
    }
}

/// What stands under a key for who may be shown more than what is fresh.
pub(super) enum Held<T> {
    Fresh(T),
    /// Since when it is not.
    Stale(T, UnixMillis),
    Nothing,
}

impl Cache {
    pub(super) async fn held<T: DeserializeOwned>(&self, key: &Key) -> Result<Held<T>, Error> {
        let Some(entry) = self.lookup_any(key).await? else { return Ok(Held::Nothing) };
        let Some(value) = self.decode(key, &entry).await? else { return Ok(Held::Nothing) };
        let now = self.inner.clock.now();
        let over = entry.fresh_until().filter(|until| *until <= now);
        self.note_read(entry.stamp());
        // A soft purge ends freshness where it happened.
        Ok(match over.into_iter().chain(entry.stale_since()).min() {
            Some(since) => Held::Stale(value, since),
            None => Held::Fresh(value),
        })
    }

    /// What is kept under a key beyond its freshness, byte for byte.
    pub(super) async fn kept_beyond(&self, key: &Key) -> Result<Option<Bytes>, Error> {
        let now = self.inner.clock.now();
        let there = self.lookup_any(key).await?;
        if !there.is_some_and(|entry| entry.is_past_fresh(now) || entry.stale_since().is_some()) {
            return Ok(None);
        }
        let there = self.within(Operation::Get, self.inner.backend.get(key, now)).await?;
        there.map(|entry| entry.value().to_bytes()).transpose()
    }
}

/// What is being made behind its readers.
#[derive(Default)]
struct Behind(Mutex<HashMap<Key, watch::Receiver<()>>>);

/// Takes a key out again.
struct Place {
    behind: Arc<Behind>,
    key: Key,
    // Dropped after the key is out.
    _ended: watch::Sender<()>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.behind.0.lock().remove(&self.key);
    }
}

/// Ends when the value was made, or could not be.
pub(super) struct Over(watch::Receiver<()>);

impl Over {
    pub(super) async fn wait(mut self) {
        // The sender says nothing; it goes.
        while self.0.changed().await.is_ok() {}
    }
}

/// What came of the wish to make a value behind its readers.
pub(super) enum Begun {
    /// This one does it: [`Start::run`].
    New(Box<Start>, Over),
    /// Another does already.
    UnderWay(Over),
    /// As many as are allowed are being made, or there is no runtime to do it.
    Full,
}

/// The right to make a value behind its readers.
pub(super) struct Start {
    runtime: tokio::runtime::Handle,
    place: Place,
}

pub(super) fn begin(cache: &Cache, key: &Key) -> Begun {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return Begun::Full };
    let behind = cache.attached::<Behind>();
    let mut under_way = behind.0.lock();
    if let Some(other) = under_way.get(key) {
        return Begun::UnderWay(Over(other.clone()));
    }
    if under_way.len() >= AT_ONCE {
        drop(under_way);
        tracing::warn!(target: "larder::decision", cache = cache.name(), event = "refresh-limit", "as many values as are allowed are being made behind their readers; a stale one is not made anew");
        return Begun::Full;
    }
    let (ended, over) = watch::channel(());
    under_way.insert(key.clone(), over.clone());
    drop(under_way);
    let place = Place { behind, key: key.clone(), _ended: ended };
    Begun::New(Box::new(Start { runtime, place }), Over(over))
}

impl Start {
    /// Makes it beside everything.
    pub(super) fn run<T, E, F, Fut>(self, cache: &Cache, plan: &Plan, make: F)
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        E: Send + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let Self { runtime, place } = self;
        let (cache, plan) = (cache.beside_requests(), plan.clone());
        runtime.spawn(async move {
            let clock = cache.clock().clone();
            let made = tokio::select! {
                made = make_it(&cache, &place.key, &plan, make, None) => made.is_ok(),
                () = clock.sleep(plan.max_fill) => false,
            };
            if !made {
                tracing::warn!(target: "larder::decision", cache = cache.name(), event = "refresh-failed", "a value could not be made anew behind its readers");
            }
        });
    }
}
