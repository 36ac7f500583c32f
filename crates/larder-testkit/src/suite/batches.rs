//! `set_many` and `remove_many`: as the single ones, in one step where the store can.

use larder_core::{Backend as _, Entry, ErrorKind, Key};

use super::store::Store;
use super::tests;
use crate::Stage;

tests! {
    batches __mount_batches:
    set_many_stores_each_with_its_own_expiry
    set_many_of_more_than_a_statement_holds_stores_them_all
    of_a_key_given_twice_the_later_value_stays
    set_many_removes_what_is_given_already_expired
    what_set_many_refuses_is_named_by_its_place_and_the_rest_is_stored
    remove_many_counts_what_was_there
    nothing_at_all_is_no_error
}

async fn pairs(store: &Store, values: &[(&str, &str)]) -> Vec<(Key, Entry)> {
    let mut pairs = Vec::new();
    for (name, value) in values {
        pairs.push((store.key(name), store.entry((*value).to_owned()).await));
    }
    pairs
}

async fn set_many_stores_each_with_its_own_expiry(stage: Stage) {
    let store = Store::of(&stage);
    store.set("b", "old").await;
    let mut entries = pairs(&store, &[("a", "1!"), ("b", ""), ("c", "12"), ("d", "\0ÿ")]).await;
    entries[0].1 = entries[0].1.with_expiry(Some(store.now() + 60_000));
    assert!(store.backend.set_many(entries, store.now()).await.unwrap().is_empty());
    for (name, value) in [("a", "1!"), ("b", ""), ("c", "12"), ("d", "\0ÿ")] {
        assert_eq!(store.value(name).await, Some(value.into()), "{name}");
    }
    stage.wait(60);
    assert_eq!((store.value("a").await, store.value("b").await), (None, Some("".into())));
}

async fn set_many_of_more_than_a_statement_holds_stores_them_all(stage: Stage) {
    let store = Store::of(&stage);
    let entry = store.entry("text").await;
    let keys: Vec<Key> = (0..1_500).map(|i| store.key(&format!("key{i}"))).collect();
    let entries = keys.iter().map(|key| (key.clone(), entry.clone())).collect();
    assert!(store.backend.set_many(entries, store.now()).await.unwrap().is_empty());
    let found = store.backend.get_many(&keys, store.now()).await.unwrap();
    assert_eq!(found.iter().flatten().count(), keys.len());
    assert_eq!(store.backend.remove_many(&keys, store.now()).await.unwrap(), keys.len());
    let found = store.backend.get_many(&keys, store.now()).await.unwrap();
    assert_eq!(found.iter().flatten().count(), 0);
}

async fn of_a_key_given_twice_the_later_value_stays(stage: Stage) {
    let store = Store::of(&stage);
    let entries = pairs(&store, &[("a", "first"), ("b", "other"), ("a", "second")]).await;
    assert!(store.backend.set_many(entries, store.now()).await.unwrap().is_empty());
    assert_eq!(store.value("a").await, Some("second".into()));
    assert_eq!(store.value("b").await, Some("other".into()));
}

async fn set_many_removes_what_is_given_already_expired(stage: Stage) {
    let store = Store::of(&stage);
    store.set("a", "old").await;
    let mut entries = pairs(&store, &[("a", "new"), ("b", "new")]).await;
    entries[0].1 = entries[0].1.with_expiry(Some(store.now()));
    assert!(store.backend.set_many(entries, store.now()).await.unwrap().is_empty());
    assert_eq!((store.value("a").await, store.value("b").await), (None, Some("new".into())));
}

async fn what_set_many_refuses_is_named_by_its_place_and_the_rest_is_stored(stage: Stage) {
    let store = Store::of(&stage);
    let large = "x".repeat(1_200_000);
    let entries = pairs(&store, &[("a", "1!"), ("large", &large), ("b", "2!")]).await;
    let refused = store.backend.set_many(entries, store.now()).await.unwrap();
    for (place, error) in &refused {
        assert_eq!((*place, error.kind()), (1, ErrorKind::TooLarge), "{error}");
    }
    let found = store.value("large").await;
    assert_eq!(found.is_none(), refused.len() == 1, "it is stored or refused");
    assert!(found.is_none_or(|found| found == large.as_bytes()));
    assert_eq!((store.value("a").await, store.value("b").await), (Some("1!".into()), Some("2!".into())));
}

async fn remove_many_counts_what_was_there(stage: Stage) {
    let store = Store::of(&stage);
    for name in ["a", "b", "c"] {
        store.set(name, "text").await;
    }
    store.set_for(60_000, "expired", "text").await;
    stage.wait(60);
    let keys = ["a", "none", "c", "expired"].map(|name| store.key(name));
    assert_eq!(store.backend.remove_many(&keys, store.now()).await.unwrap(), 2);
    assert_eq!(store.backend.remove_many(&keys, store.now()).await.unwrap(), 0);
    assert_eq!((store.value("a").await, store.value("b").await), (None, Some("text".into())));
}

async fn nothing_at_all_is_no_error(stage: Stage) {
    let store = Store::of(&stage);
    assert!(store.backend.set_many(Vec::new(), store.now()).await.unwrap().is_empty());
    assert_eq!(store.backend.remove_many(&[], store.now()).await.unwrap(), 0);
}
