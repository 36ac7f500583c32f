//! The SQL backend: the suite of every backend on each database, and what is its own.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod changes;
mod culling;
mod damage;
#[cfg(all(feature = "postgres", feature = "mysql"))]
mod faults;
#[cfg(all(feature = "postgres", feature = "mysql"))]
mod garbage;
mod many;
#[cfg(all(feature = "postgres", feature = "mysql"))]
mod private;
#[cfg(all(feature = "postgres", feature = "mysql"))]
mod servers;
mod sharing;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(all(feature = "postgres-tls", feature = "mysql-tls"))]
mod tls;
#[cfg(all(feature = "postgres", feature = "mysql"))]
mod transactions;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder_core::{Cache, CacheBuilder, ManualClock};
use larder_sql::{SqlCache, SqlCacheBuilder};
use tempfile::TempDir;

/// One table, and the hand of its clock.
#[derive(Clone)]
struct Stage {
    backend: SqlCache,
    hand: ManualClock,
    /// Settings of another handle on the same table.
    again: Arc<dyn Fn() -> SqlCacheBuilder + Send + Sync>,
    /// How many rows the table has.
    rows: Arc<dyn Fn() -> Counting + Send + Sync>,
    _directory: Option<Arc<TempDir>>,
}

type Counting = std::pin::Pin<Box<dyn Future<Output = i64> + Send>>;

impl Stage {
    fn new(again: impl Fn() -> SqlCacheBuilder + Send + Sync + 'static, directory: Option<TempDir>) -> Self {
        Self {
            rows: Arc::new(|| unreachable!("nobody counts the rows of this table")),
            backend: again().build().unwrap(),
            hand: ManualClock::new(1_700_000_000_000),
            again: Arc::new(again),
            _directory: directory.map(Arc::new),
        }
    }

    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    fn counting(mut self, rows: impl Fn() -> Counting + Send + Sync + 'static) -> Self {
        self.rows = Arc::new(rows);
        self
    }

    #[cfg(feature = "sqlite")]
    fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cache.db");
        let same = path.clone();
        let rows = move || {
            let rows = damage::sqlite_rows(&same, "larder_cache");
            Box::pin(async move { rows }) as Counting
        };
        Self::new(move || SqlCache::sqlite(&path), Some(directory)).counting(rows)
    }

    #[cfg(feature = "postgres")]
    fn postgres() -> Self {
        Self::postgres_table(&unique("larder_test"))
    }

    #[cfg(feature = "postgres")]
    fn postgres_table(table: &str) -> Self {
        let (url, table) = (larder_tests::env::postgres_url(), table.to_owned());
        let (same, at) = (url.clone(), table.clone());
        let rows = move || Box::pin(damage::postgres_rows(same.clone(), at.clone())) as Counting;
        Self::new(move || SqlCache::postgres(&url).unwrap().max_connections(4).table(&table), None)
            .counting(rows)
    }

    #[cfg(feature = "mysql")]
    fn mysql() -> Self {
        Self::mysql_table(&unique("larder_test"))
    }

    #[cfg(feature = "mysql")]
    fn mysql_table(table: &str) -> Self {
        let (url, table) = (larder_tests::env::mysql_url(), table.to_owned());
        let (same, at) = (url.clone(), table.clone());
        let rows = move || Box::pin(damage::mysql_rows(same.clone(), at.clone())) as Counting;
        Self::new(move || SqlCache::mysql(&url).unwrap().max_connections(4).table(&table), None)
            .counting(rows)
    }

    /// Another alias on the same store.
    fn builder(&self) -> CacheBuilder {
        self.over(self.backend.clone())
    }

    fn over(&self, backend: SqlCache) -> CacheBuilder {
        Cache::builder(backend).clock(self.hand.clock()).deadline(PATIENT)
    }

    fn cache(&self) -> Cache {
        self.builder().build().unwrap()
    }

    /// A cache that shares nothing with others but the table, as in another process.
    fn other(&self) -> Cache {
        self.over((self.again)().build().unwrap()).build().unwrap()
    }

    /// For the suite of every backend.
    fn suite(self) -> larder_testkit::Stage {
        let again = Arc::clone(&self.again);
        larder_testkit::Stage::opening(move || again().build().unwrap()).keeping(self)
    }

    fn wait(&self, seconds: u64) {
        self.hand.advance(Duration::from_secs(seconds));
    }
}

/// A busy machine must not make a test fail.
const PATIENT: Duration = Duration::from_secs(60);

/// Runs each test over each database.
macro_rules! everywhere {
    ($($test:ident)+) => {
        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(crate::Stage::sqlite()).await; })+
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(crate::Stage::postgres()).await; })+
        }
        #[cfg(feature = "mysql")]
        mod mysql {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(crate::Stage::mysql()).await; })+
        }
    };
}
use everywhere;

mod suite {
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    use crate::unique;
    use crate::{Stage, damage};

    larder_testkit::backend_suite! {
        #[cfg(feature = "sqlite")]
        sqlite => async {
            let stage = Stage::sqlite();
            let path = stage._directory.as_ref().unwrap().path().join("cache.db");
            stage.suite().rewriting(move |key, change| damage::sqlite(&path, "larder_cache", key, change))
        }
        #[cfg(feature = "postgres")]
        postgres => async {
            let (url, table) = (larder_tests::env::postgres_url(), unique("larder_test"));
            let stage = Stage::postgres_table(&table).suite();
            stage.rewriting(move |key, change| damage::postgres(&url, &table, key, change))
        }
        #[cfg(feature = "mysql")]
        mysql => async {
            let (url, table) = (larder_tests::env::mysql_url(), unique("larder_test"));
            let stage = Stage::mysql_table(&table).suite();
            stage.rewriting(move |key, change| damage::mysql(&url, &table, key, change))
        }
    }
}

/// A table of its own for each test.
fn unique(name: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{name}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
