//! Namespaces: `clear` and invalidation stay within theirs.

use larder_core::{Backend as _, Tag};

use super::store::Store;
use super::tests;
use crate::Stage;

tests! {
    spaces __mount_spaces:
    a_clear_takes_its_namespace_and_no_other
    a_clear_takes_what_fills_that_began_before_store_later
    a_clear_leaves_the_tags_of_other_namespaces_valid
    an_invalidation_stays_within_its_namespace
    clearing_nothing_is_no_error
}

/// One begins as another does, the empty one as all do, and some look like patterns.
const PREFIXES: [&str; 9] = ["", "a", "ab", "A", "a*", "a?", "[ab]", "a_", "%"];

async fn a_clear_takes_its_namespace_and_no_other(stage: Stage) {
    let store = Store::of(&stage);
    for cleared in PREFIXES {
        for prefix in PREFIXES {
            let store = store.within(prefix);
            store.set("key", "text").await;
            // It looks as if it were in another.
            store.set("ab:1:key", "text").await;
            store.set("number", "7").await;
        }
        store.within(cleared).clear().await;
        for prefix in PREFIXES {
            let store = store.within(prefix);
            for (key, value) in [("key", "text"), ("ab:1:key", "text"), ("number", "7")] {
                let left = store.value(key).await;
                let expected = (prefix != cleared).then(|| value.into());
                assert_eq!(left, expected, "{key} of {prefix:?} after a clear of {cleared:?}");
            }
        }
    }
}

async fn a_clear_takes_what_fills_that_began_before_store_later(stage: Stage) {
    let (store, other) = (Store::of(&stage), Store::again(&stage));
    let tags = [Tag::from("t")];
    let fill = store.backend.begin(&store.space, &tags, store.now()).await.unwrap();
    other.clear().await;
    let sealed = store.backend.seal(&store.space, &fill, &[], None, store.now()).await.unwrap();
    if let Some(stamp) = sealed {
        let current = store.backend.is_current(&store.space, &stamp, store.now()).await.unwrap();
        assert!(!current, "a stamp of before the clear");
    }
}

async fn a_clear_leaves_the_tags_of_other_namespaces_valid(stage: Stage) {
    let store = Store::of(&stage).within("a");
    let tags = [Tag::from("t")];
    let fill = store.backend.begin(&store.space, &tags, store.now()).await.unwrap();
    for cleared in PREFIXES.into_iter().filter(|prefix| *prefix != "a") {
        store.within(cleared).clear().await;
        let sealed = store.backend.seal(&store.space, &fill, &[], None, store.now()).await.unwrap();
        let stamp = sealed.unwrap_or_else(|| panic!("a clear of {cleared:?} has taken a tag of \"a\""));
        assert!(store.backend.is_current(&store.space, &stamp, store.now()).await.unwrap(), "{cleared:?}");
    }
}

async fn an_invalidation_stays_within_its_namespace(stage: Stage) {
    let store = Store::of(&stage);
    let tags = [Tag::from("t")];
    let mut stamps = Vec::new();
    for prefix in PREFIXES {
        let store = store.within(prefix);
        let fill = store.backend.begin(&store.space, &tags, store.now()).await.unwrap();
        let sealed = store.backend.seal(&store.space, &fill, &[], None, store.now()).await.unwrap();
        stamps.push((store, sealed.unwrap()));
    }
    let invalidated = store.within("a");
    invalidated.backend.invalidate(&invalidated.space, &tags, store.now()).await.unwrap();
    for (store, stamp) in stamps {
        let current = store.backend.is_current(&store.space, &stamp, store.now()).await.unwrap();
        assert_eq!(current, store.space.prefix() != "a", "{:?}", store.space);
    }
}

async fn clearing_nothing_is_no_error(stage: Stage) {
    let store = Store::of(&stage).within("nobody");
    store.clear().await;
    store.clear().await;
    store.set("key", "text").await;
    assert_eq!(store.value("key").await, Some("text".into()), "it works on");
}
