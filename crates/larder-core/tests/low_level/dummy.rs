//! DUM: the backend that keeps nothing.

use larder_core::{Cache, Dummy, ErrorKind};

#[tokio::test]
async fn dum_02_add_says_yes_each_time_and_nothing_is_there() {
    let cache = Cache::new(Dummy);
    assert!(cache.add("key", 1).await.unwrap() && cache.add("key", 2).await.unwrap());
    assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
    assert!(!cache.has_key("key").await.unwrap());
}

#[tokio::test]
async fn dum_03_there_is_nothing_to_count_on() {
    let cache = Cache::new(Dummy);
    cache.set("count", 1).await.unwrap();
    assert_eq!(cache.incr("count", 1).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(cache.decr("count", 1).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn dum_04_everything_else_does_nothing_without_an_error() {
    let cache = Cache::new(Dummy);
    cache.set_many([("a", 1), ("b", 2)]).timeout(10).await.unwrap();
    assert!(!cache.touch("a").await.unwrap() && !cache.delete("a").await.unwrap());
    assert!(cache.get_many::<u8, _>(["a", "b"]).await.unwrap().is_empty());
    assert_eq!(cache.delete_many(["a", "b"]).await.unwrap(), 0);
    cache.invalidate(["t"]).await.unwrap();
    cache.clear().await.unwrap();
    cache.ping().await.unwrap();
}

#[tokio::test]
async fn key_10_keys_of_any_shape_are_taken() {
    let cache = Cache::new(Dummy);
    cache.set_many([("key with spaces", 1)]).timeout(10).await.unwrap();
    assert!(cache.get_many::<u8, _>(["key with spaces"]).await.unwrap().is_empty());
    assert_eq!(cache.delete_many(["key with spaces"]).await.unwrap(), 0);
}

#[tokio::test]
async fn each_caller_of_get_or_set_makes_its_own_value() {
    let cache = Cache::new(Dummy);
    assert_eq!(cache.get_or_set("key", || async { 1 }).await.unwrap(), 1);
    assert_eq!(cache.get_or_set("key", || async { 2 }).await.unwrap(), 2);
    let failed = cache.try_get_or_set("key", || async { Err::<u8, _>("no") }).await;
    assert!(matches!(failed, Err(larder_core::FillError::Fill("no"))));
}
