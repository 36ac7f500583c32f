//! Soft purges, and groups: what is marked as stale, and what so much has in common that its record is looked at only when it has to be.

use larder_core::{Backend as _, Cache, Entry, ErrorKind, Key, Tag, Value, When};

use super::tests;
use crate::Stage;

tests! {
    soft __mount_soft:
    what_carries_a_marked_tag_is_read_as_stale_since_then_and_other_entries_stay
    a_marked_value_is_nothing_to_the_low_level_cache_and_is_made_again
    what_is_stored_after_the_mark_is_fresh
    a_fill_that_began_before_the_mark_does_not_store_something_fresh
    to_invalidate_is_more_than_to_mark
    marking_what_nobody_carries_is_no_error
    a_group_is_forgotten_with_all_that_is_in_it_and_nothing_else
    a_fill_under_way_loses_against_the_purge_of_its_group
    a_group_is_marked_as_any_tag
    clearing_and_purging_groups_at_once_brings_nothing_back
    other_handles_see_marks_and_groups_at_once
}

/// Whether it can mark; without a compare-and-set it invalidates, and a group takes the whole namespace with it.
async fn marks(stage: &Stage) -> bool {
    let cache = stage.cache();
    let done = stage.backend().compare_and_set(&page(&cache, "none"), b"", None, cache.clock().now()).await;
    !done.is_err_and(|error| error.kind() == ErrorKind::Unsupported)
}

fn page(cache: &Cache, name: &str) -> Key {
    let mut key = cache.key_builder("test");
    key.part(name.as_bytes());
    key.build()
}

/// Stores a page as a layer does; false if the seal was refused.
async fn store(cache: &Cache, name: &str, early: &[Tag]) -> bool {
    let fill = cache.begin(early).await.unwrap();
    let Some(stamp) = cache.seal(&fill, &[], None).await.unwrap() else { return false };
    let entry = Entry::new(Value::Bytes("\"page\"".into()), None, stamp);
    cache.put(&page(cache, name), entry, When::Always).await.unwrap()
}

async fn found(cache: &Cache, name: &str) -> Option<Entry> {
    cache.lookup(&[page(cache, name)]).await.unwrap().pop().flatten()
}

/// Whether there is one, and whether it is fresh.
async fn state(cache: &Cache, name: &str) -> Option<bool> {
    found(cache, name).await.map(|entry| entry.stale_since().is_none())
}

fn tags(names: &[&str]) -> Vec<Tag> {
    names.iter().copied().map(Tag::from).collect()
}

async fn what_carries_a_marked_tag_is_read_as_stale_since_then_and_other_entries_stay(stage: Stage) {
    if !marks(&stage).await {
        return;
    }
    let cache = stage.cache();
    store(&cache, "seven", &tags(&["course:7", "list"])).await;
    store(&cache, "eight", &tags(&["course:8", "list"])).await;
    let then = cache.clock().now();
    cache.soft_invalidate(["course:7"]).await.unwrap();
    stage.wait(5);
    for _ in 0..3 {
        assert_eq!(found(&cache, "seven").await.unwrap().stale_since(), Some(then));
        assert_eq!(state(&cache, "eight").await, Some(true));
    }
    let entry = found(&cache, "seven").await.unwrap();
    assert_eq!(entry.value().to_bytes().unwrap(), "\"page\"", "it is all there");
    cache.soft_invalidate(["list"]).await.unwrap();
    assert_eq!((state(&cache, "seven").await, state(&cache, "eight").await), (Some(false), Some(false)));
    assert_eq!(found(&cache, "seven").await.unwrap().stale_since(), Some(then), "stale since the first mark");
}

async fn a_marked_value_is_nothing_to_the_low_level_cache_and_is_made_again(stage: Stage) {
    let cache = stage.cache();
    cache.set("key", 1).tags(["t"]).await.unwrap();
    cache.soft_invalidate(["t"]).await.unwrap();
    assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
    assert!(!cache.has_key("key").await.unwrap());
    assert!(cache.get_many::<u8, _>(["key"]).await.unwrap().is_empty());
    assert_eq!(cache.get_or_set("key", || async { 2 }).tags(["t"]).await.unwrap(), 2);
    assert_eq!(cache.get::<u8>("key").await.unwrap(), Some(2));
    cache.soft_invalidate(["t"]).await.unwrap();
    assert!(cache.add("key", 3).await.unwrap());
    assert_eq!(cache.get::<u8>("key").await.unwrap(), Some(3));
}

async fn what_is_stored_after_the_mark_is_fresh(stage: Stage) {
    if !marks(&stage).await {
        return;
    }
    let cache = stage.cache();
    for _ in 0..3 {
        store(&cache, "page", &tags(&["t"])).await;
        assert_eq!(state(&cache, "page").await, Some(true));
        cache.soft_invalidate(["t"]).await.unwrap();
        assert_eq!(state(&cache, "page").await, Some(false));
    }
}

async fn a_fill_that_began_before_the_mark_does_not_store_something_fresh(stage: Stage) {
    let cache = stage.cache();
    for (early, late) in [(&["t"][..], &[][..]), (&[], &["t"]), (&["u"], &["t", "v"])] {
        store(&cache, "other", &tags(&["t"])).await;
        let fill = cache.begin(&tags(early)).await.unwrap();
        cache.soft_invalidate(["t"]).await.unwrap();
        if let Some(stamp) = cache.seal(&fill, &tags(late), None).await.unwrap() {
            let entry = Entry::new(Value::Bytes("1".into()), None, stamp);
            cache.put(&page(&cache, "page"), entry, When::Always).await.unwrap();
        }
        assert_ne!(state(&cache, "page").await, Some(true), "{early:?} {late:?}");
    }
}

async fn to_invalidate_is_more_than_to_mark(stage: Stage) {
    let cache = stage.cache();
    store(&cache, "page", &tags(&["a", "b"])).await;
    cache.soft_invalidate(["a"]).await.unwrap();
    cache.invalidate(["b"]).await.unwrap();
    cache.soft_invalidate(["b"]).await.unwrap();
    assert_eq!(state(&cache, "page").await, None);
    store(&cache, "page", &tags(&["a"])).await;
    cache.soft_invalidate(["a"]).await.unwrap();
    cache.clear().await.unwrap();
    assert_eq!(state(&cache, "page").await, None);
}

async fn marking_what_nobody_carries_is_no_error(stage: Stage) {
    let cache = stage.cache();
    cache.soft_invalidate(["nobody", ""]).await.unwrap();
    cache.soft_invalidate([] as [&str; 0]).await.unwrap();
    store(&cache, "page", &tags(&["nobody"])).await;
    assert_eq!(state(&cache, "page").await, Some(true));
}

fn group(name: &str) -> Tag {
    Tag::group("test", name)
}

async fn a_group_is_forgotten_with_all_that_is_in_it_and_nothing_else(stage: Stage) {
    if !marks(&stage).await {
        return;
    }
    let cache = stage.cache();
    cache.set("value", 1).await.unwrap();
    for _ in 0..2 {
        store(&cache, "one", &[group("a"), Tag::from("t")]).await;
        store(&cache, "two", &[group("a"), group("b")]).await;
        store(&cache, "other", &[group("b")]).await;
        cache.invalidate([group("nobody's")]).await.unwrap();
        for name in ["one", "two", "other"] {
            assert_eq!(state(&cache, name).await, Some(true), "{name}");
        }
        cache.invalidate([group("a")]).await.unwrap();
        for _ in 0..2 {
            assert_eq!((state(&cache, "one").await, state(&cache, "two").await), (None, None));
            assert_eq!(state(&cache, "other").await, Some(true));
        }
        cache.invalidate(["t"]).await.unwrap();
        assert_eq!(state(&cache, "other").await, Some(true));
    }
    assert_eq!(cache.get::<u8>("value").await.unwrap(), Some(1));
}

async fn a_fill_under_way_loses_against_the_purge_of_its_group(stage: Stage) {
    let cache = stage.cache();
    for (early, late) in [(vec![group("a")], vec![]), (vec![], vec![group("a")])] {
        for known in [false, true] {
            if known {
                store(&cache, "other", &[group("a")]).await;
            }
            let fill = cache.begin(&early).await.unwrap();
            cache.invalidate([group("a")]).await.unwrap();
            if let Some(stamp) = cache.seal(&fill, &late, None).await.unwrap() {
                let entry = Entry::new(Value::Bytes("1".into()), None, stamp);
                cache.put(&page(&cache, "page"), entry, When::Always).await.unwrap();
            }
            assert_eq!(state(&cache, "page").await, None, "{early:?} {late:?}");
        }
        // Sealed before, stored after.
        let fill = cache.begin(&early).await.unwrap();
        let stamp = cache.seal(&fill, &late, None).await.unwrap().unwrap();
        cache.invalidate([group("a")]).await.unwrap();
        let entry = Entry::new(Value::Bytes("1".into()), None, stamp);
        cache.put(&page(&cache, "page"), entry, When::Always).await.unwrap();
        assert_eq!(state(&cache, "page").await, None, "{early:?} {late:?}, sealed before");
    }
}

async fn a_group_is_marked_as_any_tag(stage: Stage) {
    if !marks(&stage).await {
        return;
    }
    let cache = stage.cache();
    store(&cache, "one", &[group("a")]).await;
    store(&cache, "other", &[group("b")]).await;
    cache.soft_invalidate([group("a")]).await.unwrap();
    for _ in 0..2 {
        assert_eq!((state(&cache, "one").await, state(&cache, "other").await), (Some(false), Some(true)));
    }
    cache.invalidate([group("a")]).await.unwrap();
    assert_eq!((state(&cache, "one").await, state(&cache, "other").await), (None, Some(true)));
}

async fn clearing_and_purging_groups_at_once_brings_nothing_back(stage: Stage) {
    let cache = stage.cache();
    for round in 0..10 {
        store(&cache, "page", &[group("a")]).await;
        let purges = async {
            for _ in 0..3 {
                // Others may keep changing the same record.
                _ = cache.invalidate([group("b")]).await;
            }
        };
        let (cleared, ()) = tokio::join!(cache.clear(), purges);
        cleared.unwrap();
        assert_eq!(state(&cache, "page").await, None, "round {round}");
    }
}

async fn other_handles_see_marks_and_groups_at_once(stage: Stage) {
    if !marks(&stage).await {
        return;
    }
    let (cache, other) = (stage.cache(), stage.other());
    for _ in 0..3 {
        store(&cache, "page", &[Tag::from("t"), group("a")]).await;
        assert_eq!(state(&other, "page").await, Some(true));
        cache.soft_invalidate(["t"]).await.unwrap();
        assert_eq!(state(&other, "page").await, Some(false));
        other.invalidate([group("a")]).await.unwrap();
        assert_eq!((state(&cache, "page").await, state(&other, "page").await), (None, None));
    }
}
