//! Which keys there are: DR-05 to DR-09.

use std::collections::BTreeSet;

use larder_core::{Cache, ErrorKind};

use crate::Stage;
use crate::suite::{counts, tests};

tests! { patterns __mount_patterns:
    dr_05_delete_pattern_takes_what_matches_and_counts_it
    dr_08_keys_are_the_callers_without_prefix_and_version
    dr_08_a_walk_is_complete_whatever_its_batches
    dr_09_keys_are_found_through_a_key_function_and_back
    a_key_function_alone_keeps_two_callers_keys_apart_and_cannot_list
    patterns_are_those_of_redis
    what_expired_or_is_in_another_namespace_is_not_named
    records_of_tags_and_the_namespace_are_not_named
    a_walk_that_removes_what_it_finds_finds_everything
    a_backend_that_cannot_list_says_so
}

/// The keys, or nothing where the backend can't list: then it must have said so.
async fn keys(cache: &Cache, pattern: &str) -> Option<Vec<String>> {
    match cache.keys(pattern).await {
        Ok(found) => {
            assert!(cache.capabilities().lists, "it lists and does not say that it can");
            Some(found)
        }
        Err(error) => {
            assert!(!cache.capabilities().lists, "it says that it can list: {error}");
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            None
        }
    }
}

async fn fill(cache: &Cache, names: &[&str]) {
    for name in names {
        cache.set(name, 1).await.unwrap();
    }
}

async fn dr_05_delete_pattern_takes_what_matches_and_counts_it(stage: Stage) {
    let cache = stage.cache();
    if !cache.capabilities().lists {
        return;
    }
    fill(&cache, &["foo-aa", "foo-ab", "foo-bb", "foo-bc"]).await;
    cache.set("foo-aa", 1).version(2).await.unwrap();
    assert_eq!(cache.delete_pattern("*foo-a*").await.unwrap(), 2);
    assert_eq!(cache.keys("*").await.unwrap(), ["foo-bb", "foo-bc"]);
    assert_eq!(cache.delete_pattern("*foo-a*").await.unwrap(), 0);
    assert_eq!(cache.delete_pattern("*").version(2).await.unwrap(), 1);
    assert_eq!(cache.get_many::<u8, _>(["foo-aa", "foo-bb", "foo-bc"]).await.unwrap().len(), 2);
}

async fn dr_08_keys_are_the_callers_without_prefix_and_version(stage: Stage) {
    let shop = stage.builder().key_prefix("shop").version(3).build().unwrap();
    let names = ["foo1", "foo2", "foo:3", "foo 4", "", "föö", "3:x", "a*b", "[x]"];
    fill(&shop, &names).await;
    shop.set("foo1", 1).version(4).await.unwrap();
    let Some(found) = keys(&shop, "foo*").await else { return };
    assert_eq!(found, ["foo 4", "foo1", "foo2", "foo:3"]);
    assert_eq!(shop.keys("foo*").version(4).await.unwrap(), ["foo1"]);
    let mut all = names.map(str::to_owned);
    all.sort();
    assert_eq!(shop.keys("*").await.unwrap(), all);
    assert_eq!(shop.keys("nothing").await.unwrap(), Vec::<String>::new());
}

async fn dr_08_a_walk_is_complete_whatever_its_batches(stage: Stage) {
    let cache = stage.cache();
    let names: BTreeSet<String> = (0..200).map(|i| format!("key{i}")).collect();
    assert!(cache.set_many(names.iter().map(|name| (name, 1))).await.unwrap().is_empty());
    fill(&cache, &["other"]).await;
    if !cache.capabilities().lists {
        return;
    }
    for batch in [0, 1, 7, 199, 200, 1_000] {
        let mut walk = cache.iter_keys("key*").batch(batch);
        let mut found = BTreeSet::new();
        while let Some(name) = walk.next().await.unwrap() {
            found.insert(name);
        }
        assert_eq!(found, names, "in batches of {batch}");
        assert_eq!(walk.next().await.unwrap(), None, "the end stays the end");
    }
    let mut walk = cache.iter_keys("*").version(9);
    assert_eq!(walk.next().await.unwrap(), None);
}

fn hashed(stage: &Stage) -> Cache {
    stage
        .builder()
        .key_prefix("shop")
        .key_function(|key, version| format!("{key}#{version}"))
        .reverse_key_function(|stored| stored.rsplit_once('#').map_or("", |(key, _)| key).to_owned())
        .build()
        .unwrap()
}

async fn dr_09_keys_are_found_through_a_key_function_and_back(stage: Stage) {
    let cache = hashed(&stage);
    fill(&cache, &["foo-aa", "foo-bb", "foo-bc"]).await;
    cache.set("foo-aa", 2).version(2).await.unwrap();
    assert_eq!(cache.get("foo-aa").await.unwrap(), Some(1));
    assert_eq!(cache.get("foo-aa").version(2).await.unwrap(), Some(2));
    let raw = stage.builder().key_prefix("shop").build().unwrap();
    assert_eq!(raw.get("foo-aa#2").version(2).await.unwrap(), Some(2), "this is what it is called");
    if let Some(found) = keys(&cache, "foo-b*").await {
        assert_eq!(found, ["foo-bb", "foo-bc"]);
        assert_eq!(cache.delete_pattern("*-b?").await.unwrap(), 2);
        assert_eq!(cache.keys("*").await.unwrap(), ["foo-aa"]);
    }
    cache.clear().await.unwrap();
    assert!(!cache.has_key("foo-aa").version(2).await.unwrap());
}

async fn a_key_function_alone_keeps_two_callers_keys_apart_and_cannot_list(stage: Stage) {
    let cache = stage.builder().key_function(|key, _| key.to_lowercase()).build().unwrap();
    cache.set("KEY", 1).await.unwrap();
    assert_eq!(cache.get("key").await.unwrap(), Some(1), "what it makes the same is one entry");
    if counts(&stage).await {
        assert_eq!(cache.incr("Key", 1).await.unwrap(), 2);
        assert_eq!(cache.decr("KEy", 1).await.unwrap(), 1);
    }
    assert_eq!(cache.get_or_set("kEy", || async { 0 }).await.unwrap(), 1);
    assert_eq!(cache.delete_many(["keY"]).await.unwrap(), 1);
    cache.set("KEY", 1).await.unwrap();
    assert_eq!(cache.keys("*").await.unwrap_err().kind(), ErrorKind::Unsupported);
}

async fn patterns_are_those_of_redis(stage: Stage) {
    let cache = stage.cache();
    fill(&cache, &["hello", "hallo", "hxllo", "hllo", "h*llo", "HELLO"]).await;
    if !cache.capabilities().lists {
        return;
    }
    for (pattern, found) in [
        ("h?llo", vec!["h*llo", "hallo", "hello", "hxllo"]),
        ("h[ae]llo", vec!["hallo", "hello"]),
        ("h[^e]llo", vec!["h*llo", "hallo", "hxllo"]),
        ("h[a-f]llo", vec!["hallo", "hello"]),
        ("h\\*llo", vec!["h*llo"]),
        ("h*llo", vec!["h*llo", "hallo", "hello", "hllo", "hxllo"]),
        ("hello", vec!["hello"]),
        ("[", vec![]),
    ] {
        assert_eq!(cache.keys(pattern).await.unwrap(), found, "{pattern}");
    }
}

async fn what_expired_or_is_in_another_namespace_is_not_named(stage: Stage) {
    let cache = stage.cache();
    fill(&cache, &["stays"]).await;
    cache.set("goes", 1).timeout(1).await.unwrap();
    for prefix in ["1", "shop", "1:"] {
        if let Ok(other) = stage.builder().key_prefix(prefix).build() {
            fill(&other, &["theirs"]).await;
        }
    }
    cache.set("removed", 1).await.unwrap();
    cache.delete("removed").await.unwrap();
    stage.wait(1);
    if let Some(found) = keys(&cache, "*").await {
        assert_eq!(found, ["stays"]);
        cache.clear().await.unwrap();
        assert_eq!(cache.keys("*").await.unwrap(), Vec::<String>::new());
    }
}

async fn records_of_tags_and_the_namespace_are_not_named(stage: Stage) {
    let cache = stage.cache();
    cache.set("tagged", 1).tags(["one", "1:x"]).await.unwrap();
    cache.invalidate(["two"]).await.unwrap();
    if let Some(found) = keys(&cache, "*").await {
        assert_eq!(found, ["tagged"]);
        assert_eq!(cache.delete_pattern("*").await.unwrap(), 1);
        cache.set("tagged", 1).tags(["one"]).await.unwrap();
        assert!(cache.has_key("tagged").await.unwrap());
    }
}

async fn a_walk_that_removes_what_it_finds_finds_everything(stage: Stage) {
    let cache = stage.cache();
    let names: Vec<String> = (0..300).map(|i| format!("key{i}")).collect();
    assert!(cache.set_many(names.iter().map(|name| (name, 1))).await.unwrap().is_empty());
    if !cache.capabilities().lists {
        return;
    }
    let mut walk = cache.iter_keys("*").batch(10);
    let mut removed = 0;
    while let Some(name) = walk.next().await.unwrap() {
        removed += usize::from(cache.delete(&name).await.unwrap());
    }
    assert_eq!(removed, 300);
    assert!(cache.keys("*").await.unwrap().is_empty());
}

async fn a_backend_that_cannot_list_says_so(stage: Stage) {
    let cache = stage.cache();
    fill(&cache, &["a"]).await;
    if keys(&cache, "*").await.is_none() {
        assert_eq!(cache.delete_pattern("*").await.unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(cache.iter_keys("*").next().await.unwrap_err().kind(), ErrorKind::Unsupported);
        assert!(cache.has_key("a").await.unwrap());
    }
}
