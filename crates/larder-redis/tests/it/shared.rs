//! Servers that take long to come up, so that the tests of the suite share them, one after another: those that `cargo xtask test` started, or else some
//! of this process. Each test finds them empty.

use std::fs::File;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use larder_core::{Key, Schemes};
use larder_redis::Redis;
use redis::{Client, Connection};

#[cfg(feature = "cluster")]
use crate::nodes::Nodes;
use crate::server::Server;

/// Some primaries that are used together.
pub(crate) struct Shared {
    url: String,
    primaries: Vec<u16>,
}

/// A Cluster of three primaries.
#[cfg(feature = "cluster")]
pub(crate) static CLUSTER: LazyLock<Shared> = LazyLock::new(|| {
    Shared::given("LARDER_TEST_REDIS_CLUSTER_URL").unwrap_or_else(|| {
        let nodes = Nodes::start();
        let places: Vec<String> = nodes.0.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        Shared::own(format!("redis+cluster://{}", places.join(",")), nodes.0)
    })
});

/// A primary with two replicas.
pub(crate) static REPLICAS: LazyLock<Shared> = LazyLock::new(|| {
    Shared::given("LARDER_TEST_REDIS_REPLICAS_URL").unwrap_or_else(|| {
        let (primary, replicas) = replicated(2);
        let places: Vec<String> =
            replicas.iter().map(|replica| format!("127.0.0.1:{}", replica.port())).collect();
        let url = format!("redis://127.0.0.1:{}/0?replicas={}", primary.port(), places.join(","));
        Shared::own(url, std::iter::once(primary).chain(replicas).collect())
    })
});

/// A primary and so many replicas that follow it.
pub(crate) fn replicated(count: usize) -> (Server, Vec<Server>) {
    let primary = Server::with(&["--repl-diskless-sync-delay", "0"]);
    let port = primary.port().to_string();
    let replicas: Vec<Server> =
        (0..count).map(|_| Server::with(&["--replicaof", "127.0.0.1", &port])).collect();
    let follows = |replica: &Server| replica.cli(&["INFO", "replication"]).contains("master_link_status:up");
    while !replicas.iter().all(follows) {
        std::thread::sleep(Duration::from_millis(10));
    }
    (primary, replicas)
}

impl Shared {
    fn given(name: &str) -> Option<Self> {
        let url = std::env::var(name).ok().filter(|url| !url.is_empty())?;
        let place = url.split("://").nth(1).unwrap().split(['/', '?']).next().unwrap();
        let primaries = place.split(',').map(|one| one.rsplit(':').next().unwrap().parse().unwrap());
        Some(Self { primaries: primaries.collect(), url })
    }

    /// What stands in a static is not dropped, so somebody else ends the servers when this process has ended, however it did.
    fn own(url: String, servers: Vec<Server>) -> Self {
        let place = url.split("://").nth(1).unwrap().split(['/', '?']).next().unwrap();
        let primaries =
            place.split(',').map(|one| one.rsplit(':').next().unwrap().parse().unwrap()).collect();
        let script = "read _; for i; do case $i in /*) rm -rf \"$i\";; *) kill -9 \"$i\";; esac; done";
        let mut guard = Command::new("sh");
        guard.args(["-c", script, "sh"]).stdin(Stdio::piped()).stdout(Stdio::null());
        for server in servers {
            let (process, directory) = server.let_go();
            guard.arg(process).arg(directory);
        }
        // Its end of the pipe is open as long as we are.
        let guard: Child = guard.spawn().unwrap();
        std::mem::forget(guard);
        Self { url, primaries }
    }

    /// The suite's stage over them, once they are free.
    pub(crate) fn stage(&'static self) -> larder_testkit::Stage {
        let name = format!("larder-redis-{}.lock", self.primaries[0]);
        let mut lock = File::create(std::env::temp_dir().join(name)).unwrap();
        lock.lock().unwrap();
        _ = lock.write_all(b"");
        for mut primary in self.connections() {
            redis::cmd("FLUSHALL").exec(&mut primary).unwrap();
        }
        larder_testkit::Stage::opening(move || self.open())
            .aging(move |by| self.age(by))
            .rewriting(move |key, change| self.rewrite(key, change))
            .keeping(lock)
    }

    fn open(&self) -> Redis {
        let more = if self.url.contains('?') { '&' } else { '?' };
        let url = format!("{}{more}connect_timeout=60s&max_silence=60s", self.url);
        larder_redis::open(&mut larder_core::CacheUrl::parse(&url).unwrap()).unwrap()
    }

    fn connections(&self) -> impl Iterator<Item = Connection> {
        let open = |port| Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
        self.primaries.iter().map(move |port| open(port).get_connection().unwrap())
    }

    fn age(&self, by: Duration) {
        for mut primary in self.connections() {
            let script = redis::Script::new(crate::server::AGE);
            script.arg(by.as_millis().to_string()).invoke::<()>(&mut primary).unwrap();
        }
    }

    fn rewrite(&self, key: &Key, change: &dyn Fn(&[u8]) -> Vec<u8>) {
        let name = if self.primaries.len() > 1 { key.name_in_group() } else { key.name() };
        for mut primary in self.connections() {
            let Ok(bytes) = redis::cmd("GET").arg(&*name).query::<Vec<u8>>(&mut primary) else { continue };
            redis::cmd("SET").arg(&*name).arg(change(&bytes)).arg("KEEPTTL").exec(&mut primary).unwrap();
            return;
        }
        panic!("nobody has {name}");
    }
}

/// The schemes, as an application has them.
pub(crate) fn schemes() -> Schemes {
    ["redis", "redis+cluster"]
        .into_iter()
        .fold(Schemes::new(), |schemes, scheme| schemes.register(scheme, larder_redis::open))
}
