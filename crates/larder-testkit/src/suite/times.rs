//! TO: how long things live.

use larder_core::Timeout;

use super::{counts, tests};
use crate::Stage;

tests! {
    times __mount_times:
    to_01_the_default_is_five_minutes
    to_02_without_a_timeout_nothing_expires
    to_06_touch_may_take_the_expiry_away
    to_07_a_timeout_of_zero_stores_nothing_and_removes_what_was_there
    to_09_touch_with_zero_says_yes_and_removes
    to_11_touch_gives_another_expiry_counted_from_now
    to_12_touch_without_a_timeout_means_the_default
    to_13_touch_of_nothing_says_no
    to_15_thirty_days_and_more_are_no_cliff
    incr_keeps_the_expiry
    the_instant_of_expiry_is_too_late
}

async fn to_01_the_default_is_five_minutes(stage: Stage) {
    let cache = stage.cache();
    cache.set("key", "text").await.unwrap();
    stage.wait(299);
    assert!(cache.has_key("key").await.unwrap());
    stage.wait(1);
    assert!(!cache.has_key("key").await.unwrap());
}

async fn to_02_without_a_timeout_nothing_expires(stage: Stage) {
    let cache = stage.builder().no_timeout().build().unwrap();
    cache.set("key", 1).await.unwrap();
    cache.set("brief", 1).timeout(1).await.unwrap();
    stage.wait(100 * 365 * 86_400);
    assert!(cache.has_key("key").await.unwrap() && !cache.has_key("brief").await.unwrap());
    let cache = stage.cache();
    cache.set("forever", 1).timeout(Timeout::FOREVER).await.unwrap();
    stage.wait(100 * 365 * 86_400);
    assert!(cache.has_key("forever").await.unwrap());
}

async fn to_06_touch_may_take_the_expiry_away(stage: Stage) {
    let cache = stage.cache();
    cache.set("key", 1).timeout(60).await.unwrap();
    assert!(cache.touch("key").timeout(Timeout::FOREVER).await.unwrap());
    stage.wait(1_000_000);
    assert!(cache.has_key("key").await.unwrap());
}

async fn to_07_a_timeout_of_zero_stores_nothing_and_removes_what_was_there(stage: Stage) {
    let cache = stage.cache();
    cache.set("key", 1).timeout(0).await.unwrap();
    assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
    cache.set("key", 1).await.unwrap();
    cache.set("key", 2).timeout(0).await.unwrap();
    assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
    assert!(cache.add("key", 3).timeout(0).await.unwrap());
    assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
    cache.set_many([("key", 4)]).timeout(0).await.unwrap();
    assert_eq!(cache.get_or_set("key", || async { 5 }).timeout(0).await.unwrap(), 5);
    assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
}

async fn to_09_touch_with_zero_says_yes_and_removes(stage: Stage) {
    let cache = stage.cache();
    cache.set("key", 1).await.unwrap();
    assert!(cache.touch("key").timeout(0).await.unwrap());
    assert!(!cache.has_key("key").await.unwrap());
}

async fn to_11_touch_gives_another_expiry_counted_from_now(stage: Stage) {
    let cache = stage.cache();
    cache.set("key", 1).timeout(60).await.unwrap();
    assert!(cache.touch("key").timeout(240).await.unwrap());
    stage.wait(120);
    assert!(cache.has_key("key").await.unwrap());
    stage.wait(120);
    assert!(!cache.has_key("key").await.unwrap());
}

async fn to_12_touch_without_a_timeout_means_the_default(stage: Stage) {
    let cache = stage.cache();
    cache.set("key", "text").timeout(60).await.unwrap();
    assert!(cache.touch("key").await.unwrap());
    stage.wait(299);
    assert!(cache.has_key("key").await.unwrap());
    stage.wait(1);
    assert!(!cache.has_key("key").await.unwrap());
}

async fn to_13_touch_of_nothing_says_no(stage: Stage) {
    let cache = stage.cache();
    assert!(!cache.touch("missing").await.unwrap());
    assert!(!cache.touch("missing").timeout(0).await.unwrap());
    cache.set("brief", 1).timeout(1).await.unwrap();
    cache.set("tagged", 1).tags(["t"]).await.unwrap();
    stage.wait(1);
    cache.invalidate(["t"]).await.unwrap();
    assert!(!cache.touch("brief").await.unwrap() && !cache.touch("tagged").await.unwrap());
    assert!(!cache.has_key("brief").await.unwrap() && !cache.has_key("tagged").await.unwrap());
}

async fn to_15_thirty_days_and_more_are_no_cliff(stage: Stage) {
    let (cache, long) = (stage.cache(), 60 * 60 * 24 * 30 + 1);
    cache.set("set", "text").timeout(long).await.unwrap();
    cache.add("add", "text").timeout(long).await.unwrap();
    cache.set_many([("many", "text")]).timeout(long).await.unwrap();
    cache.set("huge", 1).timeout(u64::MAX).await.unwrap();
    stage.wait(long - 1);
    for key in ["set", "add", "many", "huge"] {
        assert!(cache.has_key(key).await.unwrap(), "{key}");
    }
    stage.wait(1);
    assert!(!cache.has_key("set").await.unwrap() && cache.has_key("huge").await.unwrap());
}

async fn incr_keeps_the_expiry(stage: Stage) {
    if !counts(&stage).await {
        return;
    }
    let cache = stage.cache();
    cache.set("count", 1).timeout(600).await.unwrap();
    stage.wait(540);
    assert_eq!(cache.incr("count", 1).await.unwrap(), 2);
    stage.wait(60);
    assert!(!cache.has_key("count").await.unwrap());
}

async fn the_instant_of_expiry_is_too_late(stage: Stage) {
    let cache = stage.cache();
    cache.set("key", "text").timeout(Timeout::millis(60_005)).await.unwrap();
    stage.advance(std::time::Duration::from_millis(60_004));
    assert!(cache.has_key("key").await.unwrap());
    stage.advance(std::time::Duration::from_millis(1));
    assert!(!cache.has_key("key").await.unwrap());
}
