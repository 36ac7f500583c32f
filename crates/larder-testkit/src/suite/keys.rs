//! VER and KEY: versions, prefixes, and keys of any shape.

use super::{counts, tests};
use crate::Stage;

tests! {
    keys __mount_keys:
    ver_01_a_version_sees_only_its_own
    ver_02_two_aliases_of_other_versions_share_a_store
    ver_04_add_looks_at_its_version_only
    ver_07_set_many_stores_in_the_caches_version
    key_03_two_prefixes_on_one_store_do_not_meet
    key_04_and_06_and_07_any_text_is_a_key
    keys_that_look_like_other_keys_are_not_them
}

async fn ver_01_a_version_sees_only_its_own(stage: Stage) {
    let cache = stage.cache();
    cache.set("answer", 42).await.unwrap();
    assert_eq!(cache.get("answer").await.unwrap(), Some(42));
    assert_eq!(cache.get("answer").version(1).await.unwrap(), Some(42));
    assert_eq!(cache.get::<u8>("answer").version(2).await.unwrap(), None);
    assert!(!cache.delete("answer").version(2).await.unwrap());
    assert!(!cache.touch("answer").version(2).await.unwrap());
    assert!(cache.incr("answer", 1).version(2).await.is_err());
    if counts(&stage).await {
        assert_eq!(cache.incr("answer", 1).version(1).await.unwrap(), 43);
    }
}

async fn ver_02_two_aliases_of_other_versions_share_a_store(stage: Stage) {
    let (first, second) = (stage.cache(), stage.builder().version(2).build().unwrap());
    first.set("answer", 42).await.unwrap();
    assert_eq!(second.get::<u8>("answer").await.unwrap(), None);
    assert_eq!(second.get("answer").version(1).await.unwrap(), Some(42));
}

async fn ver_04_add_looks_at_its_version_only(stage: Stage) {
    let cache = stage.cache();
    assert!(cache.add("answer", 42).version(2).await.unwrap());
    assert!(!cache.add("answer", 37).version(2).await.unwrap());
    assert!(cache.add("answer", 37).version(1).await.unwrap());
    assert_eq!(cache.get("answer").version(2).await.unwrap(), Some(42));
    assert_eq!(cache.get("answer").version(1).await.unwrap(), Some(37));
}

async fn ver_07_set_many_stores_in_the_caches_version(stage: Stage) {
    let (first, second) = (stage.cache(), stage.builder().version(2).build().unwrap());
    second.set_many([("a", 1), ("b", 2)]).timeout(10).await.unwrap();
    assert_eq!(first.get_many::<u8, _>(["a", "b"]).await.unwrap().len(), 0);
    assert_eq!(second.get_many::<u8, _>(["a", "b"]).await.unwrap().len(), 2);
}

async fn key_03_two_prefixes_on_one_store_do_not_meet(stage: Stage) {
    let shop = stage.builder().key_prefix("shop").build().unwrap();
    let blog = stage.builder().key_prefix("blog").build().unwrap();
    shop.set("key", "shop").tags(["t"]).await.unwrap();
    blog.set("key", "blog").tags(["t"]).await.unwrap();
    assert_eq!(shop.get("key").await.unwrap(), Some("shop".to_owned()));
    shop.invalidate(["t"]).await.unwrap();
    assert!(!shop.has_key("key").await.unwrap());
    shop.clear().await.unwrap();
    assert_eq!(blog.get("key").await.unwrap(), Some("blog".to_owned()));
}

async fn key_04_and_06_and_07_any_text_is_a_key(stage: Stage) {
    let cache = stage.cache();
    let keys = ["key with spaces and 清", "\0\n\u{7f}", "", ":", "../../etc/passwd", "a/b", "%2e", "K", "k"]
        .map(str::to_owned)
        .into_iter()
        .chain(["x".repeat(247), "x".repeat(248), "清".repeat(247), "x".repeat(100_000)])
        .collect::<Vec<_>>();
    for (i, key) in keys.iter().enumerate() {
        assert!(cache.add(key, i).await.unwrap(), "{key:.20?}");
    }
    let counts = counts(&stage).await;
    for (i, key) in keys.iter().enumerate() {
        assert_eq!(cache.get(key).await.unwrap(), Some(i));
        if counts {
            assert_eq!(cache.incr(key, 1).await.unwrap(), i as i64 + 1);
        }
        assert!(cache.touch(key).await.unwrap());
    }
    assert_eq!(cache.get_many::<usize, _>(&keys).await.unwrap().len(), keys.len());
    assert_eq!(cache.delete_many(&keys).await.unwrap(), keys.len());
}

async fn keys_that_look_like_other_keys_are_not_them(stage: Stage) {
    // `:1:1:a` is the key `1:a` of version 1, and never the key `a` of any version or prefix.
    let (plain, prefixed) = (stage.cache(), stage.builder().key_prefix("1").build().unwrap());
    plain.set("1:a", "plain").await.unwrap();
    assert!(!prefixed.has_key("a").await.unwrap());
    // A key that is called like a record of tags.
    plain.set("tag:t", "mine").await.unwrap();
    plain.set("tagged", 1).tags(["t"]).await.unwrap();
    plain.invalidate(["t"]).await.unwrap();
    assert_eq!(plain.get("tag:t").await.unwrap(), Some("mine".to_owned()));
    assert!(!plain.has_key("tagged").await.unwrap());
}
