//! LL: what each method does.

use std::collections::{BTreeMap, HashMap};

use larder_core::{ErrorKind, Ttl};
use serde::{Deserialize, Serialize};

use super::{counts, tests};
use crate::Stage;

tests! {
    django __mount_django:
    ll_01_what_was_set_is_read
    ll_02_what_was_never_set_is_nothing
    ll_03_a_stored_null_is_a_hit
    ll_06_get_many_gives_what_there_is_and_nothing_else
    ll_08_get_many_of_nothing_is_nothing
    ll_09_delete_takes_one_key_and_says_whether_it_was_there
    ll_11_incr_and_decr_add_and_the_stored_value_follows
    ll_12_incr_of_nothing_is_an_error_and_creates_nothing
    dr_17_incr_begins_at_nothing_if_it_is_told_to
    ll_16_set_many_stores_all
    mc_07_set_many_gives_the_callers_keys_that_were_refused
    several_at_once_take_a_version_and_tags
    several_values_are_stored_all_or_none_if_one_cannot_be_serialised
    ll_18_clear_takes_everything
    ll_26_what_comes_back_has_the_same_value_and_type
    ll_27_what_cannot_be_serialised_is_an_error_and_leaves_what_was_there
    ll_28_changing_what_was_given_or_got_changes_nothing_stored
    add_stores_only_where_nothing_is
    has_key_is_true_for_what_is_there_even_a_null
    delete_many_counts_what_was_there
    incr_of_what_is_not_an_integer_or_would_overflow_is_a_value_error
    bytes_of_another_type_are_a_miss_and_removed
    concurrent_increments_are_exact
    of_concurrent_adds_one_wins
    shared_values_come_back_on_every_backend
}

async fn ll_01_what_was_set_is_read(stage: Stage) {
    let cache = stage.cache();
    cache.set("key", "value").await.unwrap();
    assert_eq!(cache.get("key").await.unwrap(), Some("value".to_owned()));
    cache.set("key", "newer").await.unwrap();
    assert_eq!(cache.get("key").await.unwrap(), Some("newer".to_owned()));
}

async fn ll_02_what_was_never_set_is_nothing(stage: Stage) {
    let found: Option<String> = stage.cache().get("does_not_exist").await.unwrap();
    assert_eq!(found.unwrap_or_else(|| "bang!".into()), "bang!");
}

async fn ll_03_a_stored_null_is_a_hit(stage: Stage) {
    let cache = stage.cache();
    cache.set("null", None::<u8>).await.unwrap();
    assert_eq!(cache.get::<Option<u8>>("null").await.unwrap(), Some(None));
    assert_eq!(cache.get::<Option<u8>>("nothing").await.unwrap(), None);
}

async fn ll_06_get_many_gives_what_there_is_and_nothing_else(stage: Stage) {
    let cache = stage.cache();
    for key in ["a", "b", "c", "d"] {
        cache.set(key, key).await.unwrap();
    }
    let map =
        |keys: &[&str]| keys.iter().map(|k| ((*k).to_owned(), (*k).to_owned())).collect::<HashMap<_, _>>();
    assert_eq!(cache.get_many(["a", "c", "d"]).await.unwrap(), map(&["a", "c", "d"]));
    assert_eq!(cache.get_many(["a", "b", "e"]).await.unwrap(), map(&["a", "b"]));
}

async fn ll_08_get_many_of_nothing_is_nothing(stage: Stage) {
    let found: HashMap<String, u8> = stage.cache().get_many(Vec::<String>::new()).await.unwrap();
    assert!(found.is_empty());
}

async fn ll_09_delete_takes_one_key_and_says_whether_it_was_there(stage: Stage) {
    let cache = stage.cache();
    cache.set("key1", "spam").await.unwrap();
    cache.set("key2", "eggs").await.unwrap();
    assert!(cache.delete("key1").await.unwrap());
    assert_eq!(cache.get::<String>("key1").await.unwrap(), None);
    assert_eq!(cache.get("key2").await.unwrap(), Some("eggs".to_owned()));
    assert!(!cache.delete("key1").await.unwrap());
}

async fn ll_11_incr_and_decr_add_and_the_stored_value_follows(stage: Stage) {
    if !counts(&stage).await {
        return;
    }
    let cache = stage.cache();
    cache.set("answer", 41).await.unwrap();
    for (delta, sum) in [(1, 42), (10, 52), (-10, 42), (-50, -8)] {
        assert_eq!(cache.incr("answer", delta).await.unwrap(), sum);
        assert_eq!(cache.get("answer").await.unwrap(), Some(sum));
    }
    assert_eq!(cache.decr("answer", -50).await.unwrap(), 42);
    assert_eq!(cache.decr("answer", 1).await.unwrap(), 41);
}

async fn ll_12_incr_of_nothing_is_an_error_and_creates_nothing(stage: Stage) {
    if !counts(&stage).await {
        return;
    }
    let cache = stage.cache();
    assert_eq!(cache.incr("missing", 1).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(cache.incr("missing", -1).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(cache.decr("missing", 1).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!cache.has_key("missing").await.unwrap());
    cache.set("brief", 1).timeout(1).await.unwrap();
    stage.wait(1);
    assert_eq!(cache.incr("brief", 1).await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn dr_17_incr_begins_at_nothing_if_it_is_told_to(stage: Stage) {
    if !counts(&stage).await {
        return;
    }
    let cache = stage.cache();
    assert_eq!(cache.incr("count", 10).ignore_key_check(true).await.unwrap(), 10);
    assert_eq!(cache.incr("count", 1).ignore_key_check(true).await.unwrap(), 11);
    assert_eq!(cache.get("count").await.unwrap(), Some(11));
    assert_eq!(cache.ttl("count").await.unwrap(), Ttl::Forever);
    assert_eq!(cache.decr("down", 3).version(2).ignore_key_check(true).await.unwrap(), -3);
    assert!(!cache.has_key("down").await.unwrap() && cache.has_key("down").version(2).await.unwrap());
    cache.set("count", 41).timeout(5).tags(["t"]).await.unwrap();
    cache.invalidate(["t"]).await.unwrap();
    assert_eq!(
        cache.incr("count", 1).ignore_key_check(true).await.unwrap(),
        1,
        "an invalidated one is nothing"
    );
    cache.set("text", "41").await.unwrap();
    let error = cache.incr("text", 1).ignore_key_check(true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Value);
    let tasks = (0..8).map(|_| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.incr("all", 1).ignore_key_check(true).await.unwrap() })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(cache.get("all").await.unwrap(), Some(8), "none is lost, whoever began");
}

async fn ll_16_set_many_stores_all(stage: Stage) {
    let cache = stage.cache();
    cache.set_many([("key1", "spam"), ("key2", "eggs")]).timeout(10).await.unwrap();
    assert_eq!(cache.get_many::<String, _>(["key1", "key2"]).await.unwrap().len(), 2);
    stage.wait(10);
    assert_eq!(cache.get_many::<String, _>(["key1", "key2"]).await.unwrap().len(), 0);
}

async fn mc_07_set_many_gives_the_callers_keys_that_were_refused(stage: Stage) {
    let cache = stage.cache();
    assert!(cache.set_many([("a", 1), ("b", 2)]).await.unwrap().is_empty());
    assert!(cache.set_many(Vec::<(String, u8)>::new()).await.unwrap().is_empty());
    let long = "x".repeat(16 << 20);
    let refused = cache.set_many([("small", "s"), ("large", long.as_str()), ("last", "l")]).await.unwrap();
    let found = cache.get_many::<String, _>(["small", "large", "last"]).await.unwrap();
    assert!(found.contains_key("small") && found.contains_key("last"));
    assert_eq!(refused, if found.contains_key("large") { vec![] } else { vec!["large".to_owned()] });
}

async fn several_at_once_take_a_version_and_tags(stage: Stage) {
    let cache = stage.cache();
    cache.set_many([("a", 1), ("b", 2)]).version(2).tags(["t"]).await.unwrap();
    assert!(cache.get_many::<u8, _>(["a", "b"]).await.unwrap().is_empty());
    assert_eq!(cache.get_many::<u8, _>(["a", "b"]).version(2).await.unwrap().len(), 2);
    assert_eq!(cache.delete_many(["a"]).await.unwrap(), 0);
    assert_eq!(cache.delete_many(["a", "c"]).version(2).await.unwrap(), 1);
    cache.invalidate(["t"]).await.unwrap();
    assert!(!cache.has_key("b").version(2).await.unwrap());
}

async fn several_values_are_stored_all_or_none_if_one_cannot_be_serialised(stage: Stage) {
    let cache = stage.cache();
    let values = [("a", HashMap::new()), ("b", HashMap::from([((1, 2), 3)]))];
    assert_eq!(cache.set_many(values).await.unwrap_err().kind(), ErrorKind::Encode);
    assert!(!cache.has_key("a").await.unwrap());
}

async fn ll_18_clear_takes_everything(stage: Stage) {
    let cache = stage.cache();
    cache.set("key1", "spam").await.unwrap();
    cache.set("key2", "eggs").tags(["t"]).version(7).await.unwrap();
    cache.clear().await.unwrap();
    assert!(!cache.has_key("key1").await.unwrap() && !cache.has_key("key2").version(7).await.unwrap());
    assert!(cache.add("key1", "new").await.unwrap());
    assert!(cache.has_key("key1").await.unwrap(), "a cleared cache works on");
}

async fn ll_26_what_comes_back_has_the_same_value_and_type(stage: Stage) {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Everything {
        text: String,
        bytes: Vec<u8>,
        nested: BTreeMap<String, Vec<(i64, bool)>>,
        float: f64,
        big: u64,
        nothing: Option<u8>,
    }
    let everything = Everything {
        text: "Iñtërnâtiônàlizætiøn\u{1}".into(),
        bytes: (0..=255).collect(),
        nested: BTreeMap::from([("ascii".into(), vec![(-1, true), (i64::MIN, false)]), ("ÿ".into(), vec![])]),
        float: 0.1 + 0.2,
        big: u64::MAX,
        nothing: None,
    };
    let cache = stage.cache();
    cache.set("set", &everything).await.unwrap();
    assert!(cache.add("add", &everything).await.unwrap());
    cache.set_many([("many", &everything)]).timeout(10).await.unwrap();
    for key in ["set", "add", "many"] {
        assert_eq!(cache.get(key).await.unwrap(), Some(everything.clone()), "{key}");
    }
    cache.set("true", true).await.unwrap();
    assert_eq!(cache.get("true").await.unwrap(), Some(serde_json::Value::Bool(true)));
}

async fn ll_27_what_cannot_be_serialised_is_an_error_and_leaves_what_was_there(stage: Stage) {
    let (cache, wrong) = (stage.cache(), HashMap::from([((1, 2), 3)]));
    cache.set("key", "old").await.unwrap();
    assert_eq!(cache.set("key", &wrong).await.unwrap_err().kind(), ErrorKind::Encode);
    assert_eq!(cache.add("other", &wrong).await.unwrap_err().kind(), ErrorKind::Encode);
    let error = cache.get_or_set("third", || async { wrong_map() }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encode);
    assert_eq!(cache.get("key").await.unwrap(), Some("old".to_owned()));
    assert!(!cache.has_key("other").await.unwrap() && !cache.has_key("third").await.unwrap());
}

/// Encodes as a map with keys that are not strings.
#[derive(Debug, Deserialize)]
struct Unserialisable;

impl Serialize for Unserialisable {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        HashMap::from([((1, 2), 3)]).serialize(to)
    }
}

fn wrong_map() -> Unserialisable {
    Unserialisable
}

async fn ll_28_changing_what_was_given_or_got_changes_nothing_stored(stage: Stage) {
    let (cache, mut list) = (stage.cache(), vec![1, 2]);
    cache.set("list", &list).await.unwrap();
    list.push(3);
    let mut got: Vec<i32> = cache.get("list").await.unwrap().unwrap();
    got.push(4);
    assert_eq!(cache.get("list").await.unwrap(), Some(vec![1, 2]));
}

async fn add_stores_only_where_nothing_is(stage: Stage) {
    let cache = stage.cache();
    assert!(cache.add("key", "first").timeout(5).await.unwrap());
    assert!(!cache.add("key", "second").timeout(60).await.unwrap());
    assert_eq!(cache.get("key").await.unwrap(), Some("first".to_owned()));
    stage.wait(5);
    assert!(cache.add("key", "third").await.unwrap(), "an expired one is nothing");
    cache.set("tagged", "old").tags(["t"]).await.unwrap();
    cache.invalidate(["t"]).await.unwrap();
    assert!(cache.add("tagged", "new").await.unwrap(), "an invalidated one is nothing");
    assert_eq!(cache.get("tagged").await.unwrap(), Some("new".to_owned()));
}

async fn has_key_is_true_for_what_is_there_even_a_null(stage: Stage) {
    let cache = stage.cache();
    cache.set("null", None::<u8>).timeout(5).await.unwrap();
    assert!(cache.has_key("null").await.unwrap() && !cache.has_key("other").await.unwrap());
    stage.wait(5);
    assert!(!cache.has_key("null").await.unwrap());
}

async fn delete_many_counts_what_was_there(stage: Stage) {
    let cache = stage.cache();
    cache.set_many([("a", 1), ("b", 2), ("c", 3)]).timeout(10).await.unwrap();
    assert_eq!(cache.delete_many(["a", "c", "e"]).await.unwrap(), 2);
    assert!(cache.has_key("b").await.unwrap() && !cache.has_key("a").await.unwrap());
}

async fn incr_of_what_is_not_an_integer_or_would_overflow_is_a_value_error(stage: Stage) {
    if !counts(&stage).await {
        return;
    }
    let cache = stage.cache();
    cache.set("text", "41").await.unwrap();
    cache.set("float", 41.5).await.unwrap();
    cache.set("most", i64::MAX).await.unwrap();
    for key in ["text", "float", "most"] {
        assert_eq!(cache.incr(key, 1).await.unwrap_err().kind(), ErrorKind::Value, "{key}");
    }
    assert_eq!(cache.decr("most", i64::MIN).await.unwrap_err().kind(), ErrorKind::Value);
    assert_eq!(cache.get("most").await.unwrap(), Some(i64::MAX));
}

async fn bytes_of_another_type_are_a_miss_and_removed(stage: Stage) {
    let cache = stage.cache();
    cache.set("key", "text").await.unwrap();
    assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
    assert!(!cache.has_key("key").await.unwrap());
}

async fn concurrent_increments_are_exact(stage: Stage) {
    if !counts(&stage).await {
        return;
    }
    let cache = stage.cache();
    cache.set("count", 0).await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move {
                for _ in 0..25 {
                    cache.incr("count", 1).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(cache.get("count").await.unwrap(), Some(200));
}

async fn of_concurrent_adds_one_wins(stage: Stage) {
    let cache = stage.cache();
    for round in 0..20 {
        let tasks: Vec<_> = (0..8)
            .map(|i| {
                let cache = cache.clone();
                tokio::spawn(async move { cache.add(&format!("key{round}"), i).await.unwrap() })
            })
            .collect();
        let mut wins = 0;
        for task in tasks {
            wins += usize::from(task.await.unwrap());
        }
        assert_eq!(wins, 1);
    }
}

async fn shared_values_come_back_on_every_backend(stage: Stage) {
    let (cache, value) = (stage.cache(), std::sync::Arc::new(vec![1u8, 2, 3]));
    cache.set_shared("shared", value.clone()).timeout(5).await.unwrap();
    cache.set_shared("shared", value.clone()).version(2).tags(["t"]).await.unwrap();
    assert_eq!(cache.get_shared::<Vec<u8>>("shared").version(2).await.unwrap(), Some(value.clone()));
    cache.invalidate(["t"]).await.unwrap();
    assert_eq!(cache.get_shared::<Vec<u8>>("shared").version(2).await.unwrap(), None);
    assert_eq!(cache.get_shared::<Vec<u8>>("shared").await.unwrap(), Some(value.clone()));
    assert_eq!(cache.get::<Vec<u8>>("shared").await.unwrap().as_ref(), Some(&*value));
    stage.wait(5);
    assert_eq!(cache.get_shared::<Vec<u8>>("shared").await.unwrap(), None);
}
