//! The low-level cache over real backends. Names that begin with `ll_`, `to_`, `ver_`, `key_` and `dum_` are
//! lines of what Django's cache does; the others are promises of our own.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod django;
mod dummy;
mod fills;
mod invalidation;
mod keys;
mod plain;
mod times;

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Cache, CacheBuilder, DynBackend, ManualClock};
use larder_file::FileCache;
use larder_memory::Memory;
use tempfile::TempDir;

/// One store, and the hand of its clock.
#[derive(Clone)]
struct Stage {
    backend: DynBackend,
    hand: ManualClock,
    _directory: Option<Arc<TempDir>>,
}

impl Stage {
    fn memory() -> Self {
        let hand = ManualClock::new(1_700_000_000_000);
        Self { backend: DynBackend::new(Memory::new()), hand, _directory: None }
    }

    fn file() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let backend = DynBackend::new(FileCache::builder(directory.path()).build().unwrap());
        Self { backend, _directory: Some(Arc::new(directory)), ..Self::memory() }
    }

    fn plain() -> Self {
        Self { backend: DynBackend::new(plain::Plain::default()), ..Self::memory() }
    }

    /// Another alias on the same store.
    fn builder(&self) -> CacheBuilder {
        // A busy machine must not make a test fail.
        let patient = Duration::from_secs(60);
        Cache::builder(self.backend.clone()).clock(self.hand.clock()).deadline(patient)
    }

    fn cache(&self) -> Cache {
        self.builder().build().unwrap()
    }

    fn wait(&self, seconds: u64) {
        self.hand.advance(Duration::from_secs(seconds));
    }
}

/// Runs each test over each backend.
macro_rules! everywhere {
    ($($test:ident)+) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(crate::Stage::memory()).await; })+
        }
        mod plain {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(crate::Stage::plain()).await; })+
        }
        mod file {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(crate::Stage::file()).await; })+
        }
    };
}
use everywhere;
