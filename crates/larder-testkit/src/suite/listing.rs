//! `scan`: every key once, and none of anybody else's. A backend that can't list says so.

use std::collections::BTreeSet;

use larder_core::{Backend as _, ErrorKind};

use super::store::Store;
use super::tests;
use crate::Stage;

tests! {
    listing __mount_listing:
    a_walk_finds_every_key_whatever_the_size_of_its_pages
    a_walk_stays_within_its_namespace
    the_front_is_taken_literally
    what_expired_or_was_removed_is_not_found
    what_stands_all_the_time_is_found_though_others_come_and_go
    who_cannot_list_says_so
}

/// Pages that no walk of these tests needs.
const TOO_MANY: usize = 5_000;

/// Whether the backend can list; if not, it has to say `Unsupported` and its name.
async fn can(store: &Store) -> bool {
    if store.backend.capabilities().lists {
        return true;
    }
    let error = store.backend.scan(&store.space, &front(store, ""), None, 10, store.now()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains(store.name()), "{error} does not name {}", store.name());
    false
}

/// `prefix:version:` and what follows.
fn front(store: &Store, rest: &str) -> String {
    format!("{}:1:{rest}", store.space.prefix())
}

/// All names of a walk.
async fn walk(store: &Store, front: &str, limit: usize) -> BTreeSet<String> {
    let (mut names, mut after) = (BTreeSet::new(), None::<String>);
    for _ in 0..TOO_MANY {
        let page =
            store.backend.scan(&store.space, front, after.as_deref(), limit, store.now()).await.unwrap();
        let before = page.keys.len();
        let here: BTreeSet<String> = page.keys.iter().map(|key| key.name().into_owned()).collect();
        assert_eq!(here.len(), before, "a key twice in one page");
        names.extend(here);
        after = page.next;
        if after.is_none() {
            return names;
        }
    }
    panic!("the walk does not end: more than {TOO_MANY} pages");
}

fn names<'a>(store: &Store, keys: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    keys.into_iter().map(|key| front(store, key)).collect()
}

async fn who_cannot_list_says_so(stage: Stage) {
    let store = Store::of(&stage);
    if can(&store).await {
        assert!(walk(&store, &front(&store, ""), 10).await.is_empty(), "nothing was stored");
    }
}

async fn a_walk_finds_every_key_whatever_the_size_of_its_pages(stage: Stage) {
    let store = Store::of(&stage);
    if !can(&store).await {
        return;
    }
    let keys: Vec<String> =
        (0..137).map(|i| format!("key{i}")).chain(["a b", "清", "", "a:b:c"].map(str::to_owned)).collect();
    let values = keys.iter().map(|key| (key, key.clone() + "!"));
    for (key, value) in values {
        store.set(key, value).await;
    }
    store.set("number", "7").await;
    let all = names(&store, keys.iter().map(String::as_str).chain(["number"]));
    for limit in [1, 2, 50, 138, 10_000] {
        assert_eq!(walk(&store, &front(&store, ""), limit).await, all, "pages of {limit}");
    }
}

async fn a_walk_stays_within_its_namespace(stage: Stage) {
    let store = Store::of(&stage);
    if !can(&store).await {
        return;
    }
    let prefixes = ["", "a", "ab", "b", "a*", "a?", "[ab]", "a_", "A", "%"];
    for prefix in prefixes {
        let store = store.within(prefix);
        store.set("1", "text").await;
        store.set("ab:1:2", "text").await;
    }
    for prefix in prefixes {
        let store = store.within(prefix);
        assert_eq!(walk(&store, &front(&store, ""), 3).await, names(&store, ["1", "ab:1:2"]), "{prefix:?}");
        let own = format!("{prefix}:");
        let found = walk(&store, &own, 3).await;
        assert!(found.iter().all(|name| name.starts_with(&own)), "{prefix:?}: {found:?}");
        assert!(found.is_superset(&names(&store, ["1", "ab:1:2"])), "{prefix:?}: {found:?}");
    }
}

async fn the_front_is_taken_literally(stage: Stage) {
    let store = Store::of(&stage);
    if !can(&store).await {
        return;
    }
    let keys = [
        "a", "ab", "abc", "a*", "a*b", "a?", "a?b", "[ab]", "[ab]c", "a\\", "a\\*", "a_", "a_b", "a%", "a%b",
        "a'", "A", "Ab", "清", "清a", "ä",
    ];
    for key in keys {
        store.set(key, "text").await;
    }
    for wanted in keys.into_iter().chain(["*", "?", "%", "_", "\\", "'", "ab*", "x"]) {
        let expected = names(&store, keys.into_iter().filter(|key| key.starts_with(wanted)));
        assert_eq!(walk(&store, &front(&store, wanted), 4).await, expected, "{wanted:?}");
    }
}

async fn what_expired_or_was_removed_is_not_found(stage: Stage) {
    let store = Store::of(&stage);
    if !can(&store).await {
        return;
    }
    store.set_for(60_000, "brief", "text").await;
    store.set_for(120_000, "longer", "text").await;
    store.set("removed", "text").await;
    store.set("kept", "text").await;
    store.remove("removed").await;
    stage.wait(60);
    assert_eq!(walk(&store, &front(&store, ""), 2).await, names(&store, ["kept", "longer"]));
    store.clear().await;
    assert!(walk(&store, &front(&store, ""), 2).await.is_empty());
}

async fn what_stands_all_the_time_is_found_though_others_come_and_go(stage: Stage) {
    let store = Store::of(&stage);
    if !can(&store).await {
        return;
    }
    let keys: Vec<String> = (0..40).map(|i| format!("stays{i}")).collect();
    for (i, key) in keys.iter().enumerate() {
        store.set(key, "text").await;
        store.set(&format!("goes{i}"), "text").await;
    }
    let (mut found, mut after) = (BTreeSet::new(), None::<String>);
    for page in 0..TOO_MANY {
        let (front, now) = (front(&store, ""), store.now());
        let scanned = store.backend.scan(&store.space, &front, after.as_deref(), 5, now).await.unwrap();
        found.extend(scanned.keys.iter().map(|key| key.name().into_owned()));
        after = scanned.next;
        if after.is_none() {
            break;
        }
        store.remove(&format!("goes{}", page % 40)).await;
        if page < 40 {
            store.set(&format!("comes{page}"), "text").await;
        }
    }
    assert!(after.is_none(), "the walk does not end while others write");
    assert!(found.is_superset(&names(&store, keys.iter().map(String::as_str))));
}
