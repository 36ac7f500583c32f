//! The Redis backend against servers of its own: core's suite of the low-level cache, and what is special here.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "../../../larder-core/tests/low_level/django.rs"]
mod django;
#[path = "../../../larder-core/tests/low_level/fills.rs"]
mod fills;
#[path = "../../../larder-core/tests/low_level/invalidation.rs"]
mod invalidation;
#[path = "../../../larder-core/tests/low_level/keys.rs"]
mod keys;
#[path = "../../../larder-core/tests/low_level/times.rs"]
mod times;

mod faults;
mod sentinel;
mod server;
mod steps;
mod store;
#[cfg(feature = "tls")]
mod tls;
mod urls;

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Cache, CacheBuilder, DynBackend, ManualClock};
use larder_redis::Redis;
use server::Server;

/// One store, and the hand of its clock.
#[derive(Clone)]
struct Stage {
    backend: DynBackend,
    hand: ManualClock,
    server: Arc<Server>,
}

impl Stage {
    fn new() -> Self {
        let server = Server::start();
        let redis = Redis::unix_socket(server.socket());
        // A busy machine must not make a test fail.
        let patient = Duration::from_secs(60);
        let redis = redis.connect_timeout(patient).max_silence(patient).build().unwrap();
        Self {
            backend: DynBackend::new(redis),
            hand: ManualClock::new(1_700_000_000_000),
            server: Arc::new(server),
        }
    }

    /// Another alias on the same store.
    fn builder(&self) -> CacheBuilder {
        let patient = Duration::from_secs(60);
        Cache::builder(self.backend.clone()).clock(self.hand.clock()).deadline(patient)
    }

    fn cache(&self) -> Cache {
        self.builder().build().unwrap()
    }

    fn wait(&self, seconds: u64) {
        let by = Duration::from_secs(seconds);
        self.hand.advance(by);
        self.server.age(by);
    }
}

/// Runs each test of core's suite.
macro_rules! everywhere {
    ($($test:ident)+) => {
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(crate::Stage::new()).await; })+
        }
    };
}
use everywhere;
