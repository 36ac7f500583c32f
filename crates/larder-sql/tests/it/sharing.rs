//! Several handles, tasks and namespaces on one table.

use crate::{Stage, everywhere};

everywhere! {
    two_handles_see_each_other
    what_was_read_often_is_read_anew_once_anything_of_it_changes
    what_was_read_often_goes_with_the_row_of_its_tag
    of_many_that_add_at_once_one_wins
    counting_at_once_loses_nothing
    clearing_leaves_other_namespaces
    a_namespace_larger_than_a_batch_is_cleared
    many_keys_come_in_order_and_any_text_is_a_key
    tables_are_apart
    a_table_is_made_by_whoever_comes_first
}

async fn two_handles_see_each_other(stage: Stage) {
    let (a, b) = (stage.cache(), stage.other());
    a.set("key", "from a").tags(["t"]).await.unwrap();
    assert_eq!(b.get::<String>("key").await.unwrap().as_deref(), Some("from a"));
    b.invalidate(["t"]).await.unwrap();
    assert_eq!(a.get::<String>("key").await.unwrap(), None);
    b.set("key", "from b").await.unwrap();
    assert_eq!(a.get::<String>("key").await.unwrap().as_deref(), Some("from b"));
    a.clear().await.unwrap();
    assert_eq!(b.get::<String>("key").await.unwrap(), None);
}

async fn read_often(cache: &larder_core::Cache) -> Option<String> {
    let first = cache.get::<String>("key").await.unwrap();
    for _ in 0..3 {
        assert_eq!(cache.get::<String>("key").await.unwrap(), first);
    }
    first
}

async fn what_was_read_often_is_read_anew_once_anything_of_it_changes(stage: Stage) {
    let (a, b) = (stage.cache(), stage.other());
    a.set("key", "one").tags(["t"]).timeout(10).await.unwrap();
    assert_eq!(read_often(&a).await.as_deref(), Some("one"));
    b.set("key", "two").tags(["t", "u"]).timeout(10).await.unwrap();
    assert_eq!(read_often(&a).await.as_deref(), Some("two"));
    b.invalidate(["u"]).await.unwrap();
    assert_eq!(read_often(&a).await, None);
    b.set("key", "three").timeout(10).await.unwrap();
    assert_eq!(read_often(&a).await.as_deref(), Some("three"));
    stage.wait(9);
    assert_eq!(read_often(&a).await.as_deref(), Some("three"));
    stage.wait(1);
    assert_eq!(read_often(&a).await, None, "the row still stands there");
    b.set("key", "four").await.unwrap();
    assert_eq!(read_often(&a).await.as_deref(), Some("four"));
    b.delete("key").await.unwrap();
    assert_eq!(read_often(&a).await, None);
    b.set("key", "five").await.unwrap();
    assert_eq!(read_often(&a).await.as_deref(), Some("five"));
    b.clear().await.unwrap();
    assert_eq!(read_often(&a).await, None);
}

async fn what_was_read_often_goes_with_the_row_of_its_tag(stage: Stage) {
    let (a, b) = (stage.cache(), stage.other());
    a.set("key", "one").tags(["t"]).timeout(10).await.unwrap();
    assert!(a.touch("key").timeout(100_000).await.unwrap());
    assert_eq!(read_often(&a).await.as_deref(), Some("one"));
    // Nobody vouches for the tag any more.
    stage.wait(50_000);
    assert_eq!(read_often(&b).await, None);
    assert_eq!(read_often(&a).await, None);
}

async fn of_many_that_add_at_once_one_wins(stage: Stage) {
    let caches = [stage.cache(), stage.other()];
    // Once where nothing is, once over what expired.
    for round in 0..2 {
        let tasks: Vec<_> = (0..16)
            .map(|i| {
                let cache = caches[i % 2].clone();
                tokio::spawn(async move { cache.add("key", i).timeout(10).await.unwrap() })
            })
            .collect();
        let mut winners = Vec::new();
        for (i, task) in tasks.into_iter().enumerate() {
            if task.await.unwrap() {
                winners.push(i);
            }
        }
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        assert_eq!(caches[0].get("key").await.unwrap(), Some(winners[0]));
        stage.wait(10);
    }
}

async fn counting_at_once_loses_nothing(stage: Stage) {
    let caches = [stage.cache(), stage.other()];
    caches[0].set("count", 0).await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|i| {
            let cache = caches[i % 2].clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    cache.incr("count", 1).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(caches[0].get("count").await.unwrap(), Some(80));
}

async fn clearing_leaves_other_namespaces(stage: Stage) {
    let named = |prefix: &str| stage.builder().key_prefix(prefix).build().unwrap();
    let prefixes = ["", "shop", "shop2", "sho", "Shop", "s%", "s_op"];
    let caches: Vec<_> = prefixes.iter().map(|prefix| named(prefix)).collect();
    for cleared in 0..caches.len() {
        for cache in &caches {
            cache.set("key", 1).tags(["t"]).await.unwrap();
        }
        caches[cleared].clear().await.unwrap();
        for (i, cache) in caches.iter().enumerate() {
            let expected = (i != cleared).then_some(1);
            assert_eq!(
                cache.get("key").await.unwrap(),
                expected,
                "{:?} after {:?}",
                prefixes[i],
                prefixes[cleared]
            );
        }
    }
}

async fn a_namespace_larger_than_a_batch_is_cleared(stage: Stage) {
    let cache = stage.cache();
    let keep = stage.builder().key_prefix("keep").build().unwrap();
    keep.set("key", 1).await.unwrap();
    cache.set_many((0..1500).map(|i| (format!("key{i}"), i))).await.unwrap();
    cache.clear().await.unwrap();
    let left = cache.get_many::<i32, _>((0..1500).map(|i| format!("key{i}"))).await.unwrap();
    assert!(left.is_empty(), "{} are left", left.len());
    assert_eq!(keep.get("key").await.unwrap(), Some(1));
}

async fn many_keys_come_in_order_and_any_text_is_a_key(stage: Stage) {
    let cache = stage.cache();
    let long = "x".repeat(3000);
    let keys = [
        "a",
        "A",
        "a ",
        "ä",
        "清",
        "a\0b",
        "a\nb",
        "'; DROP TABLE larder_cache; --",
        "%",
        "\u{1F980}",
        &long,
    ];
    for (i, key) in keys.iter().enumerate() {
        assert!(cache.add(key, i).await.unwrap(), "{key:?} is its own key");
    }
    let found = cache.get_many::<usize, _>(keys.map(str::to_owned)).await.unwrap();
    assert_eq!(found.len(), keys.len());
    for (i, key) in keys.iter().enumerate() {
        assert_eq!(found[*key], i, "{key:?}");
    }
}

async fn tables_are_apart(stage: Stage) {
    let at = |table: &str| {
        let backend = (stage.again)().table(table).build().unwrap();
        stage.over(backend).build().unwrap()
    };
    let [a, b] = ["apart_a", "apart_b"].map(|name| at(&crate::unique(name)));
    a.set("key", "a").await.unwrap();
    assert_eq!(b.get::<String>("key").await.unwrap(), None);
    b.set("key", "b").await.unwrap();
    b.clear().await.unwrap();
    assert_eq!(a.get::<String>("key").await.unwrap().as_deref(), Some("a"));
}

async fn a_table_is_made_by_whoever_comes_first(stage: Stage) {
    let caches: Vec<_> = (0..4).map(|_| stage.other()).collect();
    let tasks: Vec<_> = (0..8)
        .map(|i| {
            let cache = caches[i % 4].clone();
            tokio::spawn(async move { cache.set(&format!("key{i}"), i).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    stage.backend.create_table().await.unwrap();
    // Another's clear-out of records may not have come between: each entry is there.
    for i in 0..8 {
        assert_eq!(stage.cache().get(&format!("key{i}")).await.unwrap(), Some(i));
    }
}
