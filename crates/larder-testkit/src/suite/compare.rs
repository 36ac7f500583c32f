//! `compare_and_set`: what locks and leases stand on. A backend that can't do it atomically says so, always.

use larder_core::ErrorKind;

use super::store::Store;
use super::tests;
use crate::Stage;

tests! {
    compare __mount_compare:
    only_what_is_expected_is_replaced
    only_what_is_expected_is_removed
    nothing_is_not_equal_to_anything
    values_are_compared_whole_and_byte_by_byte
    the_expiry_is_that_of_the_new_entry
    of_many_who_expect_the_same_one_wins
    who_cannot_compare_says_so_and_changes_nothing
}

/// Whether the backend can; if not, it has to say `Unsupported` and its name.
async fn can(store: &Store) -> bool {
    store.set("there", "old").await;
    for (name, expected) in [("there", "old"), ("there", "other"), ("none", "old")] {
        for with in [None, Some(store.entry("new").await)] {
            match store.compare_and_set(name, expected.as_bytes(), with).await {
                Ok(_) => return true,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
                    assert!(
                        error.to_string().contains(store.name()),
                        "{error} does not name {}",
                        store.name()
                    );
                }
            }
        }
    }
    assert_eq!(store.value("there").await, Some("old".into()));
    assert_eq!(store.value("none").await, None);
    false
}

async fn who_cannot_compare_says_so_and_changes_nothing(stage: Stage) {
    let store = Store::of(&stage);
    let first = can(&store).await;
    assert_eq!(first, can(&store).await, "it can, or it can't");
}

async fn only_what_is_expected_is_replaced(stage: Stage) {
    let store = Store::of(&stage);
    if !can(&store).await {
        return;
    }
    store.set("key", "old").await;
    let new = store.entry("new").await;
    assert!(!store.compare_and_set("key", b"other", Some(new.clone())).await.unwrap());
    assert_eq!(store.value("key").await, Some("old".into()));
    assert!(store.compare_and_set("key", b"old", Some(new.clone())).await.unwrap());
    assert_eq!(store.value("key").await, Some("new".into()));
    assert!(!store.compare_and_set("key", b"old", Some(new)).await.unwrap());
}

async fn only_what_is_expected_is_removed(stage: Stage) {
    let store = Store::of(&stage);
    if !can(&store).await {
        return;
    }
    store.set("key", "mine").await;
    assert!(!store.compare_and_set("key", b"theirs", None).await.unwrap());
    assert_eq!(store.value("key").await, Some("mine".into()));
    assert!(store.compare_and_set("key", b"mine", None).await.unwrap());
    assert_eq!(store.value("key").await, None);
    assert!(!store.compare_and_set("key", b"mine", None).await.unwrap());
}

async fn nothing_is_not_equal_to_anything(stage: Stage) {
    let store = Store::of(&stage);
    if !can(&store).await {
        return;
    }
    store.set_for(60_000, "expired", "old").await;
    stage.wait(60);
    for (name, expected) in [("never", ""), ("never", "old"), ("expired", "old"), ("expired", "")] {
        let new = store.entry("new").await;
        assert!(
            !store.compare_and_set(name, expected.as_bytes(), Some(new)).await.unwrap(),
            "{name} {expected:?}"
        );
        assert!(
            !store.compare_and_set(name, expected.as_bytes(), None).await.unwrap(),
            "{name} {expected:?}"
        );
        assert_eq!(store.value(name).await, None, "{name} {expected:?}");
    }
}

async fn values_are_compared_whole_and_byte_by_byte(stage: Stage) {
    let store = Store::of(&stage);
    if !can(&store).await {
        return;
    }
    let values: [&[u8]; 10] =
        [b"abc", b"ab", b"ABC", b"abc ", b"", b"\0\xff\n", b"7", b"07", b"7 ", b"[a-c]*?%_\\'"];
    for stored in values {
        for expected in values {
            store.set("key", stored.to_vec()).await;
            let new = store.entry("new").await;
            let swapped = store.compare_and_set("key", expected, Some(new)).await.unwrap();
            assert_eq!(swapped, stored == expected, "{stored:?} {expected:?}");
            let left = if swapped { b"new" } else { stored };
            assert_eq!(store.value("key").await.as_deref(), Some(left), "{stored:?} {expected:?}");
        }
    }
}

async fn the_expiry_is_that_of_the_new_entry(stage: Stage) {
    let store = Store::of(&stage);
    if !can(&store).await {
        return;
    }
    store.set_for(60_000, "key", "token").await;
    let longer = store.entry("token").await.with_expiry(Some(store.now() + 120_000));
    assert!(store.compare_and_set("key", b"token", Some(longer)).await.unwrap());
    stage.wait(119);
    assert_eq!(store.value("key").await, Some("token".into()), "a lease is extended so");
    stage.wait(1);
    assert_eq!(store.value("key").await, None);
    store.set("key", "token").await;
    let expired = store.entry("new").await.with_expiry(Some(store.now()));
    assert!(store.compare_and_set("key", b"token", Some(expired)).await.unwrap());
    assert_eq!(store.value("key").await, None, "already expired, so removed");
}

async fn of_many_who_expect_the_same_one_wins(stage: Stage) {
    let store = Store::of(&stage);
    if !can(&store).await {
        return;
    }
    let handles = [store.clone(), Store::again(&stage)];
    for round in 0..20 {
        store.set("key", "free").await;
        let tasks: Vec<_> = (0..6)
            .map(|i| {
                let store = handles[i % 2].clone();
                tokio::spawn(async move {
                    let mine = store.entry(format!("taken by {i}")).await;
                    store.compare_and_set("key", b"free", Some(mine)).await.unwrap().then_some(i)
                })
            })
            .collect();
        let mut winners = Vec::new();
        for task in tasks {
            winners.extend(task.await.unwrap());
        }
        assert_eq!(winners.len(), 1, "round {round}");
        assert_eq!(store.value("key").await, Some(format!("taken by {}", winners[0]).into()));
    }
}
