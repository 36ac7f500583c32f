//! What `Backend` asks of the operations that each author writes: whole values, conditions, expiries.

use larder_core::{Backend as _, ErrorKind, When};

use super::store::Store;
use super::tests;
use crate::Stage;

tests! {
    contract __mount_contract:
    any_bytes_come_back_as_they_were
    a_large_value_is_stored_or_refused_and_never_lost_in_silence
    keys_that_differ_in_anything_are_different
    absent_and_present_decide_whether_it_is_stored
    an_expired_entry_is_absent_for_every_operation
    what_is_already_expired_removes_and_counts_as_stored
    remove_says_whether_there_was_one
    touch_gives_another_expiry_and_leaves_the_value
    touch_never_brings_back_what_was_replaced_or_removed
    of_many_at_once_each_stands_in_its_place
    what_a_fetch_brings_is_what_was_asked_for_in_that_order
}

async fn any_bytes_come_back_as_they_were(stage: Stage) {
    let store = Store::of(&stage);
    let texts = ["", "\n", "\r\n", "\0", " ", "7", "-7", "007", "+7", "-0", " 7", "7 ", "7\n", "1e3", "null"];
    let like_ours = ["larder1 - 0\n1", "larder0 - 0\n1", "9223372036854775807", "9223372036854775808", "ÿ清"];
    let mut values: Vec<Vec<u8>> =
        texts.iter().chain(&like_ours).map(|text| text.as_bytes().to_vec()).collect();
    values.push((0..=255).collect());
    values.push(vec![0xff; 300]);
    for (i, value) in values.iter().enumerate() {
        store.set(&format!("key{i}"), value.clone()).await;
        store.set("same", value.clone()).await;
        assert_eq!(store.value("same").await.as_ref(), Some(&value[..].to_vec().into()), "{value:?}");
    }
    for (i, value) in values.iter().enumerate() {
        assert_eq!(
            store.value(&format!("key{i}")).await.as_ref(),
            Some(&value[..].to_vec().into()),
            "{value:?}"
        );
    }
}

async fn a_large_value_is_stored_or_refused_and_never_lost_in_silence(stage: Stage) {
    let store = Store::of(&stage);
    for size in [10_000, 1_000_000, (1 << 20) - 1, 1 << 20, 1_200_000] {
        let value: Vec<u8> = (0..size).map(|i: u32| i.to_le_bytes()[0] ^ i.to_le_bytes()[1]).collect();
        for (name, when) in [("new", When::Absent), ("old", When::Always)] {
            store.remove("new").await;
            store.set("old", "small").await;
            let entry = store.entry(value.clone()).await;
            match store.backend.set(&store.key(name), entry, when, store.now()).await {
                Ok(stored) => {
                    assert!(stored, "{name} of {size} bytes");
                    let found = store.value(name).await;
                    assert!(
                        found.as_deref() == Some(&value[..]),
                        "{name} of {size} bytes is not what comes back"
                    );
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::TooLarge, "{name} of {size} bytes: {error}");
                    let found = store.value(name).await;
                    let harmless = found.is_none() || (name == "old" && found.as_deref() == Some(b"small"));
                    assert!(harmless, "{size} bytes were refused, and something else stands there");
                }
            }
        }
    }
}

async fn keys_that_differ_in_anything_are_different(stage: Stage) {
    let store = Store::of(&stage);
    let long = "x".repeat(5_000);
    let mut names: Vec<String> =
        ["a", "A", "a ", " a", "a\n", "a\0", "a\0b", "a:", ":a", "é", "e\u{301}", "É", "e"]
            .into_iter()
            .chain([
                "*", "?", "[a]", "a*", "a?", "%", "_", "a%", "a_", "\\", "\\*", "'", "\"", "a'--", "../a",
                "{a}",
            ])
            .map(str::to_owned)
            .collect();
    names.extend([long.clone() + "1", long.clone() + "2", "y".to_owned() + &long, long]);
    for (i, name) in names.iter().enumerate() {
        assert!(
            store.set_when(When::Absent, name, i.to_string() + "!").await,
            "{name:.20?} was there before"
        );
    }
    for (i, name) in names.iter().enumerate() {
        assert_eq!(store.value(name).await, Some((i.to_string() + "!").into()), "{name:.20?}");
    }
    for (i, name) in names.iter().enumerate() {
        assert!(store.remove(name).await, "{name:.20?} went with one of those before");
        assert_eq!(store.value(name).await, None, "{name:.20?} ({i})");
    }
}

async fn absent_and_present_decide_whether_it_is_stored(stage: Stage) {
    let store = Store::of(&stage);
    assert!(!store.set_when(When::Present, "key", "one").await);
    assert_eq!(store.value("key").await, None);
    assert!(store.set_when(When::Absent, "key", "two").await);
    assert!(!store.set_when(When::Absent, "key", "three").await);
    assert_eq!(store.value("key").await, Some("two".into()));
    assert!(store.set_when(When::Present, "key", "four").await);
    assert_eq!(store.value("key").await, Some("four".into()));
    assert!(store.set_when(When::Always, "key", "five").await);
    assert_eq!(store.value("key").await, Some("five".into()));
}

async fn an_expired_entry_is_absent_for_every_operation(stage: Stage) {
    let store = Store::of(&stage);
    for name in ["get", "many", "remove", "touch", "add", "replace"] {
        store.set_for(60_000, name, "text").await;
    }
    stage.wait(60);
    let (key, now) = (store.key("many"), store.now());
    assert_eq!(store.value("get").await, None);
    assert!(store.backend.get_many(&[key], now).await.unwrap()[0].is_none());
    assert!(!store.remove("remove").await);
    assert!(!store.touch("touch", None).await);
    assert!(!store.set_when(When::Present, "replace", "new").await);
    assert!(store.set_when(When::Absent, "add", "new").await);
    assert_eq!(store.value("add").await, Some("new".into()));
    assert_eq!(store.value("touch").await, None, "it came back to life");
}

async fn what_is_already_expired_removes_and_counts_as_stored(stage: Stage) {
    let store = Store::of(&stage);
    for (when, there) in
        [(When::Always, true), (When::Always, false), (When::Absent, false), (When::Present, true)]
    {
        store.remove("key").await;
        if there {
            store.set("key", "old").await;
        }
        let expired = store.entry("new").await.with_expiry(Some(store.now()));
        assert!(
            store.backend.set(&store.key("key"), expired, when, store.now()).await.unwrap(),
            "{when:?} {there}"
        );
        assert_eq!(store.value("key").await, None, "{when:?} {there}");
    }
}

async fn remove_says_whether_there_was_one(stage: Stage) {
    let store = Store::of(&stage);
    store.set("key", "text").await;
    store.set("other", "text").await;
    assert!(store.remove("key").await);
    assert!(!store.remove("key").await);
    assert_eq!((store.value("key").await, store.value("other").await), (None, Some("text".into())));
}

async fn touch_gives_another_expiry_and_leaves_the_value(stage: Stage) {
    let store = Store::of(&stage);
    for (i, value) in ["text", "", "12", "007"].into_iter().enumerate() {
        let name = &format!("key{i}");
        store.set_for(60_000, name, value).await;
        assert!(store.touch(name, Some(store.now() + 3_600_000)).await);
        stage.wait(3_599);
        assert_eq!(store.value(name).await, Some(value.into()), "the longer one counts");
        assert!(store.touch(name, None).await);
        stage.wait(1_000_000);
        assert_eq!(store.value(name).await, Some(value.into()), "it lives for ever");
        assert!(store.touch(name, Some(store.now())).await, "it was there");
        assert_eq!(store.value(name).await, None, "and is gone");
        assert!(!store.touch(name, None).await);
    }
}

async fn touch_never_brings_back_what_was_replaced_or_removed(stage: Stage) {
    let (store, other) = (Store::of(&stage), Store::again(&stage));
    let expires = Some(store.now() + 3_600_000);
    for round in 0..150 {
        store.set("key", "old").await;
        let touching = {
            let other = other.clone();
            tokio::spawn(async move {
                for _ in 0..3 {
                    other.touch("key", expires).await;
                }
            })
        };
        if round % 2 == 0 {
            store.set("key", "new").await;
            touching.await.unwrap();
            assert_eq!(store.value("key").await, Some("new".into()), "touch has written the old value back");
        } else {
            store.remove("key").await;
            touching.await.unwrap();
            assert_eq!(store.value("key").await, None, "touch has written a removed value back");
        }
    }
}

async fn of_many_at_once_each_stands_in_its_place(stage: Stage) {
    let store = Store::of(&stage);
    // More than fit into one statement of most databases.
    let names: Vec<String> = (0..1_500).map(|i| format!("key{i}")).collect();
    for name in names.iter().step_by(100) {
        store.set(name, name.clone()).await;
    }
    let keys: Vec<_> = names.iter().map(|name| store.key(name)).collect();
    let found = store.backend.get_many(&keys, store.now()).await.unwrap();
    assert_eq!(found.len(), names.len());
    for (i, (name, entry)) in names.iter().zip(found).enumerate() {
        let value = entry.map(|entry| entry.value().to_bytes().unwrap());
        assert_eq!(value, (i % 100 == 0).then(|| name.clone().into()), "{name}");
    }
    let twice = [store.key("key100"), store.key("none"), store.key("key100")];
    let found = store.backend.get_many(&twice, store.now()).await.unwrap();
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    assert!(store.backend.get_many(&[], store.now()).await.unwrap().is_empty());
}

async fn what_a_fetch_brings_is_what_was_asked_for_in_that_order(stage: Stage) {
    let store = Store::of(&stage);
    let (a, b) = ("a".into(), "b".into());
    let fill = store.backend.begin(&store.space, &[b, a], store.now()).await.unwrap();
    store.set("two", "2!").await;
    store.set("one", "1!").await;
    if store.backend.capabilities().verifies {
        // Such a backend checks stamps itself, so nobody asks it for records.
        let keys = [store.key("one"), store.key("none"), store.key("two")];
        let found = store.backend.fetch(&store.space, &keys, &[], store.now()).await.unwrap();
        assert_eq!(found.entries.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
        return;
    }
    let tags = ["a".into(), "never".into(), "b".into()];
    let keys = [store.key("one"), store.key("none"), store.key("two")];
    let found = store.backend.fetch(&store.space, &keys, &tags, store.now()).await.unwrap();
    let values: Vec<_> =
        found.entries.iter().map(|e| e.as_ref().map(|e| e.value().to_bytes().unwrap())).collect();
    assert_eq!(values, [Some("1!".into()), None, Some("2!".into())]);
    assert_eq!(found.space, Some(fill.space()));
    assert_eq!(found.tags, [Some(fill.captured()[1].1), None, Some(fill.captured()[0].1)]);
}
