use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::*;
use crate::backend::{Capabilities, When};
use crate::cache::Cache;
use crate::entry::Value;
use crate::error::ErrorKind;
use crate::key::Space;
use crate::protocol;
use crate::tag::Stamp;

/// Counts the steps that reach it; each takes a while.
#[derive(Debug, Default)]
struct Far {
    held: Mutex<HashMap<Key, Entry>>,
    reads: AtomicUsize,
    writes: AtomicUsize,
    takes: Duration,
}

impl Far {
    fn count(&self) -> (usize, usize) {
        (self.reads.swap(0, Ordering::SeqCst), self.writes.swap(0, Ordering::SeqCst))
    }

    fn live(&self, key: &Key, now: UnixMillis) -> Option<Entry> {
        self.held.lock().get(key).filter(|entry| !entry.is_expired(now)).cloned()
    }
}

/// What a `Cache` owns, and the test still counts on.
#[derive(Clone, Debug, Default)]
struct Counted(Arc<Far>);

impl Backend for Counted {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("far")
    }

    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        Ok(self.get_many(std::slice::from_ref(key), now).await?.pop().flatten())
    }

    async fn get_many(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(self.0.takes).await;
        Ok(keys.iter().map(|key| self.0.live(key, now)).collect())
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        self.0.writes.fetch_add(1, Ordering::SeqCst);
        let there = self.0.live(key, now).is_some();
        let stores = when == When::Always || (when == When::Present) == there;
        if stores {
            self.0.held.lock().insert(key.clone(), entry);
        }
        Ok(stores)
    }

    async fn remove(&self, key: &Key, _: UnixMillis) -> Result<bool, Error> {
        Ok(self.0.held.lock().remove(key).is_some())
    }

    async fn clear(&self, space: &Space, now: UnixMillis) -> Result<(), Error> {
        protocol::renew_space(self, space, now).await
    }

    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        let Some(entry) = self.0.live(key, now) else { return Ok(false) };
        self.set(key, entry.with_expiry(expires), When::Present, now).await
    }
}

fn names(count: usize) -> Vec<Tag> {
    (0..count).map(|i| Tag::from(format!("tag{i}"))).collect()
}

#[tokio::test]
async fn a_hit_is_one_step_whatever_its_tags_and_unknown_ones_are_one_more_for_all_entries_together() {
    for tags in [0, 3, 16] {
        let far = Counted::default();
        let (writer, reader) = (Cache::new(far.clone()), Cache::new(far.clone()));
        for i in 0..3 {
            let own = format!("own{i}");
            let tags = names(tags).into_iter().chain((tags > 0).then(|| own.into()));
            writer.set(&format!("key{i}"), i).tags(tags).await.unwrap();
        }
        let all = ["key0", "key1", "key2", "key3"];
        far.0.count();
        assert_eq!(writer.get_many::<usize, _>(all).await.unwrap().len(), 3);
        assert_eq!(far.0.count(), (1, 0), "{tags} tags, known from writing");
        assert_eq!(reader.get_many::<usize, _>(all).await.unwrap().len(), 3);
        assert_eq!(far.0.count(), (if tags == 0 { 1 } else { 2 }, 0), "{tags} tags, unknown");
        for key in &all[..3] {
            assert!(reader.has_key(key).await.unwrap());
            assert_eq!(far.0.count(), (1, 0), "{tags} tags, known from reading");
        }
    }
}

#[tokio::test]
async fn a_wrong_guess_decides_nothing() {
    let far = Counted::default();
    let (writer, reader) = (Cache::new(far.clone()), Cache::new(far.clone()));
    writer.set("key", 1).tags(["a"]).await.unwrap();
    assert_eq!(reader.get("key").await.unwrap(), Some(1));
    // Another process gives it other tags: the reader asks for `a`, and must not take the entry for that.
    writer.set("key", 2).tags(["b", "c"]).await.unwrap();
    writer.invalidate(["c"]).await.unwrap();
    assert_eq!(reader.get::<u8>("key").await.unwrap(), None);
    writer.set("key", 3).await.unwrap();
    assert_eq!(reader.get("key").await.unwrap(), Some(3));
    far.0.count();
    assert_eq!(reader.get("key").await.unwrap(), Some(3));
    assert_eq!(far.0.count(), (1, 0));
    writer.set("key", 4).tags(["a"]).await.unwrap();
    assert_eq!(reader.get("key").await.unwrap(), Some(4));
    writer.invalidate(["a"]).await.unwrap();
    assert_eq!(reader.get::<u8>("key").await.unwrap(), None, "guessed right, and invalidated");
    writer.set("key", 5).await.unwrap();
    writer.clear().await.unwrap();
    assert_eq!(reader.get::<u8>("key").await.unwrap(), None);
}

#[tokio::test]
async fn keys_of_several_namespaces_are_each_judged_by_their_own_records() {
    let far = Counted::default();
    let cache = |prefix| Cache::builder(far.clone()).key_prefix(prefix).build().unwrap();
    let (one, other) = (cache("one"), cache("other"));
    let mut keys = Vec::new();
    for cache in [&one, &other, &one] {
        cache.set("key", 1).tags(["t"]).await.unwrap();
        keys.push(Key::value(cache.space(), 1, "key"));
    }
    let remembered = Remembered::default();
    let found = async || {
        let found = remembered.look(&far, &keys, one.clock().now()).await.unwrap();
        found.iter().map(Option::is_some).collect::<Vec<_>>()
    };
    assert_eq!(found().await, [true; 3]);
    other.invalidate(["t"]).await.unwrap();
    assert_eq!(found().await, [true, false, true]);
}

#[tokio::test(start_paused = true)]
async fn one_deadline_bounds_a_lookup_of_several_steps() {
    let far = Counted(Arc::new(Far { takes: Duration::from_millis(60), ..Far::default() }));
    let cache = |millis| Cache::builder(far.clone()).deadline(Duration::from_millis(millis)).build().unwrap();
    cache(1000).set("key", 1).tags(["t"]).await.unwrap();
    let error = cache(100).get::<u8>("key").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline);
    let patient = cache(130);
    assert_eq!(patient.get("key").await.unwrap(), Some(1), "two steps");
    assert_eq!(patient.get("key").await.unwrap(), Some(1));
    far.0.count();
    let key = Key::value(patient.space(), 1, "key");
    let again = |_: &[Option<Entry>]| vec![key.clone()];
    let (first, second) = patient.lookup_then(std::slice::from_ref(&key), again).await.unwrap();
    assert!(first[0].is_some() && second[0].is_some());
    assert_eq!(far.0.count(), (2, 0));
    let error = cache(100).lookup_then(std::slice::from_ref(&key), again).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline, "the second step has what the first left");
}

#[tokio::test]
async fn storing_prolongs_no_record_that_outlives_the_entry() {
    let far = Counted::default();
    let hand = crate::ManualClock::new(1_700_000_000_000);
    let cache = Cache::builder(far.clone()).clock(hand.clock()).build().unwrap();
    let set = async |timeout: u64| {
        cache.set("key", 1).tags(["a", "b"]).timeout(timeout).await.unwrap();
        assert!(cache.has_key("key").await.unwrap());
        hand.advance(Duration::from_secs(1));
        far.0.count()
    };
    assert_eq!(set(600).await, (3, 5), "namespace, fence, two tags and the entry");
    assert_eq!(set(600).await, (3, 1));
    assert_eq!(set(7200).await, (3, 3), "both tags have to live longer");
    assert_eq!(set(7200).await, (3, 1));
    hand.advance(Duration::from_secs(7000));
    assert!(cache.has_key("key").await.unwrap(), "its records live as long as it does");
    cache.set("key", 1).tags(["a"]).timeout(crate::Timeout::FOREVER).await.unwrap();
    hand.advance(Duration::from_secs(1 << 30));
    assert!(cache.has_key("key").await.unwrap());
}

#[test]
fn what_is_remembered_is_bounded() {
    let remembered = Remembered::default();
    let key = |i: usize| Key::value(&Space::default(), 1, &i.to_string());
    let entry = |tags: usize| {
        let stamped = names(tags).into_iter().map(|tag| (tag, Nonce::from_u128(1))).collect();
        Entry::new(Value::Bytes("".into()), None, Stamp { space: Nonce::from_u128(0), tags: stamped })
    };
    remembered.note(&key(0), &entry(2));
    let tags_of = |key: &Key| remembered.of(key).map(|(tags, _)| tags.to_vec());
    assert_eq!(tags_of(&key(0)), Some(names(2)));
    remembered.note(&key(0), &entry(1));
    assert_eq!(tags_of(&key(0)), Some(names(1)));
    remembered.note(&key(0), &entry(0));
    assert_eq!(remembered.of(&key(0)), None);
    let (heavy, many) = (entry(100), 5 * ROOM / 101);
    for i in 0..many {
        remembered.note(&key(i), &heavy);
        remembered.note(&key(i), &heavy);
        assert!(remembered.of(&key(i)).is_some());
    }
    assert_eq!(remembered.of(&key(0)), None, "too long ago");
    let Generations { young, old, weight, .. } = &*remembered.generations.lock();
    let held = |known: &HashMap<u64, Known>| known.values().map(|known| 1 + known.tags.len()).sum::<usize>();
    assert_eq!(held(young), *weight);
    assert!(*weight <= ROOM + 101 && held(old) <= ROOM + 101, "{} and {}", *weight, held(old));
}
