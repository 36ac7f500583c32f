//! The Redis backend against servers of its own: the suite of every backend, and what is special here.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod backplane;
#[cfg(feature = "tls")]
#[path = "../../../../tests/src/certificates.rs"]
#[expect(unreachable_pub, reason = "the file is that of the end-to-end tests, where it is public")]
mod certificates;
#[cfg(feature = "cluster")]
mod cluster;
mod django;
#[cfg(feature = "cluster")]
mod failover;
mod faults;
#[cfg(feature = "cluster")]
mod nodes;
#[path = "../../../../tests/src/ports.rs"]
#[expect(unreachable_pub, reason = "the file is that of the end-to-end tests, where it is public")]
mod ports;
mod proxy;
mod replicas;
mod schedules;
mod sentinel;
mod server;
mod shared;
mod steps;
mod store;
#[cfg(feature = "tls")]
mod tls;
mod urls;

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Cache, CacheBuilder, DynBackend, ManualClock};
use larder_redis::{Redis, RedisBuilder};
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
        Self {
            backend: DynBackend::new(patient(&server).build().unwrap()),
            hand: ManualClock::new(1_700_000_000_000),
            server: Arc::new(server),
        }
    }

    /// Another alias on the same store.
    fn builder(&self) -> CacheBuilder {
        Cache::builder(self.backend.clone()).clock(self.hand.clock()).deadline(PATIENT)
    }

    fn cache(&self) -> Cache {
        self.builder().build().unwrap()
    }

    /// For the suite of every backend.
    fn suite(self) -> larder_testkit::Stage {
        let server = Arc::clone(&self.server);
        let open = move || patient(&server).build().unwrap();
        let (aged, damaged) = (Arc::clone(&self.server), Arc::clone(&self.server));
        let stage = larder_testkit::Stage::opening(open).aging(move |by| aged.age(by)).keeping(self.server);
        stage.rewriting(move |key, change| damaged.rewrite(&key.name(), change))
    }
}

/// A busy machine must not make a test fail.
const PATIENT: Duration = Duration::from_secs(60);

fn patient(server: &Server) -> RedisBuilder {
    Redis::unix_socket(server.socket()).connect_timeout(PATIENT).max_silence(PATIENT)
}

/// A cache with a store of its own there, as another process has.
fn beside(server: &Server) -> Cache {
    Cache::builder(patient(server).build().unwrap()).deadline(PATIENT).build().unwrap()
}

larder_testkit::backend_suite! {
    redis => async { Stage::new().suite() }
    #[cfg(feature = "cluster")]
    cluster_suite => async { shared::CLUSTER.stage() }
    replicas_suite => async { shared::REPLICAS.stage() }
}
