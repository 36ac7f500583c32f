//! What stands on the servers, and what of it is believed.

use larder_core::{Backend, Cache, Entry, ErrorKind, Key, Space, Stamp, Timeout, Value, When};

use crate::Stage;
use crate::servers::Server;

const NOW: u64 = 1_700_000_000_000;

fn key(name: &str) -> Key {
    Key::value(&Space::default(), 1, name)
}

/// An entry that is valid now.
async fn entry(stage: &Stage, value: impl Into<Vec<u8>>, expires: Option<u64>) -> Entry {
    let fill = stage.backend.begin(&Space::default(), &[], NOW).await.unwrap();
    Entry::new(Value::Bytes(value.into().into()), expires, Stamp::untagged(fill.space()))
}

async fn value(stage: &Stage, name: &str) -> Option<Vec<u8>> {
    let found = stage.backend.get(&key(name), NOW).await.unwrap()?;
    Some(found.value().to_bytes().unwrap().to_vec())
}

#[tokio::test]
async fn values_may_have_any_bytes() {
    let stage = Stage::on(1);
    for (i, bytes) in [
        &b""[..],
        b"\r\n",
        b"\0",
        b"\r\nEN\r\nVA 1 c1 O1\r\nx\r\n",
        b"END\r\nSERVER_ERROR",
        &[0xff; 3],
        &(0..=255).collect::<Vec<u8>>().repeat(300),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("key{i}");
        let stored = entry(&stage, bytes, None).await;
        assert!(stage.backend.set(&key(&name), stored, When::Always, NOW).await.unwrap());
        assert_eq!(value(&stage, &name).await.as_deref(), Some(bytes), "{i}");
    }
}

#[tokio::test]
async fn mc_05_a_value_that_is_too_large_is_refused_and_the_old_one_is_gone() {
    let stage = Stage::on(1);
    // Memcached's own limit is below 1 MiB, as the item's head counts; ours is exactly that.
    for size in [(1 << 20) - 100, (1 << 20) + 1, 8 << 20] {
        for when in [When::Always, When::Present] {
            let small = entry(&stage, "a", None).await;
            stage.backend.set(&key("small_value"), small, When::Always, NOW).await.unwrap();
            let large = entry(&stage, vec![b'x'; size], None).await;
            let error = stage.backend.set(&key("small_value"), large, when, NOW).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TooLarge, "{size} {when:?}: {error}");
            assert_eq!(value(&stage, "small_value").await, None, "{size} {when:?}");
        }
        let small = entry(&stage, "a", None).await;
        stage.backend.set(&key("small_value"), small, When::Always, NOW).await.unwrap();
        let large = entry(&stage, vec![b'x'; size], None).await;
        let added = stage.backend.set(&key("small_value"), large, When::Absent, NOW).await;
        assert!(!matches!(added, Ok(true)), "{size}");
        assert_eq!(value(&stage, "small_value").await.as_deref(), Some(&b"a"[..]), "add never touches it");
    }
    let large = entry(&stage, vec![b'x'; (1 << 20) - 400], None).await;
    stage.backend.set(&key("large"), large, When::Always, NOW).await.unwrap();
    assert_eq!(value(&stage, "large").await.map(|value| value.len()), Some((1 << 20) - 400));
}

#[tokio::test]
async fn of_several_those_that_the_server_finds_too_large_are_refused_and_gone_and_the_others_stored() {
    let server = Server::with(&["-I", "512k"]);
    let backend = larder_memcached::Memcached::builder([server.address()]).max_silence(crate::PATIENT);
    let cache = Cache::builder(backend.build().unwrap()).deadline(crate::PATIENT).build().unwrap();
    // The first is too large for our own limit, the second for the server's alone.
    let sizes = [("own", 2 << 20), ("theirs", 700 << 10), ("small", 10), ("fits", 400 << 10)];
    for (name, _) in sizes {
        cache.set(name, "old").await.unwrap();
    }
    let values = sizes.map(|(name, size)| (name, "x".repeat(size)));
    assert_eq!(cache.set_many(values.clone()).await.unwrap(), ["own", "theirs"]);
    for (name, value) in values {
        let found = cache.get::<String>(name).await.unwrap();
        assert_eq!(found, (value.len() < 512 << 10).then_some(value), "{name}");
    }
    // The later of two values of a key counts, whatever becomes of the first.
    let twice = [("twice", "x".repeat(700 << 10)), ("twice", "new".to_owned())];
    cache.set_many(twice).await.unwrap();
    assert_eq!(cache.get::<String>("twice").await.unwrap().as_deref(), Some("new"));
}

#[tokio::test]
async fn mc_04_what_never_expires_and_what_expires_in_a_year_by_default_is_readable() {
    let stage = Stage::on(1);
    let far = stage.builder().timeout(31_536_000).build().unwrap();
    let never = stage.builder().no_timeout().build().unwrap();
    for cache in [far, never] {
        cache.set("a key", 42).await.unwrap();
        assert_eq!(cache.get("a key").await.unwrap(), Some(42));
    }
}

#[tokio::test]
async fn mc_10_a_string_of_digits_is_no_number_here_as_on_every_other_backend() {
    let stage = Stage::on(1);
    let cache = stage.cache();
    cache.set("n", "5").await.unwrap();
    let error = cache.incr("n", 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Value, "{error}");
    assert_eq!(cache.get::<String>("n").await.unwrap().as_deref(), Some("5"));
}

#[tokio::test]
async fn a_server_that_takes_more_is_used_to_the_full() {
    let server = Server::with(&["-I", "8m"]);
    let backend = larder_memcached::Memcached::builder([server.address()])
        .max_silence(crate::PATIENT)
        .max_entry(8 << 20)
        .build()
        .unwrap();
    let cache = Cache::builder(backend).deadline(crate::PATIENT).build().unwrap();
    let value = "x".repeat(6 << 20);
    cache.set("large", &value).await.unwrap();
    assert!(cache.get::<String>("large").await.unwrap() == Some(value));
}

#[tokio::test]
async fn mc_03_the_server_gets_the_expiry_too() {
    let stage = Stage::on(1);
    let (cache, server) = (stage.cache(), &stage.servers[0]);
    let month = 30 * 86_400;
    // What the server says is left, in seconds.
    let left = |name: &str| -> i64 {
        let answer = server.say(&format!("mg :1:{name} t"));
        answer.trim().strip_prefix("HD t").unwrap_or_else(|| panic!("{answer:?}")).parse().unwrap()
    };
    for (name, timeout) in [("short", 60), ("month", month), ("more", month + 1), ("year", 365 * 86_400)] {
        cache.set(name, 1).timeout(timeout).await.unwrap();
        let left = left(name);
        let timeout = timeout as i64;
        assert!((timeout - 60..=timeout + 10).contains(&left), "{name}: {left} s of {timeout}");
    }
    cache.set("forever", 1).timeout(Timeout::FOREVER).await.unwrap();
    cache.set("century", 1).timeout(100 * 365 * 86_400).await.unwrap();
    assert_eq!((left("forever"), left("century")), (-1, -1));
    cache.touch("year").timeout(60).await.unwrap();
    assert!(left("year") <= 70);
}

#[tokio::test]
async fn names_are_readable_where_they_can_be_and_hashed_in_their_namespace_where_not() {
    let stage = Stage::on(1);
    let cache = stage.builder().key_prefix("shop").build().unwrap();
    let server = &stage.servers[0];
    cache.set("course:7", 1).await.unwrap();
    assert!(server.say("mg shop:1:course:7 v").contains("larder1 "));
    cache.set("with space\r\nmn", 2).await.unwrap();
    cache.set(&"x".repeat(300), 3).await.unwrap();
    let hash = blake3::hash(b"shop:1:with space\r\nmn").to_hex();
    assert!(server.has(&format!("shop:b3:{hash}")));
    assert_eq!(cache.get("with space\r\nmn").await.unwrap(), Some(2));
    assert_eq!(cache.get(&"x".repeat(300)).await.unwrap(), Some(3));
}

#[tokio::test]
async fn what_is_not_an_entry_of_this_version_is_a_miss_and_removed() {
    let stage = Stage::on(1);
    let (cache, server) = (stage.cache(), &stage.servers[0]);
    cache.set("other", 1).await.unwrap();
    let newer = "larder2 - 0000000000000000000000000000000a\n1";
    for stored in ["garbage", "", "42", newer] {
        let put =
            || assert!(server.say(&format!("ms :1:key {}\r\n{stored}", stored.len())).starts_with("HD"));
        put();
        assert_eq!(cache.get::<u8>("key").await.unwrap(), None, "{stored}");
        assert!(!server.has(":1:key"), "{stored} is removed");
        put();
        assert!(cache.add("key", 5).await.unwrap(), "{stored} is nothing to an add");
        assert_eq!(cache.get("key").await.unwrap(), Some(5));
        put();
        assert_eq!(cache.incr("key", 1).await.unwrap_err().kind(), ErrorKind::NotFound);
        put();
        assert!(!cache.delete("key").await.unwrap() && !server.has(":1:key"));
    }
}

#[tokio::test]
async fn an_invalidated_entry_is_nothing_to_any_operation() {
    let stage = Stage::on(1);
    let cache = stage.cache();
    let put = || async {
        cache.set("key", 1).tags(["t"]).await.unwrap();
        cache.invalidate(["t"]).await.unwrap();
    };
    put().await;
    assert!(!cache.delete("key").await.unwrap());
    put().await;
    assert_eq!(cache.incr("key", 1).await.unwrap_err().kind(), ErrorKind::NotFound);
    let present = entry(&stage, "2", None).await;
    assert!(!stage.backend.set(&key("key"), present.clone(), When::Present, NOW).await.unwrap());
    assert!(stage.backend.set(&key("key"), present.clone(), When::Absent, NOW).await.unwrap());
    assert!(!stage.backend.set(&key("key"), present.clone(), When::Absent, NOW).await.unwrap());
    assert!(stage.backend.set(&key("key"), present, When::Present, NOW).await.unwrap());
    assert_eq!(cache.get("key").await.unwrap(), Some(2));
}

#[tokio::test]
async fn clear_takes_what_is_ours_and_leaves_what_is_not() {
    let stage = Stage::on(3);
    let (shop, blog) = (
        stage.builder().key_prefix("shop").build().unwrap(),
        stage.builder().key_prefix("blog").build().unwrap(),
    );
    for server in stage.servers.iter() {
        server.say("ms foreign 5\r\nhello");
    }
    for i in 0..30 {
        shop.set(&format!("key{i}"), i).await.unwrap();
        blog.set(&format!("key{i}"), i).await.unwrap();
    }
    shop.clear().await.unwrap();
    let names: Vec<String> = (0..30).map(|i| format!("key{i}")).collect();
    assert_eq!(shop.get_many::<u8, _>(&names).await.unwrap().len(), 0);
    assert_eq!(blog.get_many::<u8, _>(&names).await.unwrap().len(), 30);
    assert!(stage.servers.iter().all(|server| server.has("foreign")));
    assert!(shop.add("key0", 7).await.unwrap());
    assert_eq!(shop.get("key0").await.unwrap(), Some(7));
}

#[tokio::test]
async fn a_server_without_cas_says_so_instead_of_losing_counts() {
    let server = Server::with(&["-C"]);
    let backend =
        larder_memcached::Memcached::builder([server.address()]).max_silence(crate::PATIENT).build().unwrap();
    let cache = Cache::builder(backend).deadline(crate::PATIENT).build().unwrap();
    cache.set("count", 1).await.unwrap();
    assert_eq!(cache.get("count").await.unwrap(), Some(1));
    assert_eq!(cache.incr("count", 1).await.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_touch_never_brings_back_what_was_replaced() {
    let stage = Stage::on(1);
    let first = entry(&stage, "0", Some(NOW + 60_000)).await;
    stage.backend.set(&key("key"), first, When::Always, NOW).await.unwrap();
    let touching: Vec<_> = (1..5)
        .map(|toucher| {
            let backend = stage.backend.clone();
            tokio::spawn(async move {
                for round in 0..u64::MAX {
                    let expires = Some(NOW + 60_000 + toucher * 1_000 + round % 1_000);
                    assert!(backend.touch(&key("key"), expires, NOW).await.unwrap());
                }
            })
        })
        .collect();
    for i in 1..300 {
        let newer = entry(&stage, i.to_string(), Some(NOW + 60_000)).await;
        stage.backend.set(&key("key"), newer, When::Always, NOW).await.unwrap();
        for _ in 0..3 {
            assert_eq!(value(&stage, "key").await, Some(i.to_string().into_bytes()));
        }
    }
    for task in touching {
        assert!(!task.is_finished(), "a touch failed");
        task.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_concurrent_adds_over_what_was_invalidated_one_wins() {
    let stage = Stage::on(2);
    let cache = stage.cache();
    for round in 0..20 {
        cache.set("key", 99).tags(["t"]).await.unwrap();
        cache.invalidate(["t"]).await.unwrap();
        let adds: Vec<_> = (0..8)
            .map(|i| {
                let cache = cache.clone();
                tokio::spawn(async move { cache.add("key", i).await.unwrap().then_some(i) })
            })
            .collect();
        let mut winners = Vec::new();
        for add in adds {
            winners.extend(add.await.unwrap());
        }
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        assert_eq!(cache.get("key").await.unwrap(), Some(winners[0]));
    }
}
