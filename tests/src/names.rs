//! The addresses by which tests find their servers: one table for the tests, `cargo xtask` (which includes this
//! file) and the check on `docker-compose.yml`.

/// One server that tests talk to.
#[derive(Debug, Clone, Copy)]
pub struct Name {
    /// What a person calls it, also its name in `cargo xtask test --only`.
    pub name: &'static str,
    /// The environment variable that holds its address.
    pub env: &'static str,
    /// The Debian packages that bring it.
    pub packages: &'static [&'static str],
    /// Its services in `docker-compose.yml`; none when it has to run beside the tests.
    pub compose: &'static [&'static str],
}

/// Redis; the address is a URL such as `redis://127.0.0.1:6379/0`.
pub const REDIS: Name =
    Name { name: "redis", env: "LARDER_TEST_REDIS_URL", packages: &["redis-server"], compose: &["redis"] };

/// A Redis Cluster of three primaries with a replica each, which tests may empty; the address is a URL of some of its nodes, such as
/// `redis+cluster://127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003`.
pub const REDIS_CLUSTER: Name = Name {
    name: "redis-cluster",
    env: "LARDER_TEST_REDIS_CLUSTER_URL",
    packages: &["redis-server"],
    compose: &["redis-cluster"],
};

/// A Redis primary with two replicas, watched by Sentinel; the address is a URL such as
/// `redis+sentinel://127.0.0.1:26379/larder/0`.
pub const REDIS_SENTINEL: Name = Name {
    name: "redis-sentinel",
    env: "LARDER_TEST_REDIS_SENTINEL_URL",
    packages: &["redis-server"],
    compose: &["redis-sentinel"],
};

/// The same primary by its own address, with its replicas, which tests may empty: `redis://127.0.0.1:6390/0?replicas=127.0.0.1:6391,127.0.0.1:6392`. Those
/// who need it start their own where it is unset.
pub const REDIS_REPLICAS: &str = "LARDER_TEST_REDIS_REPLICAS_URL";

/// Three Memcached servers; the address is a list such as `127.0.0.1:11211,127.0.0.1:11212,127.0.0.1:11213`.
pub const MEMCACHED: Name = Name {
    name: "memcached",
    env: "LARDER_TEST_MEMCACHED",
    packages: &["memcached"],
    compose: &["memcached-1", "memcached-2", "memcached-3"],
};

/// PostgreSQL; the address is a URL such as `postgres://larder:larder@127.0.0.1:5432/larder`.
pub const POSTGRES: Name = Name {
    name: "postgres",
    env: "LARDER_TEST_POSTGRES_URL",
    packages: &["postgresql"],
    compose: &["postgres"],
};

/// MariaDB or MySQL; the address is a URL such as `mysql://larder:larder@127.0.0.1:3306/larder`.
pub const MARIADB: Name = Name {
    name: "mariadb",
    env: "LARDER_TEST_MYSQL_URL",
    packages: &["mariadb-server"],
    compose: &["mariadb"],
};

/// Chromium behind chromedriver; the address is the driver's, such as `http://127.0.0.1:9515`.
pub const BROWSER: Name = Name {
    name: "browser",
    env: "LARDER_TEST_CHROMEDRIVER_URL",
    packages: &["chromium", "chromium-driver"],
    compose: &[],
};

/// The path of the Chromium binary that chromedriver is to run; unset means the driver's own choice.
pub const CHROMIUM: &str = "LARDER_TEST_CHROMIUM";

/// Every server, in the order in which `cargo xtask` lists them.
pub const ALL: [Name; 7] = [REDIS, REDIS_CLUSTER, REDIS_SENTINEL, MEMCACHED, POSTGRES, MARIADB, BROWSER];

impl Name {
    /// The lines that tell how to get this server, each a command to copy.
    ///
    /// ```
    /// assert!(larder_tests::names::REDIS.remedy().contains("docker compose up -d --wait redis"));
    /// ```
    #[must_use]
    pub fn remedy(&self) -> String {
        let Self { name, env, packages, compose } = self;
        let packages = packages.join(" ");
        let mut lines = format!(
            "  cargo xtask test --install     starts a private {name}, and installs it where it is missing (Debian)\n  \
             apt-get install -y --no-install-recommends {packages}     then: cargo xtask test"
        );
        if !compose.is_empty() {
            lines += &format!(
                "\n  docker compose up -d --wait {}     then export {env} as docker-compose.yml says",
                compose.join(" ")
            );
        }
        lines
    }
}
