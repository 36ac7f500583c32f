//! RED and DR: what Django's Redis cache and django-redis do, where it shows in the server. What has no name there is in the suite.

use larder_core::{Backend as _, ErrorKind, Space, Timeout};

use crate::Stage;

#[tokio::test]
async fn red_02_what_the_server_is_told_of_timeouts() {
    let stage = Stage::new();
    let cache = stage.cache();
    let left = |name: &str| stage.server.cli(&["PTTL", name]).parse::<i64>().unwrap();
    let about = |name: &str| (500_000..=600_000).contains(&left(name));
    cache.set("text", "text").timeout(600).await.unwrap();
    assert!(about(":1:text"));
    cache.set("none", "text").timeout(Timeout::FOREVER).await.unwrap();
    assert_eq!(left(":1:none"), -1);
    cache.set("zero", "text").timeout(10).await.unwrap();
    cache.set("zero", "text").timeout(0).await.unwrap();
    assert_eq!(stage.server.cli(&["EXISTS", ":1:zero"]), "0");
    cache.set_many([("a", 1), ("b", 2)]).timeout(600).await.unwrap();
    assert!(about(":1:a") && about(":1:b"));
}

#[tokio::test]
async fn red_03_an_integer_is_its_digits_and_nothing_else_is() {
    let stage = Stage::new();
    let cache = stage.cache();
    cache.set("i", 42).await.unwrap();
    assert_eq!(stage.server.cli(&["GET", ":1:i"]), "42");
    cache.set("bool", true).await.unwrap();
    cache.set("text", "42").await.unwrap();
    for name in [":1:bool", ":1:text"] {
        assert!(stage.server.cli(&["GET", name]).starts_with("larder1 "), "{name}");
    }
    assert_eq!(cache.get("bool").await.unwrap(), Some(true));
    assert_eq!(cache.get("text").await.unwrap(), Some("42".to_owned()));
}

#[tokio::test]
async fn red_08_touch_without_a_timeout_says_yes_of_what_never_expires() {
    let stage = Stage::new();
    let cache = stage.cache();
    for value in [serde_json::json!("text"), serde_json::json!(7)] {
        cache.set("key", &value).timeout(Timeout::FOREVER).await.unwrap();
        assert!(cache.touch("key").timeout(Timeout::FOREVER).await.unwrap(), "Django says no here");
        assert_eq!(stage.server.cli(&["PTTL", ":1:key"]), "-1");
        assert_eq!(cache.get("key").await.unwrap(), Some(value));
    }
}

#[tokio::test]
async fn red_09_and_13_several_are_one_exchange_and_nothing_is_none() {
    let stage = Stage::new();
    let cache = stage.cache();
    let counted = || {
        let commands = stage.server.commands();
        stage.server.cli(&["CONFIG", "RESETSTAT"]);
        commands
    };
    cache.set_many([("warm", "text")]).await.unwrap();
    cache.delete_many(["warm"]).await.unwrap();
    counted();
    cache.set_many([("a", "1"), ("b", "2"), ("c", "3")]).timeout(10).await.unwrap();
    assert_eq!(counted(), ["mget 1", "set 3"], "no EXPIRE apart from them");
    cache.get_many::<String, _>(["a", "b", "c"]).await.unwrap();
    assert_eq!(counted(), ["mget 1"]);
    assert_eq!(cache.delete_many(["a", "b", "x"]).await.unwrap(), 2);
    let commands = counted();
    // The leases of what may be in the making are removed beside them.
    assert!(commands.contains(&"evalsha 6".into()), "{commands:?}");
    assert!(commands.iter().any(|command| matches!(command.as_str(), "mget 1" | "mget 2")), "{commands:?}");
    assert_eq!(cache.delete_many([""; 0]).await.unwrap(), 0);
    cache.set_many([("", 1); 0]).await.unwrap();
    assert!(counted().iter().all(|command| command.starts_with("mget")), "nothing is stored or removed");
}

#[tokio::test]
async fn red_11_more_than_63_bits_are_an_error_and_change_nothing() {
    let stage = Stage::new();
    let cache = stage.cache();
    cache.set("n", i64::MAX).await.unwrap();
    assert_eq!(cache.incr("n", 1).await.unwrap_err().kind(), ErrorKind::Value);
    assert_eq!(stage.server.cli(&["GET", ":1:n"]), i64::MAX.to_string());
}

#[tokio::test]
async fn red_14_and_dr_keys_are_called_as_in_django() {
    let stage = Stage::new();
    let cache = stage.builder().version(2).key_prefix("main").build().unwrap();
    stage.cache().set("foobar", "text").await.unwrap();
    cache.set("foo:bar b", "text").await.unwrap();
    let mut names: Vec<String> = stage.server.cli(&["KEYS", "*[0-9]:*"]).lines().map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, [":1:foobar", "main:2:foo:bar b"]);
    cache.clear().await.unwrap();
    assert_eq!(stage.server.cli(&["EXISTS", ":1:foobar"]), "1", "Django empties the database");
}

#[tokio::test]
async fn dr_03_milliseconds_are_kept() {
    let stage = Stage::new();
    let cache = stage.cache();
    let (mut left, mut tries) = (0, 0);
    // Again where half a second was gone before it was looked at: whole seconds are never right.
    while !(60_001..=60_500).contains(&left) {
        assert!(tries < 100, "{left}");
        cache.set("key", "text").timeout(std::time::Duration::from_millis(60_500)).await.unwrap();
        left = stage.server.cli(&["PTTL", ":1:key"]).parse::<i64>().unwrap();
        tries += 1;
    }
}

#[tokio::test]
async fn dr_08_a_walk_gives_each_key_without_asking_for_all_at_once() {
    let stage = Stage::new();
    let cache = stage.cache();
    let items: Vec<(String, u32)> = (0..500).map(|i| (format!("foo-{i}"), i)).collect();
    cache.set_many(items.clone()).await.unwrap();
    cache.set("bar", 1).await.unwrap();
    stage.server.cli(&["CONFIG", "RESETSTAT"]);
    let (space, now) = (Space::default(), stage.hand.now());
    let (mut found, mut after) = (Vec::new(), None::<String>);
    loop {
        let part = stage.backend.scan(&space, ":1:foo-", after.as_deref(), 50, now).await.unwrap();
        found.extend(part.keys.iter().map(|key| key.name()[":1:".len()..].to_owned()));
        after = part.next;
        if after.is_none() {
            break;
        }
    }
    found.sort();
    found.dedup();
    let mut expected: Vec<String> = items.into_iter().map(|(key, _)| key).collect();
    expected.sort();
    assert_eq!(found, expected);
    let commands = stage.server.commands();
    assert!(!commands.iter().any(|command| command.starts_with("keys ")), "{commands:?}");
    let scans = commands.iter().find_map(|command| command.strip_prefix("scan ")).unwrap();
    assert!(scans.parse::<u32>().unwrap() > 5, "in parts");
}

#[tokio::test]
async fn dr_30_the_user_of_the_url_is_who_asks() {
    let stage = Stage::new();
    stage.server.cli(&["ACL", "SETUSER", "shop", "on", ">secret", "~*", "+@all"]);
    let port = stage.server.port();
    let cache = crate::shared::schemes()
        .open(&format!("redis://shop:secret@127.0.0.1:{port}/2?deadline=60s"))
        .unwrap();
    cache.set("key", 1).await.unwrap();
    let clients = stage.server.cli(&["CLIENT", "LIST"]);
    assert!(clients.contains("user=shop") && clients.contains("db=2"), "{clients}");
}
