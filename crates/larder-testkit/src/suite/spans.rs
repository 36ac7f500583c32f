//! How long a value has left, and giving it another time: DR-10 to DR-15.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use larder_core::{Timeout, Ttl};

use crate::Stage;
use crate::suite::{counts, tests};

tests! { spans __mount_spans:
    dr_10_ttl_tells_missing_from_for_ever_and_counts_milliseconds
    an_integer_that_the_store_counts_has_time_left_too
    dr_11_persist_takes_the_expiry_away
    dr_14_expire_at_takes_an_instant_and_a_past_one_removes
    dr_15_touch_with_zero_removes_and_for_ever_persists
    what_was_invalidated_has_no_time_left_and_takes_none
    times_are_given_per_version
}

async fn dr_10_ttl_tells_missing_from_for_ever_and_counts_milliseconds(stage: Stage) {
    let cache = stage.cache();
    cache.set("brief", "b").timeout(600).await.unwrap();
    cache.set("briefer", "b").timeout(Duration::from_millis(60_400)).await.unwrap();
    cache.set("forever", "f").timeout(Timeout::FOREVER).await.unwrap();
    assert_eq!(cache.ttl("brief").await.unwrap(), Ttl::Left(Duration::from_secs(600)));
    assert_eq!(cache.ttl("briefer").await.unwrap().left(), Some(Duration::from_millis(60_400)));
    assert_eq!(cache.ttl("forever").await.unwrap(), Ttl::Forever);
    assert!(cache.ttl("missing").await.unwrap().is_missing());
    stage.advance(Duration::from_millis(599_999));
    assert_eq!(cache.ttl("brief").await.unwrap(), Ttl::Left(Duration::from_millis(1)));
    assert_eq!(cache.ttl("briefer").await.unwrap(), Ttl::Missing);
    stage.advance(Duration::from_millis(1));
    assert_eq!(cache.ttl("brief").await.unwrap(), Ttl::Missing);
    assert_eq!(cache.ttl("forever").await.unwrap(), Ttl::Forever);
}

async fn an_integer_that_the_store_counts_has_time_left_too(stage: Stage) {
    if !counts(&stage).await {
        return;
    }
    let cache = stage.cache();
    cache.set("count", 41).timeout(10_000).await.unwrap();
    cache.incr("count", 1).await.unwrap();
    // A server that keeps such a time itself goes by its own clock.
    let about = |ttl: Ttl| ttl.left().is_some_and(|left| (9_000..=10_000).contains(&left.as_secs()));
    assert!(about(cache.ttl("count").await.unwrap()), "{:?}", cache.ttl("count").await);
    cache.incr_version("count").await.unwrap();
    assert!(about(cache.ttl("count").version(2).await.unwrap()), "it goes with it to another version");
    assert!(cache.persist("count").version(2).await.unwrap());
    assert_eq!(cache.ttl("count").version(2).await.unwrap(), Ttl::Forever);
    assert_eq!(cache.incr("count", 1).version(2).await.unwrap(), 43);
}

async fn dr_11_persist_takes_the_expiry_away(stage: Stage) {
    let cache = stage.cache();
    cache.set("key", "value").timeout(10).await.unwrap();
    assert!(cache.persist("key").await.unwrap());
    assert_eq!(cache.ttl("key").await.unwrap(), Ttl::Forever);
    stage.wait(100 * 86_400);
    assert_eq!(cache.get("key").await.unwrap(), Some("value".to_owned()));
    assert!(!cache.persist("missing").await.unwrap() && !cache.has_key("missing").await.unwrap());
    cache.set("gone", 1).timeout(1).await.unwrap();
    stage.wait(1);
    assert!(!cache.persist("gone").await.unwrap() && !cache.has_key("gone").await.unwrap());
}

async fn dr_14_expire_at_takes_an_instant_and_a_past_one_removes(stage: Stage) {
    let cache = stage.cache();
    let now = stage.hand().now();
    for key in ["millis", "system", "past", "now"] {
        cache.set(key, key).timeout(Timeout::FOREVER).await.unwrap();
    }
    assert!(cache.expire_at("millis", now + 20_500).await.unwrap());
    let at = UNIX_EPOCH + Duration::from_millis(now + 3_600_000);
    assert!(cache.expire_at("system", at).await.unwrap());
    assert_eq!(cache.ttl("millis").await.unwrap(), Ttl::Left(Duration::from_millis(20_500)));
    assert_eq!(cache.ttl("system").await.unwrap(), Ttl::Left(Duration::from_secs(3600)));
    assert!(cache.expire_at("past", SystemTime::UNIX_EPOCH).await.unwrap(), "it was there");
    assert!(cache.expire_at("now", now).await.unwrap());
    assert!(!cache.has_key("past").await.unwrap() && !cache.has_key("now").await.unwrap());
    assert!(!cache.expire_at("past", now + 1_000).await.unwrap());
    assert!(!cache.expire_at("missing", 0).await.unwrap());
    assert!(!cache.has_key("past").await.unwrap(), "and it is not made anew");
}

async fn dr_15_touch_with_zero_removes_and_for_ever_persists(stage: Stage) {
    let cache = stage.cache();
    cache.set("zero", 1).await.unwrap();
    cache.set("forever", "f").timeout(10).await.unwrap();
    assert!(cache.touch("zero").timeout(0).await.unwrap());
    assert!(!cache.has_key("zero").await.unwrap());
    assert!(cache.touch("forever").timeout(Timeout::FOREVER).await.unwrap());
    assert_eq!(cache.ttl("forever").await.unwrap(), Ttl::Forever);
    assert!(!cache.touch("missing").timeout(0).await.unwrap() && !cache.touch("missing").await.unwrap());
}

async fn what_was_invalidated_has_no_time_left_and_takes_none(stage: Stage) {
    let cache = stage.cache();
    cache.set("key", 1).tags(["t"]).await.unwrap();
    cache.invalidate(["t"]).await.unwrap();
    assert!(cache.ttl("key").await.unwrap().is_missing());
    assert!(!cache.touch("key").await.unwrap() && !cache.persist("key").await.unwrap());
    assert!(!cache.expire_at("key", stage.hand().now() + 1_000).await.unwrap());
    assert!(!cache.has_key("key").await.unwrap());
}

async fn times_are_given_per_version(stage: Stage) {
    let cache = stage.cache();
    cache.set("key", "one").timeout(10).await.unwrap();
    cache.set("key", "two").timeout(20).version(2).await.unwrap();
    assert!(cache.persist("key").version(2).await.unwrap());
    assert_eq!(cache.ttl("key").version(2).await.unwrap(), Ttl::Forever);
    assert_eq!(cache.ttl("key").await.unwrap(), Ttl::Left(Duration::from_secs(10)));
    assert!(!cache.touch("key").version(3).await.unwrap());
    let at = stage.hand().now() + 5_000;
    assert!(cache.expire_at("key", at).version(2).await.unwrap());
    assert_eq!(cache.ttl("key").version(2).await.unwrap(), Ttl::Left(Duration::from_secs(5)));
}
