//! What is SQLite's own.

use std::time::Instant;

use larder_core::{Cache, ErrorKind, Schemes};
use larder_sql::SqlCache;
use tempfile::tempdir;

use crate::{PATIENT, Stage};

#[tokio::test]
async fn entries_outlive_the_handle_and_the_file_may_hold_other_tables() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("app.db");
    let app = rusqlite::Connection::open(&path).unwrap();
    app.execute_batch("CREATE TABLE course (id INTEGER); INSERT INTO course VALUES (7)").unwrap();
    let first = Cache::builder(SqlCache::sqlite(&path).build().unwrap()).deadline(PATIENT).build().unwrap();
    first.set("key", "kept").await.unwrap();
    first.close().await.unwrap();
    first.clear().await.unwrap();
    first.set("key", "kept").await.unwrap();
    drop(first);
    let second = Cache::builder(SqlCache::sqlite(&path).build().unwrap()).deadline(PATIENT).build().unwrap();
    assert_eq!(second.get::<String>("key").await.unwrap().as_deref(), Some("kept"));
    let id: i64 = app.query_row("SELECT id FROM course", [], |row| row.get(0)).unwrap();
    assert_eq!(id, 7);
}

#[tokio::test]
async fn a_row_that_is_not_ours_is_a_miss_and_removed() {
    let stage = Stage::sqlite();
    let cache = stage.cache();
    cache.set("key", 1).await.unwrap();
    let path = stage._directory.as_ref().unwrap().path().join("cache.db");
    let app = rusqlite::Connection::open(path).unwrap();
    app.execute("UPDATE larder_cache SET value = x'00ff' WHERE name = ':1:key'", []).unwrap();
    assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
    let count = |sql: &str| app.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM larder_cache WHERE name = ':1:key'"), 0);
    assert!(cache.add("key", 2).await.unwrap());
    // Also the namespace's own record.
    app.execute("UPDATE larder_cache SET value = x'00ff' WHERE name = ':space:'", []).unwrap();
    assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
    cache.set("key", 3).await.unwrap();
    assert_eq!(cache.get("key").await.unwrap(), Some(3));
}

#[tokio::test]
async fn a_file_that_another_keeps_locked_costs_the_deadline() {
    let stage = Stage::sqlite();
    stage.cache().set("key", 1).await.unwrap();
    let path = stage._directory.as_ref().unwrap().path().join("cache.db");
    let app = rusqlite::Connection::open(path).unwrap();
    app.execute_batch("BEGIN IMMEDIATE").unwrap();
    let deadline = std::time::Duration::from_millis(100);
    let cache = stage.builder().deadline(deadline).build().unwrap();
    let began = Instant::now();
    assert_eq!(cache.set("key", 2).await.unwrap_err().kind(), ErrorKind::Deadline);
    assert!(began.elapsed() < PATIENT / 2, "it waited {:?}", began.elapsed());
    assert_eq!(stage.cache().get("key").await.unwrap(), Some(1), "reads go on");
    app.execute_batch("ROLLBACK").unwrap();
    stage.cache().set("key", 3).await.unwrap();
    assert_eq!(stage.cache().get("key").await.unwrap(), Some(3));
}

#[tokio::test]
async fn a_place_that_can_not_be_is_an_error_that_names_it() {
    let directory = tempdir().unwrap();
    let missing = directory.path().join("none/cache.db");
    let cache =
        Cache::builder(SqlCache::sqlite(&missing).build().unwrap()).deadline(PATIENT).build().unwrap();
    let error = cache.get::<u8>("key").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("none/cache.db"), "{error}");
    let text = directory.path().join("README");
    std::fs::write(&text, "no database, but long enough to be looked at. ".repeat(100)).unwrap();
    let cache = Cache::builder(SqlCache::sqlite(&text).build().unwrap()).deadline(PATIENT).build().unwrap();
    let error = cache.set("key", 1).await.unwrap_err();
    assert!(error.to_string().contains("is not an SQLite file"), "{error}");
    assert!(std::fs::read_to_string(&text).unwrap().starts_with("no database"));
}

#[test]
fn a_wrong_url_says_what_would_be_right() {
    let schemes = Schemes::new().register("sqlite", larder_sql::open);
    for (url, wanted) in [
        ("sqlite::memory:", "write memory: instead"),
        ("sqlite://:memory:", "write memory: instead"),
        ("sqlite:", "sqlite:///"),
        ("sqlite:///", "sqlite:///"),
        ("sqlite://cache.db", "sqlite:///"),
        ("sqlite:cache.db", "relative"),
        ("sqlite:///a/", "sqlite:///"),
        ("sqlite:///a%zz", "%25"),
        ("sqlite:///a.db?table=a;b", "letters, digits"),
        ("sqlite:///a.db?tabel=b", "did you mean \"table\"?"),
        ("sqlite:///a.db?max_entries=-1", "max_entries"),
    ] {
        let error = schemes.open(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        assert!(error.to_string().contains(wanted), "{url}: {error}");
    }
    schemes.open("sqlite:///a%20b.db?table=pages&max_entries=0").unwrap();
}
