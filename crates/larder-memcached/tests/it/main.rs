//! The Memcached backend over real servers: the suite of every backend, and what is Memcached's own.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod cancelled;
mod emptied;
mod garbage;
mod loss;
mod proxy;
mod schedules;
mod servers;
mod spread;
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

    /// For the suite of every backend.
    fn suite(self) -> larder_testkit::Stage {
        let addresses: Vec<String> = self.servers.iter().map(Server::address).collect();
        let open = move || Memcached::builder(&addresses).max_silence(PATIENT).build().unwrap();
        let servers = Arc::clone(&self.servers);
        let stage = larder_testkit::Stage::opening(open).keeping(self.servers);
        stage.rewriting(move |key, change| {
            let name = key.name();
            servers.iter().find(|server| server.has(&name)).unwrap().rewrite(&name, change);
        })
    }
}

/// A busy machine must not make a test fail.
const PATIENT: Duration = Duration::from_secs(60);

larder_testkit::backend_suite! {
    one_server => async { Stage::on(1).suite() }
    three_servers => async { Stage::on(3).suite() }
}
