//! What is made of cached values is forgotten with them: hits, values made on the way, what others made, and where it ends.

use std::sync::Arc;

use larder_core::{Attachment, Cache, Key, Unattachable, attached, unattached};

use super::tests;
use crate::Stage;

tests! {
    attachment __mount_attachment:
    a_value_made_of_a_tagged_one_is_forgotten_with_it
    what_was_read_before_an_invalidation_guards_what_is_stored_after_it
    a_value_made_on_the_way_hands_its_tags_on_and_so_does_who_waits_for_it
    a_value_that_is_set_while_another_is_made_hands_its_tags_on
    every_way_to_read_a_value_hands_its_tags_on
    what_stands_apart_hands_nothing_on
    a_task_of_its_own_takes_part_only_where_it_is_told_to
    what_is_made_of_stale_or_foreign_values_is_not_stored
    more_tags_than_an_entry_may_carry_are_refused
}

async fn made_of(cache: &Cache, key: &str, of: &str) -> u8 {
    cache.get_or_set(key, || async { cache.get::<u8>(of).await.unwrap().unwrap_or(0) + 1 }).await.unwrap()
}

async fn is_there(cache: &Cache, key: &str) -> bool {
    cache.has_key(key).await.unwrap()
}

async fn a_value_made_of_a_tagged_one_is_forgotten_with_it(stage: Stage) {
    let cache = stage.cache();
    cache.set("course", 7).tags(["course:7"]).await.unwrap();
    assert_eq!(made_of(&cache, "card", "course").await, 8);
    assert_eq!(made_of(&cache, "list", "card").await, 9);
    cache.set("other", 1).await.unwrap();
    assert_eq!(made_of(&cache, "apart", "other").await, 2);
    cache.invalidate(["course:7"]).await.unwrap();
    assert!(!is_there(&cache, "card").await && !is_there(&cache, "list").await);
    assert!(is_there(&cache, "apart").await, "nothing of it was tagged so");
}

async fn what_was_read_before_an_invalidation_guards_what_is_stored_after_it(stage: Stage) {
    let cache = stage.cache();
    for tagged in [false, true] {
        cache.set("course", 7).tags(["course:7"]).await.unwrap();
        let card = cache.get_or_set("card", || async {
            let old: u8 = cache.get("course").await.unwrap().unwrap();
            // Whoever reads the record again now finds a nonce that says nothing of what was read.
            cache.invalidate(["course:7"]).await.unwrap();
            old
        });
        let card = if tagged { card.tags(["course:7"]) } else { card };
        assert_eq!(card.await.unwrap(), 7);
        assert!(!is_there(&cache, "card").await);
    }
}

async fn a_value_made_on_the_way_hands_its_tags_on_and_so_does_who_waits_for_it(stage: Stage) {
    let cache = stage.cache();
    let both = Arc::new(tokio::sync::Barrier::new(2));
    let page = |key: &'static str| {
        let (cache, both) = (cache.clone(), Arc::clone(&both));
        tokio::spawn(async move {
            let course = async || {
                both.wait().await;
                let make = || async {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    Ok::<u8, &str>(7)
                };
                cache.try_get_or_set("course", make).tags(["course:7"]).await.unwrap()
            };
            cache.get_or_set(key, course).await.unwrap()
        })
    };
    let (one, two) = (page("one"), page("two"));
    assert_eq!((one.await.unwrap(), two.await.unwrap()), (7, 7));
    assert!(is_there(&cache, "one").await && is_there(&cache, "two").await);
    cache.invalidate(["course:7"]).await.unwrap();
    assert!(!is_there(&cache, "one").await && !is_there(&cache, "two").await);
}

async fn a_value_that_is_set_while_another_is_made_hands_its_tags_on(stage: Stage) {
    let cache = stage.cache();
    let make = || async {
        cache.set("course", 7).tags(["set"]).await.unwrap();
        cache.add("new", 7).tags(["added"]).await.unwrap();
        cache.set_many([("a", 1)]).tags(["many"]).await.unwrap();
        1
    };
    for tag in ["set", "added", "many"] {
        // Each has a key of its own: nobody waits for the lease of the one before.
        cache.get_or_set(tag, make).await.unwrap();
        assert!(is_there(&cache, tag).await);
        cache.invalidate([tag]).await.unwrap();
        assert!(!is_there(&cache, tag).await, "{tag}");
    }
}

async fn every_way_to_read_a_value_hands_its_tags_on(stage: Stage) {
    let cache = stage.cache();
    for way in ["get", "get_many", "get_shared", "has_key", "get_or_set"] {
        cache.set("course", 7).tags(["course:7"]).await.unwrap();
        let read = || async {
            match way {
                "get" => _ = cache.get::<u8>("course").await.unwrap(),
                "get_many" => _ = cache.get_many::<u8, _>(["x", "course"]).await.unwrap(),
                "get_shared" => _ = cache.get_shared::<u8>("course").await.unwrap(),
                "has_key" => _ = cache.has_key("course").await.unwrap(),
                _ => _ = cache.get_or_set("course", || async { 8_u8 }).await.unwrap(),
            }
            1
        };
        cache.get_or_set(way, read).await.unwrap();
        assert!(is_there(&cache, way).await, "{way}");
        cache.invalidate(["course:7"]).await.unwrap();
        assert!(!is_there(&cache, way).await, "{way}");
    }
}

async fn what_stands_apart_hands_nothing_on(stage: Stage) {
    let cache = stage.cache();
    cache.set("course", 7).tags(["course:7"]).await.unwrap();
    let reads = [
        cache.get_or_set("reader", || async { cache.get::<u8>("course").attach(false).await.unwrap() }).await,
        cache
            .get_or_set("many", || async {
                cache.get_many::<u8, _>(["course"]).attach(false).await.unwrap().remove("course")
            })
            .await,
        cache.get_or_set("maker", || async { cache.get::<u8>("course").await.unwrap() }).attach(false).await,
        cache.get_or_set("around", || unattached(async { cache.get::<u8>("course").await.unwrap() })).await,
    ];
    assert!(reads.into_iter().all(|read| read.unwrap() == Some(7)));
    cache.invalidate(["course:7"]).await.unwrap();
    for key in ["reader", "many", "maker", "around"] {
        assert!(is_there(&cache, key).await, "{key}");
    }
}

async fn a_task_of_its_own_takes_part_only_where_it_is_told_to(stage: Stage) {
    let cache = stage.cache();
    cache.set("course", 7).tags(["course:7"]).await.unwrap();
    let read = || {
        let cache = cache.clone();
        async move { cache.get::<u8>("course").await.unwrap() }
    };
    cache.get_or_set("alone", || async { tokio::spawn(read()).await.unwrap() }).await.unwrap();
    cache.get_or_set("told", || async { tokio::spawn(attached(read())).await.unwrap() }).await.unwrap();
    let blocking = || async {
        let (making, runtime) = (Attachment::current().unwrap(), tokio::runtime::Handle::current());
        let render = read();
        tokio::task::spawn_blocking(move || making.sync_scope(|| runtime.block_on(render))).await.unwrap()
    };
    cache.get_or_set("blocking", blocking).await.unwrap();
    cache.invalidate(["course:7"]).await.unwrap();
    assert!(is_there(&cache, "alone").await);
    assert!(!is_there(&cache, "told").await && !is_there(&cache, "blocking").await);
}

async fn what_is_made_of_stale_or_foreign_values_is_not_stored(stage: Stage) {
    let (cache, foreign) = (stage.cache(), stage.builder().key_prefix("foreign").build().unwrap());
    foreign.set("course", 7).tags(["course:7"]).await.unwrap();
    foreign.set("plain", 7).await.unwrap();
    let read = |key: &'static str| {
        let foreign = foreign.clone();
        move || async move { foreign.get::<u8>(key).await.unwrap() }
    };
    assert_eq!(cache.get_or_set("page", read("course")).await.unwrap(), Some(7));
    assert!(!is_there(&cache, "page").await, "what is invalidated there is not noticed here");
    assert_eq!(cache.get_or_set("plain", read("plain")).await.unwrap(), Some(7));
    assert!(is_there(&cache, "plain").await, "nothing about it can be invalidated");
    let stale = || async {
        Attachment::current().unwrap().read_stale();
        1
    };
    cache.get_or_set("of stale", stale).await.unwrap();
    assert!(!is_there(&cache, "of stale").await);
    let around = || async { cache.get_or_set("of stale too", stale).await.unwrap() };
    cache.get_or_set("around", around).await.unwrap();
    assert!(!is_there(&cache, "around").await);
}

async fn more_tags_than_an_entry_may_carry_are_refused(stage: Stage) {
    let cache = stage.cache();
    let key = |name: String| -> Key { cache.key_of(&name, None) };
    let making = Attachment::new();
    for round in 0..26 {
        let name = format!("value {round}");
        let tags: Vec<String> = (0..10).map(|i| format!("{round}.{i}")).collect();
        cache.set(&name, round).tags(tags).await.unwrap();
        let entry = cache.lookup(&[key(name)]).await.unwrap().pop().flatten().unwrap();
        making.read(&cache, &entry);
        making.read(&cache, &entry);
        let refusal = making.refusal(&cache);
        assert_eq!(refusal, (round == 25).then_some(Unattachable::TooMany), "{} tags", (round + 1) * 10);
    }
    let mut fill = cache.begin(&[]).await.unwrap();
    assert_eq!(making.give(&cache, &mut fill), Err(Unattachable::TooMany));
    assert!(fill.inherited().is_empty());
}
