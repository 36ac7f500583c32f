//! What a process does, as `larder-tower` and applications do it. Each stops where others may come between.

use std::sync::Arc;

use larder_core::flight::{Flights, Joined, Leader, Outcome};
use larder_core::{Backend, Cache, Entry, Error, Fill, Key, Stamp, Tag, Timeout, UnixMillis, Value, When};

use super::Flaw;
use super::ledger::{JOINED, Ledger, STALE, Seen};
use super::moves::{KEYS, TAGS};
use super::stepped::{beside, gate};

/// How often one who waited for a leader that is gone competes again.
const REGROUPS: usize = 4;

/// A process: its handle on the cache, with all that it remembers, and its flights.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) cache: Cache,
    pub(super) backend: larder_core::DynBackend,
    pub(super) flights: Flights<Option<u64>>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) flaw: Option<Flaw>,
    /// Which one it is, of all there were.
    pub(super) id: usize,
    pub(super) purges: bool,
}

/// What is to be made of a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) key: usize,
    pub(super) early: usize,
    pub(super) late: usize,
    pub(super) fragment: Option<usize>,
    pub(super) timeout: Timeout,
}

pub(super) fn name(key: usize) -> &'static str {
    ["k0", "k1"][key % KEYS]
}

/// Where pages are purged, the second is that of a group.
pub(super) fn tag(tag: usize, purges: bool) -> Tag {
    match tag % TAGS {
        0 => Tag::new("t0"),
        _ if purges => Tag::group("host", "t1"),
        _ => Tag::new("t1"),
    }
}

fn in_set(set: usize) -> impl Iterator<Item = usize> {
    (0..TAGS).filter(move |tag| set & (1 << tag) != 0)
}

/// A value's number, out of what it is encoded as.
fn number(entry: &Entry) -> Option<u64> {
    let bytes = entry.value().to_bytes().ok()?;
    std::str::from_utf8(&bytes).ok()?.strip_prefix("\"v")?.strip_suffix('"')?.parse().ok()
}

fn word(value: u64) -> String {
    format!("v{value}")
}

fn read_word(word: &str) -> Option<u64> {
    word.strip_prefix('v')?.parse().ok()
}

impl Process {
    fn tags(&self, set: usize) -> Vec<Tag> {
        in_set(set).map(|one| tag(one, self.purges)).collect()
    }

    fn key(&self, key: usize) -> Key {
        self.cache.key_of(name(key), None)
    }

    fn now(&self) -> UnixMillis {
        self.cache.clock().now()
    }

    fn expires(&self, timeout: Timeout) -> Option<UnixMillis> {
        timeout.expires(self.now())
    }

    fn ok<T>(&self, answer: Result<T, Error>) -> Option<T> {
        if answer.is_err() {
            self.ledger.failed();
        }
        answer.ok()
    }

    async fn look(&self, key: usize, seen: &Seen) -> Option<Option<Entry>> {
        let found = self.ok(self.cache.lookup(&[self.key(key)]).await)?.pop().flatten();
        if let Some(entry) = &found {
            let how = if entry.stale_since().is_some() { STALE } else { "stored" };
            self.ledger.check(seen, key, number(entry), how);
        }
        Some(found)
    }

    pub(super) async fn page(self, plan: Plan, looks: bool) {
        let seen = self.ledger.look(self.now());
        for _ in 0..REGROUPS {
            if looks {
                match self.look(plan.key, &seen).await {
                    Some(None) => {}
                    // Shown, and made anew.
                    Some(Some(entry)) if entry.stale_since().is_some() => {}
                    Some(Some(_)) | None => return,
                }
            }
            let Some(fill) = self.ok(self.cache.begin(&self.tags(plan.early)).await) else { return };
            let begun = self.ledger.tick();
            if !looks {
                return self.lead(plan, fill, begun, None).await;
            }
            let fence = match self.flaw {
                Some(Flaw::JoinsAnyFlight) => larder_core::Nonce::from_u128(0),
                _ => fill.fence(),
            };
            let mut waiter = match self.flights.join(&self.key(plan.key), fence, 100) {
                Joined::Lead(leader) => return self.lead(plan, fill, begun, Some(leader)).await,
                Joined::Wait(waiter) => waiter,
                Joined::Full => return,
            };
            match beside(waiter.wait()).await {
                Outcome::Value(Some(value)) => {
                    self.ledger.count(|tally| tally.joined += 1);
                    return self.ledger.check(&seen, plan.key, Some(value), JOINED);
                }
                Outcome::Value(None) => return,
                Outcome::Abandoned => {}
            }
        }
    }

    async fn lead(self, plan: Plan, mut fill: Fill, begun: u64, leader: Option<Leader<Option<u64>>>) {
        gate().await;
        let mut parts = Vec::new();
        if let Some(fragment) = plan.fragment {
            let seen = self.ledger.look(self.now());
            let Some(found) = self.look(fragment, &seen).await else { return };
            if let Some(entry) = found.filter(|entry| entry.stale_since().is_none())
                && let Some(value) = number(&entry)
            {
                parts.push(value);
                let Some(stamp) = self.inherited(entry.stamp()).await else { return };
                fill.inherit(&stamp);
            }
        }
        let expires = self.expires(plan.timeout);
        let all = in_set(plan.early | plan.late);
        let value = self.ledger.make(plan.key, begun, all, &parts, expires);
        // The head is known, and those who wait read the body along.
        if let Some(leader) = &leader {
            leader.publish(Some(value));
        }
        gate().await;
        let Some(stamp) = self.ok(self.cache.seal(&fill, &self.tags(plan.late), expires).await) else {
            return;
        };
        let Some(stamp) = stamp else {
            self.ledger.count(|tally| tally.dropped += 1);
            return;
        };
        if leader.as_ref().is_some_and(|leader| !leader.is_open()) {
            return;
        }
        gate().await;
        let entry = Entry::new(Value::Bytes(format!("\"{}\"", word(value)).into()), expires, stamp);
        if self.ok(self.cache.put(&self.key(plan.key), entry, When::Always).await).is_some() {
            self.ledger.stored(value);
        }
    }

    /// The pairs of what goes into a page.
    async fn inherited(&self, stored: &Stamp) -> Option<Stamp> {
        if self.flaw != Some(Flaw::InheritsAnew) {
            return Some(stored.clone());
        }
        gate().await;
        let tags: Vec<Tag> = stored.tags.iter().map(|(tag, _)| tag.clone()).collect();
        let fetched = self.ok(self.backend.fetch(self.cache.space(), &[], &tags, self.now()).await)?;
        let pairs = tags.into_iter().zip(fetched.tags).filter_map(|(tag, nonce)| Some((tag, nonce?)));
        Some(Stamp { space: stored.space, tags: pairs.collect() })
    }

    pub(super) async fn make(self, key: usize, set: usize, timeout: Timeout) {
        let seen = self.ledger.look(self.now());
        let own = std::sync::atomic::AtomicU64::new(0);
        let make = || async {
            let begun = self.ledger.tick();
            gate().await;
            // When it expires is reckoned when it is stored.
            let value = self.ledger.make(key, begun, in_set(set), &[], None);
            self.ledger.made_by(value, self.id);
            own.store(value, std::sync::atomic::Ordering::Relaxed);
            gate().await;
            word(value)
        };
        let made = self.cache.get_or_set(name(key), make).tags(self.tags(set)).timeout(timeout).await;
        let Some(made) = self.ok(made) else { return };
        let value = read_word(&made);
        if value == Some(own.load(std::sync::atomic::Ordering::Relaxed)) {
            return self.ledger.stored(own.into_inner());
        }
        // It may have come either way, and an expiry counts for what is stored.
        self.ledger.check(&seen, key, value, JOINED);
    }

    pub(super) async fn get(self, key: usize) {
        let seen = self.ledger.look(self.now());
        let found: Option<Option<String>> = self.ok(self.cache.get(name(key)).await);
        if let Some(word) = found.flatten() {
            self.ledger.check(&seen, key, read_word(&word), "stored");
        }
    }

    pub(super) async fn many(self) {
        let seen = self.ledger.look(self.now());
        let found = self.ok(self.cache.get_many::<String, _>((0..KEYS).map(name)).await);
        for (key, word) in found.unwrap_or_default() {
            let key = usize::from(key != name(0));
            self.ledger.check(&seen, key, read_word(&word), "stored, of several");
        }
    }

    /// Nothing may come between, as it can't be seen when its own fill begins.
    pub(super) async fn set(self, key: usize, set: usize, timeout: Timeout, add: bool) {
        let begun = self.ledger.tick();
        let value = self.ledger.make(key, begun, in_set(set), &[], self.expires(timeout));
        let stored = match add {
            true => self.cache.add(name(key), word(value)).tags(self.tags(set)).timeout(timeout).await,
            false => self
                .cache
                .set(name(key), word(value))
                .tags(self.tags(set))
                .timeout(timeout)
                .await
                .map(|_| true),
        };
        match self.ok(stored) {
            Some(true) => self.ledger.stored(value),
            Some(false) | None => return,
        }
        if !add {
            self.ledger.removed(key, self.id, begun);
        }
    }

    pub(super) async fn touch(self, key: usize, timeout: Timeout) {
        self.ledger.prolonged(key);
        self.ok(self.cache.touch(name(key)).timeout(timeout).await);
        self.ledger.prolonged(key);
    }

    pub(super) async fn delete(self, key: usize) {
        let called = self.ledger.tick();
        if self.ok(self.cache.delete(name(key)).await).is_some() {
            self.ledger.removed(key, self.id, called);
        }
    }

    pub(super) async fn invalidate(self, set: usize, soft: bool) {
        let called = self.ledger.tick();
        let done = match soft {
            true => self.cache.soft_invalidate(self.tags(set)).await,
            false => self.cache.invalidate(self.tags(set)).await,
        };
        if self.ok(done).is_some() {
            self.ledger.forgot(in_set(set), soft, called);
        }
    }

    pub(super) async fn clear(self) {
        let called = self.ledger.tick();
        if self.ok(self.cache.clear().await).is_some() {
            self.ledger.cleared(called);
        }
    }
}
