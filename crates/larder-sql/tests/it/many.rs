//! Several entries at once, compare and set, and walking through the keys: straight at the backend.

use std::collections::BTreeSet;

use bytes::Bytes;
use larder_core::{Backend, Entry, ErrorKind, Key, Space, Stamp, Tag, Value};

use crate::{Stage, everywhere};

everywhere! {
    many_are_stored_whatever_they_are_called_and_the_last_of_two_wins
    more_than_a_statement_takes_are_stored_and_removed
    what_expired_is_removed_by_storing_it
    many_that_store_the_same_at_once_are_not_in_each_others_way
    those_that_are_removed_are_counted_if_they_were_valid
    a_value_is_replaced_only_if_it_is_the_expected_one
    of_many_that_replace_the_same_value_one_does
    a_walk_gives_each_key_once_and_none_of_others
    a_walk_goes_on_though_its_last_key_is_gone
    a_walk_leaves_out_what_expired
}

const NOW: u64 = 1_700_000_000_000;

fn space(prefix: &str) -> Space {
    Space::new(prefix).unwrap()
}

fn key(name: &str) -> Key {
    Key::value(&space("shop"), 1, name)
}

/// Entries of one moment, under a tag if there is one.
async fn stamp(stage: &Stage, tags: &[Tag]) -> Stamp {
    let fill = stage.backend.begin(&space("shop"), tags, NOW).await.unwrap();
    stage.backend.seal(&space("shop"), &fill, &[], None, NOW).await.unwrap().unwrap()
}

fn entry(value: &str, expires: Option<u64>, stamp: &Stamp) -> Entry {
    Entry::new(Value::Bytes(Bytes::copy_from_slice(value.as_bytes())), expires, stamp.clone())
}

async fn found(stage: &Stage, key: &Key) -> Option<Bytes> {
    stage.backend.get(key, NOW).await.unwrap().map(|entry| entry.value().to_bytes().unwrap())
}

async fn many_are_stored_whatever_they_are_called_and_the_last_of_two_wins(stage: Stage) {
    let stamp = stamp(&stage, &[]).await;
    let long = "x".repeat(3000);
    let names = ["a", "A", "a ", "ä", "a\0b", "'", &long, "a"];
    let entries = names.iter().enumerate().map(|(i, name)| (key(name), entry(&i.to_string(), None, &stamp)));
    let refused = stage.backend.set_many(entries.collect(), NOW).await.unwrap();
    assert!(refused.is_empty(), "{refused:?}");
    for (i, name) in names.iter().enumerate().skip(1) {
        assert_eq!(found(&stage, &key(name)).await, Some(i.to_string().into()), "{name:?}");
    }
}

async fn more_than_a_statement_takes_are_stored_and_removed(stage: Stage) {
    let stamp = stamp(&stage, &[]).await;
    let keys: Vec<Key> = (0..2300).map(|i| key(&i.to_string())).collect();
    // More than 512 KiB in a thousand, and one that is larger alone.
    let value = |i: usize| if i == 7 { "y".repeat(600_000) } else { format!("{i} {}", "x".repeat(700)) };
    let entries = keys.iter().enumerate().map(|(i, key)| (key.clone(), entry(&value(i), None, &stamp)));
    let refused = stage.backend.set_many(entries.collect(), NOW).await.unwrap();
    assert!(refused.is_empty(), "{refused:?}");
    let there = stage.backend.get_many(&keys, NOW).await.unwrap();
    for (i, entry) in there.iter().enumerate() {
        assert_eq!(entry.as_ref().unwrap().value().to_bytes().unwrap(), value(i), "{i}");
    }
    assert_eq!(stage.backend.remove_many(&keys, NOW).await.unwrap(), 2300);
    assert_eq!(stage.backend.remove_many(&keys, NOW).await.unwrap(), 0);
}

async fn what_expired_is_removed_by_storing_it(stage: Stage) {
    let stamp = stamp(&stage, &[]).await;
    let entries =
        |expires| vec![(key("a"), entry("1", expires, &stamp)), (key("b"), entry("2", None, &stamp))];
    stage.backend.set_many(entries(None), NOW).await.unwrap();
    stage.backend.set_many(entries(Some(NOW)), NOW).await.unwrap();
    assert_eq!(found(&stage, &key("a")).await, None);
    assert_eq!(found(&stage, &key("b")).await, Some("2".into()));
}

async fn many_that_store_the_same_at_once_are_not_in_each_others_way(stage: Stage) {
    let stamp = stamp(&stage, &[]).await;
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let (backend, stamp) = (stage.backend.clone(), stamp.clone());
            tokio::spawn(async move {
                for round in 0..5 {
                    // Each in an order of its own.
                    let order = (0..20).map(|i| (i * 7 + task * 3 + round) % 20);
                    let entries =
                        order.map(|i| (key(&i.to_string()), entry(&task.to_string(), None, &stamp)));
                    let refused = backend.set_many(entries.collect(), NOW).await.unwrap();
                    assert!(refused.is_empty(), "{refused:?}");
                    let keys: Vec<Key> =
                        (0..20).filter(|i| i % 8 == task).map(|i| key(&i.to_string())).collect();
                    backend.remove_many(&keys, NOW).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn those_that_are_removed_are_counted_if_they_were_valid(stage: Stage) {
    let (plain, tagged) = (stamp(&stage, &[]).await, stamp(&stage, &["t".into()]).await);
    let entries = vec![
        (key("plain"), entry("1", None, &plain)),
        (key("tagged"), entry("1", None, &tagged)),
        (key("also tagged"), entry("1", None, &tagged)),
        (key("expires"), entry("1", Some(NOW + 5), &plain)),
    ];
    let keys: Vec<Key> = entries.iter().map(|(key, _)| key.clone()).chain([key("none")]).collect();
    stage.backend.set_many(entries.clone(), NOW).await.unwrap();
    assert_eq!(stage.backend.remove_many(&keys, NOW).await.unwrap(), 4);
    stage.backend.set_many(entries, NOW).await.unwrap();
    stage.backend.invalidate(&space("shop"), &["t".into()], NOW).await.unwrap();
    assert_eq!(stage.backend.remove_many(&keys, NOW + 5).await.unwrap(), 1);
    assert_eq!(stage.backend.remove_many(&[], NOW).await.unwrap(), 0);
}

async fn a_value_is_replaced_only_if_it_is_the_expected_one(stage: Stage) {
    let (backend, stamp) = (&stage.backend, stamp(&stage, &["t".into()]).await);
    let with = |value: &str| Some(entry(value, Some(NOW + 9), &stamp));
    let lock = key("lock");
    assert!(!backend.compare_and_set(&lock, b"mine", with("mine"), NOW).await.unwrap(), "there is none");
    backend.set(&lock, entry("mine", Some(NOW + 5), &stamp), larder_core::When::Always, NOW).await.unwrap();
    assert!(!backend.compare_and_set(&lock, b"yours", with("yours"), NOW).await.unwrap());
    assert!(!backend.compare_and_set(&lock, b"yours", None, NOW).await.unwrap());
    assert!(!backend.compare_and_set(&lock, b"mine", with("mine"), NOW + 5).await.unwrap(), "it expired");
    assert!(backend.compare_and_set(&lock, b"mine", with("mine"), NOW).await.unwrap());
    let expires = backend.get(&lock, NOW).await.unwrap().unwrap().expires();
    assert_eq!(expires, Some(NOW + 9));
    backend.invalidate(&space("shop"), &["t".into()], NOW).await.unwrap();
    assert!(!backend.compare_and_set(&lock, b"mine", None, NOW).await.unwrap(), "it is invalid");
    let other = Stamp { space: stamp.space, tags: Box::default() };
    backend.set(&lock, entry("mine", None, &other), larder_core::When::Always, NOW).await.unwrap();
    assert!(backend.compare_and_set(&lock, b"mine", None, NOW).await.unwrap());
    assert_eq!(found(&stage, &lock).await, None);
}

async fn of_many_that_replace_the_same_value_one_does(stage: Stage) {
    let stamp = stamp(&stage, &[]).await;
    stage
        .backend
        .set(&key("lock"), entry("free", None, &stamp), larder_core::When::Always, NOW)
        .await
        .unwrap();
    let tasks: Vec<_> = (0..12)
        .map(|i| {
            let backend = if i % 2 == 0 { stage.backend.clone() } else { (stage.again)().build().unwrap() };
            let with = (i % 3 > 0).then(|| entry(&i.to_string(), None, &stamp));
            tokio::spawn(
                async move { backend.compare_and_set(&key("lock"), b"free", with, NOW).await.unwrap() },
            )
        })
        .collect();
    let mut winners = 0;
    for task in tasks {
        winners += usize::from(task.await.unwrap());
    }
    assert_eq!(winners, 1);
}

/// All that a walk gives, in pages of this many.
async fn walk(stage: &Stage, prefix: &str, front: &str, limit: usize, now: u64) -> Vec<String> {
    let (mut names, mut after) = (Vec::new(), None);
    for _ in 0..1000 {
        let page = stage.backend.scan(&space(prefix), front, after.as_deref(), limit, now).await.unwrap();
        assert!(page.keys.len() <= limit);
        names.extend(page.keys.iter().map(|key| key.name().into_owned()));
        after = page.next;
        if after.is_none() {
            return names;
        }
    }
    panic!("it does not end");
}

async fn a_walk_gives_each_key_once_and_none_of_others(stage: Stage) {
    let stamp = stamp(&stage, &["t".into()]).await;
    let (long, nul) = ("x".repeat(3000), "a\0b");
    let names = ["a", "A", "a ", "ab", "aß", "a%", "a_", "a清", "a\u{10FFFF}", "b", "b3:", &long, nul];
    let mut keys: Vec<Key> = names.iter().map(|name| key(name)).collect();
    keys.push(Key::value(&space("shop"), 12, "a"));
    let mut page = Key::builder(&space("shop"), 1, "page");
    page.part(b"GET");
    keys.push(page.build());
    let others = ["", "sho", "shop2", "Shop"].map(|prefix| Key::value(&space(prefix), 1, "a"));
    let all = keys.iter().chain(&others).map(|key| (key.clone(), entry("1", None, &stamp)));
    stage.backend.set_many(all.collect(), NOW).await.unwrap();
    for limit in [1, 2, 5, 1000, usize::MAX] {
        for front in ["shop:", "shop:1:", "shop:1:a", "shop:1:a\0", "shop:1:xxx", "shop:12:", "shop:1:none"] {
            let wanted: BTreeSet<String> = keys
                .iter()
                .map(|key| key.name().into_owned())
                .filter(|name| name.starts_with(front))
                .collect();
            let found = walk(&stage, "shop", front, limit, NOW).await;
            assert_eq!(found.len(), wanted.len(), "{front:?} by {limit}: {found:?}");
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), wanted, "{front:?} by {limit}");
        }
    }
    // What a walk gives can be used as it is.
    let given = stage.backend.scan(&space("shop"), "shop:", None, 1000, NOW).await.unwrap();
    assert!(stage.backend.remove_many(&given.keys, NOW).await.unwrap() > 10);
    let error = stage.backend.scan(&space("shop"), "shop:", Some("?"), 10, NOW).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

async fn a_walk_goes_on_though_its_last_key_is_gone(stage: Stage) {
    let stamp = stamp(&stage, &[]).await;
    let entries = (0..6).map(|i| (key(&i.to_string()), entry("1", None, &stamp)));
    stage.backend.set_many(entries.collect(), NOW).await.unwrap();
    let first = stage.backend.scan(&space("shop"), "shop:1:", None, 3, NOW).await.unwrap();
    stage.backend.remove_many(&first.keys, NOW).await.unwrap();
    let next = stage.backend.scan(&space("shop"), "shop:1:", first.next.as_deref(), 3, NOW).await.unwrap();
    assert_eq!(next.keys, [key("3"), key("4"), key("5")]);
}

async fn a_walk_leaves_out_what_expired(stage: Stage) {
    let stamp = stamp(&stage, &[]).await;
    let entries = vec![(key("a"), entry("1", Some(NOW + 5), &stamp)), (key("b"), entry("1", None, &stamp))];
    stage.backend.set_many(entries, NOW).await.unwrap();
    assert_eq!(walk(&stage, "shop", "shop:1:", 1, NOW + 4).await, ["shop:1:a", "shop:1:b"]);
    assert_eq!(walk(&stage, "shop", "shop:1:", 1, NOW + 5).await, ["shop:1:b"]);
}
