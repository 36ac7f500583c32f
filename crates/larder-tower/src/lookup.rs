//! From a request to a stored page: record, then `Vary`, then variant.

use std::sync::Arc;

use http::HeaderMap;
use larder_core::{Cache, Entry, Error, Key, UnixMillis};
use larder_http::{Forward, Freshness, StoredResponse};

use crate::identity::Identity;
use crate::record::Record;

/// What a lookup found.
#[derive(Debug)]
pub(crate) enum Found {
    /// A fresh page.
    Hit(Arc<StoredResponse>),
    /// None, and why (RFC 9211).
    Miss(Forward),
}

/// A lookup without waiting; `None`: the backend has to be asked.
pub(crate) fn look_now(
    cache: &Cache,
    identity: &Identity,
    headers: &HeaderMap,
    limit: u32,
    now: UnixMillis,
) -> Option<Found> {
    let key = identity.primary_key();
    let Some(entry) = cache.lookup_now(key)? else { return Some(Found::Miss(Forward::UriMiss)) };
    let Ok(record) = Record::from_entry(&entry) else { return None };
    let mut seen = Seen::new(&record, identity, key);
    if !record.sets.is_empty() {
        for candidate in candidates(&record, identity, headers) {
            for slot in candidate.variant.slots(identity, limit) {
                seen.offer(&candidate, cache.lookup_now(&slot)?.as_ref(), now);
            }
        }
    }
    Some(seen.best(now))
}

/// A lookup that may wait. What can't be decoded is removed and is a miss.
pub(crate) async fn look(
    cache: &Cache,
    identity: &Identity,
    headers: &HeaderMap,
    limit: u32,
) -> Result<Found, Error> {
    let now = cache.clock().now();
    if let Some(found) = look_now(cache, identity, headers, limit, now) {
        return Ok(found);
    }
    let key = identity.primary_key();
    let Some(entry) = cache.lookup(std::slice::from_ref(key)).await?.pop().flatten() else {
        return Ok(Found::Miss(Forward::UriMiss));
    };
    let record = match Record::from_entry(&entry) {
        Ok(record) => record,
        Err(error) => {
            tracing::warn!(target: "larder::backend", cache = cache.name(), %error, "a stored page could not be read; it is removed");
            cache.evict(key).await?;
            return Ok(Found::Miss(Forward::UriMiss));
        }
    };
    let mut seen = Seen::new(&record, identity, key);
    let candidates = candidates(&record, identity, headers);
    let slots: Vec<Key> = candidates.iter().flat_map(|c| c.variant.slots(identity, limit)).collect();
    if !slots.is_empty() {
        let entries = cache.lookup(&slots).await?;
        for (candidate, pair) in candidates.iter().zip(entries.chunks(2)) {
            for entry in pair {
                seen.offer(candidate, entry.as_ref(), now);
            }
        }
    }
    Ok(seen.best(now))
}

/// A variant that this request might be answered with.
struct Candidate {
    variant: crate::identity::Variant,
    /// Only if the page was made for everybody, though the request names a user.
    widened: bool,
}

fn candidates(record: &Record, identity: &Identity, headers: &HeaderMap) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for set in &record.sets {
        // An empty list was noted by a page that differs by credentials alone: nothing for anonymous requests there.
        if !set.is_empty() || identity.is_credentialed() {
            let variant = identity.variant(set, headers, false);
            candidates.push(Candidate { variant, widened: false });
        }
        if identity.is_credentialed() && !set.is_empty() {
            candidates.push(Candidate { variant: identity.variant(set, headers, true), widened: true });
        }
    }
    candidates
}

/// The newest usable page among those offered.
struct Seen<'a> {
    record: &'a Record,
    identity: &'a Identity,
    key: &'a Key,
    best: Option<Arc<StoredResponse>>,
    stale: bool,
}

impl<'a> Seen<'a> {
    fn new(record: &'a Record, identity: &'a Identity, key: &'a Key) -> Self {
        Self { record, identity, key, best: None, stale: false }
    }

    fn offer(&mut self, candidate: &Candidate, entry: Option<&Entry>, now: UnixMillis) {
        let Some(record) = entry.and_then(|entry| Record::from_entry(entry).ok()) else { return };
        let Some(page) = &record.page else { return };
        // The slot is shared; only the whole identity says whose page this is.
        let its_own = *page.meta.key == *candidate.variant.key().identity();
        if its_own && (!candidate.widened || page.meta.flags.widened) {
            self.take(page, now);
        }
    }

    fn take(&mut self, page: &Arc<StoredResponse>, now: UnixMillis) {
        if page.meta.timing.freshness(now) != Freshness::Fresh {
            self.stale = true;
        } else if self
            .best
            .as_ref()
            .is_none_or(|b| b.meta.timing.response_time < page.meta.timing.response_time)
        {
            self.best = Some(Arc::clone(page));
        }
    }

    fn best(mut self, now: UnixMillis) -> Found {
        // Of pages with and without Vary, the newest with it is preferred (RFC 9111, section 4.1).
        if self.best.is_none()
            && let Some(page) = &self.record.page
            && *page.meta.key == *self.key.identity()
            && (page.meta.flags.widened || !self.identity.is_credentialed())
        {
            let page = Arc::clone(page);
            self.take(&page, now);
        }
        match self.best {
            Some(page) => Found::Hit(page),
            None if self.stale => Found::Miss(Forward::Stale),
            None => Found::Miss(Forward::VaryMiss),
        }
    }
}
