//! DUM: a backend that keeps nothing, as `Capabilities::storing_nothing` says.

use larder_core::{Backend as _, ErrorKind, When};

use super::store::Store;
use super::tests;
use crate::Stage;

tests! {
    nothing __mount_nothing:
    dum_02_add_says_yes_each_time_and_nothing_is_there
    dum_03_there_is_nothing_to_count_on
    dum_04_everything_else_does_nothing_without_an_error
    key_10_keys_of_any_shape_are_taken
    each_caller_of_get_or_set_makes_its_own_value
    each_operation_says_what_it_would_of_an_empty_store
    it_says_that_it_keeps_nothing
}

async fn dum_02_add_says_yes_each_time_and_nothing_is_there(stage: Stage) {
    let cache = stage.cache();
    assert!(cache.add("key", 1).await.unwrap() && cache.add("key", 2).await.unwrap());
    assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
    assert!(!cache.has_key("key").await.unwrap());
}

async fn dum_03_there_is_nothing_to_count_on(stage: Stage) {
    let cache = stage.cache();
    cache.set("count", 1).await.unwrap();
    assert_eq!(cache.incr("count", 1).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(cache.decr("count", 1).await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn dum_04_everything_else_does_nothing_without_an_error(stage: Stage) {
    let cache = stage.cache();
    cache.set_many([("a", 1), ("b", 2)]).timeout(10).await.unwrap();
    assert!(!cache.touch("a").await.unwrap() && !cache.delete("a").await.unwrap());
    assert!(cache.get_many::<u8, _>(["a", "b"]).await.unwrap().is_empty());
    assert_eq!(cache.delete_many(["a", "b"]).await.unwrap(), 0);
    cache.invalidate(["t"]).await.unwrap();
    cache.clear().await.unwrap();
    cache.ping().await.unwrap();
}

async fn key_10_keys_of_any_shape_are_taken(stage: Stage) {
    let cache = stage.cache();
    cache.set_many([("key with spaces", 1)]).timeout(10).await.unwrap();
    assert!(cache.get_many::<u8, _>(["key with spaces"]).await.unwrap().is_empty());
    assert_eq!(cache.delete_many(["key with spaces"]).await.unwrap(), 0);
}

async fn each_caller_of_get_or_set_makes_its_own_value(stage: Stage) {
    let cache = stage.cache();
    assert_eq!(cache.get_or_set("key", || async { 1 }).await.unwrap(), 1);
    assert_eq!(cache.get_or_set("key", || async { 2 }).await.unwrap(), 2);
    let failed = cache.try_get_or_set("key", || async { Err::<u8, _>("no") }).await;
    assert!(matches!(failed, Err(larder_core::FillError::Fill("no"))));
}

async fn each_operation_says_what_it_would_of_an_empty_store(stage: Stage) {
    let store = Store::of(&stage);
    assert!(
        store.set_when(When::Always, "key", "text").await
            && store.set_when(When::Absent, "key", "text").await
    );
    assert!(!store.set_when(When::Present, "key", "text").await, "there is none");
    assert!(!store.touch("key", None).await && !store.remove("key").await);
    assert_eq!(store.value("key").await, None);
    let (key, now) = (store.key("key"), store.now());
    let entry = store.entry("text").await;
    assert!(store.backend.set_many(vec![(key.clone(), entry)], now).await.unwrap().is_empty());
    let keys = [key.clone(), key.clone()];
    assert_eq!(store.backend.remove_many(&keys, now).await.unwrap(), 0);
    assert_eq!(store.backend.get_many(&keys, now).await.unwrap().iter().flatten().count(), 0);
    let fetched = store.backend.fetch(&store.space, &keys, &["t".into()], now).await.unwrap();
    assert_eq!((fetched.entries.len(), fetched.tags.len()), (2, 1));
    assert_eq!(fetched.entries.iter().flatten().count(), 0);
    store.clear().await;
}

async fn it_says_that_it_keeps_nothing(stage: Stage) {
    let capabilities = stage.backend().capabilities();
    assert!(!capabilities.stores, "a backend that keeps entries mounts backend_suite!");
}
