//! From a request to a stored page: record, then `Vary`, then variant.

use std::sync::Arc;

use http::HeaderMap;
use larder_core::{Cache, Entry, Error, Key, UnixMillis};
use larder_http::{Forward, Freshness, Timing, VaryFields};

use crate::identity::{Identity, Variant};
use crate::kept::Page;
use crate::reading::read;
use crate::record::Record;
use crate::stale::Stale;
use crate::varied::Varied;

/// What a lookup found.
#[derive(Debug)]
pub(crate) enum Found {
    /// A fresh page.
    Hit(Arc<Page>),
    /// A page that is stale, within its windows.
    Stale(Stale),
    /// None, and why (RFC 9211).
    Miss(Forward),
}

/// What a lookup without waiting found.
pub(crate) enum Near {
    /// The usual page, in its entry: there is no need to count another who holds it.
    Usual(Entry),
    /// Anything else.
    Other(Found),
}

impl Near {
    /// The fresh page that was found.
    pub(crate) fn hit(&self) -> Option<&Page> {
        match self {
            Self::Usual(entry) => Record::sole_page(entry),
            Self::Other(Found::Hit(page)) => Some(page),
            Self::Other(_) => None,
        }
    }
}

/// A lookup without waiting; `None`: the backend has to be asked.
pub(crate) fn look_now(
    cache: &Cache,
    identity: &Identity,
    headers: &HeaderMap,
    limit: u32,
    now: UnixMillis,
) -> Option<Found> {
    Some(match look_near(cache, identity, headers, limit, now)? {
        Near::Usual(entry) => Record::page_of(&entry).map_or(Found::Miss(Forward::UriMiss), Found::Hit),
        Near::Other(found) => found,
    })
}

/// The same, and the usual page stays in its entry.
pub(crate) fn look_near(
    cache: &Cache,
    identity: &Identity,
    headers: &HeaderMap,
    limit: u32,
    now: UnixMillis,
) -> Option<Near> {
    let key = identity.primary_key();
    let Some(entry) = cache.lookup_now_at(key, now)? else {
        return Some(Near::Other(Found::Miss(Forward::UriMiss)));
    };
    if usual(&entry, identity, now) {
        return Some(Near::Usual(entry));
    }
    let decoded;
    let record = match Record::at_hand(&entry) {
        Some(record) => record,
        None => {
            decoded = Record::from_entry(&entry).ok()?;
            &*decoded
        }
    };
    let mut seen = Seen::new(record, entry.stale_since(), identity, key);
    // Where no other process writes, a variant that stands in one slot does not stand in the other.
    let once = !cache.capabilities().shared;
    let mut at_hand = true;
    each_candidate(&record.sets, identity, headers, |candidate| {
        for place in candidate.variant.places(limit) {
            let slot = candidate.variant.slot(identity, place);
            let Some(entry) = cache.lookup_now_at(&slot, now) else { return at_hand = false };
            if seen.offer(&candidate, entry.as_ref(), now) && once {
                break;
            }
        }
    });
    at_hand.then(|| Near::Other(seen.best(now)))
}

/// Whether an entry has its page at hand, and that is the usual one: it varies on nothing, and is fresh.
fn usual(entry: &Entry, identity: &Identity, now: UnixMillis) -> bool {
    Record::sole_page(entry).is_some_and(|page| {
        *page.meta.key == *identity.primary_key().identity()
            && (page.meta.flags.widened || !identity.is_credentialed())
            && timing(page, entry.stale_since()).freshness(now) == Freshness::Fresh
    })
}

/// A lookup that may wait, for the first of these identities that has a page. What can't be decoded is removed and is a miss.
pub(crate) async fn look(
    cache: &Cache,
    identities: &[&Identity],
    headers: &HeaderMap,
    limit: u32,
) -> Result<Found, Error> {
    let now = cache.clock().now();
    let at_once = identities.iter().map(|identity| look_now(cache, identity, headers, limit, now));
    if let Some(found) = at_once.collect() {
        return Ok(first_hit(found));
    }
    let reading = read(cache, identities, |identity, sets| {
        candidates(sets, identity, headers).iter().flat_map(|c| c.variant.slots(identity, limit)).collect()
    });
    let reading = reading.await?;
    let records = reading.records.iter().zip(&reading.marked);
    let pages = identities.iter().zip(records).map(|(identity, (record, marked))| {
        let Some(record) = record else { return Found::Miss(Forward::UriMiss) };
        let mut seen = Seen::new(record, *marked, identity, identity.primary_key());
        for candidate in candidates(&record.sets, identity, headers) {
            for slot in candidate.variant.slots(identity, limit) {
                seen.offer(&candidate, reading.slot(&slot), now);
            }
        }
        seen.best(now)
    });
    Ok(first_hit(pages.collect()))
}

/// The same for one identity, and as a small future: the usual page varies on nothing, so its record is all that has to be read.
pub(crate) async fn look_only(
    cache: &Cache,
    identity: &Identity,
    headers: &HeaderMap,
    limit: u32,
    now: UnixMillis,
) -> Result<Found, Error> {
    if let Some(found) = look_now(cache, identity, headers, limit, now) {
        return Ok(found);
    }
    let (key, varied) = (identity.primary_key(), cache.attached_ref::<Varied>());
    if varied.of(key).is_none() {
        let Some(entry) = cache.lookup_only(key, now).await? else {
            return Ok(Found::Miss(Forward::UriMiss));
        };
        if usual(&entry, identity, now)
            && let Some(page) = Record::page_of(&entry)
        {
            return Ok(Found::Hit(page));
        }
        match Record::from_entry(&entry) {
            Ok(record) if record.sets.is_empty() => {
                return Ok(Seen::new(&record, entry.stale_since(), identity, key).best(now));
            }
            // Now it is known what is to be asked for beside it.
            Ok(record) => varied.note(key, &record.sets),
            // It is removed by who reads it next.
            Err(_) => {}
        }
    }
    Box::pin(look(cache, &[identity], headers, limit)).await
}

/// The page that is there, else a stale one, else why the first has none.
fn first_hit(found: Vec<Found>) -> Found {
    let hit = found.iter().position(|found| matches!(found, Found::Hit(_)));
    let stale = || found.iter().position(|found| matches!(found, Found::Stale(_)));
    let which = hit.or_else(stale).unwrap_or(0);
    found.into_iter().nth(which).unwrap_or(Found::Miss(Forward::UriMiss))
}

/// A variant that this request might be answered with.
struct Candidate {
    variant: Variant,
    /// Only if the page was made for everybody, though the request names a user.
    widened: bool,
}

fn candidates(sets: &[VaryFields], identity: &Identity, headers: &HeaderMap) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    each_candidate(sets, identity, headers, |candidate| candidates.push(candidate));
    candidates
}

fn each_candidate(
    sets: &[VaryFields],
    identity: &Identity,
    headers: &HeaderMap,
    mut see: impl FnMut(Candidate),
) {
    for set in sets {
        // An empty list was noted by a page that differs by credentials alone: nothing for anonymous requests there.
        if !set.is_empty() || identity.is_credentialed() {
            let variant = identity.variant(set, headers, false);
            see(Candidate { variant, widened: false });
        }
        if identity.is_credentialed() && !set.is_empty() {
            see(Candidate { variant: identity.variant(set, headers, true), widened: true });
        }
    }
}

/// The newest usable page among those offered.
struct Seen<'a> {
    record: &'a Record,
    /// Since when the record's own page counts as stale.
    marked: Option<UnixMillis>,
    identity: &'a Identity,
    key: &'a Key,
    best: Option<Arc<Page>>,
    usable: Option<Stale>,
    stale: bool,
}

/// The time of a page as the store's marks leave it: a soft purge ends freshness where it happened, and the windows follow.
pub(crate) fn timing(page: &Page, marked: Option<UnixMillis>) -> Timing {
    match marked {
        None => page.meta.timing,
        Some(since) => page.meta.timing.stale_since(since),
    }
}

impl<'a> Seen<'a> {
    fn new(record: &'a Record, marked: Option<UnixMillis>, identity: &'a Identity, key: &'a Key) -> Self {
        Self { record, marked, identity, key, best: None, usable: None, stale: false }
    }

    /// Whether it is a fresh page of this candidate.
    fn offer(&mut self, candidate: &Candidate, entry: Option<&Entry>, now: UnixMillis) -> bool {
        let Some(entry) = entry else { return false };
        let Some(page) = Record::page_of(entry) else { return false };
        // The slot is shared; only the whole identity says whose page this is.
        let its_own = *page.meta.key == *candidate.variant.key().identity();
        its_own
            && (!candidate.widened || page.meta.flags.widened)
            && self.take(&page, entry.stale_since(), now) == Freshness::Fresh
    }

    fn take(&mut self, page: &Arc<Page>, marked: Option<UnixMillis>, now: UnixMillis) -> Freshness {
        let timing = timing(page, marked);
        let newer = |than: &Timing| than.response_time < timing.response_time;
        let freshness = timing.freshness(now);
        match freshness {
            Freshness::Fresh => {
                if self.best.as_ref().is_none_or(|best| newer(&best.meta.timing)) {
                    self.best = Some(Arc::clone(page));
                }
            }
            Freshness::Expired => self.stale = true,
            Freshness::StaleWhileRevalidate | Freshness::StaleIfError => {
                if self.usable.as_ref().is_none_or(|usable| newer(&usable.timing)) {
                    self.usable = Some(Stale { page: Arc::clone(page), timing });
                }
            }
        }
        freshness
    }

    fn best(mut self, now: UnixMillis) -> Found {
        // Of pages with and without Vary, the newest with it is preferred (RFC 9111, section 4.1).
        if self.best.is_none()
            && let Some(page) = &self.record.page
            && *page.meta.key == *self.key.identity()
            && (page.meta.flags.widened || !self.identity.is_credentialed())
        {
            let (page, marked) = (Arc::clone(page), self.marked);
            self.take(&page, marked, now);
        }
        match (self.best, self.usable) {
            (Some(page), _) => Found::Hit(page),
            (None, Some(stale)) => Found::Stale(stale),
            (None, None) if self.stale => Found::Miss(Forward::Stale),
            (None, None) => Found::Miss(Forward::VaryMiss),
        }
    }
}
