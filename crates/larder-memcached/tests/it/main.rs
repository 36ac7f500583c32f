//! The Memcached backend over real servers: core's low-level suite, and what is Memcached's own.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod cancelled;
#[path = "../../../larder-core/tests/low_level/django.rs"]
mod django;
#[path = "../../../larder-core/tests/low_level/fills.rs"]
mod fills;
mod garbage;
#[path = "../../../larder-core/tests/low_level/invalidation.rs"]
mod invalidation;
#[path = "../../../larder-core/tests/low_level/keys.rs"]
mod keys;
mod loss;
mod proxy;
mod servers;
mod spread;
#[path = "../../../larder-core/tests/low_level/times.rs"]
mod times;
mod urls;
mod values;

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Cache, CacheBuilder, ManualClock};
use larder_memcached::Memcached;
use servers::Server;

/// One store, and the hand of its clock.
#[derive(Clone)]
struct Stage {
    backend: Memcached,
    hand: ManualClock,
    servers: Arc<Vec<Server>>,
}

impl Stage {
    fn on(servers: usize) -> Self {
        let servers: Vec<Server> = (0..servers).map(|_| Server::start()).collect();
        let addresses = servers.iter().map(Server::address);
        let backend = Memcached::builder(addresses).max_silence(PATIENT).build().unwrap();
        Self { backend, hand: ManualClock::new(1_700_000_000_000), servers: Arc::new(servers) }
    }

    /// Another alias on the same store.
    fn builder(&self) -> CacheBuilder {
        Cache::builder(self.backend.clone()).clock(self.hand.clock()).deadline(PATIENT)
    }

    fn cache(&self) -> Cache {
        self.builder().build().unwrap()
    }

    fn wait(&self, seconds: u64) {
        self.hand.advance(Duration::from_secs(seconds));
    }
}

/// A busy machine must not make a test fail.
const PATIENT: Duration = Duration::from_secs(60);

/// Runs each test over one server and over three.
macro_rules! everywhere {
    ($($test:ident)+) => {
        mod one_server {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(crate::Stage::on(1)).await; })+
        }
        mod three_servers {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(crate::Stage::on(3)).await; })+
        }
    };
}
use everywhere;
