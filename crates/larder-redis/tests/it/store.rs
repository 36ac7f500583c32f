//! What stands in the store, and what others put there.

use std::time::Duration;

use larder_core::{Backend, Cache, Entry, ErrorKind, Key, Space, Tag, Timeout, UnixMillis, Value, When};
use larder_redis::Redis;

use crate::server::Server;
use crate::{PATIENT, Stage, beside, patient};

const NOW: UnixMillis = 1_700_000_000_000;

fn key() -> Key {
    Key::value(&Space::default(), 1, "key")
}

fn text(value: &str) -> Value {
    Value::Bytes(value.to_owned().into())
}

/// An entry under a stamp that is valid now.
async fn fresh(redis: &Redis, value: &str, tags: &[&str]) -> Entry {
    let tags: Vec<Tag> = tags.iter().copied().map(Tag::from).collect();
    let space = Space::default();
    let fill = redis.begin(&space, &tags, NOW).await.unwrap();
    let stamp = redis.seal(&space, &fill, &[], None, NOW).await.unwrap().unwrap();
    Entry::new(text(value), None, stamp)
}

async fn read(redis: &Redis) -> Option<String> {
    let entry = redis.get(&key(), NOW).await.unwrap()?;
    Some(String::from_utf8(entry.value().to_bytes().unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn integers_are_bare_digits_on_which_others_can_count() {
    let stage = Stage::new();
    let (cache, server) = (stage.cache(), &stage.server);
    cache.set("n", 42).timeout(60).await.unwrap();
    assert_eq!(server.cli(&["GET", ":1:n"]), "42");
    assert_eq!(server.cli(&["INCRBY", ":1:n", "8"]), "50");
    assert_eq!(cache.get("n").await.unwrap(), Some(50));
    assert_eq!(cache.incr("n", -51).await.unwrap(), -1);
    let left: u64 = server.cli(&["PTTL", ":1:n"]).parse().unwrap();
    assert!((1..=60_000).contains(&left), "counting keeps the expiry: {left}");
    cache.set("n", 7).timeout(Timeout::FOREVER).await.unwrap();
    assert_eq!((server.cli(&["GET", ":1:n"]), server.cli(&["PTTL", ":1:n"])), ("7".into(), "-1".into()));
}

#[tokio::test]
async fn sums_beyond_53_bits_are_exact_bare_or_tagged() {
    let stage = Stage::new();
    let cache = stage.cache();
    let big = (1i64 << 53) + 1;
    cache.set("bare", big).await.unwrap();
    cache.set("tagged", big).tags(["t"]).await.unwrap();
    for key in ["bare", "tagged"] {
        assert_eq!(cache.incr(key, 2).await.unwrap(), big + 2, "{key}");
        assert_eq!(cache.get(key).await.unwrap(), Some(big + 2), "{key}");
    }
}

#[tokio::test]
async fn a_tagged_integer_counts_keeps_stamp_and_expiry_and_overflow_leaves_it_alone() {
    let stage = Stage::new();
    let cache = stage.cache();
    cache.set("n", i64::MAX - 1).tags(["t"]).timeout(60).await.unwrap();
    assert_eq!(cache.incr("n", 1).await.unwrap(), i64::MAX);
    assert_eq!(cache.incr("n", 1).await.unwrap_err().kind(), ErrorKind::Value);
    assert_eq!(cache.get("n").await.unwrap(), Some(i64::MAX));
    let left: i64 = stage.server.cli(&["PTTL", ":1:n"]).parse().unwrap();
    assert!((1..=60_000).contains(&left), "{left}");
    cache.invalidate(["t"]).await.unwrap();
    assert_eq!(cache.incr("n", 1).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn entries_explain_themselves_and_the_server_knows_their_expiry() {
    let stage = Stage::new();
    let cache = stage.cache();
    cache.set("key", "text").tags(["course:7"]).timeout(60).await.unwrap();
    let raw = stage.server.cli(&["GET", ":1:key"]);
    assert!(raw.starts_with("larder1 1700000060000 ") && raw.ends_with("\n\"text\""), "{raw}");
    assert!(raw.contains(" course:7="), "{raw}");
    let left = |name: &str| stage.server.cli(&["PTTL", name]).parse::<i64>().unwrap();
    assert!((1..=60_000).contains(&left(":1:key")));
    assert!(left(":tag:course:7") > 60_000, "the record outlives the entry");
    assert!(cache.touch("key").timeout(600).await.unwrap());
    assert!((60_001..=600_000).contains(&left(":1:key")));
    let raw = stage.server.cli(&["GET", ":1:key"]);
    assert!(raw.starts_with("larder1 1700000600000 ") && raw.ends_with("\n\"text\""), "{raw}");
    assert!(cache.touch("key").timeout(Timeout::FOREVER).await.unwrap());
    assert_eq!(left(":1:key"), -1);
    assert_eq!(cache.get("key").await.unwrap(), Some("text".to_owned()), "its stamp is the same");
}

#[tokio::test]
async fn clear_takes_its_own_entries_of_all_versions_and_nothing_else() {
    let stage = Stage::new();
    let (shop, wild) = (
        stage.builder().key_prefix("shop").build().unwrap(),
        stage.builder().key_prefix("sh*[o]?p").build().unwrap(),
    );
    shop.set("keep", 1).await.unwrap();
    stage.cache().set("keep", 1).await.unwrap();
    let foreign = [
        "celery",
        "shop:cart:7",
        "shop:7",
        "shopping:1:x",
        "sh*[o]?p:session:1",
        "sh*[o]?p:7cart:1",
        ":keep",
    ];
    for name in foreign {
        stage.server.cli(&["SET", name, "theirs"]);
    }
    // More than one sweep asks for.
    for version in 1..=2 {
        let values = (0..1_500).map(|i| (format!("key{i}"), i));
        for (key, i) in values {
            stage.server.cli(&["SET", &format!("sh*[o]?p:{version}:{key}"), &i.to_string()]);
        }
    }
    wild.set("text", "text").tags(["t"]).await.unwrap();
    wild.clear().await.unwrap();
    let left = stage.server.cli(&["KEYS", r"sh\*\[o]\?p:*"]);
    let mut left: Vec<&str> = left.lines().collect();
    left.sort_unstable();
    let records =
        ["sh*[o]?p:7cart:1", "sh*[o]?p:fence:", "sh*[o]?p:session:1", "sh*[o]?p:space:", "sh*[o]?p:tag:t"];
    assert_eq!(left, records, "its records stay, and what is not an entry");
    assert_eq!(shop.get("keep").await.unwrap(), Some(1));
    assert_eq!(stage.cache().get("keep").await.unwrap(), Some(1));
    stage.cache().clear().await.unwrap();
    for name in foreign {
        assert_eq!(stage.server.cli(&["GET", name]), "theirs", "{name}");
    }
    assert_eq!(shop.get("keep").await.unwrap(), Some(1), "the empty prefix is one of many");
}

#[tokio::test]
async fn an_integer_whose_fill_began_before_a_clear_is_not_stored() {
    let stage = Stage::new();
    let redis = patient(&stage.server).build().unwrap();
    for when in [When::Always, When::Absent] {
        let entry = fresh(&redis, "42", &[]).await;
        redis.clear(&Space::default(), NOW).await.unwrap();
        assert!(redis.set(&key(), entry, when, NOW).await.unwrap(), "as if stored and cleared");
        assert_eq!(read(&redis).await, None, "{when:?}");
        assert_eq!(stage.server.cli(&["EXISTS", ":1:key"]), "0");
    }
    let entry = fresh(&redis, "42", &[]).await;
    redis.set(&key(), entry, When::Always, NOW).await.unwrap();
    assert_eq!(read(&redis).await.as_deref(), Some("42"));
}

#[tokio::test]
async fn conditions_see_what_is_invalid_or_expired_as_absent() {
    let stage = Stage::new();
    let redis = patient(&stage.server).build().unwrap();
    let space = Space::default();
    // A bare integer, one in an entry, a text.
    for (tags, new) in [(&[][..], "1"), (&["u"], "1"), (&[], "\"new\"")] {
        let entry = fresh(&redis, new, tags).await;
        assert!(!redis.set(&key(), entry.clone(), When::Present, NOW).await.unwrap(), "nothing is there");
        for old in ["\"old\"", "7"] {
            let tagged = fresh(&redis, old, &["t"]).await;
            redis.set(&key(), tagged, When::Always, NOW).await.unwrap();
            assert!(!redis.set(&key(), entry.clone(), When::Absent, NOW).await.unwrap());
            redis.invalidate(&space, &["t".into()], NOW).await.unwrap();
            assert!(!redis.set(&key(), entry.clone(), When::Present, NOW).await.unwrap());
            assert!(redis.set(&key(), entry.clone(), When::Absent, NOW).await.unwrap());
            assert_eq!(read(&redis).await.as_deref(), Some(new));
            assert!(redis.set(&key(), entry.clone(), When::Present, NOW).await.unwrap());
            assert!(redis.remove(&key(), NOW).await.unwrap());
        }
        let brief = fresh(&redis, "\"brief\"", &[]).await.with_expiry(Some(NOW + 60_000));
        redis.set(&key(), brief, When::Always, NOW).await.unwrap();
        assert!(redis.set(&key(), entry.clone(), When::Absent, NOW + 60_000).await.unwrap());
        let late = entry.with_expiry(Some(NOW));
        assert!(!redis.set(&key(), late.clone(), When::Absent, NOW).await.unwrap());
        assert!(redis.set(&key(), late, When::Always, NOW).await.unwrap());
        assert_eq!(read(&redis).await, None, "stored after its expiry, it removed what was there");
    }
}

#[tokio::test]
async fn a_fill_whose_tag_was_invalidated_is_told_not_to_store() {
    let stage = Stage::new();
    let redis = patient(&stage.server).build().unwrap();
    let (space, tag) = (Space::default(), [Tag::from("t")]);
    let seal = async |early: &[Tag], late: &[Tag], invalidated: bool| {
        let fill = redis.begin(&space, early, NOW).await.unwrap();
        if invalidated {
            redis.invalidate(&space, &tag, NOW).await.unwrap();
        }
        redis.seal(&space, &fill, late, None, NOW).await.unwrap().is_some()
    };
    for (early, late) in [(&tag[..], &[][..]), (&[], &tag), (&tag, &tag)] {
        assert!(seal(early, late, false).await && !seal(early, late, true).await, "{early:?} {late:?}");
    }
}

#[tokio::test]
async fn removing_tells_whether_something_valid_was_there() {
    let stage = Stage::new();
    let cache = stage.cache();
    cache.set("tagged", "text").tags(["t", "u"]).await.unwrap();
    // Another process, which doesn't know the tags.
    let other = Cache::builder(patient(&stage.server).build().unwrap());
    let other = other.clock(stage.hand.clock()).deadline(PATIENT).build().unwrap();
    assert!(other.delete("tagged").await.unwrap());
    assert!(!other.delete("tagged").await.unwrap());
    cache.set("tagged", "x".repeat(100_000)).tags((0..40).map(|i| format!("tag{i}"))).await.unwrap();
    cache.invalidate(["tag39"]).await.unwrap();
    assert!(!other.delete("tagged").await.unwrap(), "it was invalid");
    assert_eq!(stage.server.cli(&["EXISTS", ":1:tagged"]), "0");
}

#[tokio::test]
async fn garbage_is_a_miss_and_removed() {
    let stage = Stage::new();
    let cache = stage.cache();
    cache.set("begun", 1).await.unwrap();
    for garbage in ["", "garbage", "larder1 ", "larder0 - 0\n1", "007", &"x".repeat(5_000)] {
        stage.server.cli(&["SET", ":1:key", garbage]);
        assert_eq!(cache.get::<String>("key").await.unwrap(), None, "{garbage:.9}");
        let left = stage.server.cli(&["EXISTS", ":1:key"]);
        assert_eq!(left, "0", "{garbage:.9}");
        stage.server.cli(&["SET", ":1:key", garbage]);
        assert_eq!(cache.incr("key", 1).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert!(cache.add("key", "text").await.unwrap(), "{garbage:.9}");
        assert_eq!(cache.get("key").await.unwrap(), Some("text".to_owned()));
    }
}

#[tokio::test]
async fn what_is_not_a_string_is_a_miss_and_is_replaced() {
    let stage = Stage::new();
    let cache = stage.cache();
    let list = || {
        stage.server.cli(&["DEL", ":1:key"]);
        stage.server.cli(&["RPUSH", ":1:key", "theirs"]);
    };
    list();
    assert_eq!(cache.get::<String>("key").await.unwrap(), None);
    assert_eq!(cache.incr("key", 1).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!cache.touch("key").await.unwrap());
    assert!(!cache.delete("key").await.unwrap());
    for value in [serde_json::json!(1), serde_json::json!("text")] {
        list();
        cache.set("key", &value).await.unwrap();
        assert_eq!(cache.get("key").await.unwrap(), Some(value.clone()));
        list();
        assert!(cache.add("key", &value).await.unwrap());
        assert_eq!(cache.get("key").await.unwrap(), Some(value));
    }
    for record in [":space:", ":fence:", ":tag:t"] {
        stage.server.cli(&["DEL", record]);
        stage.server.cli(&["RPUSH", record, "theirs"]);
        cache.set("key", 1).tags(["t"]).await.unwrap();
        assert_eq!(cache.get("key").await.unwrap(), Some(1), "{record}");
    }
}

#[tokio::test]
async fn records_that_were_evicted_cost_hits_and_bring_nothing_back() {
    let stage = Stage::new();
    let cache = stage.cache();
    for record in [":space:", ":tag:t"] {
        cache.set("key", "text").tags(["t"]).await.unwrap();
        cache.set("n", 1).await.unwrap();
        cache.invalidate(["t"]).await.unwrap();
        stage.server.cli(&["DEL", record]);
        assert!(!cache.has_key("key").await.unwrap(), "{record}");
        cache.set("key", "new").tags(["t"]).await.unwrap();
        assert_eq!(cache.get("key").await.unwrap(), Some("new".to_owned()), "{record}");
        stage.server.cli(&["DEL", record]);
        assert!(!cache.has_key("key").await.unwrap(), "{record}");
    }
}

#[tokio::test]
async fn after_a_restart_from_a_snapshot_entries_are_misses() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let cache = beside(&server);
    cache.set("key", "text").timeout(Timeout::FOREVER).await.unwrap();
    cache.set("n", 1).timeout(Timeout::FOREVER).await.unwrap();
    server.kill();
    server.again();
    let late = std::time::Instant::now() + Duration::from_secs(20);
    while cache.ping().await.is_err() {
        assert!(std::time::Instant::now() < late, "it does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_ne!(server.cli(&["GET", ":1:key"]), "", "the server has it");
    assert_eq!(cache.get::<String>("key").await.unwrap(), None);
    cache.set("other", "text").await.unwrap();
    assert_eq!(cache.get::<String>("key").await.unwrap(), None);
    assert_eq!(cache.get("other").await.unwrap(), Some("text".to_owned()));
    assert_eq!(cache.get("n").await.unwrap(), Some(1), "integers are what the server says");
}

#[tokio::test]
async fn two_processes_see_each_other() {
    let stage = Stage::new();
    let open = || beside(&stage.server);
    let (one, two) = (open(), open());
    one.set("key", "one").tags(["t"]).await.unwrap();
    assert_eq!(two.get("key").await.unwrap(), Some("one".to_owned()));
    // Other tags than those that `one` remembers of this key.
    two.set("key", "two").tags(["u"]).await.unwrap();
    one.invalidate(["t"]).await.unwrap();
    assert_eq!(one.get("key").await.unwrap(), Some("two".to_owned()));
    two.invalidate(["u"]).await.unwrap();
    assert_eq!(one.get::<String>("key").await.unwrap(), None);
    two.set("key", "text").await.unwrap();
    assert!(one.has_key("key").await.unwrap());
    one.clear().await.unwrap();
    assert!(!two.has_key("key").await.unwrap());
}

#[tokio::test]
async fn tags_that_come_and_go_leave_nothing_behind() {
    let stage = Stage::new();
    let cache = stage.cache();
    cache.set("key", 0).timeout(60).tags(["t"]).await.unwrap();
    let size = || stage.server.cli(&["DBSIZE"]).trim_start_matches(':').parse::<usize>().unwrap();
    stage.server.age(Duration::from_secs(3 * 3600));
    let before = size();
    for i in (0..20_000).step_by(100) {
        let tags: Vec<String> = (i..i + 100).map(|i| format!("tag{i}")).collect();
        cache.set("key", i).timeout(60).tags(&tags).await.unwrap();
        cache.invalidate(&tags[..50]).await.unwrap();
    }
    assert!(size() >= 20_000, "each has a record while something may carry it");
    stage.server.age(Duration::from_secs(3 * 3600));
    assert!(size() <= before + 1, "{} and not {before}", size());
}
