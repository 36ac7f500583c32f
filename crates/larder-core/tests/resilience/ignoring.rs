//! django-redis' `IGNORE_EXCEPTIONS` (DR-20, DR-21): a store that fails is one in which nothing is and nothing happens.

use std::collections::HashMap;
use std::sync::Arc;

use larder_core::{Cache, Error, ErrorKind};

use crate::Stage;
use crate::faulty::Mode;

/// Of several values, the keys of those that were not stored: all.
const REFUSED: &str = r#"["key", "other"]"#;
const OUTAGES: [ErrorKind; 3] = [ErrorKind::Unavailable, ErrorKind::Deadline, ErrorKind::Backend];

/// What each operation gives, in words.
async fn all(cache: &Cache) -> Vec<String> {
    fn said<T: std::fmt::Debug>(done: Result<T, Error>) -> String {
        done.map_or_else(|error| error.kind().as_str().to_owned(), |value| format!("{value:?}"))
    }
    let names = || ["key", "other"];
    vec![
        said(cache.get::<u8>("key").await),
        said(cache.get_shared::<u8>("key").await),
        said(cache.get_many::<u8, _>(names()).await),
        said(cache.has_key("key").await),
        said(cache.set("key", 1).await),
        said(cache.set_shared("key", Arc::new(1)).await),
        said(cache.set_many([("key", 1), ("other", 2)]).await),
        said(cache.add("new", 1).await),
        said(cache.touch("key").await),
        said(cache.delete("key").await),
        said(cache.delete_many(names()).await),
        said(cache.clear().await),
        said(cache.incr("key", 1).await),
        said(cache.decr("key", 1).await),
        said(cache.ttl("key").await),
        said(cache.persist("key").await),
        said(cache.expire_at("key", 1).await),
        said(cache.keys("*").await),
        said(cache.iter_keys("*").next().await),
        said(cache.delete_pattern("*").await),
        said(cache.incr_version("key").await),
        said(cache.decr_version("key").await),
        said(cache.get_or_set("key", || async { 7 }).await),
    ]
}

#[tokio::test]
async fn dr_20_dr_21_every_operation_gives_what_it_gives_when_nothing_is_there_and_nothing_happens() {
    for kind in OUTAGES {
        let stage = Stage::new();
        let cache = stage.builder().ignore_errors(true).build().unwrap();
        cache.set("key", 5).await.unwrap();
        stage.store.turn(Mode::Fails(kind));
        let given = all(&cache).await;
        let wanted = [
            "None",
            "None",
            "{}",
            "false",
            "()",
            "()",
            REFUSED,
            "false",
            "false",
            "false",
            "0",
            "()",
            "not-found",
            "not-found",
            "Missing",
            "false",
            "false",
            "[]",
            "None",
            "0",
            "not-found",
            "not-found",
            "7",
        ];
        assert_eq!(given, wanted, "{kind:?}");
        assert!(stage.told().contains(&"ignored"));
        stage.store.turn(Mode::Fine);
        cache.ping().await.unwrap();
        assert_eq!(cache.get("key").await.unwrap(), Some(5), "nothing happened");
    }
}

#[tokio::test]
async fn without_it_every_operation_is_an_error_except_what_makes_a_value() {
    for kind in OUTAGES {
        let stage = Stage::new();
        let cache = stage.builder().no_breaker().build().unwrap();
        stage.store.turn(Mode::Fails(kind));
        let given = all(&cache).await;
        let (made, failed) = given.split_last().unwrap();
        assert!(failed.iter().all(|word| word == kind.as_str()), "{given:?}");
        assert_eq!(made, "7");
    }
}

#[tokio::test]
async fn what_promises_something_and_what_the_caller_did_wrong_is_never_ignored() {
    let stage = Stage::new();
    let cache = stage.builder().ignore_errors(true).build().unwrap();
    cache.set("text", "a").await.unwrap();
    let unwritable = HashMap::from([(vec![1], 1)]);
    assert_eq!(cache.set("key", &unwritable).await.unwrap_err().kind(), ErrorKind::Encode);
    assert_eq!(cache.incr("text", 1).await.unwrap_err().kind(), ErrorKind::Value);
    assert_eq!(cache.incr("nothing", 1).await.unwrap_err().kind(), ErrorKind::NotFound);
    for kind in OUTAGES {
        stage.store.turn(Mode::Fails(kind));
        assert_eq!(cache.invalidate(["tag"]).await.unwrap_err().kind(), kind);
        assert_eq!(cache.ping().await.unwrap_err().kind(), kind);
        let locked = cache.lock("lock").try_acquire().await.unwrap_err();
        assert!(locked.is_transient(), "{locked}");
        assert_eq!(cache.set("key", &unwritable).await.unwrap_err().kind(), ErrorKind::Encode);
    }
    for kind in [ErrorKind::TooLarge, ErrorKind::Unsupported, ErrorKind::Value] {
        stage.store.turn(Mode::Fails(kind));
        // A breaker that the rounds before opened lets this through.
        _ = cache.ping().await;
        stage.store.turn(Mode::Fine);
        cache.ping().await.unwrap();
        stage.store.turn(Mode::Fails(kind));
        assert_eq!(cache.set("key", 1).await.unwrap_err().kind(), kind);
    }
}

#[tokio::test]
async fn a_walk_ends_where_the_store_fails_and_does_not_begin_anew() {
    let stage = Stage::new();
    let cache = stage.builder().ignore_errors(true).build().unwrap();
    cache.set_many((0..10).map(|i| (format!("key{i}"), i))).await.unwrap();
    let mut walk = cache.iter_keys("*").batch(3);
    assert!(walk.next().await.unwrap().is_some());
    stage.store.turn(Mode::Fails(ErrorKind::Unavailable));
    while walk.next().await.unwrap().is_some() {}
    stage.store.turn(Mode::Fine);
    assert_eq!(walk.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_refusal_of_the_breaker_is_ignored_too() {
    let stage = Stage::new();
    let cache = stage.builder().ignore_errors(true).build().unwrap();
    stage.store.turn(Mode::Fails(ErrorKind::Unavailable));
    for _ in 0..50 {
        assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
    }
    assert_eq!(stage.store.asked(), 5);
}
