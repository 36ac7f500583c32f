//! Moving a value to another version: VER-08 to VER-10.

use std::time::Duration;

use larder_core::{ErrorKind, Ttl};

use crate::Stage;
use crate::suite::tests;

tests! { versions __mount_versions:
    ver_08_incr_version_moves_the_value_up
    ver_09_decr_version_moves_the_value_down
    ver_10_what_is_not_there_cannot_be_moved
    a_value_is_moved_by_as_many_versions_as_are_said
    a_moved_value_keeps_its_expiry_and_its_tags
    a_moved_value_replaces_what_stands_there
    there_is_no_version_below_zero_and_none_above_the_last
}

async fn ver_08_incr_version_moves_the_value_up(stage: Stage) {
    let cache = stage.cache();
    cache.set("key", 42).version(2).await.unwrap();
    assert_eq!(cache.incr_version("key").version(2).await.unwrap(), 3);
    assert_eq!(cache.get::<u8>("key").version(2).await.unwrap(), None);
    assert_eq!(cache.get("key").version(3).await.unwrap(), Some(42));
    let second = stage.builder().version(2).build().unwrap();
    second.set("own", 7).await.unwrap();
    assert_eq!(second.incr_version("own").await.unwrap(), 3, "the cache's own version is where it begins");
    assert_eq!(second.get("own").version(3).await.unwrap(), Some(7));
}

async fn ver_09_decr_version_moves_the_value_down(stage: Stage) {
    let cache = stage.cache();
    cache.set("key", 42).version(2).await.unwrap();
    assert_eq!(cache.decr_version("key").version(2).await.unwrap(), 1);
    assert_eq!(cache.get("key").await.unwrap(), Some(42));
    assert!(!cache.has_key("key").version(2).await.unwrap());
}

async fn ver_10_what_is_not_there_cannot_be_moved(stage: Stage) {
    let cache = stage.cache();
    assert_eq!(cache.incr_version("missing").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(cache.decr_version("missing").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(cache.incr_version("missing").delta(0).await.unwrap_err().kind(), ErrorKind::NotFound);
    cache.set("key", 1).tags(["t"]).await.unwrap();
    cache.invalidate(["t"]).await.unwrap();
    assert_eq!(cache.incr_version("key").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!cache.has_key("key").version(2).await.unwrap());
}

async fn a_value_is_moved_by_as_many_versions_as_are_said(stage: Stage) {
    let cache = stage.cache();
    cache.set("key", 42).await.unwrap();
    assert_eq!(cache.incr_version("key").delta(5).await.unwrap(), 6);
    assert_eq!(cache.decr_version("key").version(6).delta(6).await.unwrap(), 0);
    assert_eq!(cache.incr_version("key").version(0).delta(0).await.unwrap(), 0);
    assert_eq!(cache.get("key").version(0).await.unwrap(), Some(42), "by none it stays where it is");
}

async fn a_moved_value_keeps_its_expiry_and_its_tags(stage: Stage) {
    let cache = stage.cache();
    cache.set("key", "value").timeout(5_000).tags(["t"]).await.unwrap();
    stage.wait(1_000);
    cache.incr_version("key").await.unwrap();
    assert_eq!(cache.ttl("key").version(2).await.unwrap(), Ttl::Left(Duration::from_secs(4_000)));
    cache.invalidate(["t"]).await.unwrap();
    assert!(!cache.has_key("key").version(2).await.unwrap());
}

async fn a_moved_value_replaces_what_stands_there(stage: Stage) {
    let cache = stage.cache();
    cache.set("key", "old").version(2).await.unwrap();
    cache.set("key", "new").await.unwrap();
    cache.incr_version("key").await.unwrap();
    assert_eq!(cache.get("key").version(2).await.unwrap(), Some("new".to_owned()));
}

async fn there_is_no_version_below_zero_and_none_above_the_last(stage: Stage) {
    let cache = stage.cache();
    cache.set("key", 1).await.unwrap();
    assert_eq!(cache.decr_version("key").delta(2).await.unwrap_err().kind(), ErrorKind::Value);
    assert_eq!(cache.incr_version("key").delta(u64::MAX).await.unwrap_err().kind(), ErrorKind::Value);
    assert!(cache.has_key("key").await.unwrap());
}
