//! Redis Cluster: who is asked what, and what becomes of it when slots move.

use larder_core::{Backend as _, Cache, Entry, ErrorKind, Key, Space, Stamp, Tag, Value, When};
use larder_redis::Redis;

use crate::nodes::Nodes;
use crate::proxy::Proxy;
use crate::shared::schemes;
use crate::{PATIENT, server};

fn redis(nodes: &Nodes) -> Redis {
    let redis = Redis::cluster(nodes.seeds());
    redis.connect_timeout(PATIENT).max_silence(PATIENT).build().unwrap()
}

fn open(nodes: &Nodes) -> Cache {
    Cache::builder(redis(nodes)).deadline(PATIENT).build().unwrap()
}

/// A page's record and two of its variants.
fn page(cache: &Cache, path: &str) -> [Key; 3] {
    let mut page = cache.key_builder("page");
    let page = page.part(path.as_bytes()).clone().build();
    let variant = |number: u8| page.extend().mark(number).key();
    [page.clone(), variant(1), variant(2)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_is_at_most_one_request_for_each_node_whatever_its_tags() {
    let mut proxies = [Proxy::new().await, Proxy::new().await, Proxy::new().await];
    let nodes = Nodes::announced(&proxies.each_ref().map(Proxy::port));
    for (proxy, node) in proxies.iter_mut().zip(&nodes.0) {
        proxy.before(node.port());
    }
    let counted = || proxies.each_ref().map(Proxy::exchanges);
    for tags in [0, 3, 16] {
        let (writer, reader) = (open(&nodes), open(&nodes));
        let tags: Vec<Tag> = (0..tags).map(|i| Tag::new(format!("tag{i}"))).collect();
        let keys = page(&writer, "/courses/");
        let fill = writer.begin(&tags).await.unwrap();
        let stamp = writer.seal(&fill, &[], None).await.unwrap().unwrap();
        for key in &keys {
            let entry = Entry::new(Value::Bytes("a page".into()), None, stamp.clone());
            assert!(writer.put(key, entry, When::Always).await.unwrap());
        }
        // Which nodes there are, and what it is tagged with, is not known at first.
        assert!(reader.lookup(&keys).await.unwrap().iter().all(Option::is_some));
        counted();
        for _ in 0..5 {
            assert!(reader.lookup(&keys).await.unwrap().iter().all(Option::is_some));
            let asked = counted();
            assert!(asked.iter().all(|asked| *asked <= 1), "{} tags: {asked:?}", tags.len());
            assert!(asked.iter().sum::<usize>() >= 1, "{asked:?}");
        }
        let values: Vec<String> = (0..50).map(|i| format!("value{i}")).collect();
        // A script is sent to each node once.
        writer.delete_many(&values).await.unwrap();
        let items = values.iter().map(|key| (key, key.clone()));
        writer.set_many(items).await.unwrap();
        counted();
        assert_eq!(writer.get_many::<String, _>(&values).await.unwrap().len(), values.len());
        assert_eq!(counted(), [1, 1, 1], "all over the nodes");
        assert_eq!(writer.delete_many(&values).await.unwrap(), values.len());
        let asked = counted();
        // Beside them go the leases of what may be in the making.
        assert!(asked.iter().all(|asked| (1..=2).contains(asked)), "and so are the removals: {asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_belongs_to_one_page_is_in_one_slot_and_values_are_called_as_everywhere() {
    let nodes = Nodes::start();
    let cache = open(&nodes);
    let stamp = cache.seal(&cache.begin(&[]).await.unwrap(), &[], None).await.unwrap().unwrap();
    let keys = page(&cache, "/x");
    for key in &keys {
        let entry = Entry::new(Value::Bytes("a page".into()), None, stamp.clone());
        cache.put(key, entry, When::Always).await.unwrap();
    }
    let slots = keys.each_ref().map(|key| nodes.slot(&key.name_in_group()));
    assert!(slots.iter().all(|slot| *slot == slots[0]), "{slots:?}");
    for key in &keys {
        let name = key.name_in_group();
        assert!(name.starts_with(":1:page.{"), "{name}");
        assert!(nodes.cli(&["GET", &name]).ends_with("\na page"), "{name}");
    }
    cache.set("course:7", "text").tags(["courses"]).await.unwrap();
    assert!(nodes.cli(&["GET", ":1:course:7"]).ends_with("\n\"text\""));
    assert_ne!(nodes.cli(&["GET", ":tag:courses"]), "");
    // Of integers too, nothing but the entry itself tells whether it may still be served.
    cache.set("n", 41).await.unwrap();
    assert_eq!(cache.incr("n", 1).await.unwrap(), 42);
    let stored = nodes.cli(&["GET", ":1:n"]);
    assert!(stored.starts_with("larder1 ") && stored.ends_with("\n42"), "{stored}");
    // What others count on is read all the same.
    nodes.cli(&["SET", ":1:theirs", "7"]);
    assert_eq!(cache.get("theirs").await.unwrap(), Some(7));
    assert_eq!(cache.incr("theirs", 1).await.unwrap(), 8);
    assert_eq!(nodes.cli(&["INCR", ":1:theirs"]), "9");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_in_braces_keeps_a_namespace_on_one_node() {
    let nodes = Nodes::start();
    let cache = Cache::builder(redis(&nodes)).key_prefix("{shop}").deadline(PATIENT).build().unwrap();
    let items: Vec<(String, u8)> = (0..20).map(|i| (format!("key{i}"), i)).collect();
    cache.set_many(items).await.unwrap();
    cache.set("tagged", 1).tags(["a", "b"]).await.unwrap();
    let home = nodes.primary_of("{shop}:space:");
    for (place, node) in nodes.0.iter().enumerate() {
        let keys: usize = node.cli(&["DBSIZE"]).parse().unwrap();
        assert_eq!(keys > 0, place == home, "{keys} keys on node {place}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_see_each_others_writes_and_invalidations() {
    let nodes = Nodes::start();
    let (one, two) = (open(&nodes), open(&nodes));
    for i in 0..20 {
        let key = format!("key{i}");
        one.set(&key, "one").tags([format!("t{i}")]).await.unwrap();
        assert_eq!(two.get(&key).await.unwrap(), Some("one".to_owned()));
        two.set(&key, "two").tags([format!("u{i}")]).await.unwrap();
        one.invalidate([format!("t{i}")]).await.unwrap();
        assert_eq!(one.get(&key).await.unwrap(), Some("two".to_owned()));
        two.invalidate([format!("u{i}")]).await.unwrap();
        assert_eq!(one.get::<String>(&key).await.unwrap(), None);
        assert!(one.add(&key, "three").await.unwrap());
        assert!(!two.add(&key, "four").await.unwrap());
        two.delete(&key).await.unwrap();
        assert!(!one.has_key(&key).await.unwrap());
    }
    // Tags that are only known at the end of a fill.
    let fill = one.begin(&[]).await.unwrap();
    two.invalidate(["late"]).await.unwrap();
    assert!(one.seal(&fill, &["late".into()], None).await.unwrap().is_none());
    let fill = one.begin(&[]).await.unwrap();
    assert!(one.seal(&fill, &["late".into()], None).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clear_takes_a_namespace_from_all_nodes_and_nothing_else() {
    let nodes = Nodes::start();
    let opened = |prefix| Cache::builder(redis(&nodes)).key_prefix(prefix).deadline(PATIENT).build().unwrap();
    let (shop, blog) = (opened("shop"), opened("blog"));
    let items = || (0..300).map(|i| (format!("key{i}"), format!("value{i}")));
    shop.set_many(items()).await.unwrap();
    blog.set_many(items()).await.unwrap();
    for i in 0..50 {
        nodes.cli(&["SET", &format!("celery:{i}"), "theirs"]);
    }
    shop.clear().await.unwrap();
    let keys = items().map(|(key, _)| key);
    assert_eq!(shop.get_many::<String, _>(keys.clone()).await.unwrap().len(), 0);
    assert_eq!(blog.get_many::<String, _>(keys).await.unwrap().len(), 300);
    let mut left: Vec<String> = nodes
        .0
        .iter()
        .flat_map(|node| node.cli(&["KEYS", "shop:*"]).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    left.sort();
    assert_eq!(left, ["shop:fence:", "shop:space:"]);
    assert_eq!(nodes.cli(&["GET", "celery:49"]), "theirs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_is_followed_and_what_was_in_it_is_cold() {
    let nodes = Nodes::start();
    let cache = open(&nodes);
    for (key, moved) in [("key", ":1:key"), ("other", ":tag:t"), ("third", ":space:")] {
        cache.set(key, "old").tags(["t"]).await.unwrap();
        assert_eq!(cache.get(key).await.unwrap(), Some("old".to_owned()));
        let from = nodes.primary_of(moved);
        nodes.give(nodes.slot(moved), from, (from + 1) % 3);
        // No incarnation vouches for what another one took.
        assert_eq!(cache.get::<String>(key).await.unwrap(), None, "{moved}");
        cache.set(key, "new").tags(["t"]).await.unwrap();
        assert_eq!(cache.get(key).await.unwrap(), Some("new".to_owned()), "{moved}");
        cache.invalidate(["t"]).await.unwrap();
        assert_eq!(cache.get::<String>(key).await.unwrap(), None, "{moved}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_slot_is_on_its_way_its_keys_are_found_on_both_sides() {
    let nodes = Nodes::start();
    let cache = open(&nodes);
    let names: Vec<String> = (0..6).map(|i| format!("{{g}}{i}")).collect();
    for key in &names[..3] {
        cache.set(key, "before").await.unwrap();
    }
    let (slot, from) = (nodes.slot("g").to_string(), nodes.primary_of(":1:{g}0"));
    let to = (from + 1) % 3;
    nodes.0[to].cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &nodes.id(from)]);
    nodes.0[from].cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &nodes.id(to)]);
    for key in &names[3..] {
        cache.set(key, "meanwhile").tags(["t"]).await.unwrap();
    }
    let found = cache.get_many::<String, _>(&names).await.unwrap();
    assert_eq!(found.len(), 6, "three here, three there: {found:?}");
    assert_eq!(nodes.0[to].cli(&["CLUSTER", "COUNTKEYSINSLOT", &slot]), "3");
    assert_eq!(cache.incr(&names[0], 1).await.unwrap_err().kind(), ErrorKind::Value);
    assert!(cache.delete(&names[3]).await.unwrap() && cache.delete(&names[0]).await.unwrap());
    nodes.migrate(&slot, from, to);
    for place in [to, from] {
        nodes.0[place].cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &nodes.id(to)]);
    }
    cache.set(&names[0], "after").await.unwrap();
    assert_eq!(cache.get(&names[0]).await.unwrap(), Some("after".to_owned()));
    assert_eq!(cache.get(&names[4]).await.unwrap(), Some("meanwhile".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_over_the_keys_goes_over_all_nodes() {
    let nodes = Nodes::start();
    let (redis, space) = (redis(&nodes), Space::new("shop").unwrap());
    let now = 1_700_000_000_000;
    let fill = redis.begin(&space, &[], now).await.unwrap();
    let mut expected = Vec::new();
    for i in 0..200 {
        let key = Key::value(&space, 1, &format!("key{i}"));
        let entry = Entry::new(Value::Bytes("text".into()), None, Stamp::untagged(fill.space()));
        redis.set(&key, entry, When::Always, now).await.unwrap();
        expected.push(key.name().into_owned());
    }
    let (mut names, mut after, mut steps) = (Vec::new(), None::<String>, 0);
    loop {
        let part = redis.scan(&space, "shop:1:key", after.as_deref(), 20, now).await.unwrap();
        names.extend(part.keys.iter().map(|key| key.name().into_owned()));
        after = part.next;
        steps += 1;
        // Whoever goes on elsewhere with a cursor of an incarnation that is no more begins anew there.
        if steps == 2 {
            let lost =
                after.as_ref().map(|at| at.replacen(&at[at.find('.').unwrap()..][1..17], &"0".repeat(16), 1));
            let again = redis.scan(&space, "shop:1:key", lost.as_deref(), 20, now).await.unwrap();
            assert_ne!(again.next, after);
        }
        if after.is_none() {
            break;
        }
    }
    names.sort();
    names.dedup();
    expected.sort();
    assert_eq!(names, expected);
    assert!(steps > 3, "in parts: {steps}");
}

#[tokio::test]
async fn a_cluster_that_never_listened_stops_no_start_up_and_one_seed_is_enough() {
    let dead = crate::ports::own_port();
    let url = format!("redis+cluster://127.0.0.1:{dead}?deadline=5s");
    let cache = schemes().open(&url).unwrap();
    assert_eq!(cache.get::<u8>("key").await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(cache.ping().await.unwrap_err().kind(), ErrorKind::Unavailable);
    let nodes = Nodes::start();
    let url = format!("redis+cluster://127.0.0.1:{dead},127.0.0.1:{}?deadline=60s", nodes.0[2].port());
    let cache = schemes().open(&url).unwrap();
    for i in 0..20 {
        cache.set(&format!("key{i}"), i).await.unwrap();
    }
    cache.ping().await.unwrap();
    cache.close().await.unwrap();
    assert_eq!(cache.get("key7").await.unwrap(), Some(7), "it may be used after closing");
}

#[tokio::test]
async fn a_server_that_is_no_cluster_is_an_error_that_says_so() {
    let server = server::Server::start();
    let url = format!("redis+cluster://127.0.0.1:{}?deadline=60s", server.port());
    let error = schemes().open(&url).unwrap().get::<u8>("key").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Backend, "{error:?}");
}

#[test]
fn urls_name_some_of_the_nodes() {
    for url in [
        "redis+cluster://h1",
        "redis+cluster://h1:7000,h2:7001,[::1]:7002/0?connect_timeout=300ms&prefix=shop",
        "redis+cluster://shop:s%40crt@h1:7000,h2:7001",
    ] {
        let shown = format!("{:?}", schemes().open(url).unwrap());
        assert!(!shown.contains("crt"), "{shown}");
    }
    for (url, says) in [
        ("redis+cluster://", "host"),
        ("redis+cluster://h1,", "host"),
        ("redis+cluster://h1:x", "port"),
        ("redis+cluster://h1/3", "database 0 only"),
        ("redis+cluster://h1?replicas=h2", "replicas"),
    ] {
        let error = schemes().open(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}: {error}");
        assert!(error.to_string().contains(says), "{url}: {error}");
    }
    let builder = Redis::cluster([("h", 1)]).replicas([("h2", 1)]);
    assert!(builder.build().unwrap_err().to_string().contains("know theirs"));
}
