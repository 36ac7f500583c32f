//! Values and invalidations that come with the application's own transactions.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use larder_core::{Backend, Cache, Codec, ErrorKind, Space, Ttl};
use larder_sql::{InTransaction, SqlCache};
use sqlx::{AssertSqlSafe, MySql, MySqlPool, PgPool, Postgres, Transaction};

use crate::{PATIENT, Stage, unique};

/// An application with a table of its own in the cache's database, of one row with one number.
#[derive(Clone)]
struct App {
    pool: Pool,
    table: String,
    stage: Stage,
    cache_table: String,
}

#[derive(Clone)]
enum Pool {
    Postgres(PgPool),
    MySql(MySqlPool),
}

enum Tx {
    Postgres(Transaction<'static, Postgres>),
    MySql(Transaction<'static, MySql>),
}

/// The same on each kind of transaction.
macro_rules! on {
    ($tx:expr, |$it:ident| $run:expr) => {
        match &mut $tx {
            Tx::Postgres($it) => $run,
            Tx::MySql($it) => $run,
        }
    };
}

impl App {
    async fn new(pool: Pool) -> Self {
        let (table, cache_table) = (unique("app"), unique("larder_test"));
        let again = {
            let (pool, cache_table) = (pool.clone(), cache_table.clone());
            move || match &pool {
                Pool::Postgres(pool) => SqlCache::from_pool(pool.clone()).table(&cache_table),
                Pool::MySql(pool) => SqlCache::from_pool(pool.clone()).table(&cache_table),
            }
        };
        let app = Self { pool, table, stage: Stage::new(again, None), cache_table };
        for statement in [
            format!("CREATE TABLE {} (n bigint)", app.table),
            format!("INSERT INTO {} VALUES (0)", app.table),
        ] {
            let query = sqlx::raw_sql(AssertSqlSafe(statement));
            let done = match &app.pool {
                Pool::Postgres(pool) => query.execute(pool).await.map(|_| ()),
                Pool::MySql(pool) => query.execute(pool).await.map(|_| ()),
            };
            done.unwrap();
        }
        app
    }

    async fn postgres() -> Self {
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(12).acquire_timeout(PATIENT);
        Self::new(Pool::Postgres(pool.connect_lazy(&larder_tests::env::postgres_url()).unwrap())).await
    }

    async fn mysql() -> Self {
        let pool = sqlx::mysql::MySqlPoolOptions::new().max_connections(12).acquire_timeout(PATIENT);
        Self::new(Pool::MySql(pool.connect_lazy(&larder_tests::env::mysql_url()).unwrap())).await
    }

    async fn begin(&self) -> Tx {
        match &self.pool {
            Pool::Postgres(pool) => Tx::Postgres(pool.begin().await.unwrap()),
            Pool::MySql(pool) => Tx::MySql(pool.begin().await.unwrap()),
        }
    }

    /// The number as whoever asks outside of a transaction sees it.
    async fn number(&self) -> i64 {
        let text = AssertSqlSafe(format!("SELECT n FROM {}", self.table));
        match &self.pool {
            Pool::Postgres(pool) => sqlx::query_scalar(text).fetch_one(pool).await.unwrap(),
            Pool::MySql(pool) => sqlx::query_scalar(text).fetch_one(pool).await.unwrap(),
        }
    }

    /// How many invalidations are still to be folded.
    async fn notes(&self) -> i64 {
        let table = &self.cache_table;
        let text = AssertSqlSafe(format!(
            "SELECT count(*) FROM {table} WHERE name >= ':outbox:' AND name < ':outbox;'"
        ));
        match &self.pool {
            Pool::Postgres(pool) => sqlx::query_scalar(text).fetch_one(pool).await.unwrap(),
            Pool::MySql(pool) => sqlx::query_scalar(text).fetch_one(pool).await.unwrap(),
        }
    }

    async fn join(&self, tx: &mut Tx) -> InTransaction {
        let (sql, cache) = (&self.stage.backend, self.stage.cache());
        on!(*tx, |tx| sql.in_transaction(&cache, tx).await.unwrap())
    }

    /// Adds one and invalidates, without tidying up.
    async fn add(&self, tags: &[&str]) -> InTransaction {
        let mut tx = self.begin().await;
        let mut cached = self.join(&mut tx).await;
        tx.run(&format!("UPDATE {} SET n = n + 1", self.table)).await;
        on!(tx, |tx| cached.invalidate(tx, tags.iter().copied()).await.unwrap());
        tx.commit().await;
        cached
    }
}

impl Tx {
    async fn run(&mut self, statement: &str) {
        let query = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
        let done = match self {
            Self::Postgres(tx) => query.execute(&mut **tx).await.map(|_| ()),
            Self::MySql(tx) => query.execute(&mut **tx).await.map(|_| ()),
        };
        done.unwrap();
    }

    async fn number(&mut self, app: &App) -> i64 {
        let text = AssertSqlSafe(format!("SELECT n FROM {}", app.table));
        match self {
            Self::Postgres(tx) => sqlx::query_scalar(text).fetch_one(&mut **tx).await.unwrap(),
            Self::MySql(tx) => sqlx::query_scalar(text).fetch_one(&mut **tx).await.unwrap(),
        }
    }

    async fn commit(self) {
        match self {
            Self::Postgres(tx) => tx.commit().await.unwrap(),
            Self::MySql(tx) => tx.commit().await.unwrap(),
        }
    }

    async fn rollback(self) {
        match self {
            Self::Postgres(tx) => tx.rollback().await.unwrap(),
            Self::MySql(tx) => tx.rollback().await.unwrap(),
        }
    }
}

/// Runs each test on each server.
macro_rules! on_both {
    ($($test:ident)+) => {
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(super::App::postgres().await).await; })+
        }
        mod mysql {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(super::App::mysql().await).await; })+
        }
    };
}

on_both! {
    the_commit_invalidates_in_every_handle_and_nobody_waits_before_it
    a_rollback_leaves_all_as_it_was
    what_was_done_behind_a_savepoint_goes_with_it_and_the_rest_stays
    a_value_is_there_with_the_commit_and_stays_when_it_is_tidied_up
    a_value_under_a_tag_that_is_invalidated_afterwards_is_not_served
    a_value_that_was_made_before_others_invalidated_its_tag_is_removed
    a_value_made_of_an_old_picture_of_the_database_is_not_served
    a_fill_that_is_under_way_at_the_commit_is_not_served
    a_request_after_the_commit_joins_no_fill_from_before
    tidying_up_changes_nothing_that_anybody_sees
    what_nobody_tidied_up_is_tidied_up_by_who_reads_later
    more_invalidations_than_a_read_heeds_hold_all_the_same
    a_tag_that_is_named_twice_is_invalidated_and_none_at_all_moves_the_fence
    clearing_and_transactions_go_together
    a_record_that_expired_is_begun_anew
    who_reads_after_a_commit_never_sees_what_was_before
    a_long_key_and_a_removal_and_a_version_and_no_time_at_all
    bytes_are_stored_as_the_cache_would
}

async fn the_commit_invalidates_in_every_handle_and_nobody_waits_before_it(app: App) {
    let (a, b) = (app.stage.cache(), app.stage.other());
    a.set("key", 1).tags(["t"]).await.unwrap();
    a.set("other", 1).tags(["u"]).await.unwrap();
    let mut tx = app.begin().await;
    let mut cached = app.join(&mut tx).await;
    on!(tx, |tx| cached.invalidate(tx, ["t"]).await.unwrap());
    assert_eq!(b.get("key").await.unwrap(), Some(1), "it is not committed");
    // None of these waits for the transaction: they would time out.
    let quick = app.stage.builder().deadline(Duration::from_secs(20)).build().unwrap();
    quick.invalidate(["t"]).await.unwrap();
    quick.set("key", 2).tags(["t"]).await.unwrap();
    assert_eq!(b.get("key").await.unwrap(), Some(2));
    tx.commit().await;
    for cache in [&a, &b] {
        assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
        assert_eq!(cache.get("other").await.unwrap(), Some(1), "other tags stay");
    }
    drop(cached);
    b.set("key", 3).tags(["t"]).await.unwrap();
    assert_eq!(a.get("key").await.unwrap(), Some(3), "what is stored afterwards counts");
}

async fn a_rollback_leaves_all_as_it_was(app: App) {
    let cache = app.stage.cache();
    cache.set("key", 1).tags(["t"]).await.unwrap();
    let mut tx = app.begin().await;
    let mut cached = app.join(&mut tx).await;
    on!(tx, |tx| cached.set(tx, "new", &1).tags(["n"]).await.unwrap());
    on!(tx, |tx| cached.set(tx, "key", &2).tags(["t"]).await.unwrap());
    on!(tx, |tx| cached.invalidate(tx, ["t"]).await.unwrap());
    on!(tx, |tx| assert!(cached.remove(tx, "key").await.unwrap()));
    tx.rollback().await;
    assert_eq!(cache.get("key").await.unwrap(), Some(1));
    assert_eq!(cache.get::<u8>("new").await.unwrap(), None);
    cached.after_commit().await.unwrap();
    assert_eq!(cache.get("key").await.unwrap(), Some(1), "there was nothing to tidy up");
}

async fn what_was_done_behind_a_savepoint_goes_with_it_and_the_rest_stays(app: App) {
    let (cache, other) = (app.stage.cache(), app.stage.other());
    for tag in ["before", "behind", "kept", "after"] {
        cache.set(tag, 1).tags([tag]).await.unwrap();
    }
    let mut tx = app.begin().await;
    let mut cached = app.join(&mut tx).await;
    on!(tx, |tx| cached.invalidate(tx, ["before"]).await.unwrap());
    tx.run("SAVEPOINT one").await;
    on!(tx, |tx| cached.invalidate(tx, ["behind"]).await.unwrap());
    on!(tx, |tx| cached.set(tx, "new", &2).await.unwrap());
    tx.run("SAVEPOINT two").await;
    on!(tx, |tx| cached.set(tx, "kept", &2).tags(["kept"]).await.unwrap());
    tx.run("ROLLBACK TO SAVEPOINT one").await;
    tx.run("SAVEPOINT three").await;
    on!(tx, |tx| cached.invalidate(tx, ["after"]).await.unwrap());
    tx.run("RELEASE SAVEPOINT three").await;
    on!(tx, |tx| cached.set(tx, "plain", &3).await.unwrap());
    tx.commit().await;
    for tidied in [false, true] {
        for cache in [&cache, &other] {
            let mut left = Vec::new();
            for key in ["before", "behind", "new", "kept", "after", "plain"] {
                left.push(cache.get::<u8>(key).await.unwrap());
            }
            assert_eq!(left, [None, Some(1), None, Some(1), None, Some(3)], "tidied up: {tidied}");
        }
        if !tidied {
            let again = app.join(&mut app.begin().await).await;
            std::mem::replace(&mut cached, again).after_commit().await.unwrap();
        }
    }
}

async fn a_value_is_there_with_the_commit_and_stays_when_it_is_tidied_up(app: App) {
    let (cache, other) = (app.stage.cache(), app.stage.other());
    cache.set("key", 1).tags(["t"]).await.unwrap();
    let mut tx = app.begin().await;
    let mut cached = app.join(&mut tx).await;
    on!(tx, |tx| cached.invalidate(tx, ["t"]).await.unwrap());
    on!(tx, |tx| cached.set(tx, "key", &2).timeout(60).tags(["t", "new", ""]).await.unwrap());
    on!(tx, |tx| cached.set(tx, "plain", &3).await.unwrap());
    assert_eq!(other.get("key").await.unwrap(), Some(1));
    assert_eq!(other.get::<u8>("plain").await.unwrap(), None);
    tx.commit().await;
    for tidied in [false, true] {
        assert_eq!(other.get("key").await.unwrap(), Some(2), "tidied up: {tidied}");
        assert_eq!(other.get("plain").await.unwrap(), Some(3), "tidied up: {tidied}");
        if !tidied {
            assert_eq!(app.notes().await, 1);
            let folded = std::mem::replace(&mut cached, app.join(&mut app.begin().await).await);
            folded.after_commit().await.unwrap();
            assert_eq!(app.notes().await, 0);
        }
    }
    assert_eq!(other.ttl("key").await.unwrap(), Ttl::Left(Duration::from_secs(60)));
    cache.invalidate(["new"]).await.unwrap();
    assert_eq!(other.get::<u8>("key").await.unwrap(), None);
    app.stage.wait(300);
    assert_eq!(other.get::<u8>("plain").await.unwrap(), None, "the cache's own timeout");
}

async fn a_value_under_a_tag_that_is_invalidated_afterwards_is_not_served(app: App) {
    let cache = app.stage.cache();
    let mut tx = app.begin().await;
    let mut cached = app.join(&mut tx).await;
    on!(tx, |tx| cached.set(tx, "key", &1).tags(["t"]).await.unwrap());
    on!(tx, |tx| cached.invalidate(tx, ["t"]).await.unwrap());
    tx.commit().await;
    assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
    cached.after_commit().await.unwrap();
    assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
}

async fn a_value_that_was_made_before_others_invalidated_its_tag_is_removed(app: App) {
    let cache = app.stage.cache();
    for tag in ["known", "unknown"] {
        cache.set("key", 1).await.unwrap();
        if tag == "known" {
            cache.set("another", 1).tags([tag]).await.unwrap();
        }
        let mut tx = app.begin().await;
        let mut cached = app.join(&mut tx).await;
        // Here it reads what it makes the value of. Then:
        cache.invalidate([tag]).await.unwrap();
        on!(tx, |tx| cached.set(tx, "key", &2).tags([tag]).await.unwrap());
        tx.commit().await;
        assert_eq!(cache.get::<u8>("key").await.unwrap(), None, "{tag}");
    }
}

async fn a_value_made_of_an_old_picture_of_the_database_is_not_served(app: App) {
    let cache = app.stage.cache();
    for tag in ["known", "unknown"] {
        if tag == "known" {
            cache.set("another", 1).tags([tag]).await.unwrap();
        }
        cache.set("key", 1).await.unwrap();
        let mut tx = app.begin().await;
        if matches!(tx, Tx::Postgres(_)) {
            // It is what MySQL does anyway.
            tx.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await;
        }
        let before = tx.number(&app).await;
        // Another one changes what was read and says so; this one will never see it.
        app.add(&[tag]).await;
        let mut cached = app.join(&mut tx).await;
        assert_eq!(tx.number(&app).await, before);
        let set = on!(tx, |tx| cached.set(tx, "key", &before).tags([tag]).await);
        // PostgreSQL may refuse it altogether.
        if set.is_ok() {
            tx.commit().await;
        } else {
            tx.rollback().await;
            cache.delete("key").await.unwrap();
        }
        assert_eq!(cache.get::<i64>("key").await.unwrap(), None, "{tag}");
    }
}

async fn a_fill_that_is_under_way_at_the_commit_is_not_served(app: App) {
    let (cache, other) = (app.stage.cache(), app.stage.other());
    // A tag that is known at the beginning, and one that is learned at the end.
    let made = cache.get_or_set("key", || async {
        let read = app.number().await;
        app.add(&["t"]).await;
        read
    });
    assert_eq!(made.tags(["t"]).await.unwrap(), 0);
    assert_eq!(other.get::<i64>("key").await.unwrap(), None);
    let (space, now) = (Space::default(), app.stage.hand.now());
    for tag in ["t", "new"] {
        let fill = app.stage.backend.begin(&space, &[], now).await.unwrap();
        app.add(&[tag]).await;
        let sealed = app.stage.backend.seal(&space, &fill, &[tag.into()], None, now).await.unwrap();
        assert!(sealed.is_none(), "{tag}");
    }
}

async fn a_request_after_the_commit_joins_no_fill_from_before(app: App) {
    let cache = app.stage.cache();
    let (inside, outside) = (tokio::sync::Barrier::new(2), tokio::sync::Barrier::new(2));
    let first = cache.get_or_set("key", || async {
        let read = app.number().await;
        inside.wait().await;
        outside.wait().await;
        read
    });
    let second = async {
        inside.wait().await;
        app.add(&["t"]).await;
        let made = cache.get_or_set("key", || app.number()).tags(["t"]).await.unwrap();
        outside.wait().await;
        made
    };
    let both = async { tokio::join!(first.tags(["t"]), second) };
    let (first, second) =
        tokio::time::timeout(PATIENT, both).await.expect("it waits for the fill from before");
    assert_eq!((first.unwrap(), second), (0, 1));
    assert_eq!(cache.get_or_set("key", || app.number()).await.unwrap(), 1);
}

async fn tidying_up_changes_nothing_that_anybody_sees(app: App) {
    let (cache, other) = (app.stage.cache(), app.stage.other());
    let (space, now) = (Space::default(), app.stage.hand.now());
    cache.set("before", 1).tags(["t"]).await.unwrap();
    let (one, two) = (app.add(&["t", "u"]).await, app.add(&["t"]).await);
    cache.set("between", 2).tags(["t", "u"]).await.unwrap();
    let fill = app.stage.backend.begin(&space, &["t".into()], now).await.unwrap();
    for (tidied, cached) in [Some(one), Some(two), None].into_iter().enumerate() {
        assert_eq!(app.notes().await, 2 - tidied as i64);
        assert_eq!(other.get::<u8>("before").await.unwrap(), None, "tidied up: {tidied}");
        assert_eq!(other.get("between").await.unwrap(), Some(2), "tidied up: {tidied}");
        assert_eq!(app.stage.backend.begin(&space, &[], now).await.unwrap().fence(), fill.fence());
        if let Some(cached) = cached {
            cached.after_commit().await.unwrap();
        }
    }
    let sealed = app.stage.backend.seal(&space, &fill, &["late".into()], None, now).await.unwrap();
    assert!(sealed.is_some(), "nothing was invalidated since it began");
}

async fn what_nobody_tidied_up_is_tidied_up_by_who_reads_later(app: App) {
    let other = app.stage.other();
    other.set("key", 1).tags(["t"]).await.unwrap();
    drop(app.add(&["t"]).await);
    assert_eq!(other.get::<u8>("key").await.unwrap(), None);
    assert_eq!(app.notes().await, 1, "its writer still has a moment to do it");
    app.stage.wait(2);
    let late = Instant::now() + PATIENT;
    while app.notes().await > 0 {
        assert!(Instant::now() < late, "nobody does it");
        assert_eq!(other.get::<u8>("key").await.unwrap(), None);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(other.get::<u8>("key").await.unwrap(), None);
}

async fn more_invalidations_than_a_read_heeds_hold_all_the_same(app: App) {
    let other = app.stage.other();
    for i in 0..250 {
        if i % 50 == 0 || i > 246 {
            other.set(&format!("key{i}"), i).tags([format!("t{i}")]).await.unwrap();
        }
    }
    let mut tx = app.begin().await;
    let mut cached = app.join(&mut tx).await;
    for i in 0..250 {
        on!(tx, |tx| cached.invalidate(tx, [format!("t{i}")]).await.unwrap());
    }
    // One that is about more records than one note takes.
    on!(tx, |tx| cached.invalidate(tx, (300..900).map(|i| format!("t{i}"))).await.unwrap());
    tx.commit().await;
    for i in [0, 50, 100, 150, 200, 247, 248, 249] {
        assert_eq!(other.get::<u8>(&format!("key{i}")).await.unwrap(), None, "{i}");
    }
    assert!(app.notes().await <= 100, "{} are left", app.notes().await);
    other.set("key", 1).tags(["t7", "t899"]).await.unwrap();
    assert_eq!(app.stage.cache().get("key").await.unwrap(), Some(1));
    drop(cached);
}

async fn a_tag_that_is_named_twice_is_invalidated_and_none_at_all_moves_the_fence(app: App) {
    let cache = app.stage.cache();
    cache.set("key", 1).tags(["t"]).await.unwrap();
    let fence = async || app.stage.backend.begin(&Space::default(), &[], 0).await.unwrap().fence();
    let before = fence().await;
    drop(app.add(&["t", "t"]).await);
    assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
    let between = fence().await;
    drop(app.add(&[]).await);
    assert!(before != between && between != fence().await);
}

async fn clearing_and_transactions_go_together(app: App) {
    let (cache, other) = (app.stage.cache(), app.stage.other());
    cache.set("key", 1).tags(["t"]).await.unwrap();
    let cached = app.add(&["t"]).await;
    other.clear().await.unwrap();
    cache.set("key", 2).tags(["t"]).await.unwrap();
    assert_eq!(other.get("key").await.unwrap(), Some(2));
    cached.after_commit().await.unwrap();
    assert_eq!(other.get("key").await.unwrap(), Some(2), "it was stored after all that");
    // Within the transaction the namespace is cleared by somebody else.
    let mut tx = app.begin().await;
    let mut cached = app.join(&mut tx).await;
    other.clear().await.unwrap();
    on!(tx, |tx| cached.set(tx, "key", &3).await.unwrap());
    tx.commit().await;
    assert_eq!(other.get::<u8>("key").await.unwrap(), None, "it began before");
}

async fn a_record_that_expired_is_begun_anew(app: App) {
    let cache = app.stage.cache();
    cache.set("key", 1).timeout(60).tags(["t"]).await.unwrap();
    app.stage.wait(100_000);
    let mut tx = app.begin().await;
    let mut cached = app.join(&mut tx).await;
    on!(tx, |tx| cached.set(tx, "key", &2).timeout(200_000).tags(["t"]).await.unwrap());
    tx.commit().await;
    assert_eq!(cache.get("key").await.unwrap(), Some(2));
    app.stage.wait(150_000);
    assert_eq!(cache.get("key").await.unwrap(), Some(2), "the tag's record lives as long");
    // Also where the record is there, and would expire earlier.
    let mut tx = app.begin().await;
    let mut cached = app.join(&mut tx).await;
    on!(tx, |tx| cached.set(tx, "key", &3).timeout(900_000).tags(["t"]).await.unwrap());
    tx.commit().await;
    app.stage.wait(800_000);
    assert_eq!(cache.get("key").await.unwrap(), Some(3));
}

/// G4, with all that there is at once.
async fn who_reads_after_a_commit_never_sees_what_was_before(app: App) {
    let app = Arc::new(app);
    let committed = Arc::new(AtomicI64::new(0));
    let mut tasks = Vec::new();
    for writer in 0..2 {
        let (app, committed) = (Arc::clone(&app), Arc::clone(&committed));
        tasks.push(tokio::spawn(async move {
            for i in 0..25 {
                let mut tx = app.begin().await;
                let mut cached = app.join(&mut tx).await;
                tx.run(&format!("UPDATE {} SET n = n + 1", app.table)).await;
                let number = tx.number(&app).await;
                on!(tx, |tx| cached.invalidate(tx, ["t", "u"]).await.unwrap());
                tx.commit().await;
                committed.fetch_max(number, SeqCst);
                match (i + writer) % 3 {
                    0 => cached.after_commit().await.unwrap(),
                    1 => app.stage.cache().invalidate(["u"]).await.unwrap(),
                    _ => drop(cached),
                }
            }
        }));
    }
    for reader in 0..4 {
        let (app, committed) = (Arc::clone(&app), Arc::clone(&committed));
        let cache: Cache = if reader % 2 == 0 { app.stage.cache() } else { app.stage.other() };
        tasks.push(tokio::spawn(async move {
            while committed.load(SeqCst) < 50 {
                let least = committed.load(SeqCst);
                let seen = cache.get_or_set("number", || app.number()).tags(["t"]).await.unwrap();
                assert!(seen >= least, "{seen} was served after {least} was committed");
                app.stage.hand.advance(Duration::from_millis(20));
            }
        }));
    }
    // Who waits for another's lease waits by this clock.
    let hand = app.stage.hand.clone();
    let ticking = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            hand.advance(Duration::from_millis(20));
        }
    });
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(app.number().await, 50);
    assert_eq!(app.stage.cache().get_or_set("number", || app.number()).tags(["t"]).await.unwrap(), 50);
    ticking.abort();
}

async fn a_long_key_and_a_removal_and_a_version_and_no_time_at_all(app: App) {
    let cache = app.stage.cache();
    let long = "x".repeat(3000);
    let mut tx = app.begin().await;
    let mut cached = app.join(&mut tx).await;
    on!(tx, |tx| cached.set(tx, &long, &1).await.unwrap());
    on!(tx, |tx| cached.set(tx, "key", &2).version(7).await.unwrap());
    on!(tx, |tx| cached.set(tx, "gone", &3).await.unwrap());
    on!(tx, |tx| cached.set(tx, "gone", &4).timeout(0).await.unwrap());
    on!(tx, |tx| assert!(!cached.remove(tx, "gone").await.unwrap()));
    tx.commit().await;
    assert_eq!(cache.get(&long).await.unwrap(), Some(1));
    assert_eq!(cache.get("key").version(7).await.unwrap(), Some(2));
    assert_eq!(cache.get::<u8>("gone").await.unwrap(), None);
    assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
}

async fn bytes_are_stored_as_the_cache_would(app: App) {
    let cache = app.stage.builder().codec(Codec::Raw).build().unwrap();
    let mut tx = app.begin().await;
    let mut cached = on!(tx, |tx| app.stage.backend.in_transaction(&cache, tx).await.unwrap());
    // With the first of these bytes compressed values begin.
    let value = vec![0xc1, 0, 7, 0xff];
    on!(tx, |tx| cached.set(tx, "key", &value).await.unwrap());
    tx.commit().await;
    assert_eq!(cache.get::<Vec<u8>>("key").await.unwrap(), Some(value));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_another_database_is_refused() {
    let (postgres, mysql) = (App::postgres().await, App::mysql().await);
    let Tx::MySql(mut tx) = mysql.begin().await else { panic!("MySQL's") };
    let error = postgres.stage.backend.in_transaction(&postgres.stage.cache(), &mut tx).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let error = mysql.stage.backend.in_transaction(&postgres.stage.cache(), &mut tx).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("postgres"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_applications_pool_stays_open_when_the_cache_is_closed() {
    let app = App::postgres().await;
    let cache = app.stage.cache();
    cache.set("key", 1).await.unwrap();
    cache.close().await.unwrap();
    assert_eq!(app.number().await, 0);
    assert_eq!(cache.get("key").await.unwrap(), Some(1));
}
