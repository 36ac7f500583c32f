//! Invalidation by the application's data, with the cache elsewhere.

mod crash;
mod listening;
mod outbox;
mod triggers;

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use larder_core::{Cache, ManualClock, Tag};
use larder_memory::Memory;
use larder_sql::changes::{Outbox, Pending};
use larder_testkit::{Faults, Faulty};
use rusqlite::Connection;
use sqlx::{AssertSqlSafe, MySqlPool, PgPool};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::{PATIENT, unique};

/// An application's database, with a table of its own and an outbox.
struct App {
    database: Database,
    table: String,
    outbox: Outbox,
    _directory: Option<TempDir>,
}

#[derive(Clone)]
enum Database {
    Postgres(PgPool),
    MySql(MySqlPool),
    Sqlite(PathBuf),
}

impl App {
    async fn postgres() -> Self {
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(12).acquire_timeout(PATIENT);
        let pool = pool.connect_lazy(&larder_tests::env::postgres_url()).unwrap();
        Self::new(Database::Postgres(pool.clone()), Outbox::postgres(&pool), None).await
    }

    async fn mysql() -> Self {
        let pool = sqlx::mysql::MySqlPoolOptions::new().max_connections(12).acquire_timeout(PATIENT);
        let pool = pool.connect_lazy(&larder_tests::env::mysql_url()).unwrap();
        Self::new(Database::MySql(pool.clone()), Outbox::mysql(&pool), None).await
    }

    async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("shop.db");
        drop(Connection::open(&path).unwrap());
        Self::new(Database::Sqlite(path.clone()), Outbox::sqlite(path), Some(directory)).await
    }

    async fn new(database: Database, outbox: Outbox, directory: Option<TempDir>) -> Self {
        let table = unique("course");
        let outbox = outbox.table(unique("out")).unwrap();
        outbox.create_table().await.unwrap();
        outbox.create_table().await.unwrap();
        let app = Self { database, table, outbox, _directory: directory };
        app.run(&format!("CREATE TABLE {} (id bigint, title varchar(200), school varchar(200))", app.table))
            .await;
        app
    }

    fn outbox_table(&self) -> String {
        let text = format!("{:?}", self.outbox);
        text.split('"').nth(1).unwrap().to_owned()
    }

    /// What any program might run.
    async fn run(&self, sql: &str) {
        self.try_run(sql).await.unwrap();
    }

    async fn try_run(&self, sql: &str) -> Result<(), String> {
        let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match &self.database {
            Database::Postgres(pool) => query.execute(pool).await.map(|_| ()).map_err(|e| e.to_string()),
            Database::MySql(pool) => query.execute(pool).await.map(|_| ()).map_err(|e| e.to_string()),
            Database::Sqlite(path) => lite(path).execute_batch(sql).map_err(|e| e.to_string()),
        }
    }

    /// Texts, sorted.
    async fn ask(&self, sql: &str) -> Vec<String> {
        let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        let mut all: Vec<String> = match &self.database {
            Database::Postgres(pool) => query.fetch_all(pool).await.unwrap(),
            Database::MySql(pool) => {
                sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(pool).await.unwrap()
            }
            Database::Sqlite(path) => {
                let shop = lite(path);
                let mut statement = shop.prepare(sql).unwrap();
                statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
            }
        };
        all.sort_unstable();
        all
    }

    /// The tags that wait in the outbox.
    async fn waiting(&self) -> Vec<String> {
        self.ask(&format!("SELECT tag FROM {}", self.outbox_table())).await
    }

    /// The same, and they are gone.
    async fn take(&self) -> Vec<String> {
        let mut waiting = self.waiting().await;
        waiting.dedup();
        self.run(&format!("DELETE FROM {}", self.outbox_table())).await;
        waiting
    }

    /// A transaction that changes the table and invalidates.
    async fn write(&self, tags: &[&str], commit: bool) -> Pending {
        let sql = format!("INSERT INTO {} (id) VALUES (7)", self.table);
        let tags = tags.iter().copied();
        macro_rules! within {
            ($pool:expr) => {{
                let mut tx = $pool.begin().await.unwrap();
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
                let pending = self.outbox.invalidate(&mut tx, tags).await.unwrap();
                if commit {
                    tx.commit().await.unwrap()
                } else {
                    tx.rollback().await.unwrap()
                }
                pending
            }};
        }
        match &self.database {
            Database::Postgres(pool) => within!(pool),
            Database::MySql(pool) => within!(pool),
            Database::Sqlite(path) => {
                let mut shop = lite(path);
                let tx = shop.transaction().unwrap();
                tx.execute_batch(&sql).unwrap();
                let pending = self.outbox.pending(tags).unwrap();
                for statement in pending.statements() {
                    tx.execute(statement.sql(), rusqlite::params_from_iter(statement.parameters())).unwrap();
                }
                if commit {
                    tx.commit().unwrap();
                } else {
                    tx.rollback().unwrap();
                }
                pending
            }
        }
    }

    /// A tag that gets into the outbox by hand.
    async fn by_hand(&self, tag: &str) {
        self.run(&format!("INSERT INTO {} (tag) VALUES ('{tag}')", self.outbox_table())).await;
    }
}

fn lite(path: &PathBuf) -> Connection {
    let shop = Connection::open(path).unwrap();
    shop.busy_timeout(PATIENT).unwrap();
    shop
}

/// A cache that can be made to fail, with no limit to its patience.
fn faulty() -> (Cache, Faults) {
    let backend = Faulty::over(Memory::new());
    let faults = backend.faults();
    let hand = ManualClock::new(1_700_000_000_000);
    (Cache::builder(backend).clock(hand.clock()).build().unwrap(), faults)
}

fn memory() -> Cache {
    Cache::new(Memory::new())
}

/// A value under each of these tags.
async fn fill(cache: &Cache, tags: &[&str]) {
    for tag in tags {
        cache.set(tag, *tag).tags([*tag]).await.unwrap();
    }
}

/// A value under the tag `course:7` that is being made.
struct Slow {
    go_on: oneshot::Sender<()>,
    made: JoinHandle<()>,
}

impl Slow {
    async fn begin(cache: &Cache, key: &'static str) -> Self {
        let (go_on, goes_on) = oneshot::channel();
        let (begun, begins) = oneshot::channel();
        let cache = cache.clone();
        let make = || async {
            begun.send(()).unwrap();
            goes_on.await.unwrap();
            "value".to_owned()
        };
        let made = tokio::spawn(async move {
            cache.get_or_set(key, make).tags(["course:7"]).await.unwrap();
        });
        begins.await.unwrap();
        Self { go_on, made }
    }

    async fn end(self) {
        self.go_on.send(()).unwrap();
        self.made.await.unwrap();
    }
}

async fn has(cache: &Cache, tag: &str) -> bool {
    cache.get::<String>(tag).await.unwrap().is_some()
}

fn texts(tags: &[Tag]) -> Vec<&str> {
    tags.iter().map(Tag::as_str).collect()
}

/// Waits for what another task or process does.
async fn until<F: Future<Output = bool>>(mut done: impl FnMut() -> F) {
    let waited = tokio::time::timeout(PATIENT, async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("it never came");
}

/// Runs each test over each database.
macro_rules! each {
    ($($test:ident)+) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(crate::changes::App::sqlite().await).await; })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(crate::changes::App::postgres().await).await; })+
        }
        mod mysql {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(crate::changes::App::mysql().await).await; })+
        }
    };
}
use each;
