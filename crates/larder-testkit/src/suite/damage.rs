//! Bytes in the store that no one of this version wrote: torn, foreign, or of another version. A miss, never garbage.

use larder_core::{Backend as _, When};

use super::store::Store;
use super::tests;
use crate::Stage;

tests! {
    damage __mount_damage:
    what_is_torn_or_foreign_is_a_miss_and_is_replaced
    a_value_of_another_version_of_the_format_is_a_miss
    a_damaged_value_neither_counts_nor_is_it_touched_or_added_to
    damage_to_one_value_leaves_the_others
}

/// Whether entries stand as bytes that may be damaged. In this process they don't: they are the values themselves.
async fn has_bytes(stage: &Stage) -> bool {
    if stage.can_rewrite() {
        return true;
    }
    let capabilities = stage.backend().capabilities();
    assert!(
        stage.why_opaque().is_some() || !capabilities.shared,
        "the store of the {} backend is outside this process: tell the stage how to damage what stands there \
         (Stage::rewriting), or why nobody can (Stage::opaque)",
        capabilities.name
    );
    false
}

const FOREIGN: [&[u8]; 9] = [
    b"",
    b"\0",
    b"garbage",
    b"007",
    b"larder1 ",
    b"larder0 - 0\n1",
    b"larder1 - 0\n1",
    b"{\"a\":1}",
    &[0xff; 70_000],
];

async fn what_is_torn_or_foreign_is_a_miss_and_is_replaced(stage: Stage) {
    let store = Store::of(&stage);
    if !has_bytes(&stage).await {
        return;
    }
    let key = store.key("key");
    for foreign in FOREIGN {
        store.set("key", "a text").await;
        stage.rewrite(&key, |_| foreign.to_vec());
        let shown = &foreign[..foreign.len().min(16)];
        assert_eq!(store.value("key").await, None, "{shown:?}");
        store.set("key", "new").await;
        assert_eq!(store.value("key").await, Some("new".into()), "{shown:?}");
    }
    for kept in [1, 6, 8, 20, 40] {
        store.set("key", "a text").await;
        stage.rewrite(&key, |bytes| bytes[..kept].to_vec());
        assert_eq!(store.value("key").await, None, "the first {kept} bytes");
    }
    let found = store.backend.get_many(&[key], store.now()).await.unwrap();
    assert!(found[0].is_none());
}

async fn a_value_of_another_version_of_the_format_is_a_miss(stage: Stage) {
    let store = Store::of(&stage);
    if !has_bytes(&stage).await {
        return;
    }
    let key = store.key("key");
    for by in [-1_i8, 1] {
        store.set("key", "a text").await;
        // The version is the first digit: `larder1 …`.
        stage.rewrite(&key, |bytes| {
            let mut bytes = bytes.to_vec();
            let version = bytes.iter_mut().find(|byte| byte.is_ascii_digit()).expect("a version");
            *version = version.wrapping_add_signed(by);
            bytes
        });
        assert_eq!(store.value("key").await, None, "the version before and the next one");
        let keys = [key.clone()];
        let fetched = store.backend.fetch(&store.space, &keys, &[], store.now()).await.unwrap();
        assert!(fetched.entries[0].is_none());
    }
}

async fn a_damaged_value_neither_counts_nor_is_it_touched_or_added_to(stage: Stage) {
    let store = Store::of(&stage);
    if !has_bytes(&stage).await {
        return;
    }
    let (key, damage) =
        (store.key("key"), || stage.rewrite(&store.key("key"), |_| b"larder0 - 0\n1".to_vec()));
    store.set("key", "a text").await;
    damage();
    assert!(!store.touch("key", None).await);
    assert_eq!(store.value("key").await, None);
    store.set("key", "a text").await;
    damage();
    assert!(store.set_when(When::Absent, "key", "added").await, "nothing stood there");
    assert_eq!(store.value("key").await, Some("added".into()));
    damage();
    assert!(!store.set_when(When::Present, "key", "replaced").await);
    store.set("key", "a text").await;
    damage();
    let counted = store.backend.incr(&key, 1, store.now()).await;
    assert!(counted.is_err() || counted.is_ok_and(|count| count.is_none()), "garbage was counted on");
    assert_eq!(store.value("key").await, None);
}

async fn damage_to_one_value_leaves_the_others(stage: Stage) {
    let store = Store::of(&stage);
    if !has_bytes(&stage).await {
        return;
    }
    for name in ["one", "two", "three"] {
        store.set(name, "a text").await;
    }
    stage.rewrite(&store.key("two"), |_| b"garbage".to_vec());
    let keys = ["one", "two", "three"].map(|name| store.key(name));
    let found = store.backend.get_many(&keys, store.now()).await.unwrap();
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    if store.backend.capabilities().lists {
        let front = format!("{}:1:", store.space.prefix());
        let (mut names, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = store.backend.scan(&store.space, &front, after.as_deref(), 10, store.now()).await;
            let page = page.unwrap();
            names.extend(page.keys.iter().map(|key| key.name().into_owned()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(
            names.iter().any(|name| name == ":1:one") && names.iter().any(|name| name == ":1:three"),
            "{names:?}"
        );
    }
}
