//! The outbox, and what brings it to the caches.

use std::time::Duration;

use larder_core::{Backend, Caches, ErrorKind, Tag};
use larder_sql::changes::{Outbox, Relay};
use larder_testkit::{Fault, Op};
use sqlx::Connection as _;

use super::{App, Database, Slow, each, faulty, fill, has, memory, texts, until};
use crate::unique;

each! {
    a_commit_invalidates_and_a_rollback_never_does
    what_is_written_behind_a_savepoint_goes_with_it
    what_is_delivered_is_gone_at_once_and_leaves_nothing_behind
    nothing_leaves_the_outbox_before_every_cache_has_forgotten
    a_relay_finds_by_itself_what_nobody_delivered
    no_page_whose_making_began_before_the_commit_outlives_it
    any_tag_comes_through_as_it_was_and_many_of_them
    a_relay_that_fails_tries_again
    what_is_not_there_is_told_by_its_name
}

async fn a_commit_invalidates_and_a_rollback_never_does(app: App) {
    let cache = memory();
    let relay = Relay::new(&app.outbox, &cache);
    fill(&cache, &["course:7", "course:8"]).await;
    drop(app.write(&["course:7"], false).await);
    assert_eq!(relay.flush().await.unwrap(), 0);
    assert!(has(&cache, "course:7").await);
    drop(app.write(&["course:7", "list"], true).await);
    assert!(has(&cache, "course:7").await, "nobody has looked yet");
    assert_eq!(relay.flush().await.unwrap(), 2);
    assert!(!has(&cache, "course:7").await && has(&cache, "course:8").await);
    assert_eq!(relay.flush().await.unwrap(), 0);
}

async fn what_is_written_behind_a_savepoint_goes_with_it(app: App) {
    let cache = memory();
    let relay = Relay::new(&app.outbox, &cache);
    fill(&cache, &["outside", "undone", "inside"]).await;
    macro_rules! within {
        ($pool:expr) => {{
            let mut tx = $pool.begin().await.unwrap();
            let outside = app.outbox.invalidate(&mut tx, ["outside"]).await.unwrap();
            let mut undone = tx.begin().await.unwrap();
            drop(app.outbox.invalidate(&mut undone, ["undone"]).await.unwrap());
            undone.rollback().await.unwrap();
            let mut inside = tx.begin().await.unwrap();
            drop(app.outbox.invalidate(&mut inside, ["inside"]).await.unwrap());
            inside.commit().await.unwrap();
            tx.commit().await.unwrap();
            outside
        }};
    }
    let outside = match &app.database {
        Database::Postgres(pool) => within!(pool),
        Database::MySql(pool) => within!(pool),
        // It knows nothing of transactions but what the application's own driver does.
        Database::Sqlite(_) => return,
    };
    relay.deliver(outside).await.unwrap();
    assert_eq!(app.waiting().await, ["inside"]);
    assert_eq!(relay.flush().await.unwrap(), 1);
    assert!(!has(&cache, "outside").await && !has(&cache, "inside").await && has(&cache, "undone").await);
}

async fn what_is_delivered_is_gone_at_once_and_leaves_nothing_behind(app: App) {
    let (one, two) = (memory(), memory());
    let relay = Relay::new(&app.outbox, Caches::new(one.clone()).with("two", two.clone()));
    fill(&one, &["course:7"]).await;
    fill(&two, &["course:7"]).await;
    let other = app.write(&["other"], true).await;
    let pending = app.write(&["course:7"], true).await;
    assert_eq!(texts(pending.tags()), ["course:7"]);
    relay.deliver(pending).await.unwrap();
    assert!(!has(&one, "course:7").await && !has(&two, "course:7").await);
    assert_eq!(app.waiting().await, ["other"]);
    relay.deliver(other).await.unwrap();
    relay.deliver(app.write(&[""], true).await).await.unwrap();
    assert!(app.waiting().await.is_empty());
}

async fn nothing_leaves_the_outbox_before_every_cache_has_forgotten(app: App) {
    let (good, (bad, faults)) = (memory(), faulty());
    let relay = Relay::new(&app.outbox, Caches::new(bad.clone()).with("good", good.clone()));
    let pending = app.write(&["course:7"], true).await;
    fill(&bad, &["course:7"]).await;
    fill(&good, &["course:7"]).await;
    faults.add(Fault::error(ErrorKind::Unavailable).on([Op::Invalidate]).times(2));
    assert_eq!(relay.deliver(pending).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(relay.flush().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(!has(&good, "course:7").await && has(&bad, "course:7").await);
    assert_eq!(app.waiting().await, ["course:7"]);
    assert_eq!(relay.flush().await.unwrap(), 1);
    assert!(!has(&bad, "course:7").await && app.waiting().await.is_empty());
}

async fn a_relay_finds_by_itself_what_nobody_delivered(app: App) {
    let cache = memory();
    fill(&cache, &["by hand", "course:7"]).await;
    drop(app.write(&["course:7"], true).await);
    app.by_hand("by hand").await;
    let relay = tokio::spawn(Relay::new(&app.outbox, &cache).every(Duration::from_millis(10)).run());
    until(async || !has(&cache, "by hand").await && !has(&cache, "course:7").await).await;
    until(async || app.waiting().await.is_empty()).await;
    relay.abort();
}

async fn no_page_whose_making_began_before_the_commit_outlives_it(app: App) {
    let cache = memory();
    let relay = Relay::new(&app.outbox, &cache);
    // One is stored after all of it, one between the commit and what follows it.
    let after = Slow::begin(&cache, "after").await;
    let between = Slow::begin(&cache, "between").await;
    let pending = app.write(&["course:7"], true).await;
    between.end().await;
    assert!(has(&cache, "between").await);
    relay.deliver(pending).await.unwrap();
    after.end().await;
    assert!(!has(&cache, "between").await && !has(&cache, "after").await);
    Slow::begin(&cache, "new").await.end().await;
    assert!(has(&cache, "new").await);
}

async fn any_tag_comes_through_as_it_was_and_many_of_them(app: App) {
    let tags: Vec<String> = ["it's", "a\"b`c", "back\\slash", "ünï ☃", "$1 ?", "line\nbreak", "%_", " "]
        .map(str::to_owned)
        .into_iter()
        .chain((0..2500).map(|i| format!("t{i}")))
        .chain(["long".repeat(3000)])
        .collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    let cache = memory();
    fill(&cache, &tags).await;
    drop(app.write(&tags, true).await);
    let mut sorted: Vec<&str> = tags.clone();
    sorted.sort_unstable();
    assert_eq!(app.waiting().await, sorted);
    assert_eq!(Relay::new(&app.outbox, &cache).flush().await.unwrap(), tags.len());
    for tag in tags {
        assert!(!has(&cache, tag).await, "{tag:?}");
    }
    let error = app.outbox.pending(["a\0b"]).unwrap_err();
    assert!(error.kind() == ErrorKind::Config && error.to_string().contains("a\\0b"), "{error}");
    assert!(app.outbox.pending(["", ""]).unwrap().statements().is_empty());
}

async fn a_relay_that_fails_tries_again(app: App) {
    let (cache, faults) = faulty();
    fill(&cache, &["t"]).await;
    app.by_hand("t").await;
    faults.add(Fault::error(ErrorKind::Unavailable).on([Op::Invalidate]).times(2));
    let relay = tokio::spawn(Relay::new(&app.outbox, &cache).every(Duration::from_secs(3600)).run());
    until(async || app.waiting().await.is_empty()).await;
    assert!(!has(&cache, "t").await);
    relay.abort();
}

async fn what_is_not_there_is_told_by_its_name(app: App) {
    let none = app.outbox.clone().table("none_such").unwrap();
    let error = Relay::new(&none, memory()).flush().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Backend && error.to_string().contains("create_table"), "{error}");
    let error = app.outbox.clone().table("a;drop").unwrap_err();
    assert!(error.kind() == ErrorKind::Config && error.to_string().contains("a;drop"), "{error}");
    let elsewhere = Outbox::sqlite("/nowhere/shop.db");
    let error = elsewhere.create_table().await.unwrap_err();
    assert!(
        error.kind() == ErrorKind::Unavailable && error.to_string().contains("/nowhere/shop.db"),
        "{error}"
    );
}

/// Of what one relay holds another lets go, and takes the rest; nobody is kept from writing; and what the first one held is taken when it is gone.
async fn relays_share_the_work(app: App) {
    let (slow, faults) = faulty();
    let fast = memory();
    fill(&fast, &["first", "second"]).await;
    app.by_hand("first").await;
    faults.add(Fault::hang().on([Op::Invalidate]));
    let first = tokio::spawn(Relay::new(&app.outbox, &slow).run());
    until(async || faults.under_way() == 1).await;
    // The application goes on writing.
    app.by_hand("second").await;
    drop(app.write(&["third"], true).await);
    let second = tokio::spawn(Relay::new(&app.outbox, &fast).every(Duration::from_millis(10)).run());
    until(async || !has(&fast, "second").await).await;
    assert!(has(&fast, "first").await, "the first relay holds it");
    first.abort();
    until(async || !has(&fast, "first").await).await;
    until(async || app.waiting().await.is_empty()).await;
    second.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_share_the_work_in_postgres() {
    relays_share_the_work(App::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_share_the_work_in_mysql() {
    relays_share_the_work(App::mysql().await).await;
}

/// What a relay has taken and another is about to invalidate is invalidated by a flush all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_does_not_rely_on_others() {
    let app = App::postgres().await;
    let (slow, faults) = faulty();
    let fast = memory();
    fill(&fast, &["t"]).await;
    app.by_hand("t").await;
    faults.add(Fault::hang().on([Op::Invalidate]));
    let first = tokio::spawn(Relay::new(&app.outbox, &slow).run());
    until(async || faults.under_way() == 1).await;
    let relay = Relay::new(&app.outbox, &fast);
    let flush = tokio::spawn(async move { relay.flush().await });
    until(async || !has(&fast, "t").await).await;
    first.abort();
    assert_eq!(flush.await.unwrap().unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_tells_a_relay_at_once() {
    let app = App::postgres().await;
    let cache = memory();
    let relay = tokio::spawn(Relay::new(&app.outbox, &cache).every(Duration::from_secs(3600)).run());
    let Database::Postgres(pool) = &app.database else { unreachable!() };
    // It listens once it has a connection that does.
    let listening = app.listening("'here'");
    until(async || app.ask(&listening).await == ["here"]).await;
    fill(&cache, &["t"]).await;
    let mut tx = pool.begin().await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(format!("INSERT INTO {} (tag) VALUES ('t')", app.outbox_table())))
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::query("SELECT pg_notify($1, 'tt')").bind(app.outbox_table()).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    until(async || !has(&cache, "t").await).await;
    relay.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_another_database_is_refused() {
    let (postgres, mysql) = (App::postgres().await, App::mysql().await);
    let Database::MySql(pool) = &mysql.database else { unreachable!() };
    let mut tx = pool.begin().await.unwrap();
    for outbox in [&postgres.outbox, &Outbox::sqlite("/nowhere").table(unique("out")).unwrap()] {
        let error = outbox.invalidate(&mut tx, ["t"]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }
}

/// The cache may be in the same database, on the same pool.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_in_the_same_database_takes_its_part_too() {
    let app = App::postgres().await;
    let Database::Postgres(pool) = &app.database else { unreachable!() };
    let sql = larder_sql::SqlCache::from_pool(pool.clone()).table(unique("larder_test")).build().unwrap();
    assert!(sql.capabilities().shared);
    let cache = larder_core::Cache::builder(sql).deadline(crate::PATIENT).build().unwrap();
    fill(&cache, &["t"]).await;
    let pending = app.write(&["t"], true).await;
    assert_eq!(pending.tags(), [Tag::from("t")]);
    Relay::new(&app.outbox, &cache).deliver(pending).await.unwrap();
    assert!(!has(&cache, "t").await);
}
