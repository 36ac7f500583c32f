//! Forgotten is forgotten: early, late and inherited tags, `clear`, and other handles on the same store.

use larder_core::{Cache, Entry, Fill, Key, Tag, Value, When};

use super::tests;
use crate::Stage;

tests! {
    invalidation __mount_invalidation:
    a_tagged_value_is_gone_and_others_stay
    every_tag_of_a_value_forgets_it
    a_value_stored_after_the_invalidation_is_valid
    an_invalidation_between_beginning_and_store_wins_whenever_the_tag_was_learned
    what_is_made_from_a_cached_value_dies_with_it
    inherited_pairs_are_as_old_as_the_value_they_come_from
    a_clear_between_beginning_and_store_wins
    tags_of_any_shape_and_an_empty_one_that_tags_nothing
    another_handle_on_the_store_sees_it_at_once
    a_tag_outlives_the_entries_that_carry_it
    invalidating_what_nobody_carries_is_no_error
}

fn tags(names: &[&str]) -> Vec<Tag> {
    names.iter().copied().map(Tag::from).collect()
}

fn page(cache: &Cache) -> Key {
    cache.key_builder("test").key()
}

/// Seals and stores, as a page is; false if the seal was refused.
async fn land(cache: &Cache, fill: &Fill, late: &[&str]) -> bool {
    let Some(stamp) = cache.seal(fill, &tags(late), None).await.unwrap() else { return false };
    let entry = Entry::new(Value::Bytes("\"page\"".into()), None, stamp);
    cache.put(&page(cache), entry, When::Always).await.unwrap()
}

async fn served(cache: &Cache) -> Option<Entry> {
    cache.lookup(&[page(cache)]).await.unwrap().pop().flatten()
}

async fn a_tagged_value_is_gone_and_others_stay(stage: Stage) {
    let cache = stage.cache();
    cache.set("seven", 7).tags(["course:7", "course_list"]).await.unwrap();
    cache.set("eight", 8).tags(["course:8", "course_list"]).await.unwrap();
    cache.set("about", 9).await.unwrap();
    cache.invalidate(["course:7"]).await.unwrap();
    assert_eq!(cache.get::<u8>("seven").await.unwrap(), None);
    assert_eq!(cache.get_many::<u8, _>(["seven", "eight", "about"]).await.unwrap().len(), 2);
    cache.invalidate(["course_list"]).await.unwrap();
    assert_eq!(cache.get_many::<u8, _>(["seven", "eight", "about"]).await.unwrap().len(), 1);
}

async fn every_tag_of_a_value_forgets_it(stage: Stage) {
    let cache = stage.cache();
    for tag in ["a", "b", "c"] {
        cache.set("key", 1).tags(["a", "b", "c", "a"]).await.unwrap();
        assert!(cache.has_key("key").await.unwrap());
        cache.invalidate(["other", tag]).await.unwrap();
        assert!(!cache.has_key("key").await.unwrap(), "{tag}");
    }
}

async fn a_value_stored_after_the_invalidation_is_valid(stage: Stage) {
    let cache = stage.cache();
    for round in 0..3 {
        cache.set("key", round).tags(["t"]).await.unwrap();
        assert_eq!(cache.get("key").await.unwrap(), Some(round));
        cache.invalidate(["t"]).await.unwrap();
        assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
    }
}

async fn an_invalidation_between_beginning_and_store_wins_whenever_the_tag_was_learned(stage: Stage) {
    let cache = stage.cache();
    for known in [true, false] {
        // The second time, the tag's record exists already when the fill begins.
        for (early, late) in [(&["t"][..], &[][..]), (&[], &["t"]), (&["u"], &["t", "v"]), (&["t"], &["t"])] {
            if known {
                cache.set("other", 1).tags(["t"]).await.unwrap();
            }
            let fill = cache.begin(&tags(early)).await.unwrap();
            cache.invalidate(["t"]).await.unwrap();
            land(&cache, &fill, late).await;
            assert!(served(&cache).await.is_none(), "{early:?} {late:?} invalidated before the seal");

            let fill = cache.begin(&tags(early)).await.unwrap();
            assert!(land(&cache, &fill, late).await);
            assert!(served(&cache).await.is_some(), "{early:?} {late:?} not invalidated");
            cache.invalidate(["t"]).await.unwrap();
            assert!(served(&cache).await.is_none(), "{early:?} {late:?} invalidated after the store");
        }
    }
}

async fn what_is_made_from_a_cached_value_dies_with_it(stage: Stage) {
    let cache = stage.cache();
    let fill = cache.begin(&tags(&["course:7"])).await.unwrap();
    assert!(land(&cache, &fill, &[]).await);
    let fragment = served(&cache).await.unwrap();
    let mut fill = cache.begin(&[]).await.unwrap();
    fill.inherit(fragment.stamp());
    assert!(land(&cache, &fill, &["page"]).await);
    assert!(served(&cache).await.is_some());
    cache.invalidate(["course:7"]).await.unwrap();
    assert!(served(&cache).await.is_none());
}

async fn inherited_pairs_are_as_old_as_the_value_they_come_from(stage: Stage) {
    let cache = stage.cache();
    let fill = cache.begin(&tags(&["t"])).await.unwrap();
    land(&cache, &fill, &[]).await;
    let fragment = served(&cache).await.unwrap();
    cache.invalidate(["t"]).await.unwrap();
    // The page's own fill begins after the invalidation, knows the tag itself, and has the old fragment in it.
    for (early, late) in [(&[][..], &[][..]), (&["t"], &[]), (&[], &["t"])] {
        let mut fill = cache.begin(&tags(early)).await.unwrap();
        fill.inherit(fragment.stamp());
        land(&cache, &fill, late).await;
        assert!(served(&cache).await.is_none(), "{early:?} {late:?}");
    }
}

async fn a_clear_between_beginning_and_store_wins(stage: Stage) {
    let cache = stage.cache();
    for (early, late) in [(&[][..], &[][..]), (&["t"], &[]), (&[], &["t"])] {
        let fill = cache.begin(&tags(early)).await.unwrap();
        cache.clear().await.unwrap();
        land(&cache, &fill, late).await;
        assert!(served(&cache).await.is_none(), "{early:?} {late:?}");
        let fill = cache.begin(&tags(early)).await.unwrap();
        assert!(land(&cache, &fill, late).await);
        assert!(served(&cache).await.is_some(), "{early:?} {late:?} after the clear");
    }
}

async fn tags_of_any_shape_and_an_empty_one_that_tags_nothing(stage: Stage) {
    let cache = stage.cache();
    let shapes = ["a b", "é=%\n\0", "", ":", &"long".repeat(1_000), "a", "A"];
    for (i, tag) in shapes.iter().enumerate() {
        cache.set(&format!("key{i}"), i).tags([*tag]).await.unwrap();
    }
    for (i, tag) in shapes.iter().enumerate() {
        let key = format!("key{i}");
        assert!(cache.has_key(&key).await.unwrap(), "{tag:.20?} was hit by another tag");
        cache.invalidate([*tag]).await.unwrap();
        assert_eq!(cache.has_key(&key).await.unwrap(), tag.is_empty(), "{tag:.20?}");
    }
}

async fn another_handle_on_the_store_sees_it_at_once(stage: Stage) {
    let (one, two) = (stage.cache(), stage.other());
    one.set("key", 1).tags(["t"]).await.unwrap();
    assert!(two.has_key("key").await.unwrap());
    two.invalidate(["t"]).await.unwrap();
    assert!(!one.has_key("key").await.unwrap());
}

async fn a_tag_outlives_the_entries_that_carry_it(stage: Stage) {
    let cache = stage.cache();
    let day = 86_400;
    cache.set("short", 1).timeout(day).tags(["t"]).await.unwrap();
    cache.set("long", 2).timeout(30 * day).tags(["t", "u"]).await.unwrap();
    stage.wait(29 * day);
    assert_eq!(cache.get("long").await.unwrap(), Some(2), "its tags' records are still there");
    cache.invalidate(["u"]).await.unwrap();
    assert!(!cache.has_key("long").await.unwrap());
}

async fn invalidating_what_nobody_carries_is_no_error(stage: Stage) {
    let cache = stage.cache();
    cache.set("key", 1).tags(["t"]).await.unwrap();
    cache.invalidate(["never seen"]).await.unwrap();
    cache.invalidate(Vec::<Tag>::new()).await.unwrap();
    assert!(cache.has_key("key").await.unwrap());
}
